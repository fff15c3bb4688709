"""Settings: which streaming service to talk to, and with which key."""

import os
import re
import threading
from dataclasses import dataclass, field
from ipaddress import ip_address
from numbers import Real
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tempkit.env_file import KEY_VARIABLE, URL_VARIABLE, look_alike, read_env_file
from tempkit.errors import ConfigurationError, expect
from tempkit.secret import Secret

if TYPE_CHECKING:
    from tempkit.sandbox import Sandbox

BASE_URL = "https://streaming.assemblyai.com"
WHERE = (
    f"set {KEY_VARIABLE} in the environment or a .env file "
    "(your keys: https://www.assemblyai.com/dashboard/api-keys)"
)
# What examples and templates write where the key belongs.
PLACEHOLDER = re.compile(
    r"[<{\[](?![0-9a-f]{32}\W).*[>}\]]|x+|\*+|\.+|change[-_ ]?me|todo|"
    r"(your|my|insert|enter|replace|paste|the)\b.*|(your|my|insert|enter|replace|paste)[-_].*|"
    r"(assemblyai[-_])?api[-_]?key([-_]?here)?|placeholder|none|null",
    re.IGNORECASE,
)
LABEL = r"(?!-)[a-z\d_-]{1,63}(?<!-)"  # of a host's name
ADDRESS = re.compile(
    rf"https?://((?:{LABEL}\.)*{LABEL}\.?|\[[\da-f:.]+\])(?::\d+)?(?:/[^?#@\s]*)?",
    re.ASCII | re.IGNORECASE,
)
HOLDS = " holds "
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
    (r"\*|\.\.|[\u2022\u2026]", "the stars or dots of a masked key"),
    (r"[^!-~]", "characters that no key has"),
)
HOW_TO_MAKE = "use Settings(api_key=...)"


@dataclass(frozen=True, init=False)
class Settings:
    """Where the streaming service is and the key for it; the key is masked in the repr.

    ``timeout`` limits, in seconds, a token request and the opening of a session.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = BASE_URL
    timeout: float = 10.0

    def __init__(
        self, api_key: str | None = None, base_url: str = BASE_URL, timeout: float = 10.0
    ) -> None:
        """Raises ConfigurationError for an address that cannot be one of the service."""
        expect("api_key", api_key, str, None)
        expect("base_url", base_url, str)
        expect("timeout", timeout, Real)
        api_key = None if api_key is None else Secret(api_key)
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds, not {timeout}")
        base_url = _checked(base_url.rstrip("/"))
        for name, value in (("api_key", api_key), ("base_url", base_url), ("timeout", timeout)):
            object.__setattr__(self, name, value)  # it is frozen

    def __repr__(self) -> str:
        """Where it leads; the key is said to be there or not, no more."""
        if self.is_local:
            return f"Settings(sandbox at {self.base_url})"
        key = "configured" if self.api_key else "none"
        return f"Settings(base_url={self.base_url!r}, api_key: {key})"

    @classmethod
    def from_env(cls, dotenv: str = ".env", **arguments: object) -> "Settings":
        """The settings from arguments, then the environment, then a .env file.

        The file is looked for from the working directory upward. An empty value counts as unset.
        Raises ConfigurationError for a value that looks intended but cannot be read.
        """
        file = read_env_file(dotenv)
        given = {name: value for name, value in arguments.items() if value is not None}
        for name, variable in (("api_key", KEY_VARIABLE), ("base_url", URL_VARIABLE)):
            # An empty variable in the environment is a choice: no key, no other address.
            is_open = name not in given and variable not in os.environ
            if found := Secret(os.environ.get(variable, file.values.get(variable, ""))):
                given.setdefault(name, found)
            elif is_open and (slip := file.slips.get(variable) or look_alike(variable, os.environ)):
                raise ConfigurationError(slip)
        return cls(**given)  # type: ignore[arg-type]

    @property
    def websocket_url(self) -> str:
        """The address of the streaming WebSocket, without parameters."""
        return "ws" + self.base_url.removeprefix("http") + "/v3/ws"

    @property
    def is_local(self) -> bool:
        """Whether the service runs on this machine, as a sandbox does."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    def require_key(self) -> str:
        """The key. Raises ConfigurationError if there is none or it cannot be valid."""
        trouble = self.key_trouble
        if not self.api_key:
            raise ConfigurationError(
                f"{trouble}; {WHERE}, or use the sandbox: settings=default_settings()"
            )
        if trouble:
            again = "copy it again, then " if HOLDS in trouble else ""
            raise ConfigurationError(f"{trouble}; {again}{WHERE}")
        return self.api_key

    @property
    def key_trouble(self) -> str:
        """What is visibly wrong with the key, without asking the service; "" if nothing is."""
        key = self.api_key or ""
        if not key:
            return "there is no AssemblyAI API key"
        if PLACEHOLDER.fullmatch(key.strip()):
            return "the AssemblyAI API key is still a placeholder"
        for pattern, what in STRANGE if not PLAIN.fullmatch(key) else ():
            if re.search(pattern, key, re.IGNORECASE):
                return f"the AssemblyAI API key{HOLDS}{what}"
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return bool((getattr(address, "ipv4_mapped", None) or address).is_loopback)


def _checked(url: str) -> str:
    """An address of the service. Raises ConfigurationError for what cannot be one."""
    found = ADDRESS.fullmatch(url)
    try:
        if found is None or urlsplit(url).port == 0:
            raise ValueError
        name = found[1].strip("[]")
        if re.fullmatch(r"[\d.]+|.*:.*", name):
            ip_address(name)
        else:
            name.encode().decode("idna")  # a name that can be looked up at all
    except ValueError:  # a secret in an address ends up in logs; it is not repeated here either
        raise ConfigurationError(
            f"the base URL is not http(s)://host[:port]; set {URL_VARIABLE} to {BASE_URL} "
            "or leave it out"
        ) from None
    return url[:5].lower() + url[5:]


def key_origin() -> str:
    """Where ``Settings.from_env`` finds the key, and which other one that hides."""
    file = read_env_file(".env")
    in_file, outside = file.values.get(KEY_VARIABLE), os.environ.get(KEY_VARIABLE)
    if outside is None:
        return f"from {file.path}" if in_file else "nowhere"
    if not in_file or in_file == outside:
        return "from the environment"
    what = "key" if outside else f"empty {KEY_VARIABLE}"
    return f"the environment's {what} hides the one in {file.path}"


_lock = threading.Lock()
_sandbox: "Sandbox | None" = None


def default_settings() -> Settings:
    """The settings of the real service if a key is configured, otherwise those of a sandbox.

    The sandbox runs in this process, is shared by all calls, and is announced in one line. Raises
    ConfigurationError for a key or address that cannot be right, or if there is no recogniser.
    """
    settings = Settings.from_env()
    if settings.api_key:
        settings.require_key()
        return settings
    if settings.base_url != BASE_URL:
        raise ConfigurationError(
            f"{URL_VARIABLE} is set but {KEY_VARIABLE} is not; set both, or neither to use a "
            "sandbox in this process (a sandbox elsewhere accepts any key)"
        )
    # A late look upward: the kit works without the sandbox extra.
    from tempkit.sandbox import Sandbox

    global _sandbox
    with _lock:
        if _sandbox is None or not _sandbox.is_running:
            try:
                _sandbox = Sandbox(realtime=False).start()
            except ConfigurationError as error:
                text = f"{settings.key_trouble}; {WHERE}; or without a key, {error}"
                raise ConfigurationError(text) from None
            print(f"No {KEY_VARIABLE} found: using the sandbox at {_sandbox.url}", flush=True)
        return _sandbox.settings


def _forget_sandbox() -> None:
    """In a forked child: the sandbox is the parent's, and a thread of it may hold the lock."""
    global _lock, _sandbox
    _lock, _sandbox = threading.Lock(), None


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_sandbox)
