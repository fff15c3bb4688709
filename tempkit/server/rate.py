"""TokenCounter: counts the tokens given, in this process or in Redis, by the ``limits`` library.

To import it takes as long as a third of a server's start, so that is left to the first token.
"""

import logging
import math
import re
import threading
import time
from contextlib import nullcontext

from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.errors import ConfigurationError as UnknownStorage
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from tempkit.errors import ConfigurationError, require
from tempkit.server.guard import Rate, Refusal

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1  # how long a token waits for Redis
BURST_SECONDS = 10
TIDY_EVERY = 1000  # tokens
UNAVAILABLE = Refusal(
    503,
    "rate_unavailable",
    "the server cannot count its tokens at the moment; try again in a few seconds",
    retry_after=5,
)


class TokenCounter:
    """Counts tokens in moving windows: a client's burst, its minute, and everybody's minute.

    Raises ConfigurationError for a storage that cannot be one, and when Redis' client is missing.
    """

    def __init__(self, rate: Rate) -> None:
        # One client speaks to both; the library would ask for a second one.
        address = re.sub("^valkey", "redis", rate.storage)
        options: dict[str, float | str] = {}
        if address.startswith("redis"):
            require("redis", "wsgi", "the rate limit's storage")
            # Without them a silent Redis holds every token.
            options = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), PATIENCE_SECONDS)
        try:
            storage = storage_from_string(address, wrap_exceptions=True, **options)
        except (UnknownStorage, ValueError, ImportError, TypeError) as error:
            raise ConfigurationError(
                "the rate limit's storage must be memory://, redis:// or valkey://host:port"
            ) from error
        self._memory = storage if isinstance(storage, MemoryStorage) else None
        self._lock = threading.Lock()
        self._taken = 0
        self._windows = MovingWindowRateLimiter(storage)
        self._burst = RateLimitItemPerSecond(rate.burst, BURST_SECONDS, "tempkit")
        self._minute = RateLimitItemPerMinute(rate.client, 1, "tempkit")
        self._overall = RateLimitItemPerMinute(rate.overall, 1, "tempkit")
        self._is_down = False
        self._what_then = rate.when_down

    def take(self, client: str) -> Refusal | None:
        """Count one more token of a client, and say why it may have none if so."""
        try:
            with self._lock if self._memory else nullcontext():
                free_at = self._take(client)
        except StorageError as error:
            self._note(type(error.storage_error).__name__)
            return UNAVAILABLE if self._what_then == "refuse" else None
        self._note("")
        if free_at is None:
            return None
        seconds = max(1, math.ceil(free_at - time.time()))
        hint = f"too many tokens in a short time; try again in {seconds} s"
        return Refusal(429, "rate_limited", hint, seconds)

    def _take(self, client: str) -> float | None:
        """The same: None, or the Unix time of the next free place."""
        self._taken += 1
        if self._memory and self._taken % TIDY_EVERY == 0:
            # The library's memory would keep the clients of long ago for ever.
            for name in [name for name, times in list(self._memory.events.items()) if not times]:
                del self._memory.events[name]
        own = ("client", client)
        # A client over its own limit takes nothing from the others' share.
        limits = (self._burst, own), (self._minute, own), (self._overall, ("overall",))
        for limit, names in limits:
            if not self._windows.hit(limit, *names):
                return self._windows.get_window_stats(limit, *names).reset_time
        return None

    def _note(self, failure: str) -> None:
        """Say once that the storage is gone, and once that it is back."""
        with self._lock:
            if self._is_down == bool(failure):
                return
            self._is_down = bool(failure)
        if failure:
            log.error(
                "the rate limit cannot count tokens (%s); when_down: %s", failure, self._what_then
            )
        else:
            log.warning("the rate limit can count tokens again")
