"""What the browser runs for a widget: the page's own modules and the widget's, as one text."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tempkit.server import PUBLIC

STATIC = Path(__file__).resolve().parent / "static"
IMPORT = re.compile(r"from '\./([\w-]+\.js)'")


def as_one(*names: str) -> str:
    """The modules ``names`` with all that they import, and the loader that makes them addresses."""
    modules = {name: text for first in names for name, text in _with_imports(first)}
    return f"const MODULES = {json.dumps(modules)};\n{_text('loader.js')}"


def _with_imports(name: str) -> Iterator[tuple[str, str]]:
    """Each module after what it imports."""
    text = _text(name)
    for other in IMPORT.findall(text):
        yield from _with_imports(other)
    yield name, text


def _text(name: str) -> str:
    path = STATIC / name
    return (path if path.is_file() else PUBLIC / name).read_text(encoding="utf-8")
