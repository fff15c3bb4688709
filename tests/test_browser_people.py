"""The page for everyone: axe-core in each state, and a run by keyboard alone."""

import os
import subprocess

import pytest

from tests import test_browser
from tests.conftest import require
from tests.test_browser import (
    SECONDS,
    expect,
    expect_state,
    expect_was,
    opened,
    press,
    visited,
)

scripted, server = test_browser.scripted, test_browser.server

# A person who takes time to allow the microphone.
ASKS = """
const allowed = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = async (constraints) => {
  await new Promise((resolve) => (window.allow = resolve));
  return allowed(constraints);
};
"""
# Colours, whether the system forces its own, width.
VIEWS = [
    ("light", "none", 900),
    ("dark", "none", 360),
    ("light", "active", 900),
    ("dark", "active", 360),
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The text of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    command = [require("npm"), "install", *options, "axe-core@4"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        if os.environ.get("TEMPKIT_REQUIRE_ALL"):
            pytest.fail(run.stderr)
        pytest.skip("npm cannot install axe-core here")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def check(page, axe):
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    for scheme, forced, width in VIEWS:
        page.emulate_media(color_scheme=scheme, forced_colors=forced)
        page.set_viewport_size({"width": width, "height": 720})
        # Forced colours are the system's; axe reads those of the page.
        contrast = {"rules": {"color-contrast": {"enabled": forced == "none"}}}
        found = page.evaluate("rules => axe.run(rules).then((run) => run.violations)", contrast)
        faults = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
        assert faults == [], (scheme, forced, width)
        # Nothing is wider than the page.
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width


class Lines:
    """The page's connections, each kept without a Begin until they are let through."""

    def __init__(self, page):
        self._lines = []
        self._is_open = False
        page.route_web_socket("**/v3/ws?*", self._keep)

    def _keep(self, line):
        self._lines.append(line)
        if self._is_open:
            line.connect_to_server()

    def let_through(self):
        """From now on; the latest one, too."""
        self._is_open = True
        if self._lines:
            self._lines[-1].connect_to_server()

    def cut(self):
        """The latest one, and let no other through."""
        self._is_open = False
        self._lines[-1].close(code=1012)


def test_axe_finds_nothing_in_any_state(browser, server, axe):
    # axe-core builds functions from text, which the page's own policy forbids.
    with opened(browser, "about:blank", bypass_csp=True) as page:
        page.add_init_script(ASKS)
        page.goto(server.url)
        lines = Lines(page)
        check(page, axe)
        press(page, "Start")
        expect_state(page, "starting")
        check(page, axe)
        page.evaluate("window.allow()")
        expect_state(page, "connecting")
        check(page, axe)
        lines.let_through()
        expect_state(page, "live")
        page.get_by_text("For developers").click()
        check(page, axe)
        lines.cut()
        expect_state(page, "reconnecting")
        check(page, axe)
        press(page, "Stop")
        expect_was(page, "finishing")  # for two seconds
        check(page, axe)
        expect_state(page, "waiting")
        check(page, axe)
        lines.let_through()
        expect_state(page, "idle")
        check(page, axe)
        page.route("**/token", lambda route: route.abort())
        press(page, "Try the sample")
        expect_state(page, "failed")
        check(page, axe)


def test_the_keyboard_alone_does_everything(browser, server):
    with visited(browser, server.url) as page:
        focused = "document.activeElement.id || document.activeElement.tagName"

        def tab_to(name):
            for _ in range(12):
                page.keyboard.press("Tab")
                if page.evaluate(focused) == name:
                    return
            raise AssertionError(f"Tab does not lead to {name}")

        tab_to("button")
        page.keyboard.press("Enter")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        assert page.evaluate(focused) == "button"
        page.keyboard.press("Space")
        expect_state(page, "idle")
        assert page.evaluate(focused) == "button"
        for name in (
            "device",
            "sample",
            "pick",
            "transcript",
            "copy",
            "text",
            "subrip",
            "webvtt",
            "SUMMARY",
        ):
            tab_to(name)
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", name
            if name == "text":
                with page.expect_download() as saved:
                    page.keyboard.press("Enter")
                assert saved.value.path().read_text().startswith("Hello there.\n")
        page.keyboard.press("Enter")
        expect(page.locator("#log")).to_be_visible()
        tab_to("log")
