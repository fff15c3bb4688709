"""Keys and tokens are never shown: not in a repr, a log, an error, nor in a notebook's output."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tempkit import (
    Sandbox,
    Settings,
    TempkitError,
    TokenServer,
    connect,
    generate_temp_token,
    transcribe,
)
from tempkit.sandbox import Scripted
from tempkit.sound.clip import Clip
from tests.conftest import KEY
from tests.doubles import AnsweringService, spoken
from tests.secret_shapes import SECRET, check_outputs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def everything_logged() -> io.StringIO:
    """All that any logger says, at its most talkative."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_pattern_finds_what_it_is_for():
    with Sandbox(Scripted(["Yes."]), realtime=False) as sandbox:
        token = generate_temp_token(settings=sandbox.settings)
    assert SECRET.search(f"token={token}")
    assert SECRET.search(f"key {KEY} end")


def test_a_whole_session_with_every_logger_open_shows_no_secret(
    everything_logged: io.StringIO, capsys: pytest.CaptureFixture[str]
):
    with Sandbox(Scripted(["Yes."]), realtime=False, api_keys=frozenset({KEY})) as sandbox:
        settings = sandbox.settings
        token = generate_temp_token(settings=settings)
        with TokenServer(settings, port=0) as server, connect(settings, token=token) as session:
            list(session.stream([spoken(1)], realtime=False))
            print([settings, sandbox, server, session, token, session.transcript])
            print(server._repr_html_())
        transcribe(Clip(spoken(1), 16000), settings, realtime=False)
    shown = everything_logged.getvalue() + capsys.readouterr().out
    assert "connect_tcp" in shown
    assert "Server is running" in shown
    assert KEY not in shown
    assert token not in shown
    assert not SECRET.search(shown)


@pytest.mark.parametrize("status", [200, 401, 422, 429, 500])
def test_no_failure_shows_a_secret(
    service: AnsweringService, everything_logged: io.StringIO, status: int
):
    service.status, service.body = status, f'{{"error": "about {KEY}"}}'.encode()
    with pytest.raises(TempkitError) as caught:
        generate_temp_token(settings=service.settings)
    error = caught.value
    shown = f"{error!r} {error} {error.__dict__} {everything_logged.getvalue()}"
    assert KEY not in shown


def test_no_connection_failure_shows_a_secret(everything_logged: io.StringIO):
    with Sandbox(Scripted(["Yes."]), realtime=False) as sandbox:
        token = generate_temp_token(settings=sandbox.settings)
    for attempt in (
        lambda: generate_temp_token(settings=Settings(KEY, "http://127.0.0.1:9")),
        lambda: connect(Settings(KEY, "http://127.0.0.1:9"), token=token),
    ):
        with pytest.raises(TempkitError) as caught:
            attempt()
        chain, error = "", caught.value
        while error is not None:
            chain += f"{error!r} {error}"
            error = error.__cause__ or error.__context__
        assert not SECRET.search(chain + everything_logged.getvalue())


FAILING = """
import os, socket, threading
import pytest
from tempkit import SessionParameters, Settings, connect, generate_temp_token
from tempkit.config import default_settings
from tempkit.wsgi import Application
from tests.doubles import AnsweringService

KEY = "ASSEMBLYAI_API_KEY"

def ask(answer, status=200):  # KEY stands for the key
    with AnsweringService() as service:
        service.status, service.body = status, answer.replace(b"KEY", os.environb[KEY.encode()])
        generate_temp_token(settings=Settings.from_env(base_url=service.settings.base_url))

def test_a_number_of_the_guard(monkeypatch):
    monkeypatch.setenv("TEMPKIT_RATE_CLIENT", "many")
    Application(Settings.from_env())

def test_refused():
    generate_temp_token(settings=Settings.from_env(base_url="http://127.0.0.1:9"))

def test_hung_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        generate_temp_token(settings=Settings.from_env(base_url=url))

def test_late():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        generate_temp_token(settings=Settings.from_env(base_url=url, timeout=0.2))

def test_no_http():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            with server.accept()[0] as line:
                line.recv(9999), line.sendall(b"SSH-2.0")
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        generate_temp_token(settings=Settings.from_env(base_url=url))

def test_repeated():
    ask(b'{"error": "not KEY"}', 401)

def test_no_token():
    ask(b'{"token": ["KEY"]}')

def test_no_json():
    ask(b"KEY")

def test_far_too_long():
    ask(b"KEY" * 3000)

def test_strange_key(monkeypatch):
    monkeypatch.setenv(KEY, os.environ[KEY] + "'")
    generate_temp_token()

def test_wrong_address(monkeypatch):
    monkeypatch.setenv("ASSEMBLYAI_BASE_URL", "ws://nowhere")
    default_settings()

def test_address_alone(monkeypatch):
    Settings.from_env(base_url="nowhere")

@pytest.mark.parametrize("proxy", ["", "https://", "socks5://", "http://"])
def test_proxy(monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy + "ann:" + os.environ[KEY] + "@127.0.0.1:9")
    generate_temp_token()

def test_session_refused():
    hook = SessionParameters(webhook_auth_header_value=os.environ[KEY])
    connect(Settings.from_env(base_url="http://127.0.0.1:9"), hook, token=os.environ[KEY])

def test_no_session():
    with AnsweringService() as service:
        connect(Settings.from_env(base_url=service.settings.base_url), token=os.environ[KEY])
"""


@pytest.mark.parametrize(
    "options",
    [
        "",
        pytest.param("-l -vv --full-trace", marks=pytest.mark.lab),
        "-l --tb=short",
        "--tb=native",
    ],
    ids=["plain", "everything", "short", "native"],
)
def test_what_pytest_prints_of_a_failing_request_shows_no_secret(tmp_path: Path, options: str):
    (tmp_path / "test_failing.py").write_text(FAILING)
    unused = ("-p", "no:cacheprovider", "-p", "no:nbmake")  # the second takes a second to load
    command = (sys.executable, "-m", "pytest", *unused, *options.split())
    environment = os.environ | {"ASSEMBLYAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "18 failed" in done.stdout, done.stdout
    assert "ServiceUnreachable" in done.stdout
    shown = [line for line in (done.stdout + done.stderr).splitlines() if KEY in line]
    assert shown == []


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream", "name": "stdout", "text": f"the key is {KEY}"},
        {"output_type": "execute_result", "data": {"text/html": f"<b>{KEY}</b>"}},
        {"output_type": "error", "traceback": ["at", f"key={KEY}"], "evalue": "", "ename": "E"},
    ],
    ids=lambda output: output["output_type"],
)
def test_a_notebook_that_shows_a_key_is_found_out(output: dict):
    # Every notebook that nbmake runs is looked through, see conftest.py.
    with pytest.raises(AssertionError):
        check_outputs({"cells": [{"outputs": [output]}]})
    check_outputs({"cells": [{"source": "no outputs"}, {"outputs": [{"text": "64 words"}]}]})


def test_no_committed_text_holds_a_secret():
    for folder in ("tempkit", "public", "notebooks", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".js", ".html", ".ipynb", ".json", ""}:
                for found in SECRET.findall(path.read_text()):
                    assert found == "", path
