"""How soon the page hears: click -> capture, click -> Begin, click -> first partial.

What is said before the capture is lost. Beside the page runs the published example's order of
steps, written anew with the page's own parts: token, then socket, then microphone. Run it with the
virtual environment's Python:

    python tests/benchmarks/page.py
"""

import re
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tempkit import Sandbox, TokenServer

PUBLIC = Path(__file__).parents[2] / "public"
RUNS = 5
TOKENS = (0, 1500)  # ms that the answer with the token takes

PEER = """<!doctype html><button id="button">Start</button><p id="finals"></p>
<script type="module" src="peer.js"></script>"""

PEER_JS = """
import { Link } from './session/link.js';
import { requestToken } from './session/token.js';
import { Microphone } from './sound/microphone.js';
const finals = document.getElementById('finals');
document.getElementById('button').onclick = async () => {
  const grant = await requestToken();
  const link = new Link(grant, 16000, async ({ type, transcript, turn_is_formatted: isLast }) => {
    if (type === 'Turn' && isLast) finals.textContent += ` ${transcript}`;
    if (type !== 'Begin') return;
    const on = { chunk: (chunk) => link.send(chunk), level: () => {}, notice: () => {} };
    await new Microphone(on).open();
  });
};
"""

# What a stopwatch sees from outside; the clock is the page's own.
WATCH = """
window.seen = {};
const see = (what, before = 0) => { window.seen[what] ??= performance.now() - before; };
addEventListener('click', () => see('click'), true);
window.AudioWorkletNode = class extends AudioWorkletNode {
  constructor(...args) {
    super(...args);
    // A chunk holds 100 ms: it began so long ago.
    this.port.addEventListener('message', () => see('capture', 100));
  }
};
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener('message', ({ data }) => {
      const { type } = JSON.parse(data);
      see(type === 'Turn' ? 'first partial' : type);
    });
  }
};
"""


def watched(page: Page, address: str, token_milliseconds: int) -> dict[str, float]:
    """The times after the click, ms."""

    def slow(route):
        page.wait_for_timeout(token_milliseconds)
        route.continue_()

    page.add_init_script(WATCH)
    if token_milliseconds:
        page.route("**/token", slow)
    page.goto(address)
    page.locator("#button").click()
    page.locator("#finals", has_text=re.compile(r"\w")).wait_for(timeout=60_000)
    seen = page.evaluate("window.seen")
    return {what: at - seen["click"] for what, at in seen.items()}


def main() -> None:
    """Print a line for each page and speed of the token."""
    microphone = PUBLIC / "sample.wav"
    flags = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox() as sandbox,
        sync_playwright() as playwright,
    ):
        root = Path(folder) / "public"
        shutil.copytree(PUBLIC, root)
        (root / "peer.html").write_text(PEER)
        (root / "peer.js").write_text(PEER_JS)
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        with TokenServer(sandbox.settings, port=0, directory=root) as server:
            for milliseconds in TOKENS:
                for name, page in (("tempkit", ""), ("the example's order", "peer.html")):
                    times = measured(browser, f"{server.url}/{page}", milliseconds)
                    print(f"{name:20} token {milliseconds:4} ms: {times}")


def measured(browser, address: str, token_milliseconds: int) -> str:
    """The medians of some runs, in words."""
    runs = []
    for _ in range(RUNS):
        context = browser.new_context()
        runs.append(watched(context.new_page(), address, token_milliseconds))
        context.close()
    names = ("capture", "Begin", "first partial")
    medians = {name: statistics.median(times[name] for times in runs) for name in names}
    return ", ".join(f"{name} {value:.0f} ms" for name, value in medians.items())


if __name__ == "__main__":
    main()
