"""Settings: which streaming service to talk to, and with which key."""

import codecs
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from dotenv import dotenv_values, find_dotenv
from dotenv.parser import parse_stream

from tempkit.errors import ConfigurationError

BASE_URL = "https://streaming.assemblyai.com"
KEY_VARIABLE = "ASSEMBLYAI_API_KEY"
URL_VARIABLE = "ASSEMBLYAI_BASE_URL"
VARIABLES = (KEY_VARIABLE, URL_VARIABLE)
OTHER_NAMES = ("ASSEMBLYAIKEY", "ASSEMBLYAIAPITOKEN")  # of the key, without separators
COMMENT = re.compile(r"\s*(#|;|//|--\s|rem\s)", re.IGNORECASE)
NEWLINE = re.compile(r"\r\n|\n|\r")
SIGN = re.compile("[=:\uff1a\uff1d]")  # the last two as East Asian keyboards write them
WHERE = (
    f"put it into the environment or a .env file as {KEY_VARIABLE}=..., "
    "from https://www.assemblyai.com/dashboard/api-keys"
)
# What examples and templates write where the key belongs.
PLACEHOLDER = re.compile(
    r"[<{\[](?![0-9a-f]{32}\W).*[>}\]]|x+|\*+|\.+|change[-_ ]?me|todo|"
    r"(your|my|insert|enter|replace|paste|the)\b.*|(your|my|insert|enter|replace|paste)[-_].*|"
    r"(assemblyai[-_])?api[-_]?key([-_]?here)?|placeholder|none|null",
    re.IGNORECASE,
)
PLAIN = re.compile(r"[\w-]+", re.ASCII)  # nothing strange about it: looked at for every token
# What is copied along with a key, or instead of it, and what to call that.
STRANGE = (
    (r"^(authorization|x-api-key|bearer|basic|token)[\s:=]", "a header's name or scheme"),
    (r"\s", "spaces or line breaks"),
    (r"[\"'`\u00ab\u00b4\u00bb\u2018-\u201f\u2032\u2033\u2039\u203a]", "a quotation mark"),
    (r"[,;]", "a comma or semicolon"),
    (r"#", "a # sign"),
    (r"[<>(){}\[\]]", "a bracket"),
    (r":|=(?!=*$)", "a colon or equals sign"),
    (r"[$%\\]", "a $, % or backslash"),
    (r"\*|\.\.|[\u2022\u2026]", "the stars or dots of a hidden key"),
    (r"[^!-~]", "characters no key has"),
)


@dataclass(frozen=True)
class Settings:
    """Where the streaming service is and the key for it; the key is masked in the repr.

    ``timeout`` bounds a token request and the opening of a session, in seconds.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = BASE_URL
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for an address that cannot be one of the service."""
        url = self.base_url.rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.port != 0
            usable = usable and _is_host(parts.hostname or "")
            url = parts.scheme + url[len(parts.scheme) :]
        except ValueError:
            usable = False
        # A secret in an address ends up in logs; it is not repeated here either.
        if not usable or "@" in url or parts.query or parts.fragment or re.search(r"\s", url):
            raise ConfigurationError(
                f"the base URL is not http(s)://host[:port]; set {URL_VARIABLE} to {BASE_URL} "
                "or leave it out"
            )
        if self.timeout <= 0:
            raise ConfigurationError(f"a time-out is more than 0 seconds, not {self.timeout}")
        object.__setattr__(self, "base_url", url)

    def __repr__(self) -> str:
        """The key is said to be there or not, no more."""
        key = "configured" if self.api_key else "none"
        return f"Settings(base_url={self.base_url!r}, api_key: {key})"

    @classmethod
    def from_env(cls, dotenv: str = ".env", **arguments: object) -> "Settings":
        """The settings from arguments, then the environment, then a .env file.

        The file is looked for from the working directory upward. An empty value counts as none.
        Raises ConfigurationError for a value that was meant to be there but cannot be read: the
        file, a line of it, or the name of a variable is not as it should be.
        """
        file = _read_dotenv(dotenv)
        variables = file.values | dict(os.environ)
        found: dict[str, object] = {
            "api_key": variables.get(KEY_VARIABLE) or None,
            "base_url": variables.get(URL_VARIABLE) or None,
        }
        given = {k: v for k, v in (found | arguments).items() if v is not None}
        for name, variable in (("api_key", KEY_VARIABLE), ("base_url", URL_VARIABLE)):
            # An empty variable in the environment is a choice: no key, no other address.
            if name not in given and variable not in os.environ:
                slip = file.slips.get(variable) or _look_alike(variable, os.environ)
                if slip:
                    raise ConfigurationError(slip)
        return replace(cls(), **given)  # type: ignore[arg-type]

    @property
    def websocket_url(self) -> str:
        """The address of the streaming WebSocket, without parameters."""
        return "ws" + self.base_url.removeprefix("http") + "/v3/ws"

    @property
    def is_local(self) -> bool:
        """Whether the service runs on this machine, as a sandbox does."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    def require_key(self) -> str:
        """The key. Raises ConfigurationError when there is none or it cannot be one."""
        key = self.api_key
        if not key:
            raise ConfigurationError(
                f"there is no AssemblyAI API key; {WHERE}, or use the sandbox: default_settings()"
            )
        if PLACEHOLDER.fullmatch(key.strip()):
            raise ConfigurationError(f"the AssemblyAI API key is still a placeholder; {WHERE}")
        for pattern, what in STRANGE if not PLAIN.fullmatch(key) else ():
            if re.search(pattern, key, re.IGNORECASE):
                raise ConfigurationError(
                    f"the AssemblyAI API key holds {what}; copy it again, then {WHERE}"
                )
        return key


def _is_host(name: str) -> bool:
    """Whether a name can be looked up at all, or is an address."""
    if ":" in name or re.fullmatch(r"[\d.]+", name):
        ip_address(name)  # a ValueError, like that of a name that IDNA cannot read
        return True
    name.encode("ascii").decode("idna")
    labels = name.removesuffix(".").split(".")
    return all(re.fullmatch(r"(?!-)[a-z\d_-]{1,63}(?<!-)", label) for label in labels)


def key_origin(dotenv: str = ".env") -> str:
    """Where ``Settings.from_env`` finds the key, and which other one that hides."""
    file = _read_dotenv(dotenv)
    in_file, outside = file.values.get(KEY_VARIABLE), os.environ.get(KEY_VARIABLE)
    if outside is None:
        return f"from {file.path}" if in_file else "nowhere"
    if not in_file or in_file == outside:
        return "from the environment"
    what = "key" if outside else f"empty {KEY_VARIABLE}"
    return f"the environment's {what} hides the one in {file.path}"


class _EnvFile(NamedTuple):
    """A .env file: where it is, its variables, and what to say of ours that cannot be read."""

    path: str
    values: dict[str, str]
    slips: dict[str, str]


def _read_dotenv(name: str) -> _EnvFile:
    """The file of that name in the working directory or above it; without one there is nothing."""
    path = find_dotenv(name, usecwd=True)
    if not path:
        return _EnvFile("", {}, {})
    data = b""
    try:
        data = Path(path).read_bytes()
        text = _decoded(data)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        said = f"{path} cannot be read: {what}"
        # Nobody can tell what is in there, but a service may be named that data must not leave.
        names_url = URL_VARIABLE.encode() in data.replace(b"\0", b"")
        return _EnvFile(path, {}, dict.fromkeys(VARIABLES if names_url else VARIABLES[:1], said))
    values = _values(text)
    return _EnvFile(path, values, _slips(path, text, values))


def _look_alike(variable: str, variables: Mapping[str, str]) -> str | None:
    """What to say of a variable with nearly the right name, which nobody would read."""
    for name, value in variables.items():
        if value.strip() and _nearly(name) == variable:
            return f"the environment has {name}, which is not read; name it {variable}"
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
        raise ValueError(f"line {line} is not {name} text; save the file as UTF-8") from None


def _values(text: str) -> dict[str, str]:
    """The variables; lines that are none are left out here, as the library would log each."""
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
            f"line {number} of {path} looks like {variable} but cannot be read as that; "
            f"write {variable}=... there, and close every quote"
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
    at = 0
    while letters[at : at + 1] == right[at : at + 1] != "":
        at += 1
    rest, wanted = letters[at:], right[at:]
    swapped = rest[1::-1] + rest[2:]
    # A number at the end makes another variable of it, and so does another beginning.
    return bool(at and letters.isalpha()) and (
        rest[1:] in (wanted, wanted[1:]) or rest == wanted[1:] or swapped == wanted
    )
