"""Every block of the README does what it says, from an empty folder of its own."""

import inspect
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tempkit import Sandbox
from tests.conftest import require_module

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)


def block(language: str, text: str) -> str:
    found = [body for name, body in BLOCKS if name == language and text in body]
    assert len(found) == 1, f"{len(found)} blocks in {language} with {text!r}"
    return found[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_block_is_left_out():
    tried = ["[sandbox]", "fetch", "fastapi", "connect()", "tempkit_sandbox"]
    tried += ["[notebooks,test]"]
    for text in tried:
        assert sum(text in body for _, body in BLOCKS) == 1, text
    assert len(BLOCKS) == len(tried)


@pytest.mark.lab
def test_the_client_prints_what_it_is_said_to_print(folder: Path):
    source = block("python", "connect()")
    program = folder / "program.py"
    program.write_text(source + "print(session.transcript.to_srt())\n")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=90, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"^# (Turn .*)", source, re.M)
    printed = {words(line) for line in done.stdout.splitlines()}
    assert len(said) == 3
    assert {words(line) for line in said} <= printed
    assert "1\n00:00:0" in done.stdout


def words(line: str) -> str:
    """A line without the recogniser's spelling."""
    return " ".join(re.findall(r"\w+", line.lower()))


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_route_of_ones_own_gives_tokens(
    folder: Path, framework: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    require_module(framework)
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "any")
    monkeypatch.setenv("ASSEMBLYAI_BASE_URL", sandbox.url)
    path = folder / "own.py"
    path.write_text(in_framework(framework, block("python", "fastapi")))
    own = SimpleNamespace(**runpy.run_path(str(path)))
    assert not inspect.iscoroutinefunction(own.token)  # it would keep all others waiting
    if framework == "flask":
        answer = own.app.test_client().get("/token").get_json()
    else:
        route = next(route for route in own.app.routes if route.path == "/token")
        answer = route.endpoint()
    is_token = answer["token"].startswith("sandbox-")  # so that no failure prints it
    assert is_token
    assert answer["websocket_url"] == sandbox.settings.websocket_url


def in_framework(framework: str, source: str) -> str:
    """The block as it stands, or with the lines that its comments give for Flask."""
    if framework == "fastapi":
        return source
    changed, count = re.subn(r"^.*  # or: (.*)$", r"\1", source, flags=re.M)
    assert count == 2
    return changed


def test_the_server_prints_what_it_is_said_to_print(folder: Path):
    said = re.findall(r"^# (.+)", block("sh", "[sandbox]"), re.M)
    assert said[-1].startswith("Server is running")
    pattern = "\n".join(re.sub(r"\d{4,5}", r"\\d+", re.escape(line)) for line in said)
    command = [sys.executable, "-u", "-m", "tempkit", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
    ) as process:
        assert process.stdout
        printed = "".join(process.stdout.readline() for _ in said)
        process.terminate()
    assert re.fullmatch(pattern, printed.strip()), printed


def test_the_two_commands_set_up_what_they_need():
    commands = [body for name, body in BLOCKS if name == "sh"]
    assert [shlex.split(command)[:3] for command in commands] == [["python3", "-m", "venv"]] * 2
