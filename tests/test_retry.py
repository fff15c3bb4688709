import pytest

from tempkit import ConfigurationError, Reconnect, ServiceUnreachable, SessionClosed, TokenRefused
from tempkit.protocol.messages import CloseCode
from tempkit.streaming.retry import pause_before
from tempkit.streaming.watch import Watch, is_loud
from tests.doubles import silence, tone


def closed(code: int, reason: str = "") -> SessionClosed:
    return SessionClosed(code, reason, CloseCode.advice_for(code))


@pytest.mark.parametrize("code", [1001, 1006, 1011, 3005])
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
    [closed(1008, "Invalid API key"), closed(3006), closed(3007), closed(4999),
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


def watch(**changes: float) -> Watch:
    return Watch(
        **{"policy": Reconnect(), "began": 0.0, "ends": 10_800.0, "wall_ahead": 5e8} | changes
    )


def cause(watch: Watch, now: float, *, asleep: float = 0, is_between_turns: bool = False):
    found = watch.cause(now, now + 5e8 + asleep, is_between_turns=is_between_turns)
    return found and (found.code, found.reason)


def test_loud_audio_without_a_message_is_a_lost_connection():
    seen = watch()
    for second in range(40):
        seen.send(tone(1000), "pcm_s16le", 1.0)
        expected = (1006, "no message for 30 s of loud audio") if second >= 30 else None
        assert cause(seen, float(second)) == (expected if second >= 30 else None)
    seen.hear(40.0)
    assert cause(seen, 41.0) is None


def test_silence_without_a_message_is_none():
    seen = watch()
    for second in range(300):
        seen.send(silence(1000), "pcm_s16le", 1.0)
        assert cause(seen, float(second)) is None


def test_loud_audio_that_is_sent_at_once_is_given_its_time():
    seen = watch()
    seen.send(tone(1000), "pcm_s16le", 120.0)
    assert cause(seen, 29.0) is None


def test_a_wall_clock_that_jumps_means_that_the_machine_slept():
    assert cause(watch(), 10.0, asleep=4) is None
    assert cause(watch(), 10.0, asleep=6) == (1006, "the machine was asleep")


def test_a_session_is_replaced_before_its_end_between_turns_if_it_can_be():
    near = (3008, "the session is near its longest duration")
    assert cause(watch(), 10_739.0, is_between_turns=True) is None
    assert cause(watch(), 10_741.0, is_between_turns=True) == near
    assert cause(watch(), 10_741.0) is None
    assert cause(watch(), 10_781.0) == near
    assert cause(watch(ends=60.0), 53.0, is_between_turns=True) is None
    assert cause(watch(ends=60.0), 54.5, is_between_turns=True) == near


def test_speech_is_loud_and_a_quiet_room_is_not():
    assert is_loud(tone(100), "pcm_s16le")
    assert not is_loud(silence(100), "pcm_s16le")
    assert is_loud(b"\x10\x90" * 100, "pcm_mulaw")
    assert not is_loud(b"\xff\x7f\xf0\x70" * 100, "pcm_mulaw")
    assert not is_loud(b"", "pcm_s16le")
