"""The floors of the house: an import may only point down, and each library has its one place."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tempkit"

# What each room may import, from the ground up. A room is a folder, or a module of its own.
GROUND = {"errors", "secret"}
WORDS = {*GROUND, "env_file", "config", "protocol"}
ROOMS = {
    **{key: set() for key in ("errors", "deadline", "env_file", "pictures", "places", "secret")},
    "evaluation": {*GROUND, "config", "protocol", "sound", "streaming"},
    "commands": {*WORDS, "pictures", "sound", "streaming"},
    **dict.fromkeys(("certificates", "protocol", "serving"), GROUND),
    "config": {*GROUND, "env_file"},
    "network": WORDS,
    "http_client": {*WORDS, "deadline", "network"},
    "tokens": WORDS,
    "sandbox": {*WORDS, "serving"},
    "server": {*WORDS, "certificates", "places", "serving", "tokens"},
    "sound": {*GROUND, "places", "protocol"},
    "streaming": {*WORDS, "deadline", "network", "sound", "tokens"},
    "widgets": {*WORDS, "pictures", "places", "server", "serving", "sound", "streaming", "tokens"},
    "pytest_plugin": WORDS,
    "wsgi": {"config", "errors", "places", "server"},
    "__init__": None,  # the two front doors see everything
    "__main__": None,
}
# Late imports, in a function. Two look up: who has no key gets a sandbox, and a notebook asks a
# service how it looks. The others look down, at what a start should not wait for.
LATE = {
    "config": {"sandbox"},
    "serving": {"pictures", "widgets"},
    "sound": {"pictures"},
    "streaming": {"pictures"},
    "tokens": {"http_client"},
    "server": {"http_client", "network"},
    "pytest_plugin": {"sandbox"},
    "commands": {"certificates", "sandbox"},
}

# Inside the two large rooms, likewise from the ground up.
STREAMING = {
    "captions": set(),
    "transcript": {"captions"},
    "retry": set(),
    "watch": set(),
    "link": set(),
    "backlog": set(),
    "session": {"backlog", "retry", "transcript"},
    "conversation": {"link", "retry", "session", "watch"},
    "stream": {"backlog", "conversation", "session", "transcript"},
    "client": {"conversation", "link", "retry", "session", "stream", "transcript"},
}
SANDBOX = {
    **{key: set() for key in ("faults", "hearing")},
    "rules": {"hearing"},
    "state": {"faults", "rules"},
    "wire": {"faults", "hearing", "rules", "state"},
    "": {"faults", "hearing", "rules", "state"},
}
SANDBOX_LATE = {"": {"hearing", "wire"}}

# The rules of a session: a clock is an argument, and nobody waits.
WITHOUT_IO = (
    *("pictures", "protocol", "sandbox.rules", "sandbox.faults"),
    *("sandbox.state", "sandbox.wire.routes", "sandbox.wire.inbox"),
    *("sandbox.hearing.pcm", "sandbox.hearing.recognizer", "sandbox.hearing.turns"),
    *("server.guard", "server.head"),
    *("streaming.backlog", "streaming.captions", "streaming.retry", "streaming.session"),
    *("streaming.transcript", "streaming.watch"),
)
IO = {
    *("asyncio", "http.client", "http.server", "httpx", "limits", "socket", "time"),
    *("urllib.request", "websockets"),
}
ONE_PLACE = {
    "anywidget": {"widgets.microphone"},
    "av": {"sound.decoder"},
    "certifi": {"network"},
    "dotenv": {"env_file"},
    "http.server": {"server.handler", "sandbox.wire.engine", "serving"},
    "httpcore": set(),  # httpx's own affair
    "httpx": {"http_client"},
    "ipywidgets": {
        *("widgets.cells", "widgets.service_view", "widgets.token_view"),
        "widgets.transcript_view",
    },
    "limits": {"server.rate"},
    "onnxruntime": {"sandbox.hearing.moonshine"},
    "pytest": {"pytest_plugin"},
    "soxr": {"sandbox.hearing.pcm"},
    "truststore": {"network"},
    "trustme": {"certificates"},
    "websockets": {"streaming.link", "sandbox.wire.engine", "sandbox.wire.socket_session"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    inner = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    return ".".join(inner)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


@cache
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
            module = node.module or ""
            inner = {f"{module}.{alias.name}" for alias in node.names}
            modules = {m for m in inner if m.removeprefix("tempkit.") in MODULES}
            found[node in late].update(modules or {module})
        elif isinstance(node, ast.Import):
            found[node in late].update(alias.name for alias in node.names)
    return found


def ours(modules: set[str]) -> set[str]:
    return {m.removeprefix("tempkit.") for m in modules if m.split(".")[0] == "tempkit"}


def rooms(modules: set[str], own: str, depth: int = 0) -> set[str]:
    found = {([*name.split("."), ""])[depth] for name in modules}
    return found - {own, "tempkit"}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str):
    room = name.split(".")[0]
    allowed = ROOMS[room]
    at_once, late = map(ours, imports(name))
    if allowed is not None:
        assert rooms(at_once, room) <= allowed
        assert rooms(late, room) <= allowed | LATE.get(room, set())


@pytest.mark.parametrize(
    ("room", "table", "table_late"),
    [("streaming", STREAMING, {}), ("sandbox", SANDBOX, SANDBOX_LATE)],
    ids=["streaming", "sandbox"],
)
def test_inside_the_large_rooms_imports_point_down_too(room, table, table_late):
    for name in [name for name in MODULES if name.split(".")[0] == room]:
        part = ([*name.split("."), ""])[1]
        if (room, part) == ("streaming", ""):
            continue
        for found, more in zip(imports(name), (set(), table_late.get(part, set())), strict=True):
            inside = {each for each in ours(found) if each.startswith(f"{room}.")}
            assert rooms(inside, part, depth=1) <= table[part] | more, name


def test_no_two_modules_import_each_other():
    graph = {}
    for name in MODULES:
        at_once = ours(imports(name)[0]) & set(MODULES)
        graph[name] = {each for each in at_once if each != name and each != "__init__"}
    tuple(TopologicalSorter(graph).static_order())  # raises for a circle


@pytest.mark.parametrize("place", WITHOUT_IO)
def test_rules_import_nothing_that_does_io_or_knows_the_time(place: str):
    names = [name for name in MODULES if name == place or name.startswith(f"{place}.")]
    assert names
    for name in names:
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
    heavy = "{'av', 'numpy', 'onnxruntime', 'soxr', 'IPython', 'ipywidgets', 'anywidget'}"
    code = f"import sys; from tempkit import *; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "set()\n", done.stderr


def test_a_start_of_the_server_waits_for_nothing_that_a_token_does_not_need():
    needless = "{'limits', 'websockets', 'httpx', 'wave', 'asyncio', 'tempkit.streaming'}"
    code = (
        "import sys, tempkit.__main__; from tempkit import TokenServer; "
        f"print({needless} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "set()\n", done.stderr
