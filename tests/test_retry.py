import pytest

from tempkit import ConfigurationError, Reconnect, ServiceUnreachable, SessionClosed, TokenRefused
from tempkit.protocol.close_codes import CloseCode
from tempkit.streaming.retry import is_blown, pause_before


def closed(code: int, reason: str = "") -> SessionClosed:
    return SessionClosed(code, reason, CloseCode.advice_for(code))


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 3005, 4001])
def test_a_failing_service_is_tried_again_after_longer_and_longer_pauses(code: int):
    pauses = [pause_before(attempt, closed(code), 1.0) for attempt in range(8)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert pause_before(3, closed(code), 0.0) == 1.0


def test_an_expired_session_is_replaced_at_once():
    assert pause_before(0, closed(3008), 0.5) == 0
    assert pause_before(1, closed(3008), 1.0) == 0.5


def test_a_crowded_account_is_given_time():
    crowded = closed(1008, "Unauthorized Connection: Too many concurrent sessions")
    assert 30 <= (pause_before(0, crowded, 0.5) or 0) <= 45
    assert 30 <= (pause_before(0, closed(3009), 0.0) or 0) <= 45
    assert (pause_before(0, TokenRefused(429, "slow down", ""), 0.0) or 0) >= 30


@pytest.mark.parametrize(
    "error",
    [closed(1008, "Invalid API key"), closed(3006), closed(3007), closed(1009),
     TokenRefused(401, "", ""), TokenRefused(422, "", ""), ConfigurationError("no key")],
    ids=str,
)  # fmt: skip
def test_what_trying_again_cannot_help_is_not_tried_again(error):
    assert pause_before(0, error, 0.5) is None


def test_an_unreachable_service_is_tried_again():
    assert pause_before(0, ServiceUnreachable("gone"), 1.0) == 0.25
    assert pause_before(0, TokenRefused(503, "", ""), 1.0) == 0.25


@pytest.mark.parametrize(
    "wrong", [{"replay_rate": 1.0}, {"buffer_seconds": 0}, {"pong_seconds": 0}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Reconnect(**wrong)


def test_no_fault_opens_sessions_without_end():
    assert not is_blown(19, 0.0)
    assert is_blown(20, 0.0)
    assert not is_blown(119, 600.0)
    assert is_blown(120, 600.0)
