"""The microphone widget in JupyterLab, in a browser whose microphone plays the sample."""

import os
import re
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tempkit import Sandbox
from tempkit.sandbox import Faults, Scripted
from tests.conftest import plays, require
from tests.lab import SECONDS, Lab
from tests.talking import until
from tests.words import SAMPLE, SENTENCES, word_error_rate

try:
    from playwright.sync_api import expect
except ImportError:
    if os.environ.get("TEMPKIT_REQUIRE_ALL"):
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

from tests import test_browser_people
from tests.test_browser_phone import LOCKS

pytest.importorskip("jupyterlab")
axe = test_browser_people.axe

HUB = "hub.example"
LIVE = "rgb(209, 52, 56)"
PARTS = ("button", "state", "level")
HALF_PAST = re.compile("half.past", re.I)  # however it is recognised
NOWHERE = "http://127.0.0.1:9"  # the discard port: no proxy listens there
TRACKS = """
window.tracks = [];
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (ask) navigator.mediaDevices.getUserMedia = async (constraints) => {
  const stream = await ask(constraints);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""


# What each timer of the page that is still to be set would call, by its milliseconds.
TIMERS = """() => {
  const set = window.setTimeout;
  window.timers = new Map();
  window.setTimeout = (call, wait, ...rest) => {
    window.timers.set(wait, () => call(...rest));
    return set(call, wait, ...rest);
  };
}"""


def cell(url, more=""):
    """Shows a microphone for a sandbox outside the kernel, which a restart does not end."""
    return "\n".join(
        [
            "from tempkit import Settings",
            "from tempkit.widgets import Microphone",
            f"microphone = Microphone(Settings('any', {url!r}){more})",
            "microphone",
        ]
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    require("chromium")
    # By another name than localhost, as a hub is reached.
    remote = "--ServerApp.allow_remote_access=True"
    with Lab(tmp_path_factory.mktemp("lab"), remote) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(lab, launch):
    flags = [
        *plays(SAMPLE),
        # To the kernel "localhost" is this machine; the browser finds a closed port there.
        f"--host-resolver-rules=MAP {HUB} 127.0.0.1, MAP localhost 127.0.0.1:9",
        # A hub has https, and only secure pages get a microphone.
        f"--unsafely-treat-insecure-origin-as-secure=http://{HUB}:{lab.port}",
    ]
    with launch(*flags) as browser:
        yield browser


@pytest.fixture(scope="module")
def notebook(lab, browser):
    """A notebook to write cells in, shared by tests: loading JupyterLab takes long."""
    with opened(lab, browser, lab.write("cells", [])) as notebook:
        yield notebook


@contextmanager
def opened(lab, browser, name, **options):
    with lab.opened(browser, name, scripts=[TRACKS, LOCKS], **options) as notebook:
        yield notebook


def press(notebook, name):
    if name == "Start":
        name = re.compile("^Start( again)?$")  # whether it is the first time or not
    widget(notebook).get_by_role("button", name=name, exact=True).click()


def start(notebook, act=lambda notebook: press(notebook, "Start")):
    """Press Start; once more, as the widget says, where a busy machine's kernel was too slow."""
    act(notebook)
    expect(widget(notebook)).to_have_attribute(
        "data-state", re.compile("live|failed"), timeout=20 * SECONDS
    )
    if widget(notebook).get_attribute("data-state") == "failed":
        expect(widget(notebook).get_by_role("alert")).to_contain_text("The kernel does not answer")
        act(notebook)
    expect_state(notebook, "live")


def widget(notebook):
    return notebook.page.locator(".tempkit-microphone").first


def expect_state(notebook, name, seconds=20):
    expect(widget(notebook)).to_have_attribute("data-state", name, timeout=seconds * SECONDS)


def expect_text(notebook, part, text, seconds=20):
    place = widget(notebook).locator(f".tempkit-{part}")
    expect(place).to_contain_text(text, timeout=seconds * SECONDS)


def expect_released(notebook):
    released = "window.tracks.length > 0 && window.tracks.every(t => t.readyState === 'ended')"
    notebook.page.wait_for_function(released, timeout=10 * SECONDS)


def after(notebook, source):
    """The code cells after one, without those that make or show something."""
    sources = notebook.sources()
    (first,) = [index for index, each in enumerate(sources) if each and source in each]
    return [
        index
        for index, each in enumerate(sources)
        if index > first and each and "display(" not in each
    ]


def stored(page):
    """All that the browser keeps of a page."""
    return page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")


def test_the_notebook_hears_the_sample_and_the_next_cells_have_its_words(lab, browser):
    name = "notebooks/04_live_microphone.ipynb"
    with opened(lab, browser, name) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        start(notebook)
        finals = widget(notebook).locator(".tempkit-finals")
        expect(finals).not_to_contain_text(HALF_PAST, timeout=20 * SECONDS)  # those of the clip
        expect_text(notebook, "finals", HALF_PAST, seconds=40)
        again = notebook.page.locator(".tempkit-microphone").nth(1)
        expect(again.locator(".tempkit-finals")).to_contain_text(HALF_PAST)
        again.get_by_role("button", name="Stop").click()
        expect_state(notebook, "idle")
        expect_released(notebook)
        cells, sources = after(notebook, "microphone = "), notebook.sources()
        shown = [notebook.run(index) for index in cells if ".play(" not in sources[index]]
        assert notebook.errors() == []
        text = notebook.add("print(microphone.transcript.text)")
        said = " ".join(SENTENCES[:2])
        assert word_error_rate(said, " ".join(text.split()[: len(said.split())])) < 0.25, text
        assert text.strip() in " ".join(shown[0].split())
        assert re.search(r"\d+ words, \d+ a minute", shown[2])
        assert notebook.add("print(len(microphone.turns) > 1)") == "True\n"
        assert notebook.console == []

        notebook.save()
        saved = (lab.root / name).read_text()
        state = notebook.add("print(microphone.get_state())")
        for place in (saved, state, stored(notebook.page), notebook.page.content()):
            assert not re.search(r"sandbox-[\w=-]{20,}", place)


def expect_closed(sandbox, count):
    """So many sessions were opened, and each of them was closed: no more audio comes."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        counts = Counter(entry.kind for entry in sandbox.journal)
        if counts["closed"] == count:
            break
        time.sleep(0.05)
    assert (counts["opened"], counts["closed"]) == (count, count)


def test_a_view_that_goes_takes_the_microphone_with_it(notebook, sandbox):
    notebook.add(cell(sandbox.url))
    first = notebook.last
    notebook.add("microphone")  # a second view, which the first cell does not hold
    ways = (
        lambda: notebook.run(first),
        lambda: notebook.command("notebook:clear-all-cell-outputs"),
        notebook.restart,
    )
    for count, go in enumerate(ways, 1):
        notebook.run(first)
        notebook.run(first + 1)
        start(notebook)
        # Still moving, or final by now.
        expect(widget(notebook)).to_contain_text(re.compile("hello", re.I), timeout=20 * SECONDS)
        go()
        expect_released(notebook)
        expect_closed(sandbox, count)
    # The view is still there after a restart, and says what it needs.
    expect_text(notebook, "notice", "The kernel was restarted")
    expect_state(notebook, "idle")
    press(notebook, "Start")
    expect_text(notebook, "error", "The kernel does not answer")
    expect_state(notebook, "failed")
    expect_released(notebook)


def test_a_service_that_the_browser_cannot_reach_is_reached_through_the_kernel(notebook, sandbox):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.console.clear()
    notebook.add(cell(f"http://localhost:{sandbox.port}"))
    start(notebook)
    expect_text(notebook, "finals", "Hello there.")
    expect_text(notebook, "service", "Sandbox, through the kernel")
    notebook.add("microphone.stop()")
    expect_state(notebook, "idle")
    expect_closed(sandbox, 1)
    assert "Hello there." in notebook.add("print(microphone.turns[0].transcript)")
    (refused,) = notebook.console
    assert "net::ERR_" in refused


def test_a_recording_ends_at_its_cap(notebook, sandbox):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.page.evaluate(TIMERS)
    notebook.add(cell(sandbox.url, ", max_seconds=7000"))
    start(notebook)
    notebook.page.evaluate("window.timers.get(7_000_000)()")
    expect_text(notebook, "notice", "Stopped after 7000 seconds")
    expect_state(notebook, "idle")
    expect_released(notebook)
    expect_closed(sandbox, 1)


def test_a_recording_keeps_the_screen_on_and_its_timers_in_a_worker(notebook, sandbox):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.add(cell(sandbox.url))
    with notebook.page.expect_worker() as worker:
        start(notebook)
    assert worker.value.url.startswith("blob:")
    notebook.page.wait_for_function("held() === 1")
    press(notebook, "Stop")
    expect_state(notebook, "idle")
    notebook.page.wait_for_function("held() === 0")


def test_who_does_not_want_to_wait_for_the_last_words_stops_now(notebook, sandbox):
    notebook.command("notebook:clear-all-cell-outputs")
    sandbox.faults = Faults(stall_after_received=10)
    notebook.add(cell(sandbox.url))
    start(notebook)
    until(lambda: any(entry.kind == "fault" for entry in sandbox.journal))
    press(notebook, "Stop")
    expect_state(notebook, "waiting")
    expect_text(notebook, "state", "Still waiting for the last words")
    press(notebook, "Stop now")
    expect_state(notebook, "idle")
    expect_text(notebook, "notice", "have no text")
    expect_released(notebook)


def test_on_a_hub_the_sound_goes_through_the_kernel(lab, browser, sandbox):
    name = lab.write("hub", [cell(sandbox.url)])
    # As behind a firewall: the browser reaches JupyterLab, everything else by a dead proxy alone.
    proxy = {"server": NOWHERE, "bypass": f"{HUB}:{lab.port}"}
    with opened(lab, browser, name, host=HUB, proxy=proxy) as notebook:
        notebook.run(0)
        start(notebook)
        expect_text(notebook, "finals", "Hello there.")
        expect_text(notebook, "service", "Sandbox, through the kernel")
        press(notebook, "Stop")
        expect_state(notebook, "idle")
        expect_closed(sandbox, 1)
        assert "Hello there." in notebook.add("print(microphone.turns[0].transcript)")
        # Nothing was tried that the browser would have asked a person about.
        assert notebook.hosts <= {f"{HUB}:{lab.port}", ""}
        assert notebook.console == []
        threads = "import threading; print([t.name for t in threading.enumerate()])"
        assert "tunnel" not in notebook.add(threads)


def test_the_widget_shows_every_script_and_says_each_sentence_once(notebook):
    said = "שלום, my name is Ada."
    notebook.command("notebook:clear-all-cell-outputs")
    with Sandbox(Scripted([said, "And I am Grace."]), realtime=False) as sandbox:
        notebook.add(cell(sandbox.url))
        expect_text(notebook, "service", "Sandbox, stays on this computer")
        # What a screen reader reads out of the log; of a paragraph that comes in, its sentence.
        notebook.page.evaluate(
            """() => {
              window.heard = [];
              const see = (records) => records.forEach(({ target, addedNodes }) => {
                if (target.closest?.('[aria-hidden=true]')) return;
                window.heard.push(...[...addedNodes].map((node) => node.lastChild?.data
                  ?? node.lastChild?.textContent ?? node.data));
              });
              const options = { childList: true, characterData: true, subtree: true };
              new MutationObserver(see).observe(
                document.querySelector('.tempkit-microphone [role=log]'), options);
            }"""
        )
        button = widget(notebook).get_by_role("button")
        button.focus()
        start(notebook, lambda notebook: notebook.page.keyboard.press("Enter"))
        expect_text(notebook, "finals", "Grace.")
        expect(button).to_be_focused()
        words = widget(notebook).locator(".tempkit-finals span")
        languages = "all => all.map((each) => each.closest('[lang]').lang)"
        assert words.evaluate_all(languages)[:2] == ["", ""]
        directions = "all => all.map((each) => getComputedStyle(each).direction)"
        assert words.evaluate_all(directions)[:2] == ["rtl", "ltr"]
        notebook.page.keyboard.press("Enter")
        expect_state(notebook, "idle")
        expect_text(notebook, "state", "Finished: ")
        expect(button).to_be_focused()
        heard = notebook.page.evaluate("window.heard")
        assert heard[:2] == [said, "And I am Grace."]
        assert heard == words.all_text_contents()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_widget_looks_as_the_page_does_and_forced_colours_leave_it_visible(
    notebook, sandbox, scheme, axe
):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.add(cell(sandbox.url))
    expect_state(notebook, "idle")
    notebook.page.evaluate(axe)
    faults = "axe.run('.tempkit-microphone').then(({ violations }) => violations)"
    assert notebook.page.evaluate(faults) == []
    button, state, level = (widget(notebook).locator(f".tempkit-{part}") for part in PARTS)
    colours = """(each, part) => {
      const { borderTopColor, backgroundColor } = getComputedStyle(each, part);
      return [borderTopColor, backgroundColor];
    }"""
    idle = button.evaluate(colours, None)
    start(notebook)
    expect(state).to_have_text("Listening")
    assert state.evaluate(colours, "::before")[0] == button.evaluate(colours, None)[1] == LIVE
    assert button.evaluate(colours, None) != idle
    assert notebook.page.evaluate(faults) == []
    notebook.page.emulate_media(forced_colors="active", color_scheme=scheme)
    ground = widget(notebook).evaluate(colours, None)[1]
    for sign in (button, state, level):
        assert sign.evaluate(colours, "::before")[0] != ground
    assert level.evaluate(colours, None)[0] != ground
    notebook.page.emulate_media(forced_colors="none", color_scheme="light")
    press(notebook, "Stop")
    expect_state(notebook, "idle")


def test_that_the_microphone_went_away_stays_to_be_read(notebook, sandbox):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.page.evaluate("window.tracks.length = 0")
    notebook.add(cell(sandbox.url))
    start(notebook)
    notebook.page.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
    gone = re.compile("disconnected or taken away. Listening to Fake .* now.$")
    lines = widget(notebook).locator(".tempkit-notice p")
    expect(lines).to_have_text([gone])
    mute = """isMuted => {
      const track = window.tracks.at(-1);
      Object.defineProperty(track, 'muted', { value: isMuted, configurable: true });
      track.dispatchEvent(new Event(isMuted ? 'mute' : 'unmute'));
    }"""
    notebook.page.evaluate(mute, True)
    expect(lines).to_have_text([gone, re.compile("is muted")])
    notebook.page.evaluate(mute, False)
    expect(lines).to_have_text([gone])
    press(notebook, "Stop")
    expect_state(notebook, "idle")


# What a page holds: the addresses of blobs, and who wants to know that it goes away.
HELD = """
window.blobs = new Set();
window.leaving = 0;
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => {
  const url = createObjectURL.call(URL, blob);
  window.blobs.add(url);
  return url;
};
URL.revokeObjectURL = (url) => {
  window.blobs.delete(url);
  revokeObjectURL.call(URL, url);
};
for (const [name, step] of [['addEventListener', 1], ['removeEventListener', -1]]) {
  const own = window[name];
  window[name] = function (type, ...rest) {
    if (type === 'pagehide') window.leaving += step;
    return own.call(this, type, ...rest);
  };
}
"""


def test_six_runs_of_a_cell_leave_as_much_in_the_page_as_one(lab, browser, sandbox):
    name = lab.write("six", [cell(sandbox.url)])
    with lab.opened(browser, name, scripts=[TRACKS, HELD]) as notebook:
        held = "() => [window.blobs.size, window.leaving]"
        before = notebook.page.evaluate(held)
        found = []
        for _ in range(6):
            notebook.run(0)
            expect_state(notebook, "idle")
            start(notebook)
            found.append(notebook.page.evaluate(held))
        assert found[0][0] - before[0] <= 3, (before, found)
        assert found[1:] == found[:1] * 5
        press(notebook, "Stop")
        expect_state(notebook, "idle")
        assert notebook.page.evaluate(held)[1] == before[1]


def test_a_microphone_whose_output_is_collapsed_says_that_it_listens_and_can_be_stopped(
    notebook, sandbox
):
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.add(cell(sandbox.url))
    beacon = notebook.page.locator(".tempkit-beacon")
    start(notebook)
    expect(beacon).to_have_count(0)
    notebook.command("notebook:hide-cell-outputs")
    expect(beacon).to_be_visible()
    notebook.command("notebook:show-cell-outputs")
    expect(beacon).to_have_count(0)
    notebook.command("notebook:hide-cell-outputs")
    beacon.click()
    expect_released(notebook)
    expect(beacon).to_have_count(0)
    expect_closed(sandbox, 1)
    notebook.command("notebook:show-cell-outputs")
    expect_state(notebook, "idle")
