"""The .env file: its variables, and what was meant for one of ours but cannot be read as that."""

import codecs
import io
import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

KEY_VARIABLE = "ASSEMBLYAI_API_KEY"
URL_VARIABLE = "ASSEMBLYAI_BASE_URL"
VARIABLES = (KEY_VARIABLE, URL_VARIABLE)
OTHER_NAMES = ("ASSEMBLYAIKEY", "ASSEMBLYAIAPITOKEN")  # of the key, without separators
COMMENT = re.compile(r"\s*(#|;|//|--\s|rem\s)", re.IGNORECASE)
NEWLINE = re.compile(r"\r\n|\n|\r")
SIGN = re.compile("[=:\uff1a\uff1d]")  # the last two as East Asian keyboards write them


class EnvFile(NamedTuple):
    """A .env file: where it is, its variables, and what to say of ours that cannot be read."""

    path: str
    values: dict[str, str]
    slips: dict[str, str]

    def __repr__(self) -> str:
        """Its place; what it holds is nobody's business."""
        return f"<EnvFile {self.path}>"


def read_env_file(name: str) -> EnvFile:
    """The file of that name in the working directory or above it; without one there is nothing."""
    here = Path.cwd()
    file = next((f / name for f in (here, *here.parents) if (f / name).is_file()), None)
    if file is None:
        return EnvFile("", {}, {})
    path = str(file)
    data = b""
    try:
        data = file.read_bytes()
        text = _decoded(data)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        said = f"{path} cannot be read: {what}"
        # Nobody can tell what is in there, but a service may be named that data must not leave.
        names_url = URL_VARIABLE.encode() in data.replace(b"\0", b"")
        return EnvFile(path, {}, dict.fromkeys(VARIABLES if names_url else VARIABLES[:1], said))
    values = _values(text)
    for variable in values:
        if variable.startswith("TEMPKIT_") and variable not in os.environ:
            _say_unread(variable, path)
    return EnvFile(path, values, _slips(path, text, values))


@cache
def _say_unread(variable: str, path: str) -> None:
    log.warning("%s has no effect in %s; set it in the environment", variable, path)


def look_alike(variable: str, variables: Mapping[str, str]) -> str | None:
    """What to say of a variable with nearly the right name, which nobody would read."""
    for name, value in variables.items():
        if value.strip() and _nearly(name) == variable:
            return f"the environment has {name}, which is not read; rename it {variable}"
    return None


def _decoded(data: bytes) -> str:
    """The text of a file as editors and shells save it. Raises ValueError that says what to do."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    name = "UTF-16" if is_utf16 else "UTF-8"
    if b"\0" in data and not is_utf16:
        raise ValueError("it looks like UTF-16 without a byte order mark; save it as UTF-8")
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not valid {name}; save the file as UTF-8") from None


def _values(text: str) -> dict[str, str]:
    """The variables; lines that are none are left out here, as the library would log each."""
    from dotenv import dotenv_values  # here, as most starts find no file
    from dotenv.parser import parse_stream

    bindings = parse_stream(io.StringIO(text))
    sound = "".join(binding.original.string for binding in bindings if not binding.error)
    values = dotenv_values(stream=io.StringIO(sound))
    return {name: value for name, value in values.items() if value is not None}


def _slips(path: str, text: str, values: Mapping[str, str]) -> dict[str, str]:
    """What to say of each variable that has no value, where a line looks like it."""
    slips: dict[str, str] = {}
    lines = NEWLINE.split(text)
    if re.fullmatch(r"[0-9a-f]{32}", text.strip()):
        lines = [f"{KEY_VARIABLE} {text}"]  # nothing but a key is in there
    for number, line in enumerate(lines, 1):
        variable = _meant(line)
        if variable is None or values.get(variable) or variable in slips:
            continue
        if variable in values and re.match(rf"\s*(export\s+)?{variable}\s*=[^$]*$", line):
            continue  # it was read, and a later line takes it back
        slips[variable] = (
            f"line {number} of {path} looks like {variable} but cannot be read; "
            f"write {variable}=... and close every quote"
        )
    return slips


def _meant(line: str) -> str | None:
    """The variable of ours that a line sets, as a .env file does or in any other notation."""
    if COMMENT.match(line):
        return None
    line = re.sub(r"^\W*env:", "", line, flags=re.IGNORECASE)  # PowerShell
    for left, *value in (SIGN.split(line, 1), line.rsplit(maxsplit=1) or [""]):
        if SIGN.search(left) or not re.search(r"\w", re.sub(r"(^|\s)#.*", "", "".join(value))):
            continue
        words = re.findall(r"\w+", left)
        for name in ("".join(words), *words[-1:]):
            if variable := _nearly(name):
                return variable
    return None


def _nearly(name: str) -> str | None:
    """The variable of ours that a name is, but for case, separators and one slip of a finger."""
    letters = re.sub(r"[\W_]", "", name).upper()
    if letters in OTHER_NAMES:
        return KEY_VARIABLE
    return next((v for v in VARIABLES if _is_slip(letters, v.replace("_", ""))), None)


def _is_slip(letters: str, right: str) -> bool:
    """Whether one letter is wrong, missing, too many or swapped with its neighbour, or none is."""
    # A number at the end makes another variable of it, and so does another beginning.
    if not letters.isalpha() or letters[0] != right[0] or abs(len(letters) - len(right)) > 1:
        return False
    from difflib import SequenceMatcher  # few environments have anything like it

    same = SequenceMatcher(None, letters, right).get_matching_blocks()
    return sum(block.size for block in same) >= len(right) - 1
