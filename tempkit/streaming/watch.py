"""Watch: when a connection that looks alive is taken for lost, or left before it ends. No I/O.

A connection is judged by what the service owes it: heartbeats, progress with the audio that it
took, and a Termination when it was asked for one. Time in which nobody looked does not count.
"""

from math import inf

from tempkit.errors import SessionClosed
from tempkit.protocol.close_codes import CloseCode

BEAT_SECONDS = 5.0  # between two heartbeats, about
SLEEP_SECONDS = 5.0  # standing still for longer may have cost the connection
LATE_SECONDS = 1.0  # a look that comes later than that after the last one comes late
TERMINATE_SECONDS = 30.0  # how long the last words may take, on top of the audio still unheard
LONGEST_END_SECONDS = 300.0  # the same while heartbeats go on
RENEWAL_SHARE = 0.1  # of a session's longest duration, before its end
RENEWAL_SECONDS = 60.0  # at the most


class Watch:
    """What one connection was seen to do. ``now`` is steady seconds.

    ``ends`` is when the service will end the session; infinity for one that is not to be replaced.
    ``asleep`` is how long the machine has been asleep, in seconds from any moment; setting a wall
    clock looks like that, too.
    """

    def __init__(
        self, stall_seconds: float, began: float, ends: float, asleep: float = 0.0
    ) -> None:
        self.began = began
        self._stall_seconds = stall_seconds
        self._ends = ends
        self._looked_at = began
        self._heard_at = began  # the beginning counts as a message
        self._taken_ms: int | None = None  # what the last heartbeat said, if there was one
        self._waiting_since = inf  # for it to take more; infinity: it does not
        self._terminating_since = inf
        self._ahead = 0.0  # seconds of audio that were unheard then
        self._asleep = asleep
        self._doubted_at = inf

    def hear(self, now: float, taken_ms: int | None = None) -> None:
        """A message came in; by the last heartbeat, if any, the service has so much audio."""
        self._heard_at = now
        self._doubted_at = inf
        if taken_ms is None or taken_ms > (self._taken_ms or 0):
            self._waiting_since = inf
        self._taken_ms = taken_ms

    def send(self, now: float) -> None:
        """Audio went out."""
        self._waiting_since = min(self._waiting_since, now)

    def terminate(self, now: float, seconds_ahead: float) -> None:
        """Terminate is out; the service has so many seconds of audio to hear before it."""
        if self._terminating_since == inf:
            self._terminating_since = now
            self._ahead = max(0.0, seconds_ahead)

    def look(self, now: float, asleep: float, *, is_between_turns: bool) -> SessionClosed | None:
        """Why the connection should be replaced now, None when it should not."""
        self._pass_over(now, asleep)
        lost = CloseCode.ABNORMAL.error
        if self._taken_ms is not None:
            if now - self._heard_at >= self._stall_seconds:
                return lost(f"no heartbeat for {self._stall_seconds:g} s")
            if now - self._waiting_since >= self._stall_seconds:
                return lost(f"the service took no audio for {self._stall_seconds:g} s")
            if now - self._doubted_at >= BEAT_SECONDS + LATE_SECONDS:
                return lost("no heartbeat since the machine woke up")
        if self._terminating_since < inf:
            waited, quiet = now - self._terminating_since - self._ahead, now - self._heard_at
            most = LONGEST_END_SECONDS if quiet < TERMINATE_SECONDS else TERMINATE_SECONDS
            return lost(f"no Termination within {waited:.0f} s") if waited >= most else None
        lead = min(RENEWAL_SECONDS, RENEWAL_SHARE * (self._ends - self.began))
        if now >= self._ends - (lead if is_between_turns else lead / 3):
            return CloseCode.EXPIRED.error("the session is near its maximum duration")
        return None

    def _pass_over(self, now: float, asleep: float) -> None:
        """A look that comes late is no evidence: what it could not see is taken out."""
        unseen = max(0.0, now - self._looked_at - LATE_SECONDS)
        still = unseen + asleep - self._asleep
        self._looked_at, self._asleep = now, asleep
        self._heard_at += unseen
        self._waiting_since += unseen
        self._terminating_since += unseen
        if still > SLEEP_SECONDS:
            self._doubted_at = now
