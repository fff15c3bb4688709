"""The page when something fails: each close code, the token route, a line that stays away."""

import json
import re
import time

import pytest

from tempkit import Sandbox, TokenServer
from tempkit.protocol.messages import Begin, dump
from tempkit.sandbox import Faults, Scripted
from tests import test_browser
from tests.test_browser import (
    SECONDS,
    SENTENCES,
    Held,
    after_first_token,
    error_rate,
    expect,
    expect_heard,
    expect_released,
    expect_state,
    let_nobody_back,
    opened,
    press,
    transcript,
    visited,
    words_of,
)

scripted, server = test_browser.scripted, test_browser.server

KEPT = "The sound is kept"
# The page itself sends nothing that the service refuses: something else is put before its audio.
SENDS = """
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {{ send.call(this, {}); send.call(this, data); }};
"""


class Deaf:
    """A recogniser that fails before it hears anything."""

    def listen(self):
        raise RuntimeError("no ears")


def saying(*frames, close=None):
    """A service that says this at once, then closes with the code."""

    def handler(line):
        for frame in frames:
            line.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        if close is not None:
            line.close(code=close, reason="")

    return handler


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (SENDS.format('\'{"type": "Nonsense"}\''), "Invalid Message Type: Nonsense. Reload"),
        (SENDS.format("new Uint8Array(40000)"), "Expected between 50 and 1000 ms. Close what"),
    ],
    ids=["3006-text", "3007"],
)
def test_what_the_service_does_not_take_ends_the_session(browser, server, script, sentence):
    with opened(browser, "about:blank") as page:
        page.add_init_script(script)
        page.goto(server.url)
        press(page, "Start")
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text("The service says: ")
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect(page.get_by_role("status")).to_be_empty()
        expect_released(page)


def test_audio_that_comes_too_fast_is_told(browser):
    with (
        Sandbox(Scripted(["Hello there."]), most_ahead_seconds=0) as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        visited(browser, server.url) as page,
    ):
        sandbox.faults = Faults(slow_begin_seconds=1)  # so that some audio waits
        press(page, "Start")
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text("Audio Transmission Rate Exceeded")


def test_a_service_that_fails_at_once_is_tried_three_times(browser, caplog):
    with (
        Sandbox(Deaf()) as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        visited(browser, server.url) as page,
    ):
        held = Held(page)
        press(page, "Start")
        held.let_go()
        # Until the next token: the pause before that is a quarter of a second.
        expect(page.get_by_role("status")).to_contain_text(f"The service failed. {KEPT}")
        held.let_go()
        held.let_go()
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_have_text(
            "The service failed. Wait a moment, then try again."
        )
        assert [entry.detail["code"] for entry in sandbox.journal if entry.name == "WebSocket"][
            -3:
        ] == [1011] * 3
        expect_released(page)


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        (Faults(cancel_after_received=5, sessions=1), "Session Cancelled: An error occurred."),
        (Faults(cut_after_received=5, sessions=1), "The connection was lost."),
    ],
    ids=["3005", "1006"],
)
def test_a_cut_is_told_while_it_lasts_and_no_word_is_lost(
    browser, scripted, server, faults, sentence
):
    scripted.faults = faults
    with visited(browser, server.url) as page:
        held = Held(page)
        press(page, "Start")
        held.let_go()
        expect_state(page, "reconnecting")
        expect(page.get_by_role("status")).to_contain_text(f"{sentence} {KEPT}")
        expect(page.get_by_role("timer")).to_contain_text(re.compile(r"giving up in [56]\d s\."))
        held.let_go()
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        for role in ("status", "timer", "alert"):
            expect(page.get_by_role(role)).to_be_empty()


def test_a_session_that_runs_out_is_renewed_under_its_own_words(browser, scripted, server):
    with visited(browser, server.url) as page:
        press(page, "Start")
        expect_state(page, "live")
        held = Held(page)
        scripted.faults = Faults(clock_speed=20_000)  # three hours in half a second
        expect(page.get_by_role("status")).to_contain_text("maximum duration and is renewed")
        assert "Session Expired" in page.locator("#log").text_content()
        scripted.faults = Faults()
        held.let_go()
        expect_state(page, "live")
        expect(page.get_by_role("status")).to_be_empty()


def test_a_page_whose_tokens_are_capped_renews_its_session_and_loses_no_word(browser):
    ahead = [0.0]
    with (
        Sandbox(realtime=False, clock=lambda: time.time() + ahead[0]) as sandbox,
        TokenServer(sandbox.settings, port=0, max_session_duration_seconds=60) as server,
        visited(browser, server.url) as page,
    ):
        press(page, "Try the sample")
        for n in (0, 2):  # a minute passes in the second sentence, and in the fourth
            expect_heard(page, words_of(SENTENCES[n])[-1], 60)
            ahead[0] += 60
        expect_state(page, "idle", seconds=90)
        said, heard = words_of(" ".join(SENTENCES)), words_of(transcript(page))
        assert error_rate(said, heard) <= 0.1, heard
        assert (heard[0], heard[-1]) == (said[0], said[-1])
        expect(page.get_by_role("alert")).to_be_empty()
        tokens = [e.detail for e in sandbox.journal if e.name == "GET /v3/token"]
        assert [each["max_session_duration_seconds"] for each in tokens] == ["60"] * 3
        ends = [e.detail["code"] for e in sandbox.journal if e.kind == "closed"]
        assert ends == [3008, 3008, 1000]


def test_too_many_sessions_are_waited_for_and_stop_now_ends_that(browser):
    with (
        Sandbox(Scripted(["Hello there."]), sessions_per_minute=1) as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        visited(browser, server.url) as page,
    ):
        press(page, "Start")
        expect_state(page, "live")
        press(page, "Stop")
        expect_state(page, "idle")
        page.evaluate("() => { Math.random = () => 0.5; }")  # not 30 s, which would soon be 29
        press(page, "Start")
        expect(page.get_by_role("status")).to_contain_text("Too many concurrent sessions")
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"Next try in [34]\d s\."))
        press(page, "Stop")
        press(page, "Stop now")
        expect_state(page, "idle")
        expect_released(page)


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        (
            saying({"type": "Error", "error_code": 3006, "error": "Odd"}, close=1006),
            "The service says: Odd. Reload the page",
        ),
        (saying(dump(Begin("s", 1)), close=3999), "ended unexpectedly (code 3999). Try again"),
        (saying(close=1008), "The service refused the session. Try again"),
        (saying("[]", "no JSON", close=3007), "the length or the pace of the audio. Close what"),
    ],
    ids=["error-and-no-close", "unknown", "1008-bare", "3007-bare"],
)
def test_a_code_that_comes_without_words_has_its_own(browser, server, service, sentence):
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", service)
        press(page, "Start")
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text(sentence)


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        (saying(close=3009), "Too many sessions are open."),
        (saying(close=1001), "The service is shutting down, as it does when it restarts."),
        (saying(close=3005), "The service failed in the middle of the session."),
    ],
    ids=["3009", "1001", "3005-bare"],
)
def test_a_code_that_trying_again_may_help_is_told_meanwhile(browser, server, service, sentence):
    with opened(browser, server.url) as page:
        page.route_web_socket("**/v3/ws?*", service)
        held = Held(page)
        press(page, "Start")
        held.let_go()
        expect(page.get_by_role("status")).to_contain_text(f"{sentence} {KEPT}")


def test_a_service_that_answers_with_a_status_is_out_of_reach(browser, scripted, server):
    scripted.faults = Faults(refuse_connections=9, refuse_status=503)
    with visited(browser, server.url) as page:
        press(page, "Start")
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text("The service could not be reached.")


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "check the API key"), (402, "balance"), (429, "wait a minute"), (503, "has a problem")],
)
def test_a_refused_token_shows_the_hint_of_the_server(browser, scripted, server, status, hint):
    scripted.faults = Faults(token_status=status)
    with visited(browser, server.url) as page:
        press(page, "Start")
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text(re.compile(f"^No token: .*{hint}"))
        expect_released(page)


def test_a_refusal_of_the_page_s_own_server_shows_its_hint(browser, server):
    with visited(browser, server.url) as page:
        answer = {"status": 403, "json": {"code": "cross_site", "hint": "open the page itself"}}
        page.route("**/token", lambda route: route.fulfill(**answer))
        press(page, "Start")
        expect(page.get_by_role("alert")).to_have_text("No token: open the page itself")


def test_a_key_that_was_revoked_ends_a_reconnect_at_once(browser, scripted, server):
    scripted.faults = Faults(cut_after_received=30, sessions=1)

    def revoke(route):
        scripted.faults = Faults(token_status=401)
        route.continue_()

    with visited(browser, server.url) as page:
        after_first_token(page, revoke)
        press(page, "Start")
        expect_state(page, "failed")  # a minute earlier than if it were tried again
        expect(page.get_by_role("alert")).to_contain_text(
            re.compile(r"No token: .*API key.* The last \d+\.\d seconds of sound, from 0:00 on,")
        )
        assert page.locator("#log").text_content().count("Again in") == 1


def lose_the_line(page, sandbox):
    """The page has heard something; then its connection is cut, and no other is let in."""
    sandbox.faults = Faults(cut_after_audio_seconds=2.5, sessions=1)
    let_nobody_back(page, sandbox)
    press(page, "Start")
    expect_state(page, "reconnecting")


def test_stop_while_the_line_is_down_delivers_the_last_words_when_it_is_back(
    browser, scripted, server
):
    with visited(browser, server.url) as page:
        lose_the_line(page, scripted)
        press(page, "Stop")
        expect_state(page, "waiting")
        expect_released(page)
        expect(page.get_by_role("timer")).to_have_text(
            re.compile(
                r"(Next try in \d s|Trying now), giving up in [45]\d s\. "
                r"The last \d+\.\d seconds of sound, from 0:00 on, have no text yet; “Stop now” .*"
            )
        )
        scripted.faults = Faults()
        expect_state(page, "idle")
        assert transcript(page).startswith("Hello there.")
        for role in ("status", "timer", "alert"):
            expect(page.get_by_role(role)).to_be_empty()


def test_a_second_stop_ends_at_once_and_says_what_has_no_text(browser, scripted, server):
    with visited(browser, server.url) as page:
        lose_the_line(page, scripted)
        page.keyboard.press("Enter")  # the button has the focus
        expect_state(page, "waiting")
        page.keyboard.press("Enter")
        expect_state(page, "idle")
        expect(page.get_by_role("status")).to_contain_text(
            re.compile(r"^The last \d+\.\d seconds of sound, from 0:00 on, have no text\.$")
        )
        expect(page.get_by_role("timer")).to_be_empty()
        scripted.faults = Faults()
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        expect(page.get_by_role("status")).to_be_empty()
