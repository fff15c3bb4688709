"""The page in a real browser: a real server, a real sandbox, and a microphone that plays a file."""

import json
import os
import re
import shutil
import socket
import wave
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tempkit import Sandbox, Settings, TokenServer
from tempkit.certificates import make_certificate
from tempkit.sandbox import Faults, Scripted
from tempkit.server.guard import Guard
from tests.conftest import ALLOW, FAKE_DEVICE, plays
from tests.lab import STILL
from tests.relay import Relay

ROOT = Path(__file__).parent.parent
PUBLIC = ROOT / "public"
SENTENCES = [each["text"] for each in json.loads((PUBLIC / "sample.json").read_text())["sentences"]]

try:
    from playwright.sync_api import expect
except ImportError:
    if os.environ.get("TEMPKIT_REQUIRE_ALL"):
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

SECONDS = 1000  # Playwright counts in milliseconds

# What a test wants to know of the page and the page has no reason to show: its microphone tracks,
# how many samples were captured, and which states it had since it was last started.
WATCH = """
window.tracks = [];
window.captured = 0;
window.AudioWorkletNode = class extends AudioWorkletNode {
  constructor(...given) {
    super(...given);
    let isOver = false; // what comes after the last flush belongs to nobody
    this.port.addEventListener('message', ({ data }) => {
      if (data === 'flushed') isOver = true;
      else if (!isOver) window.captured += data.length;
    });
  }
};
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (constraints) => {
  const stream = await ask(constraints);
  window.tracks.push(...stream.getTracks());
  return stream;
};
addEventListener('DOMContentLoaded', () => {
  const { body, documentElement } = document;
  const note = () => {
    const { state } = body.dataset;
    const { states } = documentElement.dataset;
    documentElement.dataset.states = state === 'starting' ? state : `${states} ${state}`;
  };
  new MutationObserver(note).observe(body, { attributeFilter: ['data-state'] });
});
"""

# What Firefox does when the microphone has another rate.
REFUSE_16_KHZ = """
const source = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  if (this.sampleRate === 16000) throw new DOMException('refused', 'NotSupportedError');
  return source.call(this, stream);
};
"""

REFUSE = """
navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no reason', '{}'); }};
"""


MUTE = """isMuted => {
  const [track] = window.tracks;
  Object.defineProperty(track, 'muted', { value: isMuted, configurable: true });
  track.dispatchEvent(new Event(isMuted ? 'mute' : 'unmute'));
}"""


@pytest.fixture
def scripted():
    """A sandbox that says the same lines whatever it hears."""
    with Sandbox(Scripted(["Hello there.", "How are you?"])) as sandbox:
        yield sandbox


@pytest.fixture
def server(scripted):
    """A token server for the scripted sandbox."""
    with TokenServer(scripted.settings, port=0) as server:
        yield server


@contextmanager
def opened(browser, url, **options):
    """The page at an address, in a context of its own."""
    context = browser.new_context(**STILL, **options)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(url)
    try:
        yield page
    finally:
        context.close()


@cache
def tab(browser):
    """A tab of a browser that tests share."""
    page = browser.new_context(**STILL).new_page()
    page.add_init_script(WATCH)
    page.on("dialog", lambda dialog: dialog.accept())  # it may leave, whatever words are on it
    return page


@contextmanager
def visited(browser, url):
    """The page at an address, in a tab that was there before: a new one costs a second of CPU.

    For tests that leave it as it was: no scripts, listeners, clocks or sizes of their own.
    """
    page = tab(browser)
    page.goto(url)
    try:
        yield page
    finally:
        page.unroute_all(behavior="ignoreErrors")
        page.context.clear_cookies()
        page.goto("about:blank")


def frames_sent(page):
    """What the page sends on its sockets from now on."""
    frames = []
    page.on("websocket", lambda ws: ws.on("framesent", lambda data: frames.append(data)))
    return frames


def frames_received(page):
    """What the page receives on its sockets from now on."""
    frames = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda data: frames.append(data)))
    return frames


class Held:
    """A page's requests for a token, each kept waiting until it is let go."""

    def __init__(self, page):
        self._page = page
        self._routes = []
        page.route("**/token", self.keep)

    def keep(self, route):
        self._routes.append(route)

    def let_go(self):
        """Let one go on, once it is there: what the page says may be seen before it asks."""
        for _ in range(15 * SECONDS // 50):
            if self._routes:
                return self._routes.pop(0).continue_()
            self._page.wait_for_timeout(50)
        raise AssertionError("the page asked for no token")


def after_first_token(page, act):
    """Let the page have its first token; ``act`` does something with each later request."""
    asked = []

    def answer(route):
        asked.append(route)
        if len(asked) == 1:
            route.continue_()
        else:
            act(route)

    page.route("**/token", answer)


def let_nobody_back(page, sandbox):
    """The page has one connection; by the time it wants the next, the sandbox refuses all."""

    refused = []

    def refuse(route):
        if not refused:  # a test that lets it back in sets its own faults
            sandbox.faults = Faults(refuse_connections=10**6)
        refused.append(route)
        route.continue_()

    after_first_token(page, refuse)


def press(page, name):
    if name == "Start":
        name = re.compile("^Start( again)?$")  # whether it is the first time or not
    page.get_by_role("button", name=name, exact=True).click()


def expect_state(page, name, seconds=15):
    expect(page.locator("body")).to_have_attribute("data-state", name, timeout=seconds * SECONDS)


def expect_was(page, name, seconds=15):
    """Wait for a state that may last a moment only: it counts, too, if it is over already."""
    states = re.compile(rf"\b{name}\b")
    expect(page.locator("html")).to_have_attribute("data-states", states, timeout=seconds * SECONDS)


def expect_played(page, seconds=15):
    """Wait for the end of what was live, for however short a time."""
    expect_was(page, "live", seconds)
    expect_state(page, "idle", seconds)


def expect_words(page, words):
    """Wait for words of this session, whether they are still moving or final by now."""
    written = re.compile(re.escape(words), re.IGNORECASE)
    expect(page.locator("#transcript:not(.left-over)")).to_contain_text(written)


def expect_heard(page, words, seconds):
    """Wait for words that are recognised, however they are written."""
    written = re.compile(r"\W+".join(words.split()), re.IGNORECASE)
    expect(page.locator("#finals")).to_contain_text(written, timeout=seconds * SECONDS)


def expect_released(page):
    assert page.evaluate("window.tracks.every((track) => track.readyState === 'ended')")


def transcript(page):
    return " ".join(page.locator("#finals span").all_text_contents())


def assert_all_was_sent(page, frames):
    """What was captured was sent, in 100 ms of 16 kHz each, 50 ms or more in the last one."""
    *whole, tail = [len(frame) for frame in frames if isinstance(frame, bytes)]
    assert set(whole) == {3200}
    assert 1600 <= tail <= 3200
    sent, captured = (sum(whole) + tail) // 2, page.evaluate("window.captured")
    assert sent == captured or (tail == 1600 and 0 < sent - captured < 800)  # a filled tail


def words_of(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def error_rate(said, heard):
    """The word error rate: edits from one to the other, for each word that was said."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, actual in enumerate(heard, 1):
            last, row[j] = row[j], min(last + (expected != actual), row[j] + 1, row[j - 1] + 1)
    return row[-1] / len(said)


def test_the_words_of_the_sample_are_on_the_page_and_nothing_else_leaves_it(browser):
    with (
        Sandbox() as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        opened(browser, "about:blank") as page,
    ):
        console, hosts, frames = [], set(), frames_sent(page)
        page.on("console", lambda message: console.append(message.text))
        page.on("pageerror", lambda error: console.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda ws: hosts.add(urlsplit(ws.url).netloc))
        page.goto(server.url)
        with page.expect_response("**/token") as answer:
            press(page, "Start")
        token = answer.value.json()["token"]
        expect_state(page, "live")
        expect(page.locator("#service")).to_have_text("Sandbox, stays on this computer")
        expect_heard(page, words_of(SENTENCES[-1])[-1], 60)
        press(page, "Stop")
        expect_state(page, "idle")
        expect_released(page)

        said, heard = words_of(" ".join(SENTENCES)), words_of(transcript(page))
        assert error_rate(said, heard) <= 0.1, heard
        assert (heard[0], heard[-1]) == (said[0], said[-1])
        expect(page.locator("#partial")).to_be_empty()
        expect(page.get_by_role("alert")).to_be_empty()

        assert console == []
        assert hosts == {urlsplit(server.url).netloc}
        assert_all_was_sent(page, frames)

        stored = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
        for place in (page.content(), page.url, stored):
            assert token not in place


def test_words_spoken_while_the_token_is_on_its_way_are_not_lost(browser):
    with (
        Sandbox() as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        visited(browser, server.url) as page,
    ):
        held = Held(page)
        press(page, "Start")
        expect_state(page, "connecting")
        page.wait_for_timeout(3 * SECONDS)  # the first sentence is nearly over by then
        held.let_go()
        expect_heard(page, "city library", 15)
        press(page, "Stop")
        expect_state(page, "idle")
        heard = words_of(transcript(page))
        first = words_of(SENTENCES[0])
        assert heard[: len(first)] == first


def test_words_spoken_before_a_slow_begin_are_not_lost(browser):
    with (
        Sandbox(faults=Faults(slow_begin_seconds=2)) as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        opened(browser, "about:blank") as page,
    ):
        frames = frames_sent(page)
        page.goto(server.url)
        press(page, "Start")
        expect_state(page, "live")
        expect_heard(page, "city library", 15)
        press(page, "Stop")
        expect_state(page, "idle")
        heard, first = words_of(transcript(page)), words_of(SENTENCES[0])
        assert heard[: len(first)] == first
        assert_all_was_sent(page, frames)


def test_stop_while_connecting_still_gives_the_words_that_were_said(browser, server):
    with visited(browser, server.url) as page:
        held = Held(page)
        press(page, "Start")
        expect_state(page, "connecting")
        page.wait_for_timeout(3 * SECONDS)
        press(page, "Stop")
        expect_was(page, "finishing")
        held.let_go()
        expect_state(page, "idle")
        assert transcript(page).startswith("Hello there.")
        expect_released(page)


def test_stop_at_once_settles_and_start_works_again(browser, server):
    with visited(browser, server.url) as page:
        for _ in range(3):
            press(page, "Start")
            press(page, "Stop")
            expect_state(page, "idle")
            expect_released(page)
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        press(page, "Stop")
        expect_state(page, "idle")
        expect(page.get_by_role("alert")).to_be_empty()
        expect_released(page)


def test_a_denied_microphone_is_named_and_start_works_once_it_is_allowed(launch, server):
    with (
        launch(FAKE_DEVICE) as browser,
        opened(browser, server.url, permissions=["geolocation"]) as page,
    ):
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text("Microphone access was denied.")
        expect_state(page, "failed")
        page.context.grant_permissions(["microphone"])
        press(page, "Start")
        expect_state(page, "live")
        expect(page.get_by_role("alert")).to_be_empty()
        press(page, "Stop")
        expect_state(page, "idle")


def test_a_prompt_that_is_answered_with_no_shows_the_same_sentence_each_time(launch, server):
    flags = (f"{ALLOW}=deny", FAKE_DEVICE)
    with launch(*flags) as browser, opened(browser, server.url) as page:
        for _ in range(2):
            press(page, "Start")
            expect_state(page, "failed")
            expect(page.get_by_role("alert")).to_contain_text("Microphone access was denied.")


def test_a_computer_without_a_microphone_is_told_so(launch, server):
    with launch(ALLOW) as browser, opened(browser, server.url) as page:
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text("There is no microphone.")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (REFUSE.format("NotReadableError"), "The microphone is busy"),
        (REFUSE.format("OverconstrainedError"), "That microphone is gone."),
        (REFUSE.format("AbortError"), "The microphone cannot be used: no reason"),
    ],
    ids=["busy", "gone", "unknown"],
)
def test_each_trouble_with_the_microphone_has_its_sentence(browser, server, script, sentence):
    with opened(browser, "about:blank") as page:
        page.add_init_script(script)
        page.goto(server.url)
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect_state(page, "failed")


def framed(page, service, server, allow=""):
    """The page in a frame of another server's page."""
    service.body = f'<iframe {allow} src="{server.url}/"></iframe>'.encode()
    page.goto(service.settings.base_url)
    return page.frame_locator("iframe")


def test_a_frame_without_the_microphone_says_to_open_a_tab(browser, server, service):
    with opened(browser, "about:blank") as page:
        frame = framed(page, service, server)
        frame.get_by_role("button", name="Start").click()
        expect(frame.get_by_role("alert")).to_contain_text("Open this page in its own tab.")


def test_a_frame_that_is_given_the_microphone_hears(browser, server, service):
    with opened(browser, "about:blank") as page:
        frame = framed(page, service, server, 'allow="microphone"')
        frame.get_by_role("button", name="Start").click()
        expect(frame.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)


def test_a_microphone_that_is_silent_or_muted_is_noticed_and_named(launch, server, tmp_path):
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as silence:
        silence.setparams((1, 2, 16000, 0, "NONE", ""))
        silence.writeframes(bytes(2 * 16000))
    with launch(*plays(path)) as browser, opened(browser, server.url) as page:
        press(page, "Start")
        expect(page.get_by_role("status")).to_contain_text(
            re.compile("Your microphone is silent: .*Fake.*"), timeout=10 * SECONDS
        )
        expect_state(page, "live")
        page.evaluate(MUTE, True)
        expect(page.get_by_role("status")).to_contain_text("is muted by the system or the browser")
        page.evaluate(MUTE, False)
        # Three seconds later it is named as silent again.
        nothing_else = re.compile("^(Your microphone is silent: [^.?]*Fake.*)?$")
        expect(page.get_by_role("status")).to_have_text(nothing_else)


def test_a_browser_that_refuses_16_khz_is_heard_at_its_own_rate(browser, server):
    with opened(browser, "about:blank") as page:
        page.add_init_script(REFUSE_16_KHZ)
        addresses, frames = [], frames_sent(page)
        page.on("websocket", lambda ws: addresses.append(ws.url))
        page.goto(server.url)
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        rate = int(parse_qs(urlsplit(addresses[0]).query)["sample_rate"][0])
        assert rate > 16000
        assert len(frames[0]) == rate // 10 * 2


def test_a_failing_token_route_shows_the_hint_of_the_server(browser):
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings(api_key="any", base_url=nowhere)
        with TokenServer(settings, port=0) as server, visited(browser, server.url) as page:
            hint = httpx.get(f"{server.url}/token", trust_env=False).json()["hint"]
            press(page, "Start")
            expect(page.get_by_role("alert")).to_have_text(f"No token: {hint}")
            expect_state(page, "failed")
            expect_released(page)


def test_a_server_that_is_gone_is_named(browser, server):
    with visited(browser, server.url) as page:
        server.stop()
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text("The server of this page does not answer")
        expect_released(page)


def test_a_sandbox_that_is_gone_for_good_is_given_up_and_what_was_lost_is_said(browser):
    with (
        Sandbox(Scripted(["Hello there.", "How are you?"])) as sandbox,
        TokenServer(sandbox.settings, port=0) as server,
        opened(browser, "about:blank") as page,
    ):
        page.clock.install()  # a minute is a long time for a test
        page.goto(server.url)
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        expect(page.locator("#partial")).not_to_be_empty(timeout=15 * SECONDS)
        sandbox.stop()
        expect_state(page, "reconnecting")
        expect(page.get_by_role("status")).to_contain_text("is kept")
        for _ in range(12):
            page.clock.fast_forward(10 * SECONDS)
            page.wait_for_timeout(100)  # what the page asked for is answered
        expect_state(page, "failed")
        expect(page.get_by_role("alert")).to_contain_text(
            re.compile(r"The last \d+\.\d seconds of sound, from 0:\d\d on, have no text\.")
        )
        expect_released(page)
        expect(page.locator("#finals")).to_contain_text("Hello there.")


def test_the_refusal_of_the_service_is_told_in_its_own_words(browser, server):
    with visited(browser, server.url) as page:

        def spoil(route):
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), "token": "spent"})

        page.route("**/token", spoil)
        press(page, "Start")
        expect(page.get_by_role("alert")).to_contain_text("Unauthorized Connection")
        expect_state(page, "failed")
        expect_released(page)


def test_the_real_service_is_told_apart_and_no_other_host_is_asked(browser, server):
    with opened(browser, server.url) as page:
        grant = {"token": "t", "websocket_url": "wss://streaming.example.com/v3/ws"}
        page.route("**/token", lambda route: route.fulfill(json=grant))
        press(page, "Start")
        expect(page.locator("#service")).to_have_text("AssemblyAI, billed")
        # The policy that the server sent names another host: the browser does not look this one up.
        expect(page.get_by_role("alert")).to_contain_text("The service could not be reached.")
        expect_state(page, "failed")
        expect_released(page)


def test_leaving_the_page_terminates_the_session(browser, server):
    with opened(browser, "about:blank") as page:
        frames = frames_sent(page)
        page.goto(server.url)
        press(page, "Start")
        expect_state(page, "live")
        # The event of a real departure; the page stays, so that it can be looked at.
        page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        expect_state(page, "idle")
        assert frames[-1] == '{"type":"Terminate"}'
        expect_released(page)


def test_the_page_works_under_a_path_prefix(browser, scripted, tmp_path):
    shutil.copytree(PUBLIC, tmp_path / "user" / "ann")
    with (
        TokenServer(scripted.settings, port=0, directory=tmp_path) as server,
        opened(browser, f"{server.url}/user/ann/index.html") as page,
    ):

        def take_away_the_prefix(route):  # as a proxy does, for sockets too
            answer = route.fetch(url=f"{server.url}/token").json()
            assert answer["websocket_url"] == "v3/ws"
            route.fulfill(json=answer | {"websocket_url": "../../v3/ws"})

        page.route("**/user/ann/token", take_away_the_prefix)
        press(page, "Start")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)


def test_a_page_of_ones_own_may_have_its_scripts_and_styles_inside(browser, scripted, tmp_path):
    (tmp_path / "index.html").write_text(
        """<!doctype html><style>p { color: rgb(1, 2, 3) }</style><p style="width: 9px"></p>
        <script>document.querySelector("p").textContent = "It works"</script>"""
    )
    with (
        TokenServer(scripted.settings, port=0, directory=tmp_path) as server,
        visited(browser, server.url) as page,
    ):
        expect(page.locator("p")).to_have_text("It works")
        expect(page.locator("p")).to_have_css("color", "rgb(1, 2, 3)")
        expect(page.locator("p")).to_have_css("width", "9px")
        asked = "fetch('token').then((answer) => answer.json()).then(({ token }) => token.length)"
        assert page.evaluate(asked) > 20


def test_one_forwarded_port_is_all_that_the_page_needs(browser, scripted):
    with (
        TokenServer(scripted.settings, port=0) as server,
        Relay(server.port, []) as forwarded,  # as ssh -L does, and a container's -p
        opened(browser, "about:blank") as page,
    ):
        hosts = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).netloc))
        page.goto(forwarded.url)
        press(page, "Start")
        expect(page.locator("#service")).to_contain_text("Sandbox")
        expect(page.locator("#service")).not_to_contain_text("this computer")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        press(page, "Stop")
        expect_state(page, "idle")
        assert hosts == {urlsplit(forwarded.url).netloc}


def test_a_rebound_name_reaches_neither_the_page_nor_a_token(browser, scripted, tmp_path):
    """DNS rebinding: the attacker's page first, then its name means this machine's server."""
    (tmp_path / "index.html").write_text("<!doctype html><title>attacker</title>")
    attacker = Guard(allowed_hosts=frozenset({"rebound.example"}))
    first = TokenServer(scripted.settings, port=0, directory=tmp_path, guard=attacker).start()
    port = first.port
    with opened(browser, f"http://rebound.example:{port}/") as page:
        assert page.title() == "attacker"
        first.stop()
        with TokenServer(scripted.settings, port=port) as victim:
            ask = "path => fetch(path).then(async a => [a.status, await a.text()])"
            for path in ("/token", "/", f"/token?access={'0' * 32}"):
                status, text = page.evaluate(ask, path)
                assert status == 403
                assert '"token":' not in text
                assert victim.access_secret not in text
            # The same browser, as its owner, by the name that is the server's own.
            assert page.goto(f"{victim.page_url}/token").status == 200


def test_by_tls_another_device_speaks_to_the_sandbox_and_a_foreign_page_does_not(
    browser, scripted, tmp_path
):
    context, _ = make_certificate(tmp_path, "phone.example")
    with TokenServer(scripted.settings, host="0.0.0.0", port=0, ssl=context) as server:
        address = f"https://phone.example:{server.port}/"
        shown = f"{address}?access={server.access_secret}"
        with opened(browser, shown, ignore_https_errors=True) as page:
            press(page, "Start")
            expect(page.locator("#service")).to_contain_text("on phone.example")
            expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
            press(page, "Stop")
            expect_state(page, "idle")
        with opened(browser, "data:text/html,hello", ignore_https_errors=True) as foreign:
            socket = """(url) => new Promise((resolve) => {
                const socket = new WebSocket(url);
                socket.onopen = () => resolve('open');
                socket.onerror = () => resolve('refused');
            })"""
            for host in ("localhost", "phone.example"):
                url = f"wss://{host}:{server.port}/v3/ws?access={server.access_secret}"
                assert foreign.evaluate(socket, url) == "refused"


def test_the_secret_opens_the_page_by_another_name(browser, scripted):
    with TokenServer(scripted.settings, port=0) as server:
        address = f"http://hub.example:{server.port}/"
        with opened(browser, f"{address}?access={server.access_secret}") as page:
            assert page.url == address  # the secret is in the cookie, not in the history
            assert page.title() == "tempkit"
            press(page, "Start")  # by this name the page is not secure
            expect(page.get_by_role("alert")).to_contain_text("only on secure pages")
            assert page.evaluate("fetch('token').then(answer => answer.status)") == 200
            assert page.evaluate("document.cookie") == ""
            assert page.goto(address).status == 200
        with opened(browser, address) as page:
            assert "tempkit" not in page.title()
