"""What a committed notebook looks like. That it runs is nbmake's to say."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.secret_shapes import SECRET

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> dict:
    return json.loads(request.param.read_text())


def code(notebook: dict) -> list[str]:
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def test_there_are_notebooks():
    numbers = [int(path.stem[:2]) for path in NOTEBOOKS]
    assert numbers == sorted(set(numbers))
    assert len(NOTEBOOKS) >= 3


def test_it_holds_no_output_no_count_and_no_widget_state(notebook: dict):
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert set(cell["metadata"]) <= {"tags"}
        assert "attachments" not in cell
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}


def test_it_holds_no_secret_and_every_cell_has_its_own_id(notebook: dict):
    assert not SECRET.search(json.dumps(notebook))
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))


def test_it_begins_with_a_promise_and_imports_and_has_prose_before_every_cell(notebook: dict):
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    title = "".join(notebook["cells"][0]["source"])
    assert title.startswith("# ")
    assert all(word in title for word in ("**You will**", "**You need**", "**Time**"))
    assert kinds[:3] == ["markdown", "code", "markdown"]
    assert not any(a == b == "code" for a, b in pairwise(kinds))


def test_its_cells_are_short_and_define_nothing(notebook: dict):
    imports, *others = code(notebook)
    assert max(len(source.splitlines()) for source in others) <= 10
    for source in (imports, *others):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))


def test_it_imports_in_its_first_code_cell_alone(notebook: dict):
    first, *others = code(notebook)
    assert "import" in first
    for source in others:
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, (ast.Import, ast.ImportFrom))


def test_what_it_starts_it_stops_or_says_how(notebook: dict):
    if any(".start()" in source for source in code(notebook)):
        stop, last, _ = notebook["cells"][-3:]
        assert ".stop()" in "".join(stop["source"] + last["source"])


def test_it_ends_with_what_to_try(notebook: dict):
    last = notebook["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert "## Try it yourself" in "".join(last["source"])


def test_what_it_watches_it_waits_for_with_a_bound(notebook: dict):
    cells = code(notebook)
    watching = [at for at, source in enumerate(cells) if ".watch(" in source]
    waiting = [at for at, source in enumerate(cells) if re.search(r"\.wait\(\w*\d", source)]
    assert len(watching) == len(waiting)
    # In a cell of its own: some kernels hear of a button only when no cell runs.
    assert all(before < after for before, after in zip(watching, waiting, strict=True))
