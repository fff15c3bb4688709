"""When a lost session is opened again, and when it is not. No I/O."""

from dataclasses import dataclass, fields
from numbers import Real

from tempkit.errors import (
    BadValue,
    ServiceUnreachable,
    SessionClosed,
    TempkitError,
    TokenRefused,
    expect,
)
from tempkit.protocol.close_codes import PASSING, CloseCode, Then

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
CROWDED_PAUSE_SECONDS = 30.0  # a place was seen to be free again after 28 s

OPENINGS = 3  # how often the first connection is tried

# The last fuse: no fault of ours or of the service opens more sessions than these.
MOST_SESSIONS = 20
MOST_SESSIONS_PER_MINUTE = 10  # of audio, on top


@dataclass(frozen=True)
class Reconnect:
    """How a session continues after its connection was lost.

    The client tries to reconnect until ``give_up_after_seconds`` have passed without progress:
    no new words, and no more audio accepted by the service (without heartbeats to tell: no
    connection that lasted that long). Audio that the service may not have heard is resent at
    ``replay_rate`` times the speed of speech; at most ``buffer_seconds`` of it are kept. A
    connection counts as lost if for ``stall_seconds`` there is no heartbeat or the service
    accepts no audio, or if a pong is ``pong_seconds`` late. Silent audio makes no difference.
    """

    give_up_after_seconds: float = 60.0
    replay_rate: float = 2.0
    buffer_seconds: float = 300.0
    stall_seconds: float = 16.0  # three heartbeats and a little
    pong_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Raises ValueError for a number that makes no sense."""
        for each in fields(self):
            expect(each.name, getattr(self, each.name), Real)
        if self.replay_rate <= 1:
            text = "replay_rate must be more than 1 to catch up"
            raise BadValue(f"{text}, not {self.replay_rate}")
        for name in ("buffer_seconds", "stall_seconds", "pong_seconds"):
            if getattr(self, name) < 1:
                raise BadValue(f"{name} must be at least 1, not {getattr(self, name)}")


def pause_before(attempt: int, error: TempkitError, luck: float) -> float | None:
    """Seconds to wait before connecting again after ``error``, None when that cannot help.

    ``attempt`` counts from 0; ``luck``, 0 to 1, spreads clients that were all cut off at once.
    """
    growing: float = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
    backoff = growing * (0.5 + luck / 2)
    match _then(error):
        case Then.BACK_OFF:
            return backoff
        case Then.BACK_OFF_TWICE:
            return backoff if attempt < 2 else None
        case Then.RENEW:
            return 0.0 if attempt == 0 else backoff
        case Then.CROWDED:
            return CROWDED_PAUSE_SECONDS * (1 + luck / 2)
    return None


def pause_before_opening(attempt: int, error: TempkitError, luck: float) -> float | None:
    """The same for the first connection: it waits for what passes by itself, and not for long."""
    may_pass = (
        isinstance(error, SessionClosed)
        or (isinstance(error, ServiceUnreachable) and error.may_pass)
        or (isinstance(error, TokenRefused) and error.status in PASSING)
    )
    return pause_before(attempt, error, luck) if may_pass and attempt + 1 < OPENINGS else None


def is_blown(sessions: int, audio_seconds: float) -> bool:
    """Whether so many sessions are too many for so much audio, whatever went wrong."""
    return sessions >= MOST_SESSIONS + MOST_SESSIONS_PER_MINUTE * audio_seconds / 60


def _then(error: TempkitError) -> Then:
    if isinstance(error, SessionClosed):
        is_crowded = "too many" in error.reason.lower()
        return Then.CROWDED if is_crowded else CloseCode.then_for(error.code)
    if isinstance(error, TokenRefused):
        if error.status == 429:
            return Then.CROWDED
        return Then.BACK_OFF if error.status >= 500 else Then.END
    return Then.BACK_OFF if isinstance(error, ServiceUnreachable) else Then.END
