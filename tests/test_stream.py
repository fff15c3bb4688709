import math

import pytest

from tempkit.sound.samples import AudioFormat
from tempkit.streaming.stream import paced
from tests.doubles import tone

AUDIO = AudioFormat(16000)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_long_pieces_are_cut_and_short_ones_left_as_they_are(rate: int):
    audio, sound = AudioFormat(rate), tone(1310, rate)
    pieces = list(paced([sound, b"", sound[:200]], audio, math.inf))
    assert [len(piece) for piece in pieces[:13]] == [audio.size(100)] * 13
    assert b"".join(pieces) == sound + sound[:200]
    assert pieces[-1] == sound[:200]


def test_pace_follows_the_clock_and_waits_do_not_add_up():
    now, waits = [100.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds + 0.03  # every sleep is late

    for _ in paced([bytes(3200)] * 50, AUDIO, 1.0, clock=lambda: now[0], sleep=sleep):
        now[0] += 0.01  # sending takes time, too
    assert now[0] - 100 == pytest.approx(5.0, abs=0.05)
    assert max(waits) <= 0.1


def test_a_source_that_is_late_is_not_slowed_down_further():
    now, waits = [0.0], []
    for _ in paced([bytes(3200)] * 3, AUDIO, 1.0, clock=lambda: now[0], sleep=waits.append):
        now[0] += 1.0
    assert waits == []
