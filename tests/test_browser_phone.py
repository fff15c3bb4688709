"""The page on a phone: a call comes, the screen would lock, the tab is left for another one."""

import re

from tempkit.sandbox import Faults
from tests import test_browser
from tests.conftest import require
from tests.tabs import Chromium
from tests.test_browser import (
    ALLOW,
    FAKE_DEVICE,
    SECONDS,
    expect,
    expect_state,
    framed,
    opened,
    press,
)

scripted, server = test_browser.scripted, test_browser.server

# What the audio contexts of iOS do when a call comes, put over real ones.
PHONE = """
window.contexts = [];
window.forbidden = 0; // resume() while a call lasts
window.AudioContext = class extends AudioContext {
  constructor(...given) {
    super(...given);
    window.contexts.push(this);
  }
  get state() {
    return super.state === 'closed' ? 'closed' : (this.pretended ?? super.state);
  }
  resume() {
    if (this.pretended === 'interrupted') {
      window.forbidden += 1;
      return Promise.reject(new DOMException('no', 'InvalidStateError'));
    }
    this.pretended = undefined;
    return super.resume();
  }
  async pretend(state, isStanding) {
    this.pretended = state;
    await (isStanding ? super.suspend() : super.resume());
    if (!isStanding) this.pretended = undefined;
    this.dispatchEvent(new Event('statechange'));
  }
};
window.pretend = (state, isStanding) => window.contexts.at(-1).pretend(state, isStanding);
"""
# Each wake lock that the page asks for; whether the browser gave it is not looked at.
LOCKS = """
window.locks = [];
const request = WakeLock.prototype.request;
WakeLock.prototype.request = async function (type) {
  const lock = { type };
  window.locks.push(lock);
  lock.sentinel = await request.call(this, type);
  return lock.sentinel;
};
window.held = () => window.locks.filter(({ sentinel }) => sentinel?.released === false).length;
"""
CALL = re.compile("^A call or another app is using the microphone")


def chunks_come(page):
    """Wait for sound that is captured from now on."""
    captured = page.evaluate("window.captured")
    page.wait_for_function(f"window.captured > {captured}")


def test_calls_are_named_and_the_session_goes_on_after_each(browser, scripted, server):
    with opened(browser, "about:blank", bypass_csp=True) as page:
        page.add_init_script(PHONE)
        page.goto(server.url)
        press(page, "Start")
        expect_state(page, "live")
        chunks_come(page)
        # However the audio context comes out of the call: running, suspended, or saying that it
        # runs while its clock stands.
        for state, is_standing in (("running", False), ("suspended", True), ("running", True)):
            page.evaluate("pretend('interrupted', true)")
            expect(page.get_by_role("status")).to_have_text(CALL)
            page.wait_for_timeout(3 * SECONDS)  # longer than a context may stand
            expect(page.get_by_role("status")).to_have_text(CALL)
            page.evaluate(f"pretend('{state}', {str(is_standing).lower()})")
            chunks_come(page)
            expect(page.get_by_role("status")).to_be_empty()
        assert page.evaluate("[window.forbidden, window.contexts.length]") == [0, 2]
        assert page.evaluate("window.contexts[0].state") == "closed"
        press(page, "Stop")
        expect_state(page, "idle")
        expect(page.get_by_role("alert")).to_be_empty()
        assert [entry.name for entry in scripted.journal].count("Begin") == 1


def test_the_screen_is_kept_on_while_a_session_is_live(browser, scripted, server):
    scripted.faults = Faults(cut_after_audio_seconds=2, sessions=1)
    with opened(browser, "about:blank", bypass_csp=True) as page:
        page.add_init_script(LOCKS)
        page.goto(server.url)
        for run in (1, 2):
            press(page, "Start")
            expect_state(page, "live")
            page.wait_for_function("held() === 1")
            if run == 1:
                expect(page.locator("#log")).to_contain_text("Again in", timeout=15 * SECONDS)
                expect_state(page, "live")
            press(page, "Stop")
            expect_state(page, "idle")
            page.wait_for_function("held() === 0")
            assert page.evaluate("locks.map(({ type }) => type)") == ["screen"] * run


def test_the_screen_is_kept_on_again_when_a_hidden_tab_is_seen_again(server):
    with Chromium(require("chromium"), ALLOW, FAKE_DEVICE) as chromium:
        tab = chromium.open(server.url, LOCKS)
        tab.evaluate("document.getElementById('button').click()")
        tab.wait_for("held() === 1")
        chromium.hide_all()
        tab.wait_for("held() === 0")
        tab.show()
        tab.wait_for("held() === 1")
        tab.evaluate("document.getElementById('button').click()")
        tab.wait_for("document.body.dataset.state === 'idle' && held() === 0")
        assert tab.evaluate("locks.length") == 2


def test_a_frame_keeps_the_screen_on_where_the_page_around_it_lets_it(browser, server, service):
    for allowed, held in (("microphone; screen-wake-lock", 1), ("microphone", 0)):
        with opened(browser, "about:blank", bypass_csp=True) as page:
            page.add_init_script(LOCKS)
            frame = framed(page, service, server, f'allow="{allowed}"')
            frame.get_by_role("button", name="Start").click()
            expect(frame.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
            expect(frame.get_by_role("alert")).to_be_empty()
            assert frame.locator("body").evaluate("() => [locks.length, held()]") == [1, held]
