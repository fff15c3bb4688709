"""What the browser runs for a widget: the page's own modules and the widget's, as one text."""

import json
import posixpath
import re
from pathlib import Path

from tempkit.places import PUBLIC

STATIC = Path(__file__).resolve().parent / "static"
# What a module imports, and the address of the worklet.
REFERENCE = re.compile(r"(from |URL\()'(\.[\w./-]+\.js)'")


def as_one(name: str) -> str:
    """The module ``name`` with all that it refers to, and the loader that makes them addresses.

    "widget/" stands beside the folders of the page, as if they were served together.
    """
    return f"const MODULES = {json.dumps(_with_others(name))};\n{_text('widget/loader.js')}"


def styles() -> str:
    """The widget's rules, after those that the page has, too."""
    return _text("page/parts.css") + _text("widget/microphone.css")


def _with_others(name: str) -> dict[str, str]:
    """Each module after those that it refers to, which are named from the top."""
    others: dict[str, str] = {}

    def from_the_top(found: re.Match[str]) -> str:
        other = posixpath.normpath(posixpath.join(name, "..", found[2]))
        others.update(_with_others(other))
        return f"{found[1]}'module:{other}'"

    text = REFERENCE.sub(from_the_top, _text(name))
    return {**others, name: text}


def _text(name: str) -> str:
    folder, _, rest = name.partition("/")
    return (STATIC / rest if folder == "widget" else PUBLIC / name).read_text(encoding="utf-8")
