"""evaluate: transcribe many recordings at once, and see how long the text took."""

import time
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fspath

from tempkit.config import HOW_TO_MAKE, Settings, default_settings
from tempkit.errors import BadType, SessionClosed, TempkitError, expect
from tempkit.protocol.messages import Turn
from tempkit.protocol.parameters import HOW_TO_ASK, SessionParameters
from tempkit.sound.clip import Clip
from tempkit.streaming.client import connect

__all__ = ["Heard", "evaluate"]

AT_ONCE = 8  # recordings: a new account of the service may open few sessions a minute


@dataclass(frozen=True)
class Heard:
    """What was heard in a recording. Seconds count from a word's end in the audio to its text.

    ``first_word_seconds`` is None if no word was heard. ``error`` says why text is missing.
    """

    file: str
    text: str
    duration: float | None
    first_word_seconds: float | None
    final_seconds: tuple[float, ...]  # of each turn
    error: str = ""


def evaluate(
    files: "Iterable[str | PathLike[str]]",
    settings: Settings | None = None,
    parameters: SessionParameters | None = None,
    *,
    executor: Executor | None = None,
    realtime: bool = True,
) -> list[Heard]:
    """What is heard in each file, in their order; if one fails, the others go on.

    ``executor`` is from ``concurrent.futures`` or compatible; without one, threads are used. Each
    session has the file's own rate. With ``realtime`` False, files are sent at once and the
    seconds mean little.
    """
    expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
    expect("parameters", parameters, SessionParameters, None, advice=HOW_TO_ASK)
    if isinstance(files, (str, bytes, PathLike)):
        raise BadType(f"files takes several paths, not {type(files).__name__}; put it in a list")
    settings = settings or default_settings()
    hear = partial(_heard, settings, parameters or SessionParameters(), realtime)
    names = [fspath(file) for file in files]
    if executor is not None:
        return list(executor.map(hear, names))
    with ThreadPoolExecutor(AT_ONCE, "tempkit evaluate") as threads:
        return list(threads.map(hear, names))


def _heard(settings: Settings, parameters: SessionParameters, realtime: bool, file: str) -> Heard:
    text, duration, error = "", None, ""
    firsts: list[float] = []
    finals: dict[int, float] = {}
    try:
        clip = Clip.read(file)
        chunks, duration = clip.chunks(), clip.duration
        with connect(settings, replace(parameters, sample_rate=clip.sample_rate)) as session:
            # A microphone gives a chunk when it is over; a file's is sent when it would begin.
            began = time.monotonic() - chunks.milliseconds / 1000
            for message in session.stream(chunks, realtime=realtime):
                if isinstance(message, Turn) and message.words:
                    now = time.monotonic() - began
                    firsts.append(now - message.words[0].end / 1000)
                    if message.end_of_turn:  # it may come once more, formatted: the first counts
                        finals.setdefault(message.turn_order, now - message.words[-1].end / 1000)
            text = session.transcript.text
    except TempkitError as failure:
        text = failure.transcript if isinstance(failure, SessionClosed) else ""
        error = str(failure)
    first = firsts[0] if firsts else None
    return Heard(file, text, duration, first, tuple(finals.values()), error)
