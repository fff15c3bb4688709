"""Inbox: what a session has received and not handled yet. No I/O; every method takes the time."""

from collections import deque

# "The server throttles to about 1.25 times real time": never slower than the sound, and a client
# that was held up catches up.
PACE = 1.25
SLACK_SECONDS = 1.0  # audio may come in bursts of so much and is not held back
FULL_SECONDS = 310.0  # of audio; a session at audio pace is closed before, see ``session``
FULL_MESSAGES = 8192
FULL_BYTES = 2**26
LATE_SECONDS = 0.5
LIVE_SECONDS = 1.0  # who speaks is never further ahead, nor quiet for longer
PATIENCE_SECONDS = 0.25  # how long a partial waits for its place


class Inbox:
    """Messages in their order; ``realtime`` lets audio out at the pace at which it sounds."""

    def __init__(self, *, realtime: bool) -> None:
        self._realtime = realtime
        self._waiting: deque[tuple[str | bytes, float]] = deque()
        self._waiting_bytes = 0
        self._due: float | None = None  # when the next message may be handled, at audio pace
        self._busy_since = 0.0  # since when there was always something to handle
        self._handled_seconds = 0.0  # of audio, since then
        self._came_seconds = 0.0  # the same, of what came in
        self._first_at: float | None = None
        self._last_at = 0.0
        self._received_seconds = 0.0  # of audio, in all

    def put(self, data: str | bytes, seconds: float, now: float) -> None:
        """A message has come in; ``seconds`` is how long it sounds, 0 for text."""
        if self._first_at is None and isinstance(data, bytes):
            self._first_at = now
        if not self._waiting:  # the session has caught up
            self._busy_since, self._handled_seconds, self._came_seconds = now, 0.0, 0.0
        self._last_at = now
        self._came_seconds += seconds
        self._waiting.append((data, seconds))
        self._waiting_bytes += len(data)
        self._received_seconds += seconds

    def take(self, now: float) -> str | bytes | None:
        """The next message that may be handled now, if there is one."""
        if self.wait(now) > 0:
            return None
        data, seconds = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        self._handled_seconds += seconds
        if self._realtime and seconds:
            due = now if self._due is None else max(self._due, now - SLACK_SECONDS)
            self._due = due + seconds / PACE
        return data

    def wait(self, now: float) -> float:
        """Seconds until the next message may be handled, infinite when there is none."""
        if not self._waiting:
            return float("inf")
        return 0.0 if self._due is None else max(0.0, self._due - now)

    @property
    def is_empty(self) -> bool:
        """Whether everything was handled."""
        return not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether the rest is better left to the network."""
        return (
            len(self._waiting) >= FULL_MESSAGES
            or self._waiting_bytes >= FULL_BYTES
            or self._came_seconds - self._handled_seconds >= FULL_SECONDS
        )

    def pace(self, now: float) -> tuple[float, float, float]:
        """Seconds of audio that came in, seconds since the first of it, seconds of it that wait."""
        elapsed = 0.0 if self._first_at is None else now - self._first_at
        return self._received_seconds, elapsed, self._came_seconds - self._handled_seconds

    def patience(self, now: float) -> float:
        """How long a partial may wait for its place: not at all when handling lags behind a talker.

        Without end when nobody talks, as what was sent ahead is to be heard alike on every machine.
        """
        busy = now - self._busy_since
        if self._came_seconds - busy > LIVE_SECONDS or now - self._last_at > LIVE_SECONDS:
            return float("inf")
        return 0.0 if busy - self._handled_seconds > LATE_SECONDS else PATIENCE_SECONDS
