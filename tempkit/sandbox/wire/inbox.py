"""Inbox: what a session has received and not handled yet. No I/O; every method takes the time."""

from collections import deque

# "The server throttles to about 1.25 times real time": never slower than the sound, and a client
# that was held up catches up.
PACE = 1.25
SLACK_SECONDS = 1.0  # audio may come in bursts of so much and is not held back
FULL_BYTES = 2**26  # more than five minutes at the highest rate, after which a session is closed
MESSAGE_BYTES = 200  # what a message costs besides
LATE_SECONDS = 0.5
LIVE_SECONDS = 1.0  # of audio: who speaks is never further ahead
PATIENCE_SECONDS = 0.25  # how long a partial waits for a core


class Inbox:
    """Messages in their order; ``realtime`` lets audio out at the pace at which it sounds."""

    def __init__(self, *, realtime: bool) -> None:
        self._realtime = realtime
        self._waiting: deque[tuple[str | bytes, float]] = deque()
        self._bytes = 0
        self._due = 0.0  # when the next message may be handled, at audio pace
        self._first_at: float | None = None
        self._received_seconds = 0.0  # of audio, in all
        # Since there was always something to handle:
        self._busy_since = 0.0
        self._came = self._handled = self._ahead = 0.0  # seconds of audio

    def put(self, data: str | bytes, seconds: float, now: float) -> None:
        """A message has come in; ``seconds`` is how long it sounds, 0 for text."""
        if self._first_at is None and isinstance(data, bytes):
            self._first_at = self._due = now
        if not self._waiting:
            self._busy_since, self._came, self._handled, self._ahead = now, 0.0, 0.0, 0.0
        self._came += seconds
        self._ahead = max(self._ahead, self._came - (now - self._busy_since))
        self._received_seconds += seconds
        self._waiting.append((data, seconds))
        self._bytes += len(data) + MESSAGE_BYTES

    def take(self, now: float) -> str | bytes | None:
        """The next message that may be handled now, if there is one."""
        if self.wait(now) > 0:
            return None
        data, seconds = self._waiting.popleft()
        self._bytes -= len(data) + MESSAGE_BYTES
        self._handled += seconds
        if self._realtime and seconds:
            self._due = max(self._due, now - SLACK_SECONDS) + seconds / PACE
        return data

    def wait(self, now: float) -> float:
        """Seconds until the next message may be handled, infinite when there is none."""
        return max(0.0, self._due - now) if self._waiting else float("inf")

    @property
    def is_full(self) -> bool:
        """Whether the rest is better left to the network."""
        return self._bytes >= FULL_BYTES

    def pace(self, now: float) -> tuple[float, float, float]:
        """Seconds of audio that came in, seconds since the first of it, seconds of it that wait."""
        elapsed = 0.0 if self._first_at is None else now - self._first_at
        return self._received_seconds, elapsed, self._came - self._handled

    def patience(self, now: float) -> float | None:
        """How long a partial may wait for a core: not at all when handling lags behind a talker.

        Without end for what was sent ahead, which is to be heard alike on every machine.
        """
        if self._ahead > LIVE_SECONDS:
            return None
        is_late = now - self._busy_since - self._handled > LATE_SECONDS
        return 0.0 if is_late else PATIENCE_SECONDS
