"""Over real sockets: a service that owes heartbeats or an end, and what becomes of the words."""

from itertools import takewhile

import pytest

from tempkit import Reconnect, Reconnected, Sandbox, SessionClosed, SessionParameters, connect
from tempkit.protocol.messages import Heartbeat
from tempkit.sandbox import Faults
from tests import test_judgement
from tests.doubles import chunked
from tests.test_judgement import AUDIO, QUICK, SHORT, WORDS, sessions, streamed

sandbox = test_judgement.sandbox

STALL = Reconnect(stall_seconds=2)
FAST = 10  # times as fast as any: a heartbeat every half second


def test_a_line_whose_heartbeats_stop_is_replaced(sandbox: Sandbox):
    gone = {"stop_heartbeats_after_audio_seconds": 1, "stop_answering_after_audio_seconds": 1}
    faults = Faults(**gone, sessions=1, clock_speed=FAST)
    assert streamed(sandbox, faults, STALL, audio=SHORT, realtime=True) == (WORDS[:11], 1)


def test_a_service_that_takes_no_more_audio_is_left(sandbox: Sandbox):
    faults = Faults(stop_upload_after_audio_seconds=1, sessions=1, clock_speed=FAST)
    assert streamed(sandbox, faults, STALL, audio=SHORT, realtime=True) == (WORDS[:11], 1)


def test_a_service_that_begins_and_says_nothing_is_given_up(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempkit.streaming.watch.TERMINATE_SECONDS", 0.5)
    monkeypatch.setattr("tempkit.streaming.watch.LONGEST_END_SECONDS", 0.5)
    begun = sessions(sandbox)
    with pytest.raises(SessionClosed, match="no Termination") as ended:
        streamed(sandbox, Faults(stop_answering_after_sent=1), QUICK, audio=AUDIO[:32_000])
    assert ended.value.seconds_not_transcribed == pytest.approx(1)
    assert sessions(sandbox) <= begun + 4


def test_an_end_that_is_late_is_waited_for_while_heartbeats_come(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempkit.streaming.watch.TERMINATE_SECONDS", 3)
    faults = Faults(slow_termination_seconds=5, clock_speed=FAST)
    assert streamed(sandbox, faults, audio=AUDIO[:64_000])[1] == 0


def test_without_heartbeats_a_loss_is_counted_anew_after_a_connection_that_held(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_seconds=2, sessions=2)
    parameters = SessionParameters(session_heartbeat=False)
    policy = Reconnect(give_up_after_seconds=0.5)
    again = 0
    with connect(sandbox.settings, parameters, reconnect=policy) as session:
        # As long as it takes: a session that has ended cannot be cut.
        sound = (bytes(3200) for _ in takewhile(lambda _: again < 2, range(300)))
        for message in session.stream(sound):
            again += isinstance(message, Reconnected)
    assert again == 2


def test_heartbeats_are_for_whoever_asked(sandbox: Sandbox):
    sandbox.faults = Faults(clock_speed=FAST)
    for asked, shown in ((None, False), (True, True)):
        parameters = SessionParameters(session_heartbeat=asked)
        with connect(sandbox.settings, parameters) as session:
            messages = list(session.stream(chunked(AUDIO[:64_000]), realtime=True))
        assert any(isinstance(message, Heartbeat) for message in messages) is shown
