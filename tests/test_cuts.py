"""Real sockets, real recognition: the line is reset at random moments and no word is lost."""

import os
import random
import threading
from collections.abc import Iterator
from difflib import SequenceMatcher

import pytest

from tempkit import Clip, Reconnect, Reconnected, Sandbox, Settings, connect
from tests.relay import Relay
from tests.test_recognition import HAS_MODEL
from tests.words import SAMPLE, words

# Fifty take about three minutes: TEMPKIT_CUT_RUNS=50
RUNS = int(os.environ.get("TEMPKIT_CUT_RUNS", "6"))
ANSWER, SOUND = 43_000, 740_000  # bytes of a whole session, about, down and up
differences: dict[int, int] = {}

if not HAS_MODEL and not os.environ.get("TEMPKIT_REQUIRE_ALL"):
    pytest.skip("the recogniser is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(realtime=False) as sandbox:
        yield sandbox


def transcribed(settings: Settings, policy: Reconnect | bool = True) -> tuple[list[str], int]:
    """The words of the sample, and how often the session was connected again."""
    again = 0
    with connect(settings, reconnect=policy) as session:
        for message in session.stream(Clip.read(SAMPLE).chunks(), realtime=False):
            again += isinstance(message, Reconnected)
    times = [time for word in session.transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert session.lost_seconds == 0
    return words(session.transcript.text), again


@pytest.fixture(scope="module")
def uncut(sandbox: Sandbox) -> list[str]:
    return transcribed(sandbox.settings)[0]


def random_cuts(seed: int) -> list[tuple[int, str]]:
    chance = random.Random(seed)
    moments = {
        "begin": lambda: (chance.randrange(1, 400), "down"),
        "middle": lambda: (chance.randrange(400, ANSWER), "down"),
        "sending": lambda: (chance.randrange(1, SOUND), "up"),
        "end": lambda: (chance.randrange(ANSWER - 4000, ANSWER), "down"),
    }
    kinds = chance.choices(list(moments), weights=(1, 4, 2, 1), k=chance.randint(1, 3))
    return [moments[kind]() for kind in kinds]


@pytest.mark.parametrize("seed", range(RUNS))
def test_words_survive_cuts(sandbox: Sandbox, uncut: list[str], seed: int):
    before = threading.active_count()
    with Relay(sandbox.port, random_cuts(seed)) as relay:
        found, _ = transcribed(Settings("any", relay.url))
        made = relay.made
    changes = SequenceMatcher(None, uncut, found, autojunk=False).get_opcodes()
    changed = sum(max(b - a, d - c) for tag, a, b, c, d in changes if tag != "equal")
    print(f"seed {seed}: {made} cuts, {changed} words differ: {' '.join(found)}")
    # Where a cut splits what is recognised, one word may be heard otherwise.
    assert changed <= made
    assert threading.active_count() < before + 20


def test_the_cuts_are_real(sandbox: Sandbox, uncut: list[str]):
    with Relay(sandbox.port, [(5_000, "down"), (3_000, "down")]) as relay:
        found, again = transcribed(Settings("any", relay.url))
        assert (relay.made, again) == (2, 2)
    assert len(found) == len(uncut)


def test_a_line_on_which_nothing_passes_any_more_is_found_out(sandbox: Sandbox, uncut: list[str]):
    with Relay(sandbox.port, [(12_000, "down")], stalls=True) as relay:
        found, again = transcribed(Settings("any", relay.url), Reconnect(pong_seconds=1))
        assert (relay.made, again) == (1, 1)
    assert found == uncut
