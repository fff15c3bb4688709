"""A file that plays in a hidden tab, with the throttling that people's browsers have.

python -m tests.benchmarks.hidden --hidden 300 --turns 84
python -m tests.benchmarks.hidden --hidden 300 --turns 84 --cuts 2
"""

import argparse
import shutil
import tempfile
import wave
from pathlib import Path
from typing import NamedTuple

from tempkit import Sandbox, Settings, TokenServer
from tempkit.sandbox import Scripted
from tests.doubles import spoken
from tests.relay import Relay
from tests.tabs import Chromium, Tab

TURN = 1000  # ms of sound
PAUSE = 1500  # ms of silence after it
FIRST = 300  # ms of silence before the first turn
BYTES_PER_SECOND = 32_000
PATIENCE_SECONDS = 120  # for what comes later than it should

# When the file began, when each turn was there, and how many sockets it took.
WATCH = """
window.seen = { sockets: 0, turns: [] };
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    window.seen.sockets += 1;
  }
};
addEventListener('DOMContentLoaded', () => {
  new MutationObserver(() => {
    window.seen.began ??= performance.now();
    if (document.body.dataset.state === 'idle') window.seen.ended = performance.now();
  }).observe(document.body, { attributeFilter: ['data-state'] });
  new MutationObserver(() => {
    const turns = document.querySelectorAll('#finals span').length;
    while (window.seen.turns.length < turns) window.seen.turns.push(performance.now());
  }).observe(document.getElementById('finals'), { childList: true, subtree: true });
});
"""


class Played(NamedTuple):
    """What became of the file: ``late`` holds the seconds between each turn's end and its text."""

    seconds: float
    sockets: int
    late: list[float]
    ended_late: float
    text: str


def play(program: str, turns: int, hidden_seconds: float, cut_seconds: tuple[float, ...]) -> Played:
    """Play a file of ``turns`` in a tab that is hidden; each cut is so far into its connection."""
    sound = spoken(turns, milliseconds=TURN, pause=PAUSE)
    cuts = [(int(seconds * BYTES_PER_SECOND), "up") for seconds in cut_seconds]
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Scripted(["Hello there."])) as sandbox,
        Relay(sandbox.port, cuts) as relay,
        TokenServer(Settings("any", relay.url), port=0) as server,
        Chromium(program) as browser,
    ):
        file = Path(folder) / "turns.wav"
        with wave.open(str(file), "wb") as written:
            written.setparams((1, 2, 16000, 0, "NONE", ""))
            written.writeframes(sound)
        tab = browser.open(server.url, WATCH)
        tab.open_file(file)
        tab.wait_for("document.body.dataset.state === 'live'")
        browser.hide_all()
        assert tab.evaluate("document.visibilityState") == "hidden"
        # Nothing is asked of the page meanwhile: what asks would also wake it.
        tab.stay_away(hidden_seconds)
        tab.show()
        tab.wait_for("window.seen.ended !== undefined", PATIENCE_SECONDS)
        return _told(tab, len(sound) / BYTES_PER_SECOND)


def _told(tab: Tab, seconds: float) -> Played:
    seen = tab.evaluate("window.seen")
    ends = [(FIRST + TURN + (TURN + PAUSE) * n) / 1000 for n in range(len(seen["turns"]))]
    at = [(each - seen["began"]) / 1000 for each in seen["turns"]]
    return Played(
        seconds,
        seen["sockets"],
        [there - end for there, end in zip(at, ends, strict=True)],
        (seen["ended"] - seen["began"]) / 1000 - seconds,
        tab.evaluate("document.getElementById('finals').innerText"),
    )


def main() -> None:
    """Print what became of one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=84)
    parser.add_argument("--hidden", type=float, default=300, help="seconds")
    parser.add_argument("--cuts", type=int, default=0)
    given = parser.parse_args()
    seconds = (FIRST + (TURN + PAUSE) * given.turns) / 1000
    cuts = (seconds / (given.cuts + 1),) * given.cuts
    played = play(shutil.which("chromium") or "chromium", given.turns, given.hidden, cuts)
    print(f"{played.seconds:.0f} s of sound, {given.turns} turns, {len(cuts)} cuts")
    print(f"{len(played.late)} turns came, on {played.sockets} connections")
    print(f"the latest {max(played.late, default=0):.1f} s after it was said")
    print(f"ended {played.ended_late:.1f} s after the sound")


if __name__ == "__main__":
    main()
