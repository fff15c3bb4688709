"""What turn detection is told and what it says: rules in, words with times out. No I/O."""

from dataclasses import dataclass

from tempkit.sandbox.hearing.recognizer import SpokenWord

PARTIAL_MILLISECONDS = 500  # between two partials


@dataclass
class TurnRules:
    """What decides when a turn ends, milliseconds and 0 to 1; changes apply at the next frame."""

    min_turn_silence: int
    max_turn_silence: int
    vad_threshold: float
    end_of_turn_confidence_threshold: float
    first_partial: int = PARTIAL_MILLISECONDS  # after the first sound
    next_partial: int = PARTIAL_MILLISECONDS
    longest: int = 60_000  # "max_turn_duration": a turn is closed then, whatever is said
    utters_in_pauses: bool = True  # a short pause completes an utterance
    guesses_in_silence: bool = False  # a partial at min_turn_silence, when the turn goes on
    acknowledges_silence: bool = False

    @property
    def least_silence(self) -> int:
        """The silence after which a turn may be over."""
        return min(self.min_turn_silence, self.max_turn_silence)


@dataclass(frozen=True)
class HeardWord:
    """A word of a turn; ``start`` and ``end`` are milliseconds of the session's audio."""

    spoken: SpokenWord
    start: int
    end: int
    is_final: bool


@dataclass(frozen=True)
class Heard:
    """What a turn says so far, and whether it is over."""

    words: tuple[HeardWord, ...]
    end_of_turn: bool
    confidence: float  # that the turn ends here
    speech_start: int  # milliseconds of the session's audio
    speech_confidence: float
    is_utterance: bool = False  # a short pause follows what was said


@dataclass(frozen=True)
class Quiet:
    """Nothing was said from ``start`` to ``end``, in milliseconds of the session's audio."""

    start: int
    end: int


def plain(text: str) -> str:
    """A word as an unformatted transcript has it: lower case, no punctuation but apostrophes."""
    return "".join(c for c in text.lower() if c.isalnum() or c in "'-%$").strip("-")
