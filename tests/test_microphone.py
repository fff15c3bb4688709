"""The microphone widget without a browser: its messages, and the tunnel to a real sandbox."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tempkit import (
    Clip,
    Sandbox,
    SessionParameters,
    Settings,
    TempkitError,
    TemporaryToken,
    connect,
    generate_temp_token,
)
from tempkit.sandbox import Faults, Scripted
from tempkit.widgets import Microphone
from tempkit.widgets.microphone import MOST_AT_ONCE
from tempkit.widgets.modules import as_one
from tempkit.widgets.tunnel import LONGEST_QUEUE
from tests.conftest import KEY
from tests.doubles import chunked, spoken
from tests.secret_shapes import SECRET
from tests.talking import until

RUN = "a"
OPEN = {"kind": "open", "id": "s", "sample_rate": 16000}


class Browser:
    """The other end of a microphone's comm: what it sends comes in, what comes out is kept."""

    def __init__(self, microphone: Microphone) -> None:
        self.microphone = microphone
        self.heard: list[dict] = []
        self._came = threading.Condition()
        microphone.send = self._hear  # the comm is Jupyter's, and there is none

    def say(self, kind: str, *buffers: bytes, **fields: object) -> None:
        content = {"kind": kind, **fields}
        self.microphone._handle_custom_msg(content, [memoryview(data) for data in buffers])

    def await_kind(self, kind: str, times: int = 1) -> dict:
        """The message of a kind, once it has come so often."""
        with self._came:
            came = self._came.wait_for(lambda: len(self.all(kind)) >= times, timeout=30)
        assert came, self.heard
        return self.all(kind)[times - 1]

    def all(self, kind: str) -> list[dict]:
        return [message for message in self.heard if message["kind"] == kind]

    def _hear(self, content: dict, buffers: object = None) -> None:
        json.dumps(content)
        with self._came:
            self.heard.append(content)
            self._came.notify_all()


@pytest.fixture
def microphone(settings: Settings) -> Iterator[Microphone]:
    microphone = Microphone(settings)
    yield microphone
    microphone.close()


@pytest.fixture
def browser(microphone: Microphone) -> Browser:
    return Browser(microphone)


def turn(order: int, text: str, *, final: bool = True, formatted: bool = True) -> dict:
    words = [
        {"text": w, "start": n, "end": n + 1, "confidence": 1, "word_is_final": final}
        for n, w in enumerate(text.split())
    ]
    return {
        "type": "Turn",
        "turn_order": order,
        "turn_is_formatted": formatted,
        "end_of_turn": final,
        "transcript": text,
        "end_of_turn_confidence": 1,
        "words": words,
    }


def record(browser: Browser, *turns: dict) -> None:
    browser.say("start", run=RUN)
    for each in turns:
        browser.say("turn", run=RUN, turn=each)


def test_turns_that_the_browser_tells_are_in_the_transcript(microphone: Microphone, browser):
    record(
        browser,
        turn(0, "hello there", formatted=False),
        turn(0, "Hello there."),
        turn(1, "how are you", formatted=False),
    )
    assert microphone.transcript.text == "Hello there. how are you"
    assert [each.turn_order for each in microphone.turns] == [0, 1]
    assert [word.text for word in microphone.transcript.words[:2]] == ["Hello", "there."]


def test_each_start_begins_a_new_transcript_and_what_comes_late_is_dropped(microphone, browser):
    record(browser, turn(0, "Hello."))
    browser.say("start", run="b")
    browser.say("turn", run=RUN, turn=turn(1, "Late."))
    assert microphone.transcript.text == ""
    assert microphone.state == "starting"


def test_a_callback_gets_each_turn_once_in_its_last_form(microphone: Microphone, browser: Browser):
    heard = []
    end = microphone.on_turn(lambda each: heard.append(each.transcript))
    record(browser, turn(0, "hello", formatted=False), turn(0, "Hello."), turn(0, "Hello."))
    assert heard == ["Hello."]
    browser.say("turn", run=RUN, turn=turn(1, "bye", formatted=False))
    assert heard == ["Hello."]
    browser.say("state", run=RUN, state="idle", error="")  # its formatted form never came
    assert heard == ["Hello.", "bye"]
    end()
    end()
    record(browser, turn(0, "Again."))
    assert heard == ["Hello.", "bye"]


def test_a_callback_that_fails_is_logged_and_breaks_nothing(microphone, browser, caplog):
    heard = []
    microphone.on_turn(lambda each: heard[7])
    microphone.on_turn(heard.append)
    record(browser, turn(0, "Hello."), turn(1, "Bye."))
    assert [each.transcript for each in heard] == ["Hello.", "Bye."]
    assert "IndexError" in caplog.text


def test_the_state_and_the_error_are_those_of_the_browser(microphone: Microphone, browser: Browser):
    record(browser)
    browser.say("state", run=RUN, state="failed", error="There is no microphone.")
    assert (microphone.state, microphone.error) == ("failed", "There is no microphone.")
    browser.say("start", run="b")
    assert (microphone.state, microphone.error) == ("starting", "")
    with pytest.raises(Exception, match="read-only"):
        microphone.state = "live"


def test_stop_asks_the_browser_and_a_second_page_takes_over(microphone, browser):
    microphone.stop()
    assert browser.heard == []
    record(browser)
    microphone.stop()
    assert browser.heard.pop() == {"kind": "stop", "run": RUN, "message": ""}
    browser.say("start", run="b")
    assert browser.heard.pop()["run"] == RUN


def test_a_token_is_a_message_and_in_nothing_that_is_kept(microphone, browser, sandbox):
    browser.say("token", id="q")
    grant = browser.await_kind("grant")
    assert grant["id"] == "q"
    assert grant["websocket_url"] == f"ws{sandbox.url.removeprefix('http')}/v3/ws"
    assert grant["expires_in_seconds"] == 60
    assert sandbox.journal[-1].detail["max_session_duration_seconds"] == "690"
    kept = {name: value for name, value in microphone.get_state().items() if name != "layout"}
    for place in (str(kept), repr(microphone), microphone._repr_mimebundle_()[0]["text/plain"]):
        assert grant["token"] not in place
        assert not SECRET.search(place)


def test_a_key_is_in_nothing_that_a_notebook_stores(sandbox: Sandbox):
    microphone = Microphone(Settings(KEY, sandbox.url))
    assert KEY not in str(microphone.get_state()) + repr(microphone)


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_refused_token_is_told_with_its_status(microphone, browser, sandbox, status):
    sandbox.faults = Faults(token_status=status)
    browser.say("token", id="q")
    refused = browser.await_kind("refused")
    assert (refused["id"], refused["status"]) == ("q", status)
    assert "token refused" in refused["message"]


def test_a_service_that_is_not_there_is_told_on_both_ways(microphone, browser, sandbox):
    sandbox.stop()
    browser.say("token", id="q")
    browser.say(**OPEN)
    browser.await_kind("refused", 2)
    assert {message["status"] for message in browser.all("refused")} == {503}
    assert all("cannot be reached" in message["message"] for message in browser.all("refused"))


def test_messages_that_make_no_sense_are_logged_and_break_nothing(microphone, browser, caplog):
    record(browser)
    for odd in (
        {"kind": "dance"},
        {"kind": ["dance"]},
        {"kind": "turn", "run": RUN},
        {"kind": "turn", "run": RUN, "turn": {"type": "Turn"}},
        {"kind": "turn", "run": RUN, "turn": 7},
        {"kind": "open", "id": "s", "sample_rate": 1},
        {"kind": "audio", "id": "nobody"},
    ):
        microphone._handle_custom_msg(odd, [])
    browser.say("turn", run=RUN, turn=turn(0, "Hello."))
    assert microphone.transcript.text == "Hello."
    assert "Callback" not in caplog.text


@pytest.mark.parametrize("content", ["x", 7, None, ["kind"], {"kind": ["dance"]}])
def test_what_is_no_message_is_logged(microphone: Microphone, caplog, content: object):
    microphone._receive(microphone, content, [])
    assert "unknown kind" in caplog.text


def test_fields_of_another_type_are_logged_and_end_nothing(microphone, browser, sandbox, caplog):
    record(browser)
    browser.say(**OPEN)
    browser.await_kind("opened")
    for odd in (
        {"kind": "state", "run": RUN, "state": 7, "error": ""},
        {"kind": "state", "run": RUN, "state": "live", "error": None},
        {"kind": "text", "id": "s", "text": 7},
        {"kind": "text", "id": "s", "text": ["a"]},
    ):
        microphone._receive(microphone, odd, [])
    microphone._receive(microphone, {"kind": "audio", "id": "s"}, [memoryview(bytes(10**6))])
    assert caplog.text.count("the widget got an invalid message") == 5
    browser.say("text", id="s", text='{"type": "Terminate"}')
    assert browser.await_kind("closed")["code"] == 1000
    until(lambda: not tunnels())


def test_a_turn_number_of_any_size_is_taken_at_once(microphone: Microphone, browser: Browser):
    record(browser, turn(10**15, "Hello."), turn(10**15 + 1, "Bye."))
    assert microphone.transcript.text == "Hello. Bye."


@pytest.mark.parametrize("question", [{"kind": "token"}, {"kind": "open", "sample_rate": 16000}])
def test_however_often_a_browser_asks_few_questions_are_worked_on(browser, question):
    may_go, mint = threading.Event(), browser.microphone._mint
    browser.microphone._mint = lambda: may_go.wait(30) and mint()
    for name in range(50):
        browser.say(**question, id=str(name))
    assert len(browser.all("refused")) == 50 - MOST_AT_ONCE
    assert browser.all("refused")[0]["status"] == 429
    may_go.set()
    until(lambda: len(browser.all("grant") + browser.all("opened")) == MOST_AT_ONCE)
    browser.microphone._close_tunnel()
    until(lambda: not tunnels())
    browser.say("token", id="later")
    until(lambda: any(each["id"] == "later" for each in browser.all("grant")))


@pytest.mark.parametrize("question", [{"kind": "token"}, {"kind": "open", "sample_rate": 16000}])
def test_a_defect_on_the_way_to_a_token_is_told_too(settings, caplog, question):
    class Broken(Microphone):
        def _mint(self) -> TemporaryToken:
            raise KeyError("a header, and in it " + KEY)

    microphone = Broken(settings)
    browser = Browser(microphone)
    for name in range(MOST_AT_ONCE + 1):  # each is over before the next
        browser.say(**question, id=str(name))
        refused = browser.await_kind("refused", name + 1)
        assert (refused["status"], KEY in refused["message"]) == (500, False)
    assert "KeyError in" in caplog.text
    assert KEY not in caplog.text
    microphone.close()


def test_what_is_no_callback_is_refused(microphone: Microphone):
    with pytest.raises(TypeError, match="a function that receives a turn"):
        microphone.on_turn(None)


def test_the_kernel_carries_a_session_for_a_browser_that_cannot(microphone, browser, sandbox):
    browser.say(**OPEN)
    browser.await_kind("opened")
    assert json.loads(browser.await_kind("message")["text"])["type"] == "Begin"
    for chunk in chunked(spoken(4)):
        browser.say("audio", chunk, id="s")
    browser.say("text", id="s", text='{"type": "Terminate"}')
    closed = browser.await_kind("closed")
    assert (closed["id"], closed["code"]) == ("s", 1000)
    said = [json.loads(message["text"]) for message in browser.all("message")]
    assert said[-1]["type"] == "Termination"
    assert any(each.get("transcript") == "Hello there." for each in said)
    assert not any("token" in message for message in browser.heard)
    until(lambda: not tunnels())


def test_that_a_page_is_there_is_no_news_to_the_service(browser, sandbox):
    browser.say(**OPEN)
    browser.await_kind("opened")
    browser.say("alive", id="s")
    browser.say("alive", id="of a socket that is gone")
    browser.say("text", id="s", text='{"type": "Terminate"}')
    assert browser.await_kind("closed")["code"] == 1000
    received = [entry.name for entry in sandbox.journal if entry.kind == "received"]
    assert received == ["Terminate"]


def test_audio_that_waited_for_a_cell_does_not_reach_the_service_at_once(settings, browser):
    with Sandbox(Scripted(["Yes."]), most_ahead_seconds=4) as strict:
        browser.microphone._settings = strict.settings
        browser.say(**OPEN)
        browser.await_kind("opened")
        for chunk in chunked(spoken(2)):
            browser.say("audio", chunk, id="s")
        browser.say("text", id="s", text='{"type": "Terminate"}')
        assert browser.await_kind("closed")["code"] == 1000


@pytest.mark.parametrize("way", ["close", "start", "state", "gone"])
def test_a_tunnel_ends_with_what_it_is_for(microphone, browser, sandbox, way):
    record(browser)
    browser.say(**OPEN)
    browser.await_kind("opened")
    match way:
        case "close":
            browser.say("close", id="s")
        case "start":
            browser.say("start", run="b")
        case "state":
            browser.say("state", run=RUN, state="idle", error="")
        case "gone":
            microphone.close()
    until(lambda: not tunnels())
    until(lambda: sandbox.journal[-1].kind == "closed")


def test_a_tunnel_whose_session_the_service_refuses_says_why(microphone, browser, sandbox):
    sandbox.faults = Faults(cut_after_received=5)
    browser.say(**OPEN)
    browser.await_kind("opened")
    for chunk in chunked(spoken(2)):
        browser.say("audio", chunk, id="s")
    assert browser.await_kind("closed")["code"] == 1006
    until(lambda: not tunnels())


def test_a_close_of_the_service_comes_with_its_code(microphone, browser, sandbox):
    sandbox.faults = Faults(cancel_after_received=5, sessions=1)
    browser.say(**OPEN)
    browser.await_kind("opened")
    for chunk in chunked(spoken(2)):
        browser.say("audio", chunk, id="s")
    assert browser.await_kind("closed")["code"] == 3005
    spent = generate_temp_token(settings=sandbox.settings)
    connect(sandbox.settings, token=spent).close()
    microphone._mint = lambda: TemporaryToken(str(spent), expires_at=0, expires_in_seconds=60)
    browser.say(**OPEN)
    assert browser.await_kind("closed", 2)["code"] == 1008
    until(lambda: not tunnels())


def test_a_tunnel_that_is_closed_sends_nothing_that_waits(microphone, browser, sandbox):
    browser.say(**OPEN)
    browser.await_kind("opened")
    for chunk in chunked(spoken(20)):  # half a minute, at twice the speed of sound
        browser.say("audio", chunk, id="s")
    browser.say("close", id="s")
    until(lambda: not tunnels())


def test_a_tunnel_that_cannot_keep_up_does_not_end_as_if_all_were_said(browser, sandbox):
    browser.say(**OPEN)
    browser.await_kind("opened")
    for _ in range(LONGEST_QUEUE + 100):
        browser.say("audio", bytes(3200), id="s")
    assert browser.await_kind("closed")["code"] == 1006
    until(lambda: not tunnels())


def test_a_name_that_is_used_again_leaves_no_tunnel_behind(microphone, browser, sandbox):
    browser.say(**OPEN)
    browser.await_kind("opened")
    browser.say(**OPEN)
    browser.await_kind("closed")
    browser.await_kind("opened", 2)
    microphone.close()
    until(lambda: not tunnels())


@pytest.mark.parametrize("end", ["close", "stop"])
def test_a_microphone_that_goes_while_its_tunnel_opens_leaves_no_thread(settings, sandbox, end):
    sandbox.faults = Faults(slow_begin_seconds=1, token_delay_seconds=0.3)
    microphone = Microphone(settings)
    browser = Browser(microphone)
    record(browser)
    browser.say(**OPEN)
    microphone.close() if end == "close" else browser.say("close", id="s")
    until(lambda: not tunnels())


def tunnels() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("tempkit tunnel")]


def test_parameters_go_with_the_grant_and_with_the_tunnel(settings: Settings, sandbox: Sandbox):
    microphone = Microphone(settings, SessionParameters(speech_model="u3-rt-pro"))
    browser = Browser(microphone)
    browser.say("token", id="q")
    assert browser.await_kind("grant")["parameters"]["speech_model"] == "u3-rt-pro"
    browser.say("open", id="s", sample_rate=48_000)
    browser.await_kind("opened")
    until(lambda: any(entry.kind == "opened" for entry in sandbox.journal))
    (opened,) = [entry.detail for entry in sandbox.journal if entry.kind == "opened"]
    assert (opened["speech_model"], opened["sample_rate"]) == ("u3-rt-pro", "48000")
    microphone.close()


@pytest.mark.parametrize("seconds", [0, 20_000, 1.5])
def test_a_cap_out_of_range_is_refused(settings: Settings, seconds: int):
    with pytest.raises(ValueError, match="max_seconds takes a whole number from 1 to 10000"):
        Microphone(settings, max_seconds=seconds)


def test_without_a_front_end_it_is_a_line_of_text(microphone: Microphone, browser: Browser):
    assert repr(microphone) == "<Microphone, idle>"
    record(browser, turn(0, "Hello."))
    assert repr(microphone) == "<Microphone, starting: Hello.>"
    data, _ = microphone._repr_mimebundle_()
    assert data["text/plain"] == repr(microphone)


def test_the_text_for_the_browser_has_every_module_after_what_it_imports():
    head = as_one("widget/widget.js").split("\n", 1)[0]
    modules = json.loads(head.removeprefix("const MODULES = ").removesuffix(";"))
    names = list(modules)
    for name, text in modules.items():
        for line in text.splitlines():
            if line.startswith(("import ", "} from ")):
                other = line.rsplit("'", 2)[1].removeprefix("module:")
                assert names.index(other) < names.index(name), (name, other)
    assert {"page/run.js", "session/conversation.js", "sound/microphone.js"} <= set(names)
    assert names.index("sound/worklet.js") < names.index("sound/microphone.js")


def test_without_anywidget_the_missing_extra_is_named():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import tempkit\n"
        "try:\n    import tempkit.widgets\n"
        "except tempkit.ConfigurationError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert 'pip install "anywidget>=0.9"' in done.stdout, done.stderr


def test_a_clip_speaks_in_place_of_the_microphone(sandbox: Sandbox, microphone: Microphone):
    browser, heard = Browser(microphone), []
    microphone.on_turn(heard.append)
    clip = Clip(spoken(1), 16000)
    assert microphone.play(clip).text == microphone.transcript.text == "Hello there."
    assert [turn.transcript for turn in heard] == ["Hello there."]
    played = browser.all("played")
    assert [message["state"] for message in (played[0], played[-1])] == ["starting", "idle"]
    assert "Hello there." in [(message["turn"] or {}).get("transcript") for message in played]
    assert {message["run"] for message in played} != {""}
    microphone.play(clip)
    assert len(heard) == 2  # the transcript begins anew, the callbacks stay


def test_a_clip_ends_with_start_and_with_stop(sandbox: Sandbox, microphone: Microphone):
    browser, long = Browser(microphone), Clip(spoken(60), 16000)
    for say in (lambda: browser.say("start", run=RUN), lambda: browser.say("stop")):
        before = len(browser.all("played"))
        playing = threading.Thread(target=microphone.play, args=(long,))
        playing.start()
        until(lambda: any(each["turn"] for each in browser.all("played")[before:]))  # noqa: B023
        say()
        playing.join(30)
        assert not playing.is_alive()


def test_a_clip_that_the_service_does_not_hear_fails_the_widget_too(
    sandbox: Sandbox, microphone: Microphone
):
    sandbox.faults = Faults(refuse_connections=9, refuse_status=403)
    with pytest.raises(TempkitError):
        microphone.play(Clip(spoken(1), 16000))
    assert (microphone.state, "403" in microphone.error) == ("failed", True)
    with pytest.raises(TypeError, match="clip takes a Clip"):
        microphone.play("memo.m4a")
