import pytest

from tempkit.sandbox.hearing.recognizer import Hypothesis, SpokenWord


def heard(text: str, *, may_loop: bool = True) -> Hypothesis:
    words = tuple(SpokenWord(word, 0.9) for word in text.split())
    return Hypothesis(words, 0.8, may_loop)


def kept(text: str, fixed: int, seconds: float) -> str:
    found = heard(text).without_loop(fixed, seconds)
    return " ".join(word.text for word in found.words)


@pytest.mark.parametrize(
    ("text", "fixed", "seconds", "left"),
    [
        ("The reading ring ring ring ring", 0, 0.7, "The reading ring"),
        ("Yeah, yeah,", 0, 0.3, "Yeah,"),
        ("of the building, the building", 0, 0.9, "of the building,"),
        ("the south side of the south side of the south side of", 3, 1.2, "the south side of"),
        ("nine and closes at nine and closes at nine and clos", 2, 1.0, "nine and closes at"),
        ("every hour, Hour. hour", 1, 0.5, "every hour,"),
    ],
)
def test_a_loop_is_cut_where_it_begins(text: str, fixed: int, seconds: float, left: str):
    assert kept(text, fixed, seconds) == left


@pytest.mark.parametrize(
    ("text", "fixed", "seconds"),
    [
        ("no, no, no, no", 0, 1.0),
        ("This is very, very good.", 0, 1.2),
        ("The reading room opens at nine", 0, 0.1),
        ("bye bye", 2, 0.0),
        ("", 0, 0.0),
    ],
    ids=["no", "very", "fast, but no loop", "final already", "nothing"],
)
def test_what_somebody_may_have_said_stays(text: str, fixed: int, seconds: float):
    assert kept(text, fixed, seconds) == text


def test_a_sentence_that_is_cut_has_no_end():
    assert heard("room. room. room.").without_loop(0, 0.3).end_confidence == 0.0


def test_a_script_says_what_it_says():
    script = heard("bye bye bye", may_loop=False)
    assert script.without_loop(0, 0.0) == script
