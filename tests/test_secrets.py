"""Keys and tokens are never shown: not in a repr, a log, an error, nor in a notebook's output."""

import io
import logging
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
from tempkit.streaming.clip import Clip
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
    with Sandbox(Scripted(["Yes."])) as sandbox:
        token = generate_temp_token(settings=sandbox.settings)
    assert SECRET.search(f"token={token}")
    assert SECRET.search(f"key {KEY} end")


def test_a_whole_session_with_every_logger_open_shows_no_secret(
    everything_logged: io.StringIO, capsys: pytest.CaptureFixture[str]
):
    with Sandbox(Scripted(["Yes."]), api_keys=frozenset({KEY})) as sandbox:
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
    with Sandbox(Scripted(["Yes."])) as sandbox:
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
