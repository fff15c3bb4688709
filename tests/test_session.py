import pytest

from tempkit import Reconnect, SessionParameters, Transcript, Turn, Word
from tempkit.protocol.messages import Error, Termination, dump
from tempkit.streaming.session import ClientSession


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
    closed = half.closed(1006, "")
    assert closed is not None
    assert (closed.code, closed.reason) == (3007, "too long")


def test_a_close_after_the_termination_is_no_error():
    half = ClientSession(SessionParameters(), Reconnect())
    half.receive(dump(Termination(1, 1)))
    assert half.closed(1006, "") is None
    assert ClientSession(SessionParameters(), Reconnect()).closed(1000, "Session Ended") is None


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
