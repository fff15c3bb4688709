"""When a lost session is opened again, and when it is not. No I/O."""

from dataclasses import dataclass

from tempkit.errors import ServiceUnreachable, SessionClosed, TempkitError, TokenRefused
from tempkit.protocol.messages import CloseCode

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
CROWDED_PAUSE_SECONDS = 30.0  # a place was seen to be free again after 28 s

AFTER_A_PAUSE = {
    CloseCode.GOING_AWAY,
    CloseCode.ABNORMAL,
    CloseCode.INTERNAL,
    CloseCode.CANCELLED,
}
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class Reconnect:
    """How a session goes on after its connection was lost.

    A new one is tried for ``give_up_after_seconds``; audio that the service may not have heard is
    sent again at ``replay_rate`` times the speed at which it sounds. Of that audio at most
    ``buffer_seconds`` are kept. ``stall_seconds`` of loud audio without any message, or a pong that
    is ``pong_seconds`` late, count as a lost connection.
    """

    give_up_after_seconds: float = 60.0
    replay_rate: float = 2.0
    buffer_seconds: float = 300.0
    stall_seconds: float = 30.0
    pong_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Raises ValueError for a number that makes no sense."""
        if self.replay_rate <= 1:
            raise ValueError(
                f"replay_rate is more than 1, or it never catches up: {self.replay_rate}"
            )
        for name in ("buffer_seconds", "stall_seconds", "pong_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")


def pause_before(attempt: int, error: TempkitError, luck: float) -> float | None:
    """Seconds to wait before connecting again after ``error``, None when that cannot help.

    ``attempt`` counts from 0; ``luck``, 0 to 1, spreads clients that were all cut off at once.
    """
    backoff = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt) * (0.5 + luck / 2)
    if isinstance(error, SessionClosed):
        if error.code == CloseCode.EXPIRED:
            return 0.0 if attempt == 0 else backoff
        if error.code == CloseCode.TOO_MANY or "too many" in error.reason.lower():
            return CROWDED_PAUSE_SECONDS * (1 + luck / 2)
        return backoff if error.code in AFTER_A_PAUSE else None
    if isinstance(error, TokenRefused):
        if error.status == TOO_MANY_REQUESTS:
            return CROWDED_PAUSE_SECONDS * (1 + luck / 2)
        return backoff if error.status >= 500 else None
    return backoff if isinstance(error, ServiceUnreachable) else None
