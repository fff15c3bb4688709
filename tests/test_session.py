import json

import pytest

from tempkit import Reconnect, SessionParameters, Transcript, Turn, Word
from tempkit.errors import ProtocolError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Begin, Error, Heartbeat, dump
from tempkit.streaming.session import ClientSession
from tests.doubles import load


def turn(order: int, text: str, *, end: bool = True, formatted: bool = False) -> Turn:
    words = tuple(Word(word, 0, 100, 0.9, end) for word in text.split())
    return Turn(order, formatted, end, text if end else "", 0.5, words)


def transcript(*turns: Turn) -> Transcript:
    result = Transcript()
    for each in turns:
        result.add(each)
    return result


def test_a_formatted_final_replaces_the_plain_one():
    both = transcript(turn(0, "hello"), turn(0, "Hello.", formatted=True))
    assert both.text == "Hello."
    assert len(both.turns) == 1


def test_a_plain_final_never_replaces_a_formatted_one():
    late = transcript(turn(0, "Hello.", formatted=True), turn(0, "hello"))
    assert late.text == "Hello."


def test_a_late_partial_never_replaces_a_final():
    late = transcript(turn(0, "hello there"), turn(0, "hello", end=False))
    assert (late.text, late.partial) == ("hello there", "")


def test_the_open_turn_is_the_partial_text():
    growing = transcript(turn(0, "Yes.", formatted=True), turn(1, "how are", end=False))
    assert (growing.text, growing.partial) == ("Yes.", "how are")


def test_a_transcript_is_the_sequence_of_its_turns_that_are_over():
    said = transcript(turn(1, "Two."), turn(0, "One."), turn(2, "and", end=False))
    assert (len(said), list(said), said[-1]) == (
        *(2, [turn(0, "One."), turn(1, "Two.")], turn(1, "Two.")),
    )
    with pytest.raises(IndexError):
        said[2]


def test_a_transcript_is_data_for_json_and_for_a_table():
    said = transcript(turn(0, "One two."), turn(1, "and", end=False))
    data = json.loads(json.dumps(said.to_dict()))
    assert data["text"] == "One two."
    assert [load(json.dumps(each)) for each in data["turns"]] == list(said)
    times = {"start_seconds": 0.0, "end_seconds": 0.1, "confidence": 0.9}
    assert said.words_table() == [
        {"turn": 0, "text": "One", **times},
        {"turn": 0, "text": "two.", **times},
    ]


def test_an_empty_final_is_no_turn_and_takes_back_its_partial():
    assert transcript(turn(0, "")).turns == ()
    withdrawn = transcript(turn(0, "uh", end=False), turn(0, ""))
    assert (withdrawn.turns, withdrawn.partial) == ((), "")
    assert transcript(turn(0, "yes"), turn(0, "")).text == "yes"


def test_turns_are_in_order_whatever_came_first():
    mixed = transcript(turn(1, "two"), turn(0, "one"))
    assert str(mixed) == "one\ntwo"
    assert [word.text for word in mixed.words] == ["one", "two"]


def test_the_error_message_explains_a_close_better_than_its_reason():
    half = ClientSession(SessionParameters(), Reconnect())
    half.receive(dump(Error(3007, "too long")))
    closed = half.closed(CloseCode.ABNORMAL.error(""))
    assert closed is not None
    assert (closed.code, closed.reason) == (3007, "too long")


def test_an_odd_message_is_counted_and_told_once_for_each_kind(caplog: pytest.LogCaptureFixture):
    half = ClientSession(SessionParameters(), Reconnect())
    half.receive(dump(Begin("s", 1)))
    for odd in ("{", "[]", b"{}", '{"type": "Turn"}', '{"type": "Turn"}', '{"type": "Begin"}'):
        assert half.receive(odd) is None
    assert half.odd.total() == 6
    kinds = ("Invalid JSON", "Turn message has no list", "Begin message has no")
    told = [record.getMessage() for record in caplog.records]
    assert all(kind in text for kind, text in zip(kinds, told, strict=True))


def test_a_begin_that_cannot_be_read_ends_the_opening():
    half = ClientSession(SessionParameters(), Reconnect())
    with pytest.raises(ProtocolError, match="has no 'id'"):
        half.receive('{"type": "Begin"}')


@pytest.mark.parametrize(
    ("asked", "sent", "shown"),
    [(None, "true", False), (True, "true", True), (False, "false", True)],
)
def test_heartbeats_are_asked_for_and_shown_to_whoever_asked(asked, sent, shown):
    half = ClientSession(SessionParameters(session_heartbeat=asked), Reconnect())
    assert half.parameters.client_query()["session_heartbeat"] == sent
    beat = Heartbeat(1000, 1000, 1.0)
    if asked is not False:
        assert half.receive(dump(beat)) == (beat if shown else None)
    assert half.taken_ms == (None if asked is False else 1000)


def test_progress_is_words_or_audio_taken_and_not_a_connection():
    half = ClientSession(SessionParameters(), Reconnect())
    half.connected(0.0)
    half.backlog.offer(bytes(320_000))
    while half.backlog.take(0.0):
        pass
    seen = [half.progress]
    beat = dump(Heartbeat(5000, 5000, 1.0))
    for message in (dump(Begin("s", 1)), beat, dump(turn(0, "hello", end=False))):
        half.receive(message)
        seen.append(half.progress)
    assert seen[0] == seen[1] != seen[2] != seen[3]
    half.connected(10.0)
    for message in (dump(Begin("t", 1)), beat, dump(turn(0, "hello", end=False))):
        half.receive(message)
    assert half.progress == seen[3]


@pytest.mark.parametrize(
    ("parameters", "settled"),
    [
        (SessionParameters(), ["Yes."]),
        (SessionParameters(format_turns=False), ["Yes.", "plain"]),
        (SessionParameters(speech_model="u3-rt-pro"), ["Yes.", "plain"]),
    ],
    ids=["formatted finals come", "none come", "another model"],
)
def test_a_turn_is_settled_by_its_last_form(parameters: SessionParameters, settled: list[str]):
    half = ClientSession(parameters, Reconnect())
    for each in (turn(0, "yes"), turn(0, "Yes.", formatted=True), turn(1, "plain")):
        half.receive(dump(each))
    assert [each.transcript for each in half.transcript.turns_from(0)] == settled
    assert [each.transcript for each in half.transcript.turns_from(1, is_over=True)] == ["plain"]
