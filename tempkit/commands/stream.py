"""The stream command: a sound file to text on standard output, its progress on the error stream."""

import argparse
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from tempkit.commands import settings_aside
from tempkit.pictures import clock
from tempkit.protocol.messages import Turn, dump
from tempkit.protocol.parameters import SessionParameters
from tempkit.sound.clip import Clip
from tempkit.streaming.client import StreamingSession, connect
from tempkit.streaming.session import Message, Reconnecting
from tempkit.streaming.transcript import Transcript

# What is printed of a turn as soon as it is final, or of all of them at the end.
LINES: dict[str, Callable[[Turn], str]] = {
    "text": lambda turn: f"{turn.transcript}\n",
    "jsonl": lambda turn: f"{dump(turn)}\n",
}
CAPTIONS = {"srt": Transcript.to_srt, "vtt": Transcript.to_vtt}


class Live:
    """The error stream while audio is sent: how far it is and what the open turn says so far.

    On a terminal one line that moves, elsewhere a line for each text; for any thread to call.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._lock = threading.Lock()
        self._is_terminal = sys.stderr.isatty()
        self._at = 0.0
        self._text = ""

    def chunks(self) -> Iterator[bytes]:
        """The clip's chunks; the line shows how far they are."""
        chunks = self._clip.chunks()
        for number, chunk in enumerate(chunks):
            with self._lock:
                self._at = number * chunks.milliseconds / 1000
                self._draw()
            yield chunk

    def say(self, text: str, heard_seconds: float) -> None:
        """The open turn says this so far."""
        with self._lock:
            self._text = text
            if not self._is_terminal and text:
                print(f"{heard_seconds:5.1f} s  {text}", file=sys.stderr, flush=True)
            self._draw()

    def print(self, text: str, file: TextIO | None = None, *, is_last: bool = False) -> None:
        """Print something that stays, to standard output or to ``file``."""
        with self._lock:
            if self._is_terminal:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
            print(text, end="", file=file, flush=True)
            self._is_terminal = self._is_terminal and not is_last
            self._draw()

    def _draw(self) -> None:
        if not self._is_terminal:
            return
        total, place = self._clip.duration, clock(self._at)
        if total:
            full, empty = _bar_marks(sys.stderr.encoding)
            bar = full * round(10 * min(1.0, self._at / total))
            place = f"{place} {bar:{empty}<10} {clock(total)}"
        room = max(0, shutil.get_terminal_size().columns - len(place) - 3)
        text = self._text[-room:] if room else ""
        print(f"\r\033[K{place}  {text}", end="", file=sys.stderr, flush=True)


def stream(options: argparse.Namespace) -> int:
    """Print what is said in a file; returns the exit status.

    Text and JSON come a line a turn; captions at the end, also when that comes early.
    """
    clip, form = Clip.read(options.file, options.channel), options.format
    parameters = SessionParameters(speech_model=options.model, sample_rate=clip.sample_rate)
    live, rest = Live(clip), ""
    with connect(settings_aside(), parameters, record=options.record) as session:
        try:
            messages = session.stream(live.chunks(), realtime=not options.fast)
            rest = _print_turns(session, messages, live, LINES.get(form, lambda _: ""))
        except KeyboardInterrupt:
            partial = session.transcript.partial
            rest = f"{partial}\n" if form == "text" and partial else ""
            raise
        finally:
            if form in CAPTIONS:
                rest = CAPTIONS[form](session.transcript)
            live.print(rest, is_last=True)
    if not session.transcript.turns:
        print("no speech was heard", file=sys.stderr)
    if session.lost_seconds:
        text = f"{session.lost_seconds:.1f} s of audio were lost while there was no connection"
        print(f"text is missing: {text}", file=sys.stderr)
        return 1
    return 0


def _print_turns(
    session: StreamingSession,
    messages: Iterator[Message],
    live: Live,
    line: Callable[[Turn], str],
) -> str:
    """Print each turn's line once it is final; returns those of what never was said to be."""
    told = 0
    for message in messages:
        if isinstance(message, Reconnecting):
            live.print(f"connection lost, trying again: {message.reason}\n", sys.stderr)
        if not isinstance(message, Turn):
            continue
        heard = message.words[-1].end / 1000 if message.words else 0.0
        live.say("" if message.end_of_turn else message.text, heard)
        for turn in session.transcript.turns_from(told):
            live.print(line(turn))
            told = turn.turn_order + 1
    return "".join(line(turn) for turn in session.transcript.turns_from(told, is_over=True))


def _bar_marks(encoding: str) -> tuple[str, str]:
    """What a bar is drawn with, full and empty, in an encoding that may have no blocks."""
    try:
        "█░".encode(encoding)
    except UnicodeEncodeError:
        return "#", "-"
    return "█", "░"
