from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tempkit import Sandbox, SessionParameters
from tempkit.evaluation import evaluate
from tests.conftest import SCRIPT
from tests.doubles import spoken
from tests.sound_files import wav


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("one.wav", "two.wav", "none.wav")]
    paths[0].write_bytes(wav(spoken(1)))
    paths[1].write_bytes(wav(spoken(2, milliseconds=500, pause=700), rate=8000))
    return paths


def test_many_files_are_heard_at_once_and_none_stops_another(sandbox: Sandbox, files: list[Path]):
    one, two, none = evaluate(files, sandbox.settings)
    assert [heard.file for heard in (one, two, none)] == list(map(str, files))
    assert one.text == SCRIPT[0]
    assert one.duration == 2.8
    assert one.first_word_seconds is not None
    assert one.first_word_seconds > -0.5
    assert len(one.final_seconds) == 1
    assert one.final_seconds[0] > 0.3  # a turn ends after silence
    assert two.text.startswith(SCRIPT[0])
    assert (none.text, none.final_seconds) == ("", ())
    assert none.error == f"there is no file {files[2]}"


def test_parameters_are_those_of_every_session_and_the_rate_is_the_files(
    sandbox: Sandbox, files: list[Path]
):
    parameters = SessionParameters(speech_model="u3-rt-pro")
    evaluate(files[:2], sandbox.settings, parameters, realtime=False)
    assert [e.name for e in sandbox.journal].count("SpeechStarted") == 3  # U3 alone says that


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_any_executor_will_do(sandbox: Sandbox, files: list[Path], kind: str):
    executor = (
        ThreadPoolExecutor(1)
        if kind == "threads"
        else ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    )
    with executor:
        heard = evaluate(files[:1], sandbox.settings, executor=executor, realtime=False)
    assert [each.text for each in heard] == [SCRIPT[0]]
