"""The client half against the server half, with the line cut everywhere."""

import random

import pytest

from tempkit import Turn
from tests.halves import NAMES, Line, tones

TURNS = ("ba ce di fo", "gu ha", "je ki lo mu na", "pe ri so", "tu va ba", "ce fo ha ki", "di gu",
         "je lo na ri", "mu pe so va")  # fmt: skip
AUDIO = tones(TURNS)


@pytest.fixture(scope="module")
def uncut() -> Line:
    return Line(AUDIO).run()


def check(line: Line, uncut: Line, what: object) -> None:
    """The same words, none twice, in order, at the same times."""
    expected, found = uncut.half.transcript.words, line.half.transcript.words
    assert [word.text for word in found] == [word.text for word in expected], what
    for word, true in zip(found, expected, strict=True):
        assert abs(word.start - true.start) <= 50, what
        assert abs(word.end - true.end) <= 50, what
    times = [time for word in found for time in (word.start, word.end)]
    assert times == sorted(times), what
    assert line.half.lost_seconds == 0, what
    finals = [m for m in line.messages if isinstance(m, Turn) and m.end_of_turn and m.transcript]
    orders = [m.turn_order for m in finals]
    assert orders == sorted(orders), what
    said = [(m.turn_order, m.turn_is_formatted, m.transcript) for m in finals]
    assert len(said) == len(set(said)), what


def test_the_uncut_run_hears_every_word(uncut: Line):
    assert [turn.transcript for turn in uncut.half.transcript.turns] == list(TURNS)
    assert uncut.connections == 1
    assert uncut.half.backlog.seconds < 2


def test_a_cut_before_any_message_changes_nothing(uncut: Line):
    for number in range(uncut.transmissions):
        line = Line(AUDIO, [number]).run()
        assert line.connections == 2
        check(line, uncut, number)


def test_a_cut_after_any_message_changes_nothing(uncut: Line):
    for number in range(uncut.transmissions):
        line = Line(AUDIO, [number + 0.5]).run()
        # After the Termination there is nothing left to connect for.
        assert line.connections == (2 if number < uncut.transmissions - 1 else 1)
        check(line, uncut, number + 0.5)


@pytest.mark.parametrize("later", [0, 1, 2, 5, 11, 23])
def test_a_second_cut_soon_after_any_cut_changes_nothing(uncut: Line, later: int):
    for number in range(later % 3, uncut.transmissions, 3):
        cuts = [number, number + 1 + later + 0.5 * (number % 2)]
        check(Line(AUDIO, cuts).run(), uncut, cuts)


def test_many_cuts_change_nothing(uncut: Line):
    for seed in range(40):
        chance = random.Random(seed)
        cuts = sorted(chance.sample(range(2 * uncut.transmissions), 12))
        check(Line(AUDIO, cuts).run(), uncut, (seed, cuts))


@pytest.mark.lab
def test_three_hours_cross_the_cap_with_no_word_lost_and_bounded_memory():
    chance = random.Random(3)
    sentences = [" ".join(chance.sample(NAMES, 4)) for _ in range(400)]
    pause = bytes(32000 * 26)  # 26 s of silence after each sentence: 3 hours in all
    audio = b"".join(tones([sentence]) + pause for sentence in sentences)
    assert len(audio) / 32000 > 10_800
    line = Line(audio)
    line.run()
    assert line.connections == 2
    assert [turn.transcript for turn in line.half.transcript.turns] == sentences
    assert line.half.lost_seconds == 0
    assert line.most_kept < 90
