"""Loops: a recogniser that repeats itself, where the audio ends in the middle of a word. No I/O."""

from collections.abc import Sequence

from tempkit.sandbox.hearing.heard import plain
from tempkit.sandbox.hearing.recognizer import Hypothesis

LONGEST_RUN = 4  # words
FASTEST = 18.0  # letters a second: who really says a word twice takes longer for it


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
