"""Inbox: what a session has received and not handled yet. No I/O; every method takes the time."""

from collections import deque

FULL_SECONDS = 300.0  # "closes only when more than 5 minutes are buffered"
FULL_MESSAGES = 4096
LATE_SECONDS = 0.5


class Inbox:
    """Messages in their order; ``paced`` lets audio out no faster than it sounds."""

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._waiting: deque[tuple[str | bytes, float]] = deque()
        self._waiting_seconds = 0.0
        self._due = 0.0
        self._busy_since = 0.0  # since when there was always something to handle
        self._handled_seconds = 0.0  # of audio, since then
        self._first_at: float | None = None
        self.received_seconds = 0.0  # of audio, in all

    def put(self, data: str | bytes, seconds: float, now: float) -> None:
        """A message has come in; ``seconds`` is how long it sounds, 0 for text."""
        if self._first_at is None and isinstance(data, bytes):
            self._first_at = now
        if not self._waiting:  # the session has caught up
            self._busy_since, self._handled_seconds = now, 0.0
        self._waiting.append((data, seconds))
        self._waiting_seconds += seconds
        self.received_seconds += seconds

    def take(self, now: float) -> str | bytes | None:
        """The next message that may be handled now, if there is one."""
        if not self._waiting or self._due > now:
            return None
        data, seconds = self._waiting.popleft()
        self._waiting_seconds -= seconds
        self._handled_seconds += seconds
        if self._paced:
            self._due = max(self._due, now) + seconds
        return data

    def wait(self, now: float) -> float:
        """Seconds until the next message may be handled, infinite when there is none."""
        return max(0.0, self._due - now) if self._waiting else float("inf")

    @property
    def is_empty(self) -> bool:
        """Whether everything was handled."""
        return not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether the rest is better left to the network."""
        return len(self._waiting) >= FULL_MESSAGES or self._waiting_seconds >= FULL_SECONDS

    def is_late(self, now: float) -> bool:
        """Whether handling lags behind the sound; audio that came in faster does not count."""
        if self._paced:
            return not self.is_empty and now - self._due > LATE_SECONDS
        return now - self._busy_since - self._handled_seconds > LATE_SECONDS

    def elapsed(self, now: float) -> float:
        """Seconds since the first audio came in."""
        return 0.0 if self._first_at is None else now - self._first_at
