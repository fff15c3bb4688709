"""What the sandbox hears with: the Recognizer protocol and the deterministic Scripted one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tempkit.errors import BadValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16000  # Hz: every recogniser is fed at this rate, whatever the client sends
FRAME = 512  # samples: the step of voice activity detection, 32 ms

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


@dataclass(frozen=True)
class Hypothesis:
    """What a stretch of audio says, and how sure it is that the sentence ends there (0 to 1).

    ``may_loop`` says that it may hold words again that were said once.
    """

    words: tuple[SpokenWord, ...]
    end_confidence: float
    may_loop: bool = False


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
    """A recogniser that hears a loud stretch of audio and says the next line of a script.

    Each turn gets one line; a word is heard for every ``word_milliseconds`` of sound, all of them
    at the end of the turn. Every session starts at the first line; after the last it starts over.
    """

    def __init__(
        self, lines: Sequence[str], *, word_milliseconds: int = 250, loudness: float = 0.01
    ) -> None:
        if not lines or not all(line.split() for line in lines):
            raise BadValue("a script holds one line of words or more, none of them empty")
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
