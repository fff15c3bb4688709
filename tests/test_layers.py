"""The floors of the house: an import may only point down, and each library has its one place."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tempkit"

# What each module may import from the package. "lazy" edges stand inside a function.
WORDS = {"errors", "messages", "parameters"}
ALLOWED = {
    "errors": set(),
    "markup": set(),
    "messages": {"errors"},
    "parameters": set(),
    "audio": {*WORDS, "markup"},
    "config": {"errors"},
    "network": {"config", "errors"},
    "terminal": set(),
    "deadline": set(),
    "http_client": {"config", "deadline", "errors", "network"},
    "tokens": {*WORDS, "config"},
    "serving": {"errors"},
    "defaults": {"config", "errors"},
    "certificates": {"errors"},
    "transcript": {*WORDS, "markup"},
    "retry": WORDS,
    "watch": {*WORDS, "retry"},
    "backlog": {*WORDS, "audio"},
    "session": {*WORDS, "audio", "backlog", "retry", "transcript"},
    "sandbox.ledger": WORDS,
    "sandbox.recognizer": set(),
    "sandbox.moonshine": {"errors", "sandbox.recognizer"},
    "sandbox.pcm": {"parameters", "sandbox.recognizer"},
    "sandbox.pool": {"sandbox.recognizer"},
    "sandbox.heard": {"sandbox.recognizer"},
    "sandbox.turns": {"sandbox.heard", "sandbox.recognizer"},
    "sandbox.turn_messages": {*WORDS, "sandbox.heard"},
    "sandbox.opening": {*WORDS, "sandbox.heard"},
    "sandbox.session": {
        *WORDS,
        *("sandbox.ledger", "sandbox.opening", "sandbox.pcm", "sandbox.recognizer"),
        *("sandbox.turn_messages", "sandbox.turns"),
    },
    "sandbox.faults": {"parameters"},
    "sandbox.journal": WORDS,
    "sandbox.inbox": set(),
    "pytest_plugin": {"config"},
    "sandbox.state": {"sandbox.faults", "sandbox.journal", "sandbox.ledger"},
    "sandbox.page": set(),
    "sandbox.routes": {
        *WORDS,
        *("sandbox.faults", "sandbox.opening", "sandbox.page", "sandbox.state"),
    },
    "sandbox.listener": set(),
    "sandbox.conversation": {
        *WORDS,
        *("sandbox", "sandbox.faults", "sandbox.inbox", "sandbox.journal", "sandbox.opening"),
        *("sandbox.pool", "sandbox.recognizer", "sandbox.session", "sandbox.state"),
    },
    "sandbox.wire": {
        *WORDS,
        *("sandbox", "sandbox.conversation", "sandbox.journal", "sandbox.listener", "serving"),
    },
    "sandbox": {
        *WORDS,
        *("config", "markup", "serving", "sandbox.faults", "sandbox.journal", "sandbox.state"),
    },
    "server.guard": {"errors"},
    "server.rate": {"errors", "server.guard"},
    "server.files": set(),
    "server.answers": {"config", "errors", "server.files"},
    "server.addresses": {"server.files", "server.guard"},
    "server.site": {
        *("config", "errors", "parameters", "tokens"),
        *("server.addresses", "server.answers", "server.files", "server.guard", "server.rate"),
    },
    "server.head": set(),
    "server.room": set(),
    "server.relay": {"config", "network"},
    "server.handler": {
        *("serving", "server.answers", "server.guard", "server.head", "server.relay"),
        *("server.room", "server.site"),
    },
    "server": {
        *("certificates", "config", "defaults", "errors", "markup", "parameters", "serving"),
        *("server.addresses", "server.files", "server.guard", "server.handler", "server.site"),
    },
    "wsgi": {"config", "server.files", "server.guard", "server.site"},
    "link": {*WORDS, "config", "network"},
    "conversation": {*WORDS, "link", "retry", "session", "watch"},
    "streams": {*WORDS, "audio", "conversation", "session"},
    "client": {
        *WORDS,
        *("audio", "config", "conversation", "defaults", "link", "retry", "session", "streams"),
        *("tokens", "transcript"),
    },
    "widgets": {
        *("errors", "widgets.microphone", "widgets.token_view", "widgets.transcript_view"),
    },
    "widgets.cells": set(),
    "widgets.service_view": {"errors", "markup", "serving", "widgets.cells"},
    "widgets.token_view": {"markup", "tokens", "widgets.cells"},
    "widgets.transcript_view": {
        *WORDS,
        *("markup", "session", "streams", "transcript", "widgets.cells"),
    },
    "widgets.modules": {"server"},
    "widgets.tunnel": {*WORDS, "audio", "config", "link", "retry", "tokens"},
    "widgets.microphone": {
        *WORDS,
        *("config", "defaults", "tokens", "transcript", "widgets.cells", "widgets.modules"),
        "widgets.tunnel",
    },
    "__main__": None,  # the top floor sees everything
    "__init__": None,
}
LAZY = {
    # A server listens at once; what its first token needs is imported while nobody waits yet.
    "tokens": {"http_client"},
    "pytest_plugin": {"sandbox", "sandbox.recognizer"},
    "defaults": {"sandbox"},
    "server.site": {"http_client"},
    # Only a notebook asks a service how it looks, and then a view of the top floor answers.
    "serving": {"widgets.service_view"},
    # The session that a stream belongs to, for its type alone.
    "streams": {"client"},
    "sandbox": {
        *("sandbox.conversation", "sandbox.moonshine", "sandbox.opening"),
        *("sandbox.recognizer", "sandbox.wire"),
    },
}
WITHOUT_IO = (
    *("backlog", "markup", "retry", "server.head", "transcript", "watch"),
    *("server.guard", "session", "messages", "parameters", "sandbox.session", "sandbox.ledger"),
    *("sandbox.turns", "sandbox.turn_messages", "sandbox.pcm", "sandbox.recognizer"),
    *("sandbox.heard", "sandbox.opening", "sandbox.inbox", "sandbox.pool", "sandbox.faults"),
    *("sandbox.journal", "sandbox.state", "sandbox.routes", "sandbox.page"),
)
IO = {
    "socket",
    "time",
    "httpcore",
    "httpx",
    "limits",
    "websockets",
    "http.client",
    "http.server",
    "urllib.request",
    "asyncio",
}
ONE_PLACE = {
    "httpx": {"http_client"},
    "httpcore": set(),  # httpx's own affair
    "truststore": {"network"},
    "certifi": {"network"},
    "http.server": {"server.handler"},
    "limits": {"server.rate"},
    "websockets": {"link", "sandbox.conversation", "sandbox.wire"},
    "onnxruntime": {"sandbox.moonshine"},
    "dotenv": {"config"},
    "ipywidgets": {
        "widgets.cells",
        "widgets.service_view",
        "widgets.token_view",
        "widgets.transcript_view",
    },
    "soxr": {"sandbox.pcm"},
    "trustme": {"certificates"},
    "anywidget": {"widgets.microphone"},
    "pytest": {"pytest_plugin"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    inner = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    return ".".join(inner)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(name: str) -> tuple[set[str], set[str]]:
    """What a module imports when it is imported, and what later (in a function, for types)."""
    tree = ast.parse(MODULES[name].read_text())
    late = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.If))
        for inner in ast.walk(outer)
    }
    found: tuple[set[str], set[str]] = (set(), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found[node in late].add(node.module or "")
        elif isinstance(node, ast.Import):
            found[node in late].update(alias.name for alias in node.names)
    return found


def ours(modules: set[str]) -> set[str]:
    return {m.removeprefix("tempkit.") for m in modules if m.split(".")[0] == "tempkit"}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str):
    allowed = ALLOWED[name]
    at_once, late = imports(name)
    if allowed is not None:
        assert ours(at_once) <= allowed
        assert ours(late) <= allowed | LAZY.get(name, set())


def test_client_and_sandbox_do_not_know_each_other():
    for name in MODULES:
        at_once, late = imports(name)
        known = ours(at_once | late)
        if name.startswith("sandbox"):
            assert not known & {"client", "conversation", "link", "session", "server", "tokens"}
        if name in ("client", "conversation", "link", "session"):
            assert not any(other.startswith("sandbox") for other in known)


@pytest.mark.parametrize("name", WITHOUT_IO)
def test_rules_import_nothing_that_does_io_or_knows_the_time(name: str):
    at_once, late = imports(name)
    for module in at_once | late:
        assert module not in IO
        assert module.split(".")[0] not in IO


@pytest.mark.parametrize("library", ONE_PLACE)
def test_each_library_is_imported_in_one_place(library: str):
    users = set()
    for name in MODULES:
        at_once, late = imports(name)
        if any(m == library or m.startswith(f"{library}.") for m in at_once | late):
            users.add(name)
    assert users == ONE_PLACE[library]


def test_no_module_uses_asyncio():
    assert not any("asyncio" in path.read_text() for path in MODULES.values())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_stays_under_300_lines_and_a_function_under_40(name: str):
    text = MODULES[name].read_text()
    assert text.count("\n") < 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


def test_importing_tempkit_needs_neither_jupyter_nor_the_sandbox_extra():
    heavy = "{'numpy', 'onnxruntime', 'soxr', 'IPython', 'ipywidgets', 'anywidget'}"
    code = f"import sys; from tempkit import *; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "set()\n", done.stderr


def test_a_start_of_the_server_waits_for_nothing_that_a_token_does_not_need():
    needless = "{'limits', 'websockets', 'httpx', 'wave', 'asyncio', 'tempkit.client'}"
    code = (
        "import sys, tempkit.__main__; from tempkit import TokenServer; "
        f"print({needless} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "set()\n", done.stderr
