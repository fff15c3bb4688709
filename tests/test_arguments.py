"""What cannot be meant is said where it comes in: in a line, before any network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tempkit import (
    Clip,
    Reconnect,
    Sandbox,
    SessionParameters,
    Settings,
    StreamingSession,
    TemporaryToken,
    TokenServer,
    connect,
    generate_temp_token,
    transcribe,
)
from tempkit.evaluation import evaluate
from tempkit.sandbox import Faults, Scripted
from tempkit.server import Guard
from tempkit.server.guard import Rate, Request
from tempkit.widgets import Microphone, TokenView, TranscriptView
from tempkit.wsgi import Application
from tests.conftest import KEY
from tests.sound_files import wav

SETTINGS = Settings(KEY, "http://127.0.0.1:9")
SOUND = np.zeros(1600, np.int16)
NO_SETTINGS = "settings takes a Settings or None, not str; use Settings(api_key=...)"
NO_RECONNECT = "reconnect takes a Reconnect or True or False, not int"
NO_PATH = "takes a string or a path, not"
NO_PARAMETERS = "parameters takes a SessionParameters or None, not"
SOME = 'use SessionParameters(speech_model="...")'
OF_AN_ARRAY = "; for an array, use Clip.from_samples"
NO_ARRAY, OF_BYTES = "takes an array, not", "Clip(pcm, sample_rate) takes bytes"


async def who(request: Request) -> str:
    return "ann"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Settings(12), "api_key takes a string or None, not int"),
        (lambda: Settings(KEY, 5), "base_url takes a string, not int"),
        (lambda: Settings(KEY, timeout="5"), "timeout takes a number, not str"),
        (lambda: generate_temp_token(settings=KEY), NO_SETTINGS),
        (lambda: TokenServer(KEY), NO_SETTINGS),
        (lambda: TokenServer(SETTINGS, port="8000"), "port takes a whole number or None, not str"),
        (lambda: TokenServer(SETTINGS, port=True), "port takes a whole number or None, not bool"),
        (lambda: TokenServer(SETTINGS, host=0), "host takes a string, not int"),
        (lambda: TokenServer(SETTINGS, directory=b"."), f"directory {NO_PATH} bytes"),
        (lambda: TokenServer(SETTINGS, guard="me"), "guard takes a Guard, not str"),
        (lambda: TokenServer(SETTINGS, ssl="a.pem"), "ssl takes a SSLContext or None, not str"),
        (lambda: Application(KEY), NO_SETTINGS),
        (lambda: Guard("a.example"), "allowed_hosts takes a set, not str"),
        (lambda: Guard(allowed_origins=["a"]), "allowed_origins takes a set, not list"),
        (lambda: Guard(rate=30), "rate takes a Rate or None, not int"),
        (lambda: Guard(authorize=who), "authorize takes a plain function, not an async one"),
        (lambda: Rate("30"), "client takes a whole number, not str"),
        (lambda: Sandbox(["Yes."]), "recognizer must be like Scripted([...]), not list"),
        (lambda: Sandbox(faults={"close_code": 3005}), "faults takes a Faults, not dict"),
        (lambda: Sandbox(api_keys="one"), "api_keys takes a set or None, not str"),
        (lambda: connect(KEY), NO_SETTINGS),
        (lambda: connect(SETTINGS, "text"), f"{NO_PARAMETERS} str; {SOME}"),
        (lambda: connect(SETTINGS, reconnect=5), NO_RECONNECT),
        (lambda: connect(SETTINGS, token=12), "token takes a string or None, not int"),
        (lambda: transcribe(Clip(b"", 16000), KEY), NO_SETTINGS),
        (
            lambda: transcribe("a.wav"),
            "clip takes a Clip, not str; "
            "use Clip.read(path) for a file, Clip.from_samples for an array",
        ),
        (lambda: connect(SETTINGS, record=5), "record takes a string or a path or None, not int"),
        (lambda: evaluate("a.wav"), "files takes several paths, not str; put it in a list"),
        (lambda: evaluate([], KEY), NO_SETTINGS),
        (lambda: Reconnect("60"), "give_up_after_seconds takes a number, not str"),
        (lambda: Clip(SOUND, 16000), f"pcm takes bytes, not ndarray{OF_AN_ARRAY}"),
        (lambda: Clip(b"", "16000"), "sample_rate takes a whole number, not str"),
        (lambda: Clip.from_samples(SOUND, 16000.0), "sample_rate takes a whole number, not float"),
        (lambda: Clip.read(b"a.wav"), f"path {NO_PATH} bytes"),
        (lambda: Clip.read(SOUND), f"path {NO_PATH} ndarray{OF_AN_ARRAY}"),
        (lambda: Clip("a.wav"), "pcm takes bytes, not str; for a file, use Clip.read"),
        (lambda: Clip(SOUND), f"pcm takes bytes, not ndarray{OF_AN_ARRAY}"),
        (lambda: Clip.from_samples(16000, SOUND), f"samples {NO_ARRAY} int; {OF_BYTES}"),
        (lambda: Clip.from_samples(b"", 16000), f"samples {NO_ARRAY} bytes; {OF_BYTES}"),
        (lambda: Clip(b"", 16000).first("1"), "seconds takes a number, not str"),
        (lambda: Clip(b"", 16000).chunks("100"), "milliseconds takes a whole number, not str"),
        (lambda: Microphone(KEY), NO_SETTINGS),
        (lambda: Microphone(SETTINGS, {}), f"{NO_PARAMETERS} dict; {SOME}"),
    ],
    ids=lambda value: "" if callable(value) else value[:40],
)  # fmt: skip
def test_an_argument_of_another_kind_is_refused_with_what_was_expected(
    call: Callable[[], object], said: str
):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == said


@pytest.mark.parametrize("audio", ["text", SOUND, 5], ids=["text", "array", "number"])
def test_audio_is_bytes(settings: Settings, audio: object):
    with connect(settings) as session:
        with pytest.raises(TypeError, match="audio takes bytes or a memoryview, not"):
            session.send_audio(audio)
        with pytest.raises(TypeError, match="audio takes bytes or a memoryview, not"):
            list(session.stream([audio]))


@pytest.mark.parametrize(
    "chunks", ["text", b"audio", Clip(b"", 16000)], ids=["text", "bytes", "clip"]
)
def test_a_stream_takes_audio_in_pieces(settings: Settings, chunks: object):
    with connect(settings) as session:
        with pytest.raises(TypeError, match=r"not \w+; for a clip, pass clip\.chunks"):
            session.stream(chunks)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda: TokenServer("key"), "TypeError"),
        (lambda: generate_temp_token(601), "ValueError"),
        (lambda: SessionParameters(sample_rate=5), "ValueError"),
        (lambda: Clip(b"", 16000).chunks(5), "ValueError"),
        (lambda: Faults(no_such=5), "ValueError"),
        (lambda: Scripted([]), "ValueError"),
        (lambda: Reconnect(replay_rate=1), "ValueError"),
    ],
)
def test_a_notebook_shows_it_as_briefly_as_any_error_of_ours(wrong, name: str):
    with pytest.raises((TypeError, ValueError)) as caught:
        wrong()
    first, *more = caught.value._render_traceback_()
    assert first.replace(";\n", "; ") == f"\x1b[31m{name}\x1b[0m: {caught.value}"
    assert more == ["(%tb Plain shows where it was raised)"]


@pytest.mark.parametrize(
    "kind",
    [
        *(Clip, Faults, Sandbox, StreamingSession, TemporaryToken, TokenServer, TokenView),
        TranscriptView,
    ],
)
def test_what_is_half_made_has_a_repr(kind: type):
    # A debugger shows it when its making has failed.
    made = str.__new__(kind) if issubclass(kind, str) else kind.__new__(kind)
    assert repr(made) == f"<{kind.__name__}, not ready>"


def test_a_clip_whose_file_is_gone_has_a_repr(tmp_path: Path):
    path = tmp_path / "gone.wav"
    path.write_bytes(wav(bytes(3200)))
    clip = Clip.read(path)
    path.unlink()
    assert repr(clip).startswith("Clip(")


def test_the_settings_of_a_sandbox_say_so(settings: Settings):
    assert repr(settings) == f"Settings(sandbox at {settings.base_url})"
    assert "key" not in repr(settings)
    assert "'***'" in repr([settings.api_key])
