"""The page throws nothing away: the last transcript stays, comes back, and outlives a reload."""

import json

import pytest

from tests import test_browser, test_browser_files
from tests.test_browser import SECONDS, expect, expect_state, opened, press, transcript
from tests.test_browser_strangers import saying

scripted, server = test_browser.scripted, test_browser.server
speech = test_browser_files.speech

STORED = "sessionStorage.getItem('tempkit.transcript')"


def say(page, *texts):
    """A session in which this is said, to its end."""
    page.route_web_socket("**/v3/ws?*", saying(*texts))
    press(page, "Start")
    if texts:
        expect(page.locator("#finals span").last).to_have_text(texts[-1], timeout=15 * SECONDS)
    else:
        expect_state(page, "live")
    press(page, "Stop")
    expect_state(page, "idle")


def is_asked(page):
    """Whether the browser asks before the page goes away; it goes then."""
    asked = []

    def answer(dialog):
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.reload()
    page.remove_listener("dialog", answer)
    return asked == ["beforeunload"]


def test_the_last_words_stay_until_there_are_new_ones_and_come_back(browser, server):
    with opened(browser, server.url) as page:
        former = page.locator("#former")
        say(page, "It was said first.")
        expect(former).to_be_hidden()
        say(page)  # nothing at all
        assert transcript(page) == "It was said first."
        expect(former).to_be_hidden()
        say(page, "And this later.")
        assert transcript(page) == "And this later."
        former.press("Enter")
        assert transcript(page) == "It was said first."
        with page.expect_download() as saved:
            press(page, "Save as text")
        assert saved.value.path().read_text() == "It was said first.\n"
        former.press("Enter")
        assert transcript(page) == "And this later."


def test_the_one_before_can_be_read_while_the_session_goes_on(browser, server):
    with opened(browser, server.url) as page:
        say(page, "It was said first.")
        page.route_web_socket("**/v3/ws?*", saying("And this later."))
        press(page, "Start")
        expect(page.locator("#finals span").last).to_have_text(
            "And this later.", timeout=15 * SECONDS
        )
        page.locator("#former").press("Enter")
        assert transcript(page) == "It was said first."
        press(page, "Stop")
        expect_state(page, "idle")
        assert transcript(page) == "It was said first."
        page.locator("#former").press("Enter")
        assert transcript(page) == "And this later."


def test_a_file_that_is_no_sound_takes_nothing_away(browser, server, tmp_path):
    (tmp_path / "notes.txt").write_text("no sound at all")
    with opened(browser, server.url) as page:
        say(page, "It was said first.")
        test_browser_files.open_file(page, tmp_path / "notes.txt")
        expect_state(page, "failed")
        assert transcript(page) == "It was said first."


def test_a_reload_brings_the_text_back_with_its_times_until_it_is_forgotten(browser, server):
    with opened(browser, server.url) as page:
        say(page, "Hello.", "And this later.")
        with page.expect_download() as saved:
            press(page, "Save as SubRip")
        captions = saved.value.path().read_text()
        page.reload()
        expect_state(page, "idle")
        assert transcript(page) == "Hello. And this later."
        with page.expect_download() as saved:
            press(page, "Save as SubRip")
        assert saved.value.path().read_text() == captions
        stored = json.loads(page.evaluate(STORED))
        assert [set(turn) for turn in stored] == [{"text", "words"}] * 2
        press(page, "Forget")
        expect(page.locator("#tools")).to_be_hidden()
        assert page.evaluate(STORED) is None
        page.reload()
        assert transcript(page) == ""


def test_a_reload_in_mid_speech_keeps_what_was_final(browser, server):
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", saying("Hello."))
        press(page, "Start")
        expect(page.locator("#finals span").last).to_have_text("Hello.", timeout=15 * SECONDS)
        assert is_asked(page)  # it is live
        assert transcript(page) == "Hello."


@pytest.mark.parametrize("name", ["Copy", "Save as text", "Save as WebVTT", "Forget"])
def test_leaving_asks_only_for_text_that_is_nowhere_else(browser, server, name):
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, server.url, permissions=permissions) as page:
        say(page)
        assert not is_asked(page)
        say(page, "Hello.")
        press(page, name)
        if name == "Copy":
            expect(page.get_by_role("status")).to_have_text("Copied.")
        assert not is_asked(page)
        say(page, "Hello again.")
        assert is_asked(page)


def test_a_page_that_may_not_store_works_all_the_same(browser, server):
    forbid = "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error(); } })"
    with opened(browser, "about:blank") as page:
        page.add_init_script(forbid)
        page.goto(server.url)
        say(page, "Hello.")
        assert transcript(page) == "Hello."
