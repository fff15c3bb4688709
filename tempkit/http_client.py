"""HTTP to the service: kept httpx connections, one request at a time on each, in bounded time."""

import logging
import os
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from typing import Any, cast

import httpx

from tempkit.config import Settings
from tempkit.deadline import Deadline
from tempkit.errors import ConfigurationError, ProtocolError, TempkitError
from tempkit.network import forget_frames, route_to, unreachable

logging.getLogger("httpcore.socks").setLevel(logging.INFO)  # at DEBUG it shows a proxy's login

Details = dict[str, Any]

KEEPALIVE_SECONDS = 55.0  # a quiet page should not pay a TLS handshake for each token
LARGEST_ANSWER = 64 * 1024  # bytes; a token is about 2,600
DEATHS = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
FIXED_HEADERS = {"User-Agent": "tempkit", "Accept": "application/json"}
NO_BODY = httpx.ByteStream(b"")
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; else httpx builds its own


def prepare(settings: Settings) -> None:
    """Make ready what the first token would have to wait for."""
    with suppress(ConfigurationError):  # the first token raises it
        _Line(settings).close()


# Idle lines by base URL, the one used last on top. One pool for all threads, as in an httpx.Client,
# would cost with the square of its connections.
_idle: defaultdict[str, deque["_Line"]] = defaultdict(deque)
if hasattr(os, "register_at_fork"):  # a forked child has no part in its parent's connections
    os.register_at_fork(after_in_child=_idle.clear)


def get(settings: Settings, target: str, key: str) -> tuple[int, bytes]:
    """The status and body of the service's answer, all of it within the settings' time-out.

    Asked once more when a kept line had died meanwhile. Raises ConfigurationError if the proxy's
    address is invalid, ServiceUnreachable, and ProtocolError for an answer far too long.
    """
    kept = _idle[settings.base_url]
    with Deadline(settings.timeout) as deadline:
        line = _kept_line(kept) or _Line(settings)
        while True:
            try:
                answer = line.ask(settings.base_url + target, key, deadline)
                break
            except BaseException as error:  # Ctrl-C must leave no socket behind either
                line.close()
                forget_frames(error)
                if isinstance(error, TempkitError) or not isinstance(error, Exception):
                    raise
                is_late = not deadline.seconds_left or isinstance(error, httpx.TimeoutException)
                if is_late or not (line.may_have_died and isinstance(error, DEATHS)):
                    refusal = str(error) if isinstance(error, httpx.ProxyError) else None
                    raise unreachable(settings, line.route, error, is_late, refusal) from error
            line = _Line(settings)
    if line.is_open:
        kept.append(line)
    return answer


def _kept_line(kept: deque["_Line"]) -> "_Line | None":
    """The line used last; those that nobody has used for long are closed."""
    oldest = time.monotonic() - KEEPALIVE_SECONDS
    try:
        while kept[0].used_at < oldest:
            kept.popleft().close()
        return kept.pop()
    except IndexError:
        return None


class _Line:
    """One connection to the service, for one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self.route = route = route_to(settings)
        self._transport = httpx.HTTPTransport(
            verify=route.tls or NO_TLS,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
            proxy=route.proxy,
        )
        self._asked = ("", "")
        self._request: httpx.Request
        self._socket: socket.socket | None = None
        self.used_at = 0.0
        self.is_open = False
        self.may_have_died = False  # it was kept, and nothing has come back yet

    def ask(self, address: str, key: str, deadline: Deadline) -> tuple[int, bytes]:
        """The whole answer, by the deadline however slowly it drips in."""
        if self._asked != (address, key):  # to make one takes a tenth of a request
            url = httpx.URL(address)
            headers = FIXED_HEADERS | {"Host": url.netloc.decode(), "Authorization": key}
            self._request = httpx.Request("GET", url, headers=headers, stream=NO_BODY)
            self._asked = address, key
        request = self._request
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), deadline.seconds_left)
        request.extensions = {"timeout": timeouts}
        request.extensions["trace"] = partial(self._follow, deadline, request.extensions)
        deadline.holds_for(self._socket)
        self.may_have_died = self._socket is not None
        body = bytearray()
        with closing(self._transport.handle_request(request)) as response:
            self.may_have_died = False
            for piece in cast("Iterable[bytes]", response.stream):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise ProtocolError("the answer is far too long to be a token")
        if not deadline.seconds_left:  # what was cut may look whole
            raise httpx.ReadTimeout("the answer took too long")
        if response.status_code == 407 and self.route.proxy:  # without TLS there is no tunnel
            raise httpx.ProxyError("407")
        self.is_open = self._socket is not None and self._socket.fileno() != -1
        self.used_at = time.monotonic()
        return response.status_code, bytes(body)

    def _follow(self, deadline: Deadline, extensions: Details, event: str, info: Details) -> None:
        """Called by httpx on its way: the deadline needs the socket of a new connection."""
        if event.endswith("connect_tcp.started"):
            self.may_have_died = False
        elif self.may_have_died:
            extensions.pop("trace", None)  # nothing new here, and each call takes its time
        elif event.endswith("start_tls.started"):  # meanwhile the socket is in nobody's hands
            info["timeout"] = max(0.001, deadline.seconds_left)
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            deadline.holds_for(self._socket)

    def close(self) -> None:
        """Close the connection, at whatever point it is."""
        self._transport.close()
        if self._socket is not None:
            self._socket.close()
