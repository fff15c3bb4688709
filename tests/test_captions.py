"""Captions: the rules that tests/js/export.test.mjs checks too, and what others read in them."""

import html
import io
import json
from itertools import pairwise
from pathlib import Path

import av
import pysubs2
import pytest

from tempkit import Transcript
from tempkit.protocol.messages import Turn, Word

CASES = json.loads((Path(__file__).parent / "vectors" / "captions.json").read_text())
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))


def spoken(turns):
    transcript = Transcript()
    for order, (text, words) in enumerate(turns):
        timed = tuple(Word(word, start, end, 1.0, True) for word, start, end in words)
        transcript.add(Turn(order, True, True, text, 1.0, timed))
    return transcript


def read(text, form):
    """What another program finds in the captions: (start, end, text), lines apart."""
    captions = pysubs2.SSAFile.from_string(text, form)
    return [(each.start, each.end, each.text.replace("\\N", "\n")) for each in captions]


@by_case
def test_the_turns_are_captions(case):
    transcript = spoken(case["turns"])
    assert (transcript.to_srt(), transcript.to_vtt()) == (case["srt"], case["vtt"])


@by_case
def test_another_program_reads_every_word_in_two_short_lines_that_do_not_overlap(case):
    srt = read(case["srt"], "srt") if case["srt"] else []
    vtt = [(start, end, html.unescape(text)) for start, end, text in read(case["vtt"], "vtt")]
    plain = [(start, end, text.replace("\N{WORD JOINER}", "")) for start, end, text in srt]
    assert plain == vtt
    said = "".join(text for text, _ in case["turns"])
    assert "".join("".join(text for *_, text in vtt).split()) == "".join(said.split())
    for start, end, text in vtt:
        assert 500 <= end - start <= 7000
        lines = text.split("\n")
        assert len(lines) <= 2
        assert all(len(line) <= 42 for line in lines)
    assert all(end <= start for (_, end, _), (start, _, _) in pairwise(vtt))


@by_case
def test_ffmpeg_reads_every_caption(case):
    for text, form in ((case["srt"], "srt"), (case["vtt"], "webvtt")):
        if "-->" not in text:
            continue
        with av.open(io.BytesIO(text.encode()), format=form) as file:
            packets = [packet for packet in file.demux(subtitles=0) if packet.size]
            times = [(packet.pts, packet.pts + packet.duration) for packet in packets]
            assert all(packet.decode() for packet in packets)
        assert times == [(start, end) for start, end, _ in read(case["srt"], "srt")]
