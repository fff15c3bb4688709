"""Guard: who may ask the token server for anything. No I/O.

``/token`` spends the key owner's money, and a server on 127.0.0.1 can be reached by every page that
the owner's browser has open: by a cross-site request, or by a name that points at 127.0.0.1.
The order: Host, method, cross-site, authorisation, rate.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tempkit.config import is_loopback
from tempkit.errors import BadType, ConfigurationError, expect
from tempkit.secret import Secret

if TYPE_CHECKING:
    from tempkit.server.rate import TokenCounter

METHODS = ("GET", "HEAD")
SECRET_PARAMETER = "access"  # in the printed address
MASKED_PARAMETER = "access_key"  # the same behind Jupyter, whose log masks what is called a key
PARAMETERS = (SECRET_PARAMETER, MASKED_PARAMETER)
ACCESS_HEADER = "x-tempkit-access"  # from a proxy that shows the secret itself
SECRET = re.compile(r"[\w-]{16,}", re.ASCII)  # as part of a URL
# A name or an address, maybe with a port: nothing that some read as another host than others.
HOST = re.compile(r"([\w-]+(?:\.[\w-]+)*\.?|\[[\da-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)

Number = TypeVar("Number", int, None)


@dataclass(frozen=True)
class Request:
    """What a client asks for: ``path`` is decoded, header names are in lower case.

    ``client`` is the address that the connection comes from, ``is_secure`` whether it uses TLS.
    """

    method: str
    path: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: str = ""
    is_secure: bool = False


class Refusal(NamedTuple):
    """Why a request is not answered: HTTP status, a code for programs, a hint for people."""

    status: int
    code: str
    hint: str
    retry_after: int = 0


UNKNOWN_HOST = Refusal(
    403,
    "unknown_host",
    "this server answers to localhost; under another name, open the printed address "
    "(server.browser_url) or add the access secret (?access=...), or list the "
    "host in Guard(allowed_hosts={...})",
)
WRONG_METHOD = Refusal(405, "method", "use GET")
CROSS_SITE = Refusal(
    403,
    "cross_site",
    "only this server's own pages may ask for a token; TEMPKIT_ALLOWED_ORIGINS lets others in",
)


@dataclass(frozen=True)
class Rate:
    """How many tokens a client may get in a minute and in 10 seconds, and all clients in a minute.

    ``storage`` is where they are counted: in this process, or ``redis://host:port`` for several.
    ``when_down`` says what happens while that cannot be reached: "refuse" or "allow".
    """

    client: int = 30
    burst: int = 10
    overall: int = 120
    storage: str = field(default="memory://", repr=False)
    when_down: str = "refuse"

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a number below 1 and for another word."""
        for name in ("client", "burst", "overall"):
            expect(name, number := getattr(self, name), int)
            if number < 1:
                advice = "a rate must be at least 1 token; for no limit, use Guard(rate=None)"
                raise ConfigurationError(advice)
        if self.when_down not in ("refuse", "allow"):
            raise ConfigurationError(
                f"when_down must be 'refuse' or 'allow', not {self.when_down!r}"
            )


@dataclass(frozen=True)
class Guard:
    """Admits this machine's own requests, ``allowed_hosts``, and whoever shows the secret.

    Tokens are only for the server's own pages and ``allowed_origins``, for users to whom
    ``authorize`` gives an identity (None refuses), and as often as ``rate`` allows that identity,
    or else the address. ``authorize`` runs in the request's thread; the log shows its result.
    """

    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    access_secret: str | None = field(default=None, repr=False)
    authorize: Callable[[Request], str | None] | None = None
    rate: Rate | None = Rate()

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a secret that can be guessed or is no part of a URL."""
        for name in ("allowed_hosts", "allowed_origins"):
            expect(name, getattr(self, name), frozenset, set)
        expect("access_secret", self.access_secret, str, None)
        expect("rate", self.rate, Rate, None)
        for origin in self.allowed_origins:
            if "://" not in origin or origin.endswith("/"):
                advice = "an origin is a scheme and a host, such as https://app.example.com"
                raise ConfigurationError(f"{advice}, not {origin:.60}")
        if iscoroutinefunction(self.authorize):
            raise BadType("authorize takes a plain function, not an async one")
        if self.access_secret is not None and not SECRET.fullmatch(self.access_secret):
            raise ConfigurationError(
                "an access secret has at least 16 letters, digits, - or _; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> "Guard":
        """The guard that the TEMPKIT_ variables describe. Raises ConfigurationError."""
        # No more than ours, masked: a failing frame should hold nobody's secrets.
        variables = {n: Secret(v) for n, v in variables.items() if v and n.startswith("TEMPKIT_")}
        return cls(
            allowed_hosts=_names(variables.get("TEMPKIT_ALLOWED_HOSTS", "")),
            allowed_origins=_names(variables.get("TEMPKIT_ALLOWED_ORIGINS", "")),
            access_secret=variables.get("TEMPKIT_ACCESS_SECRET"),
            rate=Rate(
                whole_number(variables, "TEMPKIT_RATE_CLIENT", Rate.client),
                whole_number(variables, "TEMPKIT_RATE_BURST", Rate.burst),
                whole_number(variables, "TEMPKIT_RATE_OVERALL", Rate.overall),
                variables.get("TEMPKIT_RATE_STORAGE", Rate.storage),
                variables.get("TEMPKIT_RATE_WHEN_DOWN", Rate.when_down),
            ),
        )

    def check(self, request: Request, *, mints: bool) -> Refusal | None:
        """Why a request is refused, None when it is not; for a token ``admit`` is asked as well.

        ``mints``: it is about a token. The page itself may be linked to and framed by other sites.
        """
        if not self._is_expected(request):
            return UNKNOWN_HOST
        if request.method not in METHODS:
            return WRONG_METHOD
        return None if not mints or self._is_same_site(request) else CROSS_SITE

    def admit(self, request: Request, counter: "TokenCounter | None") -> tuple[str, Refusal | None]:
        """Who asks for a token, "" unless ``authorize`` says so, and why there is none if so.

        What ``check`` lets in only. A token that is let in is counted.
        """
        if self.authorize is None:
            return "", counter.take(request.client) if counter else None
        who = self.authorize(request) or ""
        if not who:
            return "", Refusal(401, "unauthorized", "sign in first")
        expect("the identity that authorize returns", who, str)
        return who, counter.take(f"id {who}") if counter else None

    def check_socket(self, request: Request) -> Refusal | None:
        """Why a WebSocket is refused, None when it is not; its token was counted before."""
        refusal = self.check(request, mints=False)
        # Browsers always send Origin with a WebSocket, but not all of them Sec-Fetch-Site.
        return refusal or (None if self._has_own_origin(request) else CROSS_SITE)

    def shows_secret(self, request: Request) -> bool:
        """Whether the address itself carries the access secret, as the printed one does."""
        return self._holds_secret(request.query, "&", *PARAMETERS)

    @property
    def cookie_name(self) -> str:
        """The cookie's name, by the secret: servers on other ports of a host share its cookies."""
        return "tempkit-" + hashlib.sha256((self.access_secret or "").encode()).hexdigest()[:8]

    def _is_expected(self, request: Request) -> bool:
        host, headers = HOST.fullmatch(request.headers.get("host", "")), request.headers
        if not host and headers.get("host"):
            return False
        name = host[1].strip("[]").lower() if host else ""
        # Whoever calls from elsewhere can write any Host: a loopback name is believed from here.
        if is_loopback(name) and is_loopback(request.client):
            return True
        if name in self.allowed_hosts or self._is_secret(headers.get(ACCESS_HEADER, "")):
            return True
        cookies = headers.get("cookie", "")
        return self._holds_secret(cookies, ";", self.cookie_name) or self.shows_secret(request)

    def _holds_secret(self, text: str, separator: str, *names: str) -> bool:
        pairs = (pair.strip().partition("=") for pair in text.split(separator))
        return any(self._is_secret(value) for name, _, value in pairs if name in names)

    def _is_secret(self, value: str) -> bool:
        secret = self.access_secret
        return secret is not None and hmac.compare_digest(value.encode(), secret.encode())

    def _is_same_site(self, request: Request) -> bool:
        if request.headers.get("origin") in self.allowed_origins:
            return True
        site = request.headers.get("sec-fetch-site", "none")
        return site in ("same-origin", "none") and self._has_own_origin(request)

    def _has_own_origin(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None or origin in self.allowed_origins:
            return True
        host = request.headers.get("host", "").lower()  # one of ours by now
        return origin.lower() in (f"http://{host}", f"https://{host}")


def session_cap(given: int | None, variables: Mapping[str, str]) -> int | None:
    """The cap on sessions that was given, or else the variables'. Raises ConfigurationError."""
    return given if given is not None else whole_number(variables, "TEMPKIT_MAX_SESSION", None)


def whole_number(variables: Mapping[str, str], name: str, otherwise: Number) -> int | Number:
    """What a variable of an environment holds, if anything. Raises ConfigurationError."""
    value = variables.get(name)
    if not value:
        return otherwise
    if not value.isdecimal():
        raise ConfigurationError(f"{name} is not a whole number")
    return int(value)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())
