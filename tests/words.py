"""The words of a text, and how far a transcript is from them."""

import json
import re
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "public" / "sample.wav"
TRUTH = json.loads(SAMPLE.with_suffix(".json").read_text())
SENTENCES = [sentence["text"] for sentence in TRUTH["sentences"]]


def words(text: str) -> list[str]:
    """Lower case, no punctuation, a hyphen separates."""
    return re.sub(r"[^a-z0-9']+", " ", text.lower()).split()


def word_error_rate(truth: str, heard: str) -> float:
    """Substituted, missing and added words, as a share of the true words."""
    expected, found = words(truth), words(heard)
    row = list(range(len(found) + 1))
    for i, word in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            changed = diagonal + (word != other)
            diagonal, row[j] = row[j], min(changed, row[j] + 1, row[j - 1] + 1)
    return row[-1] / len(expected)
