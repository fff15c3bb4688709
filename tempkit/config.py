"""Settings: which streaming service to talk to, and with which key."""

import os
import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values, find_dotenv

from tempkit.errors import ConfigurationError

BASE_URL = "https://streaming.assemblyai.com"
KEY_VARIABLE = "ASSEMBLYAI_API_KEY"
URL_VARIABLE = "ASSEMBLYAI_BASE_URL"
WHERE = (
    f"put it into the environment or a .env file as {KEY_VARIABLE}=..., "
    "from https://www.assemblyai.com/dashboard/api-keys"
)
# What examples and templates write where the key belongs.
PLACEHOLDER = re.compile(
    r"[<{\[].*[>}\]]|x+|\*+|\.+|change[-_ ]?me|todo|"
    r"(your|my|insert|enter|replace|paste|the)\b.*|(your|my|insert|enter|replace|paste)[-_].*|"
    r"(assemblyai[-_])?api[-_]?key([-_]?here)?|placeholder|none|null",
    re.IGNORECASE,
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
        Raises ConfigurationError when the file cannot be read.
        """
        variables = _read_dotenv(dotenv) | dict(os.environ)
        found: dict[str, object] = {
            "api_key": variables.get(KEY_VARIABLE) or None,
            "base_url": variables.get(URL_VARIABLE) or None,
        }
        given = {k: v for k, v in (found | arguments).items() if v is not None}
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
        if re.search(r"\s", key):
            raise ConfigurationError(
                f"the AssemblyAI API key holds spaces or line breaks; copy it again, then {WHERE}"
            )
        if not key.isascii() or not key.isprintable():
            raise ConfigurationError(
                f"the AssemblyAI API key holds characters no key has; copy it again, then {WHERE}"
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


def _read_dotenv(name: str) -> dict[str, str]:
    path = find_dotenv(name, usecwd=True)
    if not path:
        return {}
    try:
        values = dotenv_values(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{path} cannot be read: {what}") from None
    return {name: value for name, value in values.items() if value is not None}
