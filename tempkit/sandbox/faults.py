"""Faults: what goes wrong in a sandbox on demand. No I/O: when to do what; the shell does it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from tempkit.protocol.parameters import Rule

DAY = 86_400


def _fault(kind: type, low: float, high: float, default: float | None = None) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"rule": Rule(kind, low, high)})


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong: ``Sandbox(faults=Faults(cut_after_received=20, sessions=1))``.

    A *cut* drops the TCP connection without a close; a *stall* stops reading and answering, pings
    apart; a *cancel* is the service's own Error 3005. Each comes once so many messages were sent or
    received in a session (Begin is the first sent), or at a time. ``sessions`` says how many of the
    next sessions are hit, None all. Raises ValueError, naming the range, for a bad value.
    """

    cut_after_sent: int | None = _fault(int, 0, 10**9)
    cut_after_received: int | None = _fault(int, 0, 10**9)
    cut_after_seconds: float | None = _fault(float, 0, DAY)
    stall_after_sent: int | None = _fault(int, 0, 10**9)
    stall_after_received: int | None = _fault(int, 0, 10**9)
    stall_seconds: float = _fault(float, 0, DAY, 3600)
    cancel_after_sent: int | None = _fault(int, 0, 10**9)
    cancel_after_received: int | None = _fault(int, 0, 10**9)
    slow_begin_seconds: float = _fault(float, 0, DAY, 0)
    sessions: int | None = _fault(int, 0, 10**9)

    # The next so many WebSockets are cut before they open, or answered with an HTTP status.
    refuse_connections: int = _fault(int, 0, 10**9, 0)
    refuse_status: int | None = _fault(int, 400, 599)

    token_delay_seconds: float = _fault(float, 0, DAY, 0)
    token_status: int | None = _fault(int, 400, 599)
    token_failures: int | None = _fault(int, 0, 10**9)  # with token_status: how many, None all

    clock_speed: float = _fault(float, 1, 100_000, 1)  # how fast tokens and sessions age

    def __post_init__(self) -> None:
        """Check every value that was given."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                each.metadata["rule"].check(each.name, value)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """The faults in a query. Raises ValueError for an unknown name or a bad value."""
        kinds = {each.name: each.metadata["rule"].kind for each in fields(cls)}
        unknown = [name for name in query if name not in kinds]
        if unknown:
            raise ValueError(f"there is no fault {unknown[0]!r:.40}; there are {', '.join(kinds)}")
        given: dict[str, Any] = {}
        for name, text in query.items():
            try:
                given[name] = kinds[name](text)
            except ValueError:
                said = "a whole number" if kinds[name] is int else "a number"
                raise ValueError(f"{name} takes {said}, not {text!r:.40}") from None
        return cls(**given)

    def given(self) -> dict[str, float]:
        """The faults that are not at their default, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        defaults = {each.name: each.default for each in fields(self)}
        return {name: value for name, value in values.items() if value != defaults[name]}


class Armed:
    """Faults on their way: counts down what hits a number of connections only."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._lock = threading.Lock()
        self._hits: dict[str, int] = {}

    def refuses_connection(self) -> bool:
        """Whether this next WebSocket is refused."""
        return self._is_hit("refuse_connections")

    def token_status(self) -> int | None:
        """The status that this next token request fails with, None when it does not fail."""
        return self.faults.token_status if self._is_hit("token_failures") else None

    def for_session(self) -> Faults:
        """What hits this next session."""
        return self.faults if self._is_hit("sessions") else Faults()

    def _is_hit(self, what: str) -> bool:
        """Whether one more of these is hit: all are when nothing says how many."""
        most: int | None = getattr(self.faults, what)
        with self._lock:
            self._hits[what] = hits = self._hits.get(what, 0) + 1
        return most is None or hits <= most


class Progress:
    """One session's way to its faults: tell it of each message, ask it what is due."""

    def __init__(self, faults: Faults, now: float) -> None:
        self.faults = faults
        self.sent = self.received = 0
        self._begun_at = now
        self._has_stalled = False

    @property
    def cut_at(self) -> float:
        """When the connection is cut, whatever happens until then."""
        seconds = self.faults.cut_after_seconds
        return float("inf") if seconds is None else self._begun_at + seconds

    def is_cut(self, now: float) -> bool:
        """Whether the connection is cut now."""
        return now >= self.cut_at or self._reached("cut")

    def is_cancelled(self) -> bool:
        """Whether Error 3005 is sent now."""
        return self._reached("cancel")

    def stalls(self) -> bool:
        """Whether the session stalls now; it does so once."""
        if self._has_stalled or not self._reached("stall"):
            return False
        self._has_stalled = True
        return True

    def _reached(self, what: str) -> bool:
        for way, count in (("sent", self.sent), ("received", self.received)):
            limit = getattr(self.faults, f"{what}_after_{way}")
            if limit is not None and count >= limit:
                return True
        return False


class SpeedyClock:
    """A clock that can be made to run faster from now on; it never jumps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.speed = 1.0  # its seconds for one of the real clock's
        self._then = self._since = 0.0  # what it said, and the real one, when the speed changed

    def __call__(self) -> float:
        """The time now."""
        return self._then + self.speed * (self._clock() - self._since)

    def run_at(self, speed: float) -> None:
        """Change the speed."""
        now = self._clock()
        self._then += self.speed * (now - self._since)
        self._since, self.speed = now, speed
