"""TokenCounter: counts the tokens given, in this process or in Redis, by the ``limits`` library."""

import logging
import re
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from tempkit.errors import ConfigurationError, require
from tempkit.server.guard import Rate, RateUnavailableError

if TYPE_CHECKING:
    from limits import RateLimitItem

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1  # how long a token waits for Redis
BURST_SECONDS = 10
TIDY_EVERY = 1000  # tokens


class TokenCounter:
    """Counts tokens in moving windows: a client's burst, its minute, and everybody's minute.

    Raises ConfigurationError for a storage that cannot be one, and when Redis' client is missing.
    """

    def __init__(self, rate: Rate) -> None:
        # Here rather than above: it takes as long as a third of a server's start.
        from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
        from limits.errors import ConfigurationError as UnknownStorage
        from limits.errors import StorageError
        from limits.storage import MemoryStorage, storage_from_string
        from limits.strategies import MovingWindowRateLimiter

        # One client speaks to both; the library would ask for a second one.
        address = re.sub("^valkey", "redis", rate.storage)
        options = _network_options(address)
        if address.startswith("redis"):
            require("redis", "wsgi", "the rate limit's storage")
        try:
            storage = storage_from_string(address, wrap_exceptions=True, **options)
        except (UnknownStorage, ValueError, ImportError, TypeError) as error:
            raise ConfigurationError(
                "the rate limit's storage is memory://, redis:// or valkey://host:port"
            ) from error
        self._memory = storage if isinstance(storage, MemoryStorage) else None
        self._lock: AbstractContextManager[object] = (
            threading.Lock() if self._memory else nullcontext()
        )
        self._taken = 0
        self._failure = StorageError
        self._windows = MovingWindowRateLimiter(storage)
        self._client = (
            RateLimitItemPerSecond(rate.burst, BURST_SECONDS, "tempkit"),
            RateLimitItemPerMinute(rate.client, 1, "tempkit"),
        )
        self._overall = RateLimitItemPerMinute(rate.overall, 1, "tempkit")
        self._is_down = False
        self._noting = threading.Lock()
        self._what_then = rate.when_down

    def take(self, client: str) -> float | None:
        """Count one more token of a client; None, or the Unix time of the next free place.

        Raises RateUnavailableError.
        """
        try:
            free_at = self._take(client)
        except self._failure as error:
            self._note(type(error.storage_error).__name__)
            raise RateUnavailableError from None
        self._note(None)
        return free_at

    def _note(self, failure: str | None) -> None:
        """Say once that the storage is gone, and once that it is back."""
        if self._is_down == (failure is not None):
            return
        with self._noting:
            if self._is_down == (failure is not None):
                return
            self._is_down = failure is not None
            if failure is None:
                log.warning("the rate limit is counted again")
            else:
                log.error(
                    "the rate limit cannot be counted (%s): %s tokens", failure, self._what_then
                )

    def _take(self, client: str) -> float | None:
        with self._lock:
            self._tidy()
            return self._hit(client)

    def _hit(self, client: str) -> float | None:
        # A client over its own limit takes nothing from the others' share.
        for item in self._client:
            if not self._windows.hit(item, "client", client):
                return self._free_at(item, "client", client)
        if not self._windows.hit(self._overall, "overall"):
            return self._free_at(self._overall, "overall")
        return None

    def _tidy(self) -> None:
        """Forget clients of long ago, whom the library's memory would keep for ever."""
        self._taken += 1
        if self._memory and self._taken % TIDY_EVERY == 0:
            for name in [name for name, times in list(self._memory.events.items()) if not times]:
                del self._memory.events[name]

    def _free_at(self, item: "RateLimitItem", *names: str) -> float:
        return self._windows.get_window_stats(item, *names).reset_time


def _network_options(url: str) -> dict[str, float | str]:
    """Time-outs for the stores that know them: without one, a silent Redis holds every token."""
    if url.startswith("redis"):
        return {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    return {}
