import ast
import inspect
import pydoc
import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import tempkit
from tempkit import TempkitError
from tempkit.__main__ import main
from tempkit.protocol.close_codes import CloseCode

SURFACE = {
    "tempkit": (
        "AudioError Begin Clip CloseCode ConfigurationError ProtocolError Reconnect Reconnected "
        "Reconnecting Sandbox ServiceUnreachable SessionClosed SessionParameters Settings "
        "SpeechStarted StreamingSession TempkitError TemporaryToken Termination TokenRefused "
        "TokenServer Transcript Turn Unknown Word connect default_settings generate_temp_token "
        "transcribe"
    ),
    "tempkit.evaluation": "Heard evaluate",
    "tempkit.sandbox": "Faults Sandbox Scripted load_recognizer",
    "tempkit.server": "PUBLIC Guard Rate Request TokenServer",
    "tempkit.widgets": "Microphone TokenView TranscriptView",
    "tempkit.wsgi": "Application app",
}
COMMANDS = {
    "serve": (
        "--certfile --csp --directory --help --host --keyfile --max-session --port --tls --verbose"
    ),
    "token": "--expires-in --help --max-session",
    "stream": "--channel --fast --format --help --model --record",
    "sandbox": (
        "--api-key --cors --documented-token-errors --fast --fault --formatted-partials --help "
        "--host --most-ahead-seconds --name --no-cors --no-documented-token-errors "
        "--no-formatted-partials --no-one-final --no-single-use --no-warnings --one-final --port "
        "--replay "
        "--sessions-per-minute --single-use --tls --warnings"
    ),
    "notebooks": "--help",
    "check": "--help --port",
}
VARIABLES = (
    "ASSEMBLYAI_API_KEY ASSEMBLYAI_BASE_URL TEMPKIT_ACCESS_SECRET TEMPKIT_ALLOWED_HOSTS "
    "TEMPKIT_ALLOWED_ORIGINS TEMPKIT_CSP TEMPKIT_DIRECTORY TEMPKIT_LOG_LEVEL TEMPKIT_MAX_SESSION "
    "TEMPKIT_RATE_CLIENT TEMPKIT_RATE_STORAGE TEMPKIT_RATE_WHEN_DOWN"
)


@pytest.mark.parametrize("module", SURFACE)
def test_every_public_name_is_where_it_always_was(module: str):
    for name in SURFACE[module].split():
        assert getattr(import_module(module), name), name
    assert import_module(module).__all__ == SURFACE[module].split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_command_line_is_there(command: str, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(COMMANDS[command].split()) == said


def test_every_variable_is_documented():
    root = Path(__file__).parent.parent
    pages = [root / "README.md", *(root / ".github/docs").glob("*.md")]
    text = "".join(page.read_text() for page in pages)
    assert [name for name in VARIABLES.split() if name not in text] == []


def test_the_public_surface_is_what_it_is():
    assert " ".join(tempkit.__all__) == SURFACE["tempkit"]
    assert tempkit.__all__ == sorted(tempkit.__all__, key=lambda n: (n[0].islower(), n))
    assert len(tempkit.__all__) <= 29
    for name in tempkit.__all__:
        assert getattr(tempkit, name)


def test_what_the_documentation_imports_is_public():
    root = Path(__file__).parent.parent
    for page in (root / "README.md", *(root / ".github" / "docs").glob("*.md")):
        for module, names in re.findall(r"from (tempkit[\w.]*) import ([\w, ]+)", page.read_text()):
            assert set(names.split(", ")) <= set(import_module(module).__all__), (page, module)


def test_help_begins_with_the_public_names():
    lead = pydoc.render_doc(tempkit, renderer=pydoc.plaintext).partition("PACKAGE CONTENTS")[0]
    assert [name for name in tempkit.__all__ if not re.search(rf"\b{name}\b", lead)] == []
    listed = [name for name in SURFACE if name != "tempkit"]
    assert [module for module in listed if module not in lead] == []


def test_the_version_is_that_of_the_metadata(capsys: pytest.CaptureFixture[str]):
    assert tempkit.__version__ == version("tempkit")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tempkit {tempkit.__version__}\n"
    changes = (Path(__file__).parent.parent / ".github" / "CHANGELOG.md").read_text()
    assert f"## {tempkit.__version__}" in changes


def test_every_public_name_says_what_one_gets():
    for name in tempkit.__all__:
        thing = getattr(tempkit, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for inner, member in vars(thing).items():
                if not inner.startswith("_") and callable(member):
                    assert inspect.getdoc(getattr(thing, inner)), f"{name}.{inner}"


def test_every_error_of_ours_has_one_root():
    errors = [getattr(tempkit, n) for n in tempkit.__all__]
    errors = [e for e in errors if inspect.isclass(e) and issubclass(e, Exception)]
    assert len(errors) == 7
    assert all(issubclass(error, TempkitError) for error in errors)


def test_close_codes_are_numbers():
    assert CloseCode.EXPIRED == 3008
    assert f"{CloseCode.EXPIRED:d}" == "3008"


def test_what_type_checkers_see_is_what_programs_get():
    tree = ast.parse(Path(tempkit.__file__).read_text())
    seen = {
        str(node.module).removeprefix("tempkit."): {alias.name for alias in node.names}
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tempkit.")
    }
    assert seen == {module: set(names) for module, names in tempkit._HOMES.items()}
    assert set().union(*seen.values()) == set(tempkit.__all__)
    assert set(tempkit.__all__) <= set(dir(tempkit))
    with pytest.raises(AttributeError, match="no attribute 'Token'"):
        tempkit.Token  # noqa: B018
