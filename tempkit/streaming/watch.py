"""Watch: when a connection that looks alive is taken for lost, or left before it ends. No I/O."""

from array import array
from dataclasses import dataclass, field

from tempkit.errors import SessionClosed
from tempkit.protocol.messages import CloseCode
from tempkit.streaming.retry import Reconnect

SLEEP_SECONDS = 5.0  # the wall clock ahead of the steady one by more: the machine was asleep
LOUD = 1000  # of 32768: speech reaches it, a quiet room does not
LOUD_MULAW = 0x38  # the same, as the low seven bits of a code; smaller is louder
TERMINATE_SECONDS = 10.0  # how long the last words may take; the service was seen to take 1.3 s
RENEWAL_SHARE = 0.1  # of a session's longest duration, before its end
RENEWAL_SECONDS = 60.0  # at the most


@dataclass
class Watch:
    """What one connection was seen to do. ``now`` is steady seconds, ``wall`` Unix seconds."""

    policy: Reconnect
    began: float
    ends: float  # when the service will end the session, in steady seconds
    wall_ahead: float  # Unix seconds minus steady seconds
    _heard_at: float = field(init=False)
    _loud_seconds: float = field(init=False, default=0.0)
    _terminating_since: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """The beginning counts as a message."""
        self._heard_at = self.began

    def hear(self, now: float) -> None:
        """A message came in."""
        self._heard_at = now
        self._loud_seconds = 0.0

    def send(self, piece: bytes, encoding: str, seconds: float) -> None:
        """A piece of audio went out."""
        if is_loud(piece, encoding):
            self._loud_seconds += seconds

    def cause(self, now: float, wall: float, *, is_between_turns: bool) -> SessionClosed | None:
        """Why the connection should be replaced now, None when it should not."""
        if wall - now - self.wall_ahead > SLEEP_SECONDS:
            return _closed(CloseCode.ABNORMAL, "the machine was asleep")
        silent, limit = now - self._heard_at, self.policy.stall_seconds
        if min(silent, self._loud_seconds) >= limit:
            text = f"no message for {limit:g} s of loud audio"
            return _closed(CloseCode.ABNORMAL, text)
        lead = min(RENEWAL_SECONDS, RENEWAL_SHARE * (self.ends - self.began))
        if now >= self.ends - (lead if is_between_turns else lead / 3):
            return _closed(CloseCode.EXPIRED, "the session is near its longest duration")
        return None

    def cause_at_end(self, now: float, seconds_ahead: float) -> SessionClosed | None:
        """Why to wait no longer for the Termination, None while there is time.

        Audio that was sent ``seconds_ahead`` of its time takes its own time to be heard.
        """
        if self._terminating_since is None:
            self._terminating_since = now
        if now < self._terminating_since + TERMINATE_SECONDS + max(0.0, seconds_ahead):
            return None
        return _closed(CloseCode.ABNORMAL, f"no Termination within {TERMINATE_SECONDS:g} s")


def is_loud(piece: bytes, encoding: str) -> bool:
    """Whether audio may be speech; looks at every 16th sample."""
    if encoding == "pcm_mulaw":
        return min((code & 0x7F for code in piece[::16]), default=0x7F) < LOUD_MULAW
    samples = array("h", piece)[::16]
    return max(samples, default=0) > LOUD or min(samples, default=0) < -LOUD


def _closed(code: CloseCode, reason: str) -> SessionClosed:
    return SessionClosed(code, reason, code.advice)
