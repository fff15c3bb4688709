"""The page at a glance: whom one talks to and how it goes, in every script, voice and colour."""

import re

import pytest

from tempkit import Settings, TokenServer, pictures
from tempkit.protocol.messages import Turn, Word
from tempkit.sandbox import Faults
from tests import test_browser, test_browser_files
from tests.test_browser import (
    SECONDS,
    expect,
    expect_state,
    let_nobody_back,
    opened,
    press,
    transcript,
    visited,
)
from tests.test_browser_files import SPEECH, open_file, write
from tests.test_browser_strangers import saying, turn

scripted, server = test_browser.scripted, test_browser.server
speech = test_browser_files.speech

LIVE = "rgb(209, 52, 56)"
# What is said of a file's progress, as it goes on.
NOTES_TIMES = """() => {
  const place = document.getElementById('time');
  window.times = [];
  const note = () => window.times.push(place.textContent);
  new MutationObserver(note).observe(place, { childList: true, characterData: true });
}"""
PHONE = {"width": 390, "height": 780}
# What a screen reader reads out of the log: what comes in, and each change of a text.
HEARS = """
window.heard = [];
addEventListener('DOMContentLoaded', () => {
  const spoken = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    return node.ariaHidden === 'true' ? '' : [...node.childNodes].map(spoken).join('');
  };
  const see = (records) => {
    for (const { target, addedNodes } of records) {
      const isHidden = target.closest?.('[aria-hidden=true]');
      if (!isHidden) for (const node of addedNodes) window.heard.push(spoken(node));
    }
  };
  const options = { childList: true, characterData: true, subtree: true };
  new MutationObserver(see).observe(document.querySelector('[role=log]'), options);
});
"""


# A plain final waits for a second in the page's own time; other timers ring in a worker, too.
HOLDS_A_SECOND = """() => {
  const set = window.setTimeout;
  window.setTimeout = (call, wait, ...rest) => set(call, wait === 1000 ? 1e6 : wait, ...rest);
}"""


def style(page, selector, name, part="null"):
    """What the browser makes of a property of an element, or of the part before it."""
    script = (
        "([selector, part, name]) => getComputedStyle(document.querySelector(selector), part)[name]"
    )
    return page.evaluate(script, [selector, None if part == "null" else part, name])


def place(page, selector):
    return page.locator(selector).bounding_box()


def test_before_start_it_says_whom_one_talks_to_and_spends_no_token(browser, scripted, server):
    with opened(browser, server.url) as page:
        expect(page.locator("#service")).to_have_text("Sandbox, stays on this computer")
        assert [entry.name for entry in scripted.journal if entry.kind == "request"] == []
        with page.expect_response("**/service") as answer:
            page.reload()
        assert answer.value.json() == {
            "websocket_url": "v3/ws",
            "service": "sandbox",
            "is_here": True,
        }
    with TokenServer(Settings("0" * 31), port=0) as server, opened(browser, server.url) as page:
        expect(page.locator("#service")).to_have_text("AssemblyAI, billed")


def test_a_server_that_does_not_say_whom_is_believed_once_it_grants_a_token(browser, server):
    with opened(browser, "about:blank") as page:
        page.route("**/service", lambda route: route.fulfill(status=404, body="no JSON"))
        page.goto(server.url)
        expect(page.locator("#service")).to_be_hidden()
        press(page, "Start")
        expect(page.locator("#service")).to_have_text("Sandbox, stays on this computer")


def test_stop_does_not_look_like_start_and_live_has_one_colour(browser, server):
    look = [("backgroundColor", "null"), ("borderRadius", "::before")]
    with visited(browser, server.url) as page:
        before = [style(page, "#button", *each) for each in look]
        press(page, "Start")
        expect_state(page, "live")
        expect(page.locator("#state")).to_have_text("Listening")
        after = [style(page, "#button", *each) for each in look]
        assert all(one != other for one, other in zip(before, after, strict=True)), after
        assert style(page, "#state", "borderTopColor", "::before") == LIVE
        assert after[0] == LIVE
    assert "#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", LIVE))) == pictures.LIVE


def test_a_file_shows_how_far_it_is_and_a_finished_page_is_no_fresh_one(browser, server, speech):
    with visited(browser, server.url) as page:
        expect(page.locator("#button")).to_have_text("Start")
        page.evaluate(NOTES_TIMES)
        open_file(page, speech)
        expect(page.locator("#time")).to_have_text(re.compile(r"^0:0[123] of 0:03$"))
        bar, level = place(page, "#progress"), place(page, "#level")
        assert (bar["y"], bar["height"]) == (level["y"], level["height"])
        assert level["width"] < bar["width"] / 2
        # No native look: it is drawn as the level is.
        for name in ("borderTopColor", "borderTopWidth"):
            drawn = style(page, "#progress", name, "::before")
            assert drawn == style(page, "#level", name, "::before")
        expect_state(page, "idle")
        expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "0:03 of 0:03")
        times = page.evaluate("window.times")
        assert times == sorted(times)
        assert {"0:01 of 0:03", "0:02 of 0:03"} & set(times)
        expect(page.locator("#state")).to_have_text("Finished: 2 sentences, 3 s")
        expect(page.locator("#button")).to_have_text("Start again")


def test_what_fails_before_it_began_could_not_start_and_a_file_is_tried_again(
    browser, server, speech
):
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", lambda line: line.close(code=1008, reason=""))
        open_file(page, speech)
        expect_state(page, "failed")
        expect(page.locator("#state")).to_have_text("Could not start")
        expect(page.get_by_role("alert")).to_contain_text("Try the file again with a fresh token")
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text("Try again with a fresh token")


def test_two_matters_are_two_lines(browser, scripted, server, speech):
    with visited(browser, server.url) as page:
        press(page, "Start")
        expect_state(page, "live")
        open_file(page, speech)
        expect(page.get_by_role("status")).to_contain_text("Press Stop")
        scripted.stop()
        expect_state(page, "reconnecting")
        lines = page.get_by_role("status").locator("p")
        expect(lines).to_have_count(2)
        expect(lines.first).to_have_text("Press Stop before you open a file.")
        expect(lines.last).to_contain_text("The sound is kept")
        boxes = [line.bounding_box() for line in lines.all()]
        assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]


def test_on_a_phone_the_sources_stand_side_by_side_and_an_outage_leaves_the_words_their_room(
    browser, scripted, server
):
    with opened(browser, server.url, viewport=PHONE) as page:
        device, sample, pick = (place(page, f"#{name}") for name in ("device", "sample", "pick"))
        assert sample["y"] == pick["y"] >= device["y"] + device["height"]
        assert sample["x"] + sample["width"] < pick["x"]
        scripted.faults = Faults(cut_after_audio_seconds=2.5, sessions=1)
        let_nobody_back(page, scripted)
        press(page, "Start")
        expect_state(page, "reconnecting")
        expect(page.get_by_role("timer")).not_to_be_empty()
        words = place(page, "#transcript")
        assert min(words["height"], PHONE["height"] - words["y"]) > PHONE["height"] * 0.3


def test_words_are_shown_in_their_own_direction_and_language(browser, server):
    hebrew, latin, unknown = "שלום, this is Ada!", "Hello, this is שרה.", "مرحبا"
    with opened(browser, server.url, viewport=PHONE) as page:
        turns = (turn(0, hebrew, language="he"), turn(1, latin, language="en"), turn(2, unknown))
        moving = Turn(3, False, False, "עוד לא", 0.1, (Word("עוד לא", 3000, 3500, 0.5, True),))
        page.route_web_socket("**/v3/ws?*", saying(*turns, moving))
        press(page, "Start")
        words = page.locator("#finals span")
        expect(words).to_have_text([hebrew, latin, unknown])
        expect(page.locator("#partial")).to_have_text("עוד לא")
        directions = "all => all.map((each) => getComputedStyle(each).direction)"
        assert words.evaluate_all(directions) == ["rtl", "ltr", "rtl"]
        assert page.locator("#partial").evaluate_all(directions) == ["rtl"]
        languages = "all => all.map((each) => each.closest('[lang]').lang)"
        assert words.evaluate_all(languages) == ["he", "en", ""]
        # A right-to-left sentence ends at the right edge of the words, not beside their time.
        first, box = words.first.bounding_box(), place(page, "#finals")
        assert first["x"] + first["width"] == pytest.approx(box["x"] + box["width"], abs=1)


def test_a_screen_reader_hears_each_sentence_once_and_no_times(browser, server):
    with opened(browser, "about:blank") as page:
        page.add_init_script(HEARS)
        page.goto(server.url)
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("How are you?", timeout=20 * SECONDS)
        press(page, "Stop")
        expect_state(page, "idle")
        heard = page.evaluate("window.heard")
        assert heard[:2] == ["Hello there.", "How are you?"]
        assert heard == page.locator("#finals span").all_text_contents()


def test_a_plain_final_waits_a_second_for_the_formatted_one_and_no_longer(browser, server):
    with opened(browser, "about:blank") as page:
        page.clock.install(time=0)
        page.add_init_script(HEARS)
        page.goto(server.url)
        page.clock.pause_at(60 * SECONDS)  # or the second would be over before one looks
        plain = turn(0, "hello there", is_formatted=False)
        page.route_web_socket("**/v3/ws?*", saying(plain))
        press(page, "Start")
        expect(page.locator("#partial")).to_have_text("hello there")
        page.clock.fast_forward(1 * SECONDS - 1)
        assert transcript(page) == ""
        page.clock.fast_forward(1)
        expect(page.locator("#finals span")).to_have_text("hello there")
        expect(page.locator("#partial")).to_be_empty()
        assert page.evaluate("window.heard") == ["hello there"]


def test_a_session_that_ends_leaves_no_words_waiting(browser, server):
    with opened(browser, server.url) as page:
        page.evaluate(HOLDS_A_SECOND)
        plain = turn(0, "bye", is_formatted=False)
        page.route_web_socket("**/v3/ws?*", saying(plain))
        press(page, "Start")
        expect(page.locator("#partial")).to_have_text("bye")
        press(page, "Stop")
        expect_state(page, "idle")
        assert transcript(page) == "bye"


def test_what_hides_itself_hands_the_focus_to_the_words(browser, server):
    focused = "document.activeElement.id"
    with opened(browser, server.url, viewport={"width": 360, "height": 480}) as page:
        texts = [f"This is what was said in turn {n}." for n in range(40)]
        page.route_web_socket("**/v3/ws?*", saying(*texts))
        press(page, "Start")
        expect(page.locator("#finals p")).to_have_count(40)
        page.locator("#transcript").evaluate("box => { box.scrollTop = 0; }")
        for way in ("press", "scroll"):
            page.get_by_role("button", name="Go to the newest words").focus()
            if way == "press":
                page.keyboard.press("Enter")
            else:
                page.locator("#transcript").evaluate("box => { box.scrollTop = 1e6; }")
            expect(page.locator("#newest")).to_be_hidden()
            assert page.evaluate(focused) == "transcript", way
            page.locator("#transcript").evaluate("box => { box.scrollTop = 0; }")
            expect(page.locator("#newest")).to_be_visible()
        press(page, "Stop")
        expect_state(page, "idle")
        press(page, "Forget")
        expect(page.locator("#tools")).to_be_hidden()
        assert page.evaluate(focused) == "transcript"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_leave_every_sign_visible(browser, server, tmp_path, scheme):
    write(tmp_path / "long.wav", SPEECH * 20)
    with opened(browser, server.url, forced_colors="active", color_scheme=scheme) as page:
        ground = style(page, "body", "backgroundColor")
        open_file(page, tmp_path / "long.wav")
        expect_state(page, "live")
        for sign in ("#level", "#progress", "#state", "#button"):
            assert style(page, sign, "borderTopColor", "::before") != ground, sign
        for box in ("#level", "#progress", "#button", "#service"):
            assert style(page, box, "borderTopColor") != ground, box
        press(page, "Stop")
        expect_state(page, "idle")
        # What notebooks show.
        spans = [(0.0, 1.0, "Hello.", "en")]
        page.set_content(pictures.timeline(spans, 10.0, 5.0, 4.0) + pictures.bar(0.5, 0))
        ground = style(page, "html", "backgroundColor")
        fills = page.locator("rect, text").evaluate_all(
            "all => all.map((each) => getComputedStyle(each).fill)"
        )
        assert len(fills) > 5
        assert ground not in fills
        assert style(page, "body > div > div", "borderTopColor") != ground
