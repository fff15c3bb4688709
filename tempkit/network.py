"""Network: one way out, for the token request and the WebSocket alike.

Which proxy, whose certificates, how long, and what a failure is called. It knows neither library.
"""

import functools
import os
import re
import socket
import ssl
import sys
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from tempkit.config import Settings
from tempkit.env_file import URL_VARIABLE
from tempkit.errors import ConfigurationError, ServiceUnreachable, require
from tempkit.secret import Secret

PORTS = {"http": 80, "https": 443}
# No https:// proxy: inside its TLS the WebSocket's own is read only when more comes from outside,
# so that a message which comes together with the one before waits (websockets 17.4).
PROXY_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
# Printable ASCII; in a login these characters are percent-encoded: / # ? @ [ ] % \
ADDRESS = re.compile(
    r"(?=[!-~]+$)(?:([a-z][a-z\d+.-]*)://)?(?:((?:[^/#?@\[\]%\\]|%[\da-f]{2})*)@)?"
    r"(\[[\da-f:.]+\]|(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?)(?::(\d{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
EXCEPTION = re.compile(r"(\[.*\]|[^:]*)(?::(\d+))?")  # an entry of NO_PROXY: a host, maybe a port
HASHED = re.compile(r"[\da-f]{8}\.\d+")  # how OpenSSL names the files in a folder of certificates


class Route(NamedTuple):
    """The way to the service: through which proxy if any, and whom TLS trusts.

    ``proxy`` is a URL with the login; ``variable`` names where it was set, "" without a proxy.
    ``tls`` is None where the service has none.
    """

    proxy: Secret | None = None
    variable: str = ""
    tls: ssl.SSLContext | None = None


def route_to(settings: Settings, *, is_websocket: bool = False) -> Route:
    """The way to the service as the environment, or else the system, has it now.

    A WebSocket takes what a token request takes, unless WSS_PROXY or WS_PROXY is set. Raises
    ConfigurationError if the proxy's address is invalid.
    """
    tls = trusted() if settings.base_url.startswith("https:") else None
    # A proxy is for the outside: a service on this machine is asked directly.
    variable, address = ("", "") if settings.is_local else _named(settings.base_url, is_websocket)
    return Route(_checked(variable, address), variable, tls) if address else Route(tls=tls)


def _named(url: str, is_websocket: bool) -> tuple[str, str]:
    """The variable that names a proxy for a URL, and the proxy's address; "" without one."""
    from urllib.request import getproxies, proxy_bypass  # slow, and only for the outside

    parts, proxies = urlsplit(url), getproxies()
    host = (parts.hostname or "").removesuffix(".")
    port = parts.port or PORTS[parts.scheme]
    exceptions = re.split(r"[,\s]+", proxies.get("no", "").lower())
    if any(_covers(exception, host, port) for exception in exceptions):
        return "", ""
    if "no" not in proxies and proxy_bypass(host):  # the system's own exceptions
        return "", ""
    first = ("wss" if parts.scheme == "https" else "ws",) if is_websocket else ()
    name = next((n for n in (*first, parts.scheme, "all", "socks") if proxies.get(n)), "")
    address = proxies.get(name, "")
    # Of two spellings of a name the lower-case one, which sorts last, counts for Python.
    spellings = (v for v in os.environ if v.lower() == f"{name}_proxy" and os.environ[v] == address)
    variable = max(spellings, default="the system's settings")
    if name == "socks":  # macOS says http:// of it
        address = "socks5://" + address.rpartition("://")[2]
    return variable, Secret(address.strip())


def _covers(exception: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY is about a host: by name, domain, address, network or ``*``."""
    with suppress(ValueError):
        return ip_address(host) in ip_network(exception, strict=False)
    found = EXCEPTION.fullmatch(exception)
    name, only = found.groups() if found else (exception, None)
    domain = name.strip("[]").removeprefix("*").lstrip(".")
    is_named = bool(domain) and (host == domain or host.endswith(f".{domain}"))
    return (is_named or name == "*") and only in (None, str(port))


def _checked(variable: str, address: str) -> Secret:
    """A proxy's URL in the one form that both libraries read alike."""
    proxy = _read_proxy(address)
    if proxy is None:
        raise ConfigurationError(
            f"the address in {variable} is not a proxy's: use "
            "http://[user:password@]host:port or socks5://... (not https://), and percent-encode "
            "characters such as / # @ % in the login (%2F %23 %40 %25)"
        )
    if proxy.startswith("socks"):
        try:
            require("socksio", "socks")  # for httpx
            require("python_socks", "socks")  # for websockets
        except ConfigurationError as error:
            raise ConfigurationError(f"{variable} names a SOCKS proxy; {error}") from None
    return proxy


def _read_proxy(address: str) -> Secret | None:
    """The same; None for an address that is none."""
    try:
        scheme, login, host, port = ADDRESS.fullmatch(address).groups("")  # type: ignore[union-attr]
        scheme = (scheme or "http").lower()
        usual = PROXY_PORTS[scheme]
        number = int(port or usual)
        if host.startswith("["):
            ip_address(host[1:-1])
        user, _, password = (unquote(part, errors="strict") for part in login.partition(":"))
        is_usable = 0 < number < 65536 and (scheme[0] == "h" or (user + password).isascii())
    except (AttributeError, KeyError, ValueError):
        return None
    if not is_usable:
        return None
    if scheme.startswith("socks"):
        scheme = "socks5h"  # the proxy looks names up: httpx knows no other way
    shown = f"{quote(user, safe='')}:{quote(password, safe='')}@" if login else ""
    return Secret(f"{scheme}://{shown}{host}:{number}")


@functools.cache
def trusted() -> ssl.SSLContext:
    """The TLS set-up, made once: it takes longer than a request.

    The system's certificates with those of SSL_CERT_FILE and SSL_CERT_DIR, or else certifi's.
    """
    if sys.platform != "linux":
        import truststore

        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        files = [os.environ.get("SSL_CERT_FILE", "")]
        with suppress(OSError):
            files += [entry.path for entry in os.scandir(os.environ.get("SSL_CERT_DIR", ""))]
        for file in files:
            with suppress(OSError):  # the advice says so, once a certificate is not trusted
                context.load_verify_locations(file)
        return context
    context = ssl.create_default_context()  # OpenSSL reads the two variables itself
    names: list[str] = []
    with suppress(OSError):  # those of a folder are read when needed, counted nowhere
        names = os.listdir(ssl.get_default_verify_paths().capath or "")
    if not context.cert_store_stats()["x509"] and not any(map(HASHED.fullmatch, names)):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that a library's error came through: they hold what was being sent.

    Whatever prints an error with the variables of its frames, as pytest does, would print the key.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def unreachable(
    settings: Settings,
    route: Route,
    error: BaseException,
    is_late: bool = False,
    refusal: str | None = None,
) -> ServiceUnreachable:
    """What to raise when there was no answer; names the proxy's variable, never its address.

    ``is_late`` says that the time-out is over; ``refusal`` is what the proxy answered.
    """
    where = f"the streaming service at {settings.base_url} cannot be reached"
    advice = f"check the network and {URL_VARIABLE}"
    if route.proxy:
        where += f" through the proxy in {route.variable}"
        advice = f"check {route.variable}, or list the service in NO_PROXY"
    if refusal is not None:
        status = refusal[:3] if refusal[:3].isdecimal() else ""
        what = f"the proxy answered {status}" if status else "the proxy refused"
        if status in ("", "407"):
            advice = f"check the login in {route.variable}"
    elif is_late:
        what = f"no answer within {settings.timeout:g} s"
    else:
        what, advice = _explained(error, advice)
    return ServiceUnreachable(f"{where}: {what}; {advice}")


def _explained(error: BaseException | None, advice: str) -> tuple[str, str]:
    """What happened, in the system's words as a library's may hold an address; and the advice."""
    found = None
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            said = getattr(error, "verify_message", "") or "it could not be verified"
            return f"its certificate is not trusted ({said})", _certificate_advice()
        if isinstance(error, OSError) and error.errno:
            is_own = isinstance(error, (socket.gaierror, ssl.SSLError))  # numbers of their own
            found = found or (str(error.strerror) if is_own else os.strerror(error.errno))
        error = error.__cause__ or error.__context__  # httpcore hides the first "from None"
    return found or "the connection ended before the answer did", advice


def _certificate_advice() -> str:
    """Where to look when nobody who is trusted vouches for the other side."""
    file = os.environ.get("SSL_CERT_FILE")
    if file and not os.path.isfile(file):
        return "SSL_CERT_FILE does not name a file; correct it or unset it"
    advice = (
        "if your company has its own CA, set SSL_CERT_FILE to its certificate; "
        "a wrong clock or address fails in the same way"
    )
    if sys.platform == "darwin":
        advice += '; for Python from python.org, run its "Install Certificates.command" once'
    return advice
