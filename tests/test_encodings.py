"""The command in terminals that cannot show every letter."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tempkit import Sandbox
from tempkit.sandbox import Scripted
from tests.doubles import spoken
from tests.sound_files import wav as wav_of
from tests.test_main import COMMAND, environment

SAID = ("Grüße aus Köln.", "你好。", "Naïve café, 5 €.")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Scripted(SAID), realtime=False) as sandbox:
        yield sandbox


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "spoken.wav"
    path.write_bytes(wav_of(spoken(len(SAID))))
    return path


def variables(sandbox: Sandbox, encoding: str) -> dict[str, str]:
    return environment(
        ASSEMBLYAI_API_KEY="any", ASSEMBLYAI_BASE_URL=sandbox.url, PYTHONIOENCODING=encoding
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_a_letter_that_standard_output_lacks_is_replaced_and_the_rest_is_said(
    encoding: str, sandbox: Sandbox, wav: Path
):
    done = subprocess.run(
        [*COMMAND, "stream", str(wav), "--fast"],
        capture_output=True,
        timeout=60,
        env=variables(sandbox, encoding),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [text.encode(encoding, "replace") for text in SAID]
    assert "Traceback" not in done.stderr.decode(encoding)
    assert "Grüße".encode(encoding, "replace").lower() in done.stderr.lower()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_an_error_about_a_name_that_the_terminal_lacks_is_one_line(encoding: str, sandbox: Sandbox):
    done = subprocess.run(
        [*COMMAND, "stream", "häß世.wav"],
        capture_output=True,
        timeout=60,
        env=variables(sandbox, encoding),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "tempkit: there is no file häß世.wav".encode(encoding, "replace")
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
@pytest.mark.parametrize(
    ("encoding", "marks"), [("utf-8", "█░"), ("cp437", "█░"), ("cp1252", "#-"), ("ascii", "#-")]
)
def test_the_bar_is_drawn_with_what_the_terminal_has(
    encoding: str, marks: str, sandbox: Sandbox, wav: Path
):
    ours, theirs = os.openpty()
    command = [*COMMAND, "stream", str(wav), "--fast"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, env=variables(sandbox, encoding)
    ) as process:
        os.close(theirs)
        shown = everything(ours)
    assert process.returncode == 0, shown
    full, empty = (mark.encode(encoding) for mark in marks)
    assert full + empty in shown
    assert b"?????" not in shown


def everything(terminal: int) -> bytes:
    """What is written to a pseudo-terminal until nobody has it open any more."""
    shown = b""
    with open(terminal, "rb", buffering=0) as reader:
        try:
            while piece := reader.read(65536):
                shown += piece
        except OSError:  # so says Linux that the other side is closed
            pass
    return shown
