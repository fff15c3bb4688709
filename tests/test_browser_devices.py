"""The page's microphones: another one is picked, or the one in use goes away, in mid-session."""

import re

import pytest

from tests import test_browser
from tests.test_browser import (
    MUTE,
    REFUSE,
    REFUSE_16_KHZ,
    SECONDS,
    assert_all_was_sent,
    expect,
    expect_released,
    expect_state,
    expect_words,
    frames_sent,
    opened,
    press,
    transcript,
    visited,
)
from tests.test_browser_people import ASKS

scripted, server = test_browser.scripted, test_browser.server

GOES_AWAY = "window.tracks[0].dispatchEvent(new Event('ended'))"
# What Firefox does with a microphone of another rate than the audio context's.
REFUSE_OTHER_RATE = REFUSE_16_KHZ.replace("this.sampleRate === 16000", "true")


def sessions(sandbox):
    return [entry for entry in sandbox.journal if entry.name == "Begin"]


def started(page):
    """The picker, once the microphones have their names."""
    press(page, "Start")
    expect_state(page, "live")
    picker = page.get_by_role("combobox", name="Microphone")
    expect(picker.locator("option")).to_have_count(3)
    return picker


def released(page):
    """Whether each microphone that was asked for is let go, oldest first."""
    return page.evaluate("window.tracks.map((track) => track.readyState === 'ended')")


def test_the_chosen_microphone_is_the_one_that_is_used(browser, server):
    with visited(browser, server.url) as page:
        picker = started(page)
        press(page, "Stop")
        expect_state(page, "idle")
        name = picker.locator("option").last.text_content()
        picker.select_option(label=name)
        press(page, "Start")
        expect_state(page, "live")
        assert page.evaluate("window.tracks.at(-1).label") == name
        expect(picker).to_have_value(re.compile(".+"))


def test_another_microphone_can_be_picked_while_the_session_goes_on(browser, scripted, server):
    with opened(browser, "about:blank", bypass_csp=True) as page:
        frames = frames_sent(page)
        page.goto(server.url)
        picker = started(page)
        first, second = picker.locator("option").all_text_contents()[1:]
        for name in (first, second):
            picker.select_option(label=name)
            page.wait_for_function("name => window.tracks.at(-1).label === name", arg=name)
            expect(picker.locator("option:checked")).to_have_text(name)
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        assert page.evaluate("window.tracks.map(({ label }) => label)")[1:] == [first, second]
        assert released(page) == [True, True, False]
        expect(page.get_by_role("status")).to_be_empty()
        press(page, "Stop")
        expect_state(page, "idle")
        expect_released(page)
        assert len(sessions(scripted)) == 1
        assert_all_was_sent(page, frames)


def test_a_microphone_that_goes_away_is_replaced_and_the_session_goes_on(browser, scripted, server):
    with opened(browser, "about:blank", bypass_csp=True) as page:
        frames = frames_sent(page)
        page.goto(server.url)
        picker = started(page)
        picker.select_option(index=1)
        page.wait_for_function("window.tracks.length === 2")
        expect_words(page, "hello")
        page.evaluate(GOES_AWAY.replace("[0]", "[1]"))
        expect(page.get_by_role("status")).to_contain_text(
            re.compile("^Fake .*disconnected or taken away. Listening to Fake .* now.$")
        )
        expect(page.locator("#finals")).to_contain_text("How are you?", timeout=15 * SECONDS)
        expect_state(page, "live")
        assert released(page) == [True, True, False]
        expect(picker).to_have_value("")
        press(page, "Stop")
        expect_state(page, "idle")
        expect_released(page)
        assert len(sessions(scripted)) == 1
        assert_all_was_sent(page, frames)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (REFUSE.format("NotFoundError"), "taken away. There is no microphone."),
        (REFUSE_OTHER_RATE, "another sample rate during a session. Start a new"),
    ],
    ids=["no-other", "another-rate"],
)
def test_a_microphone_that_nothing_can_replace_ends_the_session_with_its_words(
    browser, server, script, sentence
):
    with visited(browser, server.url) as page:
        started(page)
        expect_words(page, "hello")
        page.evaluate(f"() => {{ {script} }}")
        page.evaluate(GOES_AWAY)
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect_state(page, "failed")
        expect_released(page)
        assert transcript(page).startswith("Hello there.")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (REFUSE.format("NotReadableError"), "The microphone is busy"),
        (REFUSE_OTHER_RATE, "another sample rate during a session."),
    ],
    ids=["busy", "another-rate"],
)
def test_a_pick_that_fails_leaves_the_microphone_as_it_was(browser, server, script, sentence):
    with visited(browser, server.url) as page:
        picker = started(page)
        page.evaluate(f"() => {{ {script} }}")
        picker.select_option(index=2)
        expect(page.get_by_role("status")).to_contain_text(sentence)
        expect(page.get_by_role("status")).to_contain_text("Still listening to Fake Default")
        expect(picker).to_have_value("")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        assert released(page) in ([False], [False, True])


def test_a_prompt_that_is_answered_after_stop_takes_no_microphone(browser, server):
    with opened(browser, "about:blank", bypass_csp=True) as page:
        page.add_init_script(ASKS)
        page.goto(server.url)
        press(page, "Start")
        expect(page.locator("#state")).to_contain_text("Waiting for the microphone")
        press(page, "Stop")
        expect_state(page, "idle")
        page.evaluate("window.allow()")
        page.wait_for_function("window.tracks.length > 0")
        expect_released(page)
        expect_state(page, "idle")


# Microphones that are unplugged and come back, under another id if need be.
PLUGS = """
window.away = new Set(); // labels
window.renamed = ''; // a label whose id is another one
const { mediaDevices } = navigator;
const listed = mediaDevices.enumerateDevices.bind(mediaDevices);
const taken = mediaDevices.getUserMedia;
const idOf = ({ label, deviceId }) => (label === window.renamed ? `new ${deviceId}` : deviceId);
const present = async () => (await listed()).filter(({ label }) => !window.away.has(label));
mediaDevices.enumerateDevices = async () => (await present()).map((device) => {
  return { kind: device.kind, label: device.label, deviceId: idOf(device) };
});
mediaDevices.getUserMedia = async ({ audio }) => {
  const wanted = audio.deviceId?.exact;
  if (!wanted) return taken({ audio });
  const found = (await present()).find((device) => idOf(device) === wanted);
  if (!found) throw new OverconstrainedError('deviceId', 'it is gone');
  return taken({ audio: { ...audio, deviceId: { exact: found.deviceId } } });
};
window.plug = (label, isThere) => {
  if (isThere) window.away.delete(label);
  else window.away.add(label);
  mediaDevices.dispatchEvent(new Event('devicechange'));
};
"""


def wished(page, server):
    """The option that the picker shows, and the name of the microphone that was picked in it."""
    page.add_init_script(PLUGS)
    page.goto(server.url)
    picker = started(page)
    press(page, "Stop")
    expect_state(page, "idle")
    name = picker.locator("option").last.text_content()
    picker.select_option(label=name)
    return picker.locator("option:checked"), name


def plug(page, name, is_there):
    page.evaluate("([name, isThere]) => window.plug(name, isThere)", [name, is_there])


def heard_by(page):
    return page.evaluate("window.tracks.findLast((each) => each.readyState === 'live').label")


def test_one_list_without_the_chosen_microphone_changes_nothing(browser, scripted, server):
    with opened(browser, "about:blank") as page:
        shown, name = wished(page, server)
        plug(page, name, False)
        expect(shown).to_have_text(f"{name} (not connected)")
        plug(page, name, True)
        expect(shown).to_have_text(name)
        press(page, "Start")
        expect_state(page, "live")
        for is_there in (False, True):  # a Bluetooth headset that changes its profile
            plug(page, name, is_there)
            expect(shown).to_have_text(name if is_there else f"{name} (not connected)")
        assert heard_by(page) == name
        assert released(page) == [True, False]
        expect(page.get_by_role("status")).to_be_empty()


def test_the_choice_outlives_a_reload(browser, server):
    with opened(browser, "about:blank") as page:
        shown, name = wished(page, server)
        page.reload()
        expect(shown).to_have_text(name)
        press(page, "Start")
        expect_state(page, "live")
        assert heard_by(page) == name
        expect(shown).to_have_text(name)


def test_a_start_without_the_chosen_microphone_says_so_and_takes_it_when_it_is_back(
    browser, scripted, server
):
    with opened(browser, "about:blank") as page:
        shown, name = wished(page, server)
        plug(page, name, False)
        press(page, "Start")
        expect_state(page, "live")
        expect(page.get_by_role("status")).to_have_text(
            re.compile(f"^{name} is not connected. Listening to Fake .* now.$")
        )
        expect(shown).to_have_text("Default")  # what is really used
        plug(page, name, True)
        expect(shown).to_have_text(name)
        expect(page.get_by_role("status")).to_be_empty()
        assert heard_by(page) == name
        press(page, "Stop")
        expect_state(page, "idle")
        expect_released(page)
        assert len(sessions(scripted)) == 2


def test_a_microphone_that_comes_back_under_another_id_is_known_by_its_name(browser, server):
    with opened(browser, "about:blank") as page:
        shown, name = wished(page, server)
        plug(page, name, False)
        expect(shown).to_have_text(f"{name} (not connected)")
        page.evaluate("name => { window.renamed = name; }", name)
        plug(page, name, True)
        expect(shown).to_have_text(name)
        expect(shown).to_have_attribute("value", re.compile("^new "))
        press(page, "Start")
        expect_state(page, "live")
        assert heard_by(page) == name


def test_that_a_microphone_went_away_is_not_overwritten_by_what_comes_next(browser, server):
    with visited(browser, server.url) as page:
        started(page)
        page.evaluate(GOES_AWAY)
        lines = page.get_by_role("status").locator("p")
        gone = re.compile("disconnected or taken away. Listening to Fake .* now.$")
        expect(lines).to_have_text([gone])
        mute = MUTE.replace("[track] = window.tracks", "track = window.tracks.at(-1)")
        page.evaluate(mute, True)
        expect(lines).to_have_text([gone, re.compile("is muted")])
        page.evaluate(mute, False)
        expect(lines).to_have_text([gone])
