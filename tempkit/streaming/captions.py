"""Captions: turns as SubRip and WebVTT; public/page/export.js follows the same rules."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TypeAlias

from tempkit.protocol.messages import Turn, Word

LINE = 42  # characters, and a caption has two lines
PAUSE, LONGEST, SHORTEST = 1000, 7000, 500  # ms: of silence in a caption; of a caption
GUESSED = 300  # ms: a word whose times the service does not tell
NO_TAG = "\N{WORD JOINER}"  # SubRip has no way to write these signs, and players look for tags
TAGS = str.maketrans({"<": f"<{NO_TAG}", "{": f"{{{NO_TAG}"})


# A word, or a part of one that is too long for a line: what comes before it, text, start and end.
Piece: TypeAlias = tuple[str, str, int, int]


@dataclass
class Cue:
    """A caption: from when to when it is shown, in ms, and its lines."""

    start: int
    end: int
    lines: list[str]


def to_srt(turns: Sequence[Turn]) -> str:
    """The turns as SubRip."""
    blocks = _blocks(turns, ",", lambda text: text.translate(TAGS))
    return "\n".join(f"{number}\n{block}" for number, block in enumerate(blocks, 1))


def to_vtt(turns: Sequence[Turn]) -> str:
    """The turns as WebVTT."""
    return "\n".join(["WEBVTT\n", *_blocks(turns, ".", partial(escape, quote=False))])


def _blocks(turns: Sequence[Turn], point: str, escaped: Callable[[str], str]) -> Iterator[str]:
    """The captions: none lasts less than half a second, and none begins before the last ends."""
    at = 0
    for number, turn in enumerate(turns):
        for cue in _in_cues(_pieces(turn, at, turns[number + 1 :])):
            start = max(cue.start, at)
            at = max(min(cue.end, start + LONGEST), start + SHORTEST)
            text = escaped("".join(f"{line}\n" for line in cue.lines))
            yield f"{_time(start, point)} --> {_time(at, point)}\n{text}"


def _in_cues(pieces: Iterable[Piece]) -> list[Cue]:
    """A turn in captions: a new one at a pause, after seven seconds, and after two full lines."""
    cues: list[Cue] = []
    for space, text, start, end in pieces:
        cue = cues[-1] if cues else None
        if cue and (start - cue.end >= PAUSE or end - cue.start > LONGEST):
            cue = None
        if cue and len(cue.lines[-1] + space + text) <= LINE:
            cue.lines[-1] += space + text
        elif cue and len(cue.lines) == 1:
            cue.lines.append(text)
        else:
            cue = Cue(start, end, [text])
            cues.append(cue)
        cue.end = max(cue.end, end)
    return cues


def _pieces(turn: Turn, at: int, later: Sequence[Turn]) -> Iterator[Piece]:
    """The words of a turn; without times of its own it comes after what was said before it."""
    words = [(" ".join(word.text.split()), word.start, word.end) for word in _timed(turn)]
    words = words or _guessed(turn.transcript.split(), at, later)
    # Some languages are written without spaces.
    space = "" if "".join(text for text, *_ in words) == turn.transcript else " "
    for text, start, end in words:
        length = len(text)
        for place in range(0, length, LINE):
            part = text[place : place + LINE]
            begin = start + (end - start) * place // length
            until = start + (end - start) * (place + len(part)) // length
            yield "" if place else space, part, begin, until


def _timed(turn: Turn) -> list[Word]:
    """Its words, unless the service does not tell when they were said."""
    words = [word for word in turn.words if word.text.strip()]
    return words if words and words[-1].end > 0 else []


def _guessed(texts: list[str], at: int, later: Sequence[Turn]) -> list[tuple[str, int, int]]:
    """Words one after the other from a time on, before those that are said later."""
    count = len(texts)
    next_start = next((word.start for turn in later for word in _timed(turn)), math.inf)
    span = max(0, min(GUESSED * count, next_start - at))
    return [
        (text, at + int(span * n // count), at + int(span * (n + 1) // count))
        for n, text in enumerate(texts)
    ]


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
