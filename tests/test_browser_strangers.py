"""The page in the hands of a stranger: double clicks, odd files, odd words, away and back."""

import json

from tempkit.protocol.messages import Begin, Turn, Word, dump
from tests import test_browser, test_browser_files
from tests.test_browser import (
    SECONDS,
    expect,
    expect_released,
    expect_state,
    expect_was,
    expect_words,
    opened,
    press,
    transcript,
    visited,
)
from tests.test_browser_files import open_file

scripted, server = test_browser.scripted, test_browser.server
speech = test_browser_files.speech


def turn(order, text, *, is_formatted=True, language=""):
    """A turn that is over, of one word."""
    words = (Word(text, order * 1000, order * 1000 + 900, 1.0, True),)
    return Turn(order, is_formatted, True, text, 1.0, words, language_code=language)


def saying(*said):
    """A service that says this, turns or their texts, when it hears the first audio."""

    def handler(line):
        line.send(dump(Begin("s", 10**10)))
        unsaid = list(said)  # Stop may come before any audio: it ends the session all the same
        line.on_message(lambda data: end(line) if isinstance(data, str) else say(line, unsaid))

    def say(line, unsaid):
        for n, each in enumerate(unsaid):
            line.send(dump(each if isinstance(each, Turn) else turn(n, each)))
        unsaid.clear()

    def end(line):
        line.send(json.dumps({"type": "Termination"}))
        line.close(code=1000)

    return handler


def dropped(page, *paths):
    page.locator("#transcript").dispatch_event(
        "drop",
        {
            "dataTransfer": page.evaluate_handle(
                """files => {
                    const transfer = new DataTransfer();
                    for (const [name, bytes] of files)
                        transfer.items.add(new File([Uint8Array.from(bytes)], name));
                    return transfer;
                }""",
                [[path.name, list(path.read_bytes())] for path in paths],
            )
        },
    )


def test_a_double_click_and_a_held_key_press_once(browser, server):
    with visited(browser, server.url) as page:
        button = page.locator("#button")
        button.dblclick()
        expect_state(page, "live")
        press(page, "Stop")
        expect_state(page, "idle")
        button.focus()
        for _ in range(3):
            page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        expect_state(page, "live")
        expect(page.get_by_role("alert")).to_be_empty()


def test_files_wait_for_the_end_of_a_session_and_come_one_at_a_time(
    browser, scripted, server, speech, tmp_path
):
    other = tmp_path / "other.wav"
    other.write_bytes(speech.read_bytes())
    with visited(browser, server.url) as page:
        press(page, "Start")
        expect_state(page, "live")
        for put in (open_file, dropped):
            put(page, speech)
            expect(page.get_by_role("status")).to_have_text("Press Stop before you open a file.")
        press(page, "Stop")
        expect_state(page, "idle")
        expect_released(page)
        dropped(page, speech, other)
        expect(page.get_by_role("status")).to_contain_text("this is two turns.wav")
        expect_was(page, "live")
        # Not the words of the session before, which are still there.
        finals = page.locator("#transcript:not(.left-over) #finals")
        expect(finals).to_contain_text("Hello there.", timeout=15 * SECONDS)
        assert len([entry for entry in scripted.journal if entry.name == "Begin"]) == 2


def test_a_file_that_cannot_be_read_or_holds_nothing_is_named(browser, server, tmp_path):
    with visited(browser, server.url) as page:
        (tmp_path / "empty.mp3").write_bytes(b"")
        open_file(page, tmp_path / "empty.mp3")
        expect(page.get_by_role("alert")).to_contain_text("empty.mp3 is not audio")
        page.evaluate("() => { File.prototype.arrayBuffer = () => Promise.reject('too large'); }")
        open_file(page, tmp_path / "empty.mp3")
        expect(page.get_by_role("alert")).to_contain_text("empty.mp3 cannot be read: it is")


def test_what_is_said_is_text_however_it_looks(browser, server):
    odd = "<img src=x onerror=alert(1)> <b>&amp;</b>"
    with opened(browser, server.url, viewport={"width": 360, "height": 640}) as page:
        page.route_web_socket("**/v3/ws?*", saying(odd, "w" * 400))
        press(page, "Start")
        expect(page.locator("#finals p")).to_have_count(2)
        assert page.locator("#finals span").first.text_content() == odd
        assert page.locator("#finals img, #finals b").count() == 0
        for wide in ("document.documentElement", "document.getElementById('transcript')"):
            assert page.evaluate(f"{wide}.scrollWidth <= {wide}.clientWidth"), wide


def test_five_hundred_turns_are_followed_to_the_last(browser, server):
    texts = [f"This is what was said in turn {n}." for n in range(500)]
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", saying(*texts))
        press(page, "Start")
        expect(page.locator("#finals p")).to_have_count(500)
        expect(page.locator("#finals p").last).to_be_in_viewport()
        page.set_viewport_size({"width": 360, "height": 720})  # less room for the words
        expect(page.locator("#finals p").last).to_be_in_viewport()
        press(page, "Stop")
        expect_state(page, "idle")
        assert transcript(page) == " ".join(texts)


def test_a_clipboard_that_is_denied_leads_to_the_file(browser, server):
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", saying("Hello."))
        press(page, "Start")
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject('denied'); }")
        press(page, "Copy")
        expect(page.get_by_role("status")).to_contain_text("Save it as text instead")


def test_the_page_works_after_it_was_left_and_came_back(browser, server):
    with opened(browser, server.url) as page:
        for _ in range(2):
            press(page, "Start")
            expect_words(page, "hello")
            # What a page that is kept for the way back gets; it stays, so it can be looked at.
            for event in ("pagehide", "pageshow"):
                page.evaluate(f"dispatchEvent(new PageTransitionEvent('{event}', {{}}))")
            expect_state(page, "idle")
            expect_released(page)
            expect(page.get_by_role("alert")).to_be_empty()


def test_a_tab_never_starts_the_sample_by_itself(browser, scripted, server):
    # Any page can open a tab; who may frame the page, as a notebook does, the page's policy says.
    with opened(browser, f"{server.url}/#sample") as page:
        expect(page.locator("#service")).to_contain_text("Sandbox")  # the page is ready
        expect_state(page, "idle")
        assert not [entry for entry in scripted.journal if entry.kind == "opened"]
