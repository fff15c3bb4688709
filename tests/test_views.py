"""The notebook views without a browser: real streams, real servers, what goes to the page."""

import math
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import httpx
import pytest
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets import Button, Widget
from ipywidgets.widgets.widget import _instances
from traitlets.config import Config

from tempkit import (
    Clip,
    ConfigurationError,
    Reconnect,
    Sandbox,
    ServiceUnreachable,
    SessionClosed,
    Settings,
    TemporaryToken,
    TokenServer,
    Transcript,
    Turn,
    connect,
    generate_temp_token,
    pictures,
)
from tempkit.sandbox import Faults, Scripted
from tempkit.server.addresses import PREFIX_VARIABLE
from tempkit.widgets import TokenView, TranscriptView
from tempkit.widgets.service_view import ServiceView
from tests.doubles import chunked, our_threads, silence, spoken, tone
from tests.secret_shapes import SECRET
from tests.talking import until

LONG = Clip(spoken(20), 16000).chunks()


def text_of(widget: Widget) -> str:
    """What a view shows, as text."""
    inner = "\n".join(text_of(child) for child in getattr(widget, "children", ()))
    shown = getattr(widget, "value", None) or getattr(widget, "description", "")
    return re.sub(r"<[^>]+>", "", f"{shown}\n{inner}")


def html_of(widget: Widget) -> str:
    return str(widget.get_state()) + "".join(map(html_of, getattr(widget, "children", ())))


def button_of(widget: Widget) -> Button | None:
    inner = (button_of(child) for child in getattr(widget, "children", ()))
    return widget if isinstance(widget, Button) else next((b for b in inner if b), None)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: our_threads() == [])


def test_a_view_shows_the_words_of_a_stream_and_waits_for_them(settings: Settings):
    messages: list[object] = []
    stream = connect(settings).stream(Clip(spoken(3), 16000).chunks(), realtime=False)
    view = TranscriptView().watch(stream, messages.append)
    assert view.wait(20).text == "Hello there. My name is Ada. How are you today?"
    until(lambda: "Finished" in text_of(view.widget))
    shown = text_of(view.widget)
    assert "7.8 of 7.8 s, 10 words" in shown
    assert "0:02.8My name is Ada." in shown
    assert button_of(view.widget).disabled
    assert any(isinstance(message, Turn) for message in messages)


def test_the_stop_button_ends_the_audio_and_keeps_the_words(settings: Settings, sandbox: Sandbox):
    view = TranscriptView().watch(connect(settings).stream(LONG))
    until(lambda: "Hello there." in text_of(view.widget))
    button_of(view.widget).click()
    transcript = view.wait(10)
    assert transcript.text.startswith("Hello there.")
    assert transcript.partial == ""
    until(lambda: "Stopped" in text_of(view.widget))
    assert view.is_stopped
    until(lambda: sandbox.journal[-1].kind == "closed")
    assert sandbox.journal[-1].detail["code"] == 1000
    assert view.transcript is transcript


def test_what_comes_from_outside_is_escaped():
    with Sandbox(Scripted(["<script>alert(1)</script>"]), realtime=False) as sandbox:
        stream = connect(sandbox.settings).stream([spoken(1)], realtime=False)
        view = TranscriptView().watch(stream)
        transcript = view.wait(20)
        until(lambda: "Finished" in text_of(view.widget))
        for shown in (html_of(view.widget), transcript._repr_html_(), html_of(_seen(sandbox))):
            assert "&lt;script&gt;" in shown
            assert "<script>" not in shown


def _seen(sandbox: Sandbox) -> Widget:
    view = ServiceView(sandbox)
    sandbox.stop()
    return view.widget


def test_watching_again_stops_the_stream_before(settings: Settings, sandbox: Sandbox):
    view = TranscriptView().watch(connect(settings).stream(LONG))
    view.watch(connect(settings).stream([spoken(1)], realtime=False))
    assert view.wait(20).text == "Hello there."
    until(lambda: sum(entry.kind == "closed" for entry in sandbox.journal) == 2)
    assert {entry.detail["code"] for entry in sandbox.journal if entry.kind == "closed"} == {1000}


def test_a_view_that_is_closed_ends_its_stream(settings: Settings):
    view = TranscriptView().watch(connect(settings).stream(LONG))
    view.close()
    view.wait(10)


def test_a_lost_connection_is_told_in_words(settings: Settings, sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_received=12, sessions=1)
    view = TranscriptView().watch(connect(settings).stream(chunked(spoken(1)), realtime=False))
    assert view.wait(20).text == "Hello there."
    until(lambda: "Finished" in text_of(view.widget))
    shown = text_of(view.widget)
    assert "the connection was lost (session closed 1006: no reason given)" in shown
    assert "reconnected after" in shown


def test_the_picture_of_a_stream_names_each_kind_of_thing_once(
    settings: Settings, sandbox: Sandbox
):
    sandbox.faults = Faults(cut_after_received=12, sessions=1)
    view = TranscriptView().watch(connect(settings).stream(chunked(spoken(1)), realtime=False))
    view.wait(20)
    shown = view.timeline()._repr_html_()
    for name in ("When each word was spoken", ">sent<", ">final text<", ">connection lost<"):
        assert shown.count(name) == (2 if name.startswith("When") else 1)  # a title is a label, too
    assert shown.count(">sent again<") == 1
    assert repr(view.timeline()).endswith("losses: 1>")
    assert ">connection lost<" not in TranscriptView().timeline()._repr_html_()


def test_what_ends_a_stream_is_shown_and_raised_by_wait(settings: Settings, sandbox: Sandbox):
    sandbox.faults = Faults(cancel_after_received=5)
    view = TranscriptView().watch(connect(settings, reconnect=False).stream(LONG))
    with pytest.raises(SessionClosed, match="session closed 3005"):
        view.wait(10)
    until(lambda: "Failed session closed 3005" in text_of(view.widget))


def test_a_session_that_is_left_too_early_is_said(settings: Settings):
    with connect(settings) as session:
        view = TranscriptView().watch(session.stream(LONG))
    view.wait(10)
    until(lambda: "closed too early" in text_of(view.widget))


def test_waiting_is_bounded_and_needs_something_to_wait_for(settings: Settings):
    with pytest.raises(ValueError, match="nothing to wait for"):
        TranscriptView().wait()
    with pytest.raises(TypeError, match="takes what session"):
        TranscriptView().watch([])
    view = TranscriptView().watch(connect(settings).stream(LONG))
    with pytest.raises(TimeoutError, match="still running after 0 s"):
        view.wait(0)
    view.stop()
    view.wait(10)


def test_a_stream_has_one_view_at_a_time(settings: Settings):
    stream = connect(settings).stream([spoken(1)], realtime=False)
    view = TranscriptView().watch(stream)
    for other in (view, TranscriptView()):
        with pytest.raises(ValueError, match="already has a view"):
            other.watch(stream)
    assert view.wait(20).text == "Hello there."


def test_a_wait_ends_when_the_source_and_the_callback_fail(settings: Settings):
    heard = threading.Event()

    def source() -> Iterator[bytes]:
        yield spoken(1)
        heard.wait(10)
        raise OSError("no audio")

    def fail(_: object) -> None:
        heard.set()
        until(lambda: "tempkit source" not in our_threads())
        raise KeyError("callback")

    view = TranscriptView().watch(connect(settings).stream(source()), fail)
    with pytest.raises(OSError, match="no audio"):
        view.wait(20)


def test_closing_a_stream_raises_what_its_source_raised(settings: Settings):
    heard = threading.Event()

    def source() -> Iterator[bytes]:
        yield from chunked(spoken(1))
        heard.wait(10)
        raise ValueError("the device is gone")

    stream = connect(settings).stream(source(), realtime=False)
    next(stream)
    heard.set()
    until(lambda: "tempkit source" not in our_threads())
    with pytest.raises(ValueError, match="the device is gone"):
        stream.close()


def test_a_stream_is_closed_before_it_began_and_while_another_thread_reads(settings: Settings):
    session = connect(settings)
    session.stream(LONG).close()
    with pytest.raises(SessionClosed, match="the session has ended"):
        session.send_audio(spoken(1))

    stream = connect(settings).stream(LONG)
    reading = threading.Thread(target=list, args=(stream,))
    reading.start()
    until(lambda: stream.sent_seconds)
    stream.close()
    reading.join(10)
    assert not reading.is_alive()
    assert stream.sent_seconds < stream.total_seconds


def test_a_stream_of_a_session_that_is_closed_is_over(settings: Settings):
    session = connect(settings)
    stream = session.stream(LONG)
    session.close()
    view = TranscriptView().watch(stream)
    assert view.wait(10).text == ""
    until(lambda: "closed too early" in text_of(view.widget))


def test_a_view_that_is_closed_is_shown_as_text(settings: Settings):
    views = [TranscriptView(), TokenView(generate_temp_token(60, settings=settings))]
    for view in views:
        assert "application/vnd.jupyter.widget-view+json" in view._repr_mimebundle_()
        view.close()
        assert view._repr_mimebundle_() == {"text/plain": repr(view)}


def test_interrupting_the_wait_stops_the_stream(settings: Settings):
    view = TranscriptView().watch(connect(settings).stream(LONG))
    main = threading.main_thread().ident

    def waits() -> bool:
        stack = traceback.extract_stack(sys._current_frames()[main])
        return stack[-1].filename == threading.__file__ and "ended.wait" in stack[-3].line

    def interrupt() -> None:
        until(waits)  # or it would be pytest that is interrupted
        signal.pthread_kill(main, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupting.start()
        view.wait(20)
    interrupting.join()
    assert view.is_stopped
    view.wait(10)


def test_a_tokens_life_is_shown_and_the_token_is_not(settings: Settings):
    token = generate_temp_token(60, settings=settings)
    before = token.seconds_left()
    view = TokenView(token)
    shown = re.search(r"(\d+) of 60 s left", text_of(view.widget))
    assert math.ceil(token.seconds_left()) <= int(shown[1]) <= math.ceil(before) <= 60
    connect(settings, token=token).close()
    until(lambda: "spent" in text_of(view.widget))
    assert token not in html_of(view.widget)
    view.close()


def test_a_token_that_was_refused_says_why(settings: Settings):
    spent = generate_temp_token(60, settings=settings)
    connect(settings, token=spent).close()
    copy = TemporaryToken(str(spent), expires_at=spent.expires_at, expires_in_seconds=60)
    view = TokenView(copy)
    with pytest.raises(SessionClosed):
        connect(settings, token=copy)
    until(lambda: "refused: Unauthorized Connection: Token has already" in text_of(view.widget))


def test_a_token_that_nobody_used_expires():
    token = TemporaryToken("t", expires_at=time.time() - 1, expires_in_seconds=60)
    assert "expired: its 60 s are up" in text_of(TokenView(token).widget)
    with pytest.raises(TypeError, match="not a string"):
        TokenView("a plain string")


def test_a_server_shows_its_requests_without_secrets_and_can_be_stopped(settings: Settings):
    secret = "AQI" + 50 * "x1"
    with TokenServer(settings, port=0) as server:
        view = ServiceView(server)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            client.get("/token")
            client.get(f"/{secret}?token={secret}")
        until(lambda: "/***" in text_of(view.widget))
        shown = text_of(view.widget)
        assert re.search(r"GET/token200\d+", shown)
        assert re.search(r"GET/\*\*\*\.\.\.404\d+", shown)
        assert f"{server.page_url}" in shown
        assert not SECRET.search(shown)
        button_of(view.widget).click()
        until(lambda: not server.is_running)
        until(lambda: button_of(view.widget).description == "Stopped")


def test_a_sandbox_shows_its_sessions_and_the_newest_lines_of_its_journal(sandbox: Sandbox):
    view = ServiceView(sandbox)
    session = connect(sandbox.settings)
    until(lambda: "1 session open" in text_of(view.widget))
    session.send_audio(spoken(1))
    assert session.terminate().text == "Hello there."
    until(lambda: "0 sessions open" in text_of(view.widget))
    until(lambda: "closed WebSocketcode=1000" in text_of(view.widget))
    sandbox.stop()


def test_a_service_is_plain_text_outside_a_notebook(sandbox: Sandbox):
    assert sandbox._repr_mimebundle_() == {}
    assert sandbox.url in sandbox._repr_html_()


def test_without_ipywidgets_a_service_is_plain_and_a_view_says_what_to_install():
    code = """
import sys
sys.modules["ipywidgets"] = None
from tempkit import Sandbox
from tempkit.sandbox import Scripted
print(Sandbox(Scripted(["Hello."]))._repr_mimebundle_())
import tempkit.widgets
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "{}\n"
    assert 'needs ipywidgets; install it: pip install "anywidget>=0.9"' in done.stderr


def test_no_widget_of_any_view_holds_a_secret(settings: Settings):
    token = generate_temp_token(60, settings=settings)
    with TokenServer(settings, port=0) as server:
        httpx.get(f"{server.url}/token", trust_env=False)
        views = [TokenView(token), ServiceView(server)]
        stream = connect(settings, token=token).stream([spoken(1)], realtime=False)
        view = TranscriptView().watch(stream)
        view.wait(20)
        until(lambda: "/token" in text_of(views[1].widget))
        states = [str(widget.get_state()) for widget in list(_instances.values())]
        shown = "".join(states) + repr([view, *views]) + str(view._repr_mimebundle_())
        assert len(states) > 10
        assert token not in shown
        assert server.access_secret not in shown
        assert not re.search(r"sandbox-[\w=-]{20,}", shown)
        views[0].close()


def test_on_a_hub_without_a_name_no_view_holds_the_access_secret(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX_VARIABLE, '/user/"a<i>/')
    with TokenServer(settings, port=0) as server:
        view = ServiceView(server)
        shown = (html_of(view.widget), repr(server), server._repr_html_())
        assert server.access_secret in server.browser_url
        assert all(server.access_secret not in each and "<i>" not in each for each in shown)
        assert f"/proxy/{server.port}/" in text_of(view.widget)
    with pytest.raises(ConfigurationError, match="not running"):
        assert server.link


def test_a_transcript_is_shown_with_its_times(settings: Settings):
    with connect(settings) as session:
        list(session.stream([spoken(2)], realtime=False))
    shown = re.sub(r"<[^>]+>", "", session.transcript._repr_html_())
    assert shown == "0:00.3Hello there.0:02.8My name is Ada."
    assert repr(session.transcript) == "<Transcript, 2 turns, 6 words>"
    assert "nothing was said" in Transcript()._repr_html_()


def test_a_clip_can_be_seen_and_played_of_a_long_one_the_beginning():
    shown = Clip(silence(500) + tone(500), 16000)._repr_html_()
    assert '<audio controls src="data:audio/wav;base64,UklGR' in shown
    assert "0:01.0, 16000 Hz" in shown
    assert shown.count("v0.8") > 100  # half of the bars are silence
    long = Clip(bytes(16000 * 2 * 90), 16000)._repr_html_()
    assert "the first 66 s of 1:30.0, 16000 Hz" in long
    assert len(long) < 3_000_000
    assert Clip(b"", 16000)._repr_html_()


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


def test_a_service_that_is_shown_often_has_one_view(shell: InteractiveShell, sandbox: Sandbox):
    shell.kernel = None  # it looks like a notebook's
    shown = {str(sandbox._repr_mimebundle_()) for _ in range(20)}
    assert len(shown) == 1
    assert our_threads() == ["tempkit view"]
    for widget in list(_instances.values()):
        widget.close()
    assert str(sandbox._repr_mimebundle_()) not in shown
    sandbox.stop()
    until(lambda: our_threads() == [])
    with sandbox:
        again = sandbox._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"]
        view = _instances[again["model_id"]]
        assert "running" in text_of(view)


def test_a_long_error_breaks_between_its_reason_and_its_advice():
    reason = "Unauthorized Connection: Token has already been used"
    first, _ = SessionClosed(1008, reason, "take a fresh token")._render_traceback_()
    assert first.splitlines()[1:] == ["take a fresh token"]


def test_what_was_heard_is_marked_where_it_differs_from_what_was_said():
    shown = pictures.comparison("the reading room opens", "the <b> reading opens now")
    plain = re.sub(r' style="[^"]*"', "", shown)
    assert "the <ins>&lt;b&gt;</ins> reading <del>room</del> opens <ins>now</ins>" in plain


def test_an_error_of_ours_is_a_line_in_a_notebook_and_can_be_had_whole(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    shell.user_ns |= {"connect": connect, "settings": Settings("key", "http://127.0.0.1:9")}
    result = shell.run_cell("connect(settings, token='t')")
    assert isinstance(result.error_in_exec, ServiceUnreachable)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) <= 3
    assert "cannot be reached" in lines[0]
    assert lines[-1] == "(%tb Plain shows where it was raised)"
    shell.run_line_magic("tb", "Plain")
    whole = capsys.readouterr().out
    assert "Traceback (most recent call last)" in whole
    assert "connect(settings, token='t')" in whole


def test_a_stream_says_how_far_it_is_and_is_stopped_from_another_thread(settings: Settings):
    with connect(settings, reconnect=Reconnect()) as session:
        stream = session.stream(LONG)
        assert (stream.sent_seconds, stream.is_stopped, stream.session) == (0.0, False, session)
        for message in stream:
            if isinstance(message, Turn) and message.end_of_turn:
                threading.Thread(target=stream.stop).start()
    assert stream.is_stopped
    assert 1.0 < stream.sent_seconds < stream.total_seconds
    assert session.transcript.partial == ""
    stream.stop()  # once more does nothing
