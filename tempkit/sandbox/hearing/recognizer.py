"""What the sandbox hears with: the Recognizer protocol, the scripted one, and the shared cores."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tempkit.errors import BadValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16000  # Hz: every recogniser is fed at this rate, whatever the client sends
FRAME = 512  # samples: the step of voice activity detection, 32 ms
# Of a recogniser that repeats itself, where the audio ends in the middle of a word.
LONGEST_RUN = 4  # words
FASTEST = 18.0  # letters a second: who really says a word twice takes longer for it

Samples: TypeAlias = "NDArray[np.float32]"  # mono, RATE, -1..1


@dataclass(frozen=True)
class SpokenWord:
    """A recognised word as written (case and punctuation included), confidence 0 to 1.

    ``tokens`` are the recogniser's own; they let it continue after this word. The rest is turn
    detection's: milliseconds of the session's audio, and whether the word may still change.
    """

    text: str
    confidence: float
    tokens: tuple[int, ...] = ()
    start: int = 0
    end: int = 0
    is_final: bool = False

    @property
    def plain(self) -> str:
        """As an unformatted transcript has it: lower case, no punctuation but apostrophes."""
        return "".join(c for c in self.text.lower() if c.isalnum() or c in "'-%$").strip("-")


@dataclass(frozen=True)
class Hypothesis:
    """What a stretch of audio says, and how sure it is that the sentence ends there (0 to 1).

    ``may_loop`` says that it may hold words again that were said once.
    """

    words: tuple[SpokenWord, ...]
    end_confidence: float
    may_loop: bool = False

    def without_loop(self, fixed: int, seconds: float) -> "Hypothesis":
        """The words up to a run that comes again in less audio than words need.

        The first ``fixed`` words stay; ``seconds`` is how much speech there is for the others.
        """
        words = [word.plain for word in self.words]
        if not self.may_loop or sum(map(len, words[fixed:])) <= seconds * FASTEST:
            return self
        for at in range(max(1, fixed), len(words)):
            for length in range(1, min(LONGEST_RUN, at) + 1):
                if words[at - length : at] == words[at : at + length]:
                    return Hypothesis(self.words[:at], 0.0)
        return self


NOTHING = Hypothesis((), 0.0)


class Listener(Protocol):
    """The ears of one session."""

    def speech_probability(self, frame: Samples) -> float:
        """How likely the next FRAME samples of the session are speech, 0 to 1."""

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        """The words of a turn so far: ``fixed`` first, unchanged, then what follows them.

        ``guess`` is an earlier answer for the same turn and may speed this one up; None asks for an
        answer that depends on the audio and ``fixed`` alone.
        """

    def end_turn(self) -> None:
        """The turn is over; the next ``recognize`` is about another one."""


class Recognizer(Protocol):
    """Makes a Listener for each session. Shared by all of a sandbox's sessions and threads."""

    def listen(self) -> Listener:
        """A new session's ears."""


class Scripted:
    """A recogniser that returns the next line of a script for each loud stretch of audio.

    Each turn gets one line: a word for every ``word_milliseconds`` of sound, and the rest at the
    end of the turn. Every session starts at the first line; after the last it starts over.
    """

    def __init__(
        self, lines: Sequence[str], *, word_milliseconds: int = 250, loudness: float = 0.01
    ) -> None:
        if not lines or not all(line.split() for line in lines):
            raise BadValue("a script needs at least one line, and no line may be empty")
        self.lines = tuple(lines)
        self.word_milliseconds = word_milliseconds
        self.loudness = loudness  # root mean square, 1.0 is full scale

    def listen(self) -> "ScriptedListener":
        """A new session's ears, at the first line."""
        return ScriptedListener(self)


class ScriptedListener:
    """One session's place in a script."""

    def __init__(self, script: Scripted) -> None:
        self._script = script
        self._turn = 0

    def speech_probability(self, frame: Samples) -> float:
        """1.0 for a frame at least as loud as the script asks for, else 0.0."""
        return float((frame * frame).mean() >= self._script.loudness**2)

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        """The line's words so far, one each ``word_milliseconds``; all when ``guess`` is None."""
        words = self._script.lines[self._turn % len(self._script.lines)].split()
        if guess is not None:
            loud = abs(samples) >= self._script.loudness / 2
            heard = len(samples) - int(loud.argmax()) if loud.any() else 0
            words = words[: heard * 1000 // RATE // self._script.word_milliseconds]
        ends = bool(words) and words[-1].endswith((".", "?", "!"))
        return Hypothesis(tuple(SpokenWord(w, 1.0) for w in words), 1.0 if ends else 0.0)

    def end_turn(self) -> None:
        """Go on to the next line."""
        self._turn += 1


class Pool:
    """Lets so many recognitions run at a time, finals first."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.clear()

    def clear(self) -> None:
        """Take every place for free: in a forked child the threads that had one are missing."""
        self._free = self._width
        self._finals = 0  # waiting
        self._changed = threading.Condition()

    @contextmanager
    def place(self, *, is_final: bool, patience: float | None = None) -> Iterator[bool]:
        """A place to recognise in; False for who did not get one in so many seconds."""
        with self._changed:
            self._finals += is_final
            has_place = self._changed.wait_for(
                lambda: self._free > 0 and (is_final or not self._finals), patience
            )
            self._finals -= is_final
            self._free -= has_place
        try:
            yield has_place
        finally:
            with self._changed:
                self._free += has_place
                self._changed.notify_all()


CORES = Pool(os.cpu_count() or 1)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=CORES.clear)


class SharedListener:
    """One session's ears, which wait for one of the cores that all sessions share.

    ``patience`` says for how many seconds a partial may wait; 0 skips it, None is without end.
    """

    def __init__(
        self, listener: Listener, patience: Callable[[], float | None], pool: Pool = CORES
    ) -> None:
        self.speech_probability = listener.speech_probability
        self.end_turn = listener.end_turn
        self._recognize = listener.recognize
        self._patience = patience
        self._pool = pool

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        """The words of ``samples``; none for a partial (it has a ``guess``) that would be late."""
        is_final = guess is None
        patience = None if is_final else self._patience()
        if patience == 0:
            return NOTHING
        with self._pool.place(is_final=is_final, patience=patience) as has_place:
            return self._recognize(samples, fixed, guess) if has_place else NOTHING
