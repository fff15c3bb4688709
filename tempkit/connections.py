"""Connections to the service: kept warm, one thread at a time, no longer than the time-out."""

import functools
import os
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

import httpcore

from tempkit.config import URL_VARIABLE, Settings
from tempkit.errors import ConfigurationError, ProtocolError, ServiceUnreachable

KEEPALIVE_SECONDS = 55.0  # a quiet page should not pay a TLS handshake for each token
LARGEST_ANSWER = 64 * 1024  # bytes; a token is about 2,600

# What the network does to a request.
FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
)


class Answer(NamedTuple):
    """An HTTP answer: its status and its whole body."""

    status: int
    body: bytes


# Idle lines by base URL, the one used last on top, each used by one thread at a time: a shared pool
# costs with the square of its connections, in httpx as in httpcore below it.
_idle: defaultdict[str, deque["_Line"]] = defaultdict(deque)


class _Line:
    """One kept connection to the service; all waits of a request end at its ``deadline``."""

    def __init__(self, settings: Settings) -> None:
        origin = httpcore.URL(settings.base_url).origin
        # A proxy is for the outside: a service on this machine is asked directly.
        proxy = None if settings.is_local else _proxy_for(settings.base_url)
        tls = _tls() if origin.scheme == b"https" else None
        network = _Network(self)
        self.used_at = self.deadline = time.monotonic()
        self._connection: httpcore.HTTPConnection | httpcore.HTTPProxy
        if proxy is None:
            self._connection = httpcore.HTTPConnection(origin, tls, network_backend=network)
        else:
            address, login = proxy
            self._connection = httpcore.HTTPProxy(
                address, login, ssl_context=tls, max_connections=1, network_backend=network
            )

    def ask(self, request: httpcore.Request) -> Answer:
        """The whole answer, within the time-out however slowly it drips in."""
        response = self._connection.handle_request(request)
        body = bytearray()
        try:
            for piece in cast("Iterable[bytes]", response.stream):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise ProtocolError("the token answer is far too long to be one")
        finally:
            response.close()
        self.used_at = time.monotonic()
        return Answer(response.status, bytes(body))

    @property
    def is_kept(self) -> bool:
        """Whether the service goes on with the connection; a proxy's looks after itself."""
        connection = self._connection
        return isinstance(connection, httpcore.HTTPProxy) or connection.is_available()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Network(httpcore.SyncBackend):
    """httpcore's own network, with a line's deadline for its time-out."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._line, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._line)


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at its line's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, line: _Line) -> None:
        self._stream, self._line = stream, line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._line, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._line, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._line, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._line)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(line: _Line, too_late: type[httpcore.TimeoutException]) -> float:
    seconds = line.deadline - time.monotonic()
    if seconds <= 0:
        raise too_late("the answer took too long")
    return seconds


def prepare(settings: Settings) -> None:
    """Make ready what the first request would have to wait for."""
    if settings.base_url.startswith("https:"):
        _tls()


@functools.cache
def _tls() -> ssl.SSLContext:
    """The TLS set-up, made once: it takes longer than a request."""
    return httpcore.default_ssl_context()


def _proxy_for(url: str) -> tuple[str, tuple[str, str] | None] | None:
    """The proxy that the environment names for an address, and the name and password for it."""
    from urllib.request import getproxies, proxy_bypass  # slow, and only for the outside

    parts, proxies = urlsplit(url), getproxies()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or proxy_bypass(parts.hostname or ""):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise ConfigurationError(
            "only http:// and https:// proxies are known here; change HTTPS_PROXY or ALL_PROXY, or "
            "name the service in NO_PROXY"
        )
    login = None
    if proxy.username is not None:
        login = unquote(proxy.username), unquote(proxy.password or "")
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", login


def get(settings: Settings, target: str, headers: dict[str, str]) -> Answer:
    """The service's answer to a GET; once more on a fresh connection when a kept one has died.

    Raises ServiceUnreachable when there is none within the settings' time-out, and ProtocolError
    for one that is far too long.
    """
    url = settings.base_url + target
    fixed = {"Host": urlsplit(url).netloc, "User-Agent": "tempkit"}
    request = httpcore.Request("GET", url, headers=[*(fixed | headers).items()])
    deadline = time.monotonic() + settings.timeout
    kept = _idle[settings.base_url]
    line = _kept_line(kept)
    is_fresh = line is None
    while True:
        line = line or _Line(settings)
        line.deadline = deadline
        try:
            answer = line.ask(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError) as error:
            line.close()
            if is_fresh:
                raise _unreachable(settings, error) from error
            line, is_fresh = None, True
        except FAILURES as error:
            line.close()
            raise _unreachable(settings, error) from error
        except BaseException:  # a key press in the middle must not leave a socket behind
            line.close()
            raise
        else:
            if line.is_kept:
                kept.append(line)
            return answer


def _kept_line(kept: deque[_Line]) -> _Line | None:
    """The line used last; those that nobody has used for long are closed."""
    oldest = time.monotonic() - KEEPALIVE_SECONDS
    try:
        while kept[0].used_at < oldest:
            kept.popleft().close()
        return kept.pop()
    except IndexError:
        return None


def _unreachable(settings: Settings, error: Exception) -> ServiceUnreachable:
    if isinstance(error, httpcore.TimeoutException):
        what = f"no answer within {settings.timeout:g} s"
    else:
        what = str(error) or type(error).__name__
    return ServiceUnreachable(
        f"the streaming service at {settings.base_url} cannot be reached: {what}; "
        f"check the network and {URL_VARIABLE}"
    )


def _forget_lines() -> None:
    """In a forked child: two processes on one line would get each other's answers."""
    for kept in _idle.values():
        while kept:
            kept.pop().close()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_lines)
