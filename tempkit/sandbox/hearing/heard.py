"""What turn detection is told and what it says: rules in, words with times out. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from tempkit.sandbox.hearing.recognizer import Hypothesis, SpokenWord

PARTIAL_MILLISECONDS = 500  # between two partials
# Of a recogniser that repeats itself, where the audio ends in the middle of a word.
LONGEST_RUN = 4  # words
FASTEST = 18.0  # letters a second: who really says a word twice takes longer for it


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


@dataclass(frozen=True)
class Heard:
    """What a turn says so far, and whether it is over."""

    words: tuple[SpokenWord, ...]
    end_of_turn: bool
    confidence: float  # that the turn ends here
    speech_start: int  # milliseconds of the session's audio
    speech_confidence: float
    is_utterance: bool = False  # a short pause follows what was said


def plain(text: str) -> str:
    """A word as an unformatted transcript has it: lower case, no punctuation but apostrophes."""
    return "".join(c for c in text.lower() if c.isalnum() or c in "'-%$").strip("-")


def without_loop(hypothesis: Hypothesis, fixed: int, seconds: float) -> Hypothesis:
    """The words up to a run that comes again in less audio than words need.

    The first ``fixed`` words stay; ``seconds`` is how much speech there is for the others.
    """
    if not hypothesis.may_loop:
        return hypothesis
    words = [plain(word.text) for word in hypothesis.words]
    end = _first_repetition(words, fixed)
    if end is None or sum(map(len, words[fixed:])) <= seconds * FASTEST:
        return hypothesis
    return Hypothesis(hypothesis.words[:end], 0.0)


def _first_repetition(words: Sequence[str], fixed: int) -> int | None:
    """Where a run of words that has just been said begins again, behind the fixed ones."""
    for at in range(max(1, fixed), len(words)):
        for length in range(1, min(LONGEST_RUN, at) + 1):
            if words[at - length : at] == words[at : at + length]:
                return at
    return None
