"""Link: one WebSocket to the streaming service, with this kit's errors instead of the library's."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import urlencode

from websockets.exceptions import (
    ConnectionClosed,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.sync.client import ClientConnection, connect

from tempkit.config import Settings
from tempkit.deadline import Deadline
from tempkit.env_file import URL_VARIABLE
from tempkit.errors import ProtocolError, ServiceUnreachable, SessionClosed
from tempkit.network import Route, forget_frames, route_to, unreachable
from tempkit.protocol.close_codes import PASSING, CloseCode
from tempkit.protocol.recording import Close, Frame, Side, head_line

CLOSE_SECONDS = 2.0
LARGEST_MESSAGE = 2**24  # bytes: a turn with all its words

# What the library says there comes as an exception, too: a late pong would print a traceback.
library_log = logging.getLogger("tempkit.websocket.client")
library_log.setLevel(logging.CRITICAL)

Tells = Callable[[Side, str | bytes | Close], None]


class Link:
    """An open connection; made by ``Link.open``."""

    def __init__(self, connection: ClientConnection, send_seconds: float) -> None:
        self._connection = connection
        self._send_seconds = send_seconds
        self.tells: Tells = lambda by, data: None  # what is told of each frame

    @classmethod
    def open(
        cls, settings: Settings, query: Mapping[str, str], token: str, pong_seconds: float
    ) -> Self:
        """Connect; the service checks token and parameters afterwards, in its first message.

        A pong that is ``pong_seconds`` late closes the link, and so does audio that cannot be
        handed to the network for as long. Raises ConfigurationError, ServiceUnreachable,
        ProtocolError, and SessionClosed when the connection breaks on the way.
        """
        route = route_to(settings, is_websocket=True)
        try:
            # Entered by hand: the link leaves it in close(), which may be called from any thread.
            connection = connect(
                f"{settings.websocket_url}?{urlencode(query)}",
                # In the header no log of addresses shows the token.
                additional_headers={"Authorization": token, "User-Agent": "tempkit"},
                user_agent_header=None,
                compression=None,
                ssl=route.tls,
                proxy=route.proxy,
                open_timeout=settings.timeout,
                close_timeout=CLOSE_SECONDS,
                max_size=LARGEST_MESSAGE,
                max_queue=None,
                ping_interval=pong_seconds,
                ping_timeout=pong_seconds,
                logger=library_log,
            ).__enter__()
        except (WebSocketException, OSError, ValueError) as error:
            _raise_as_ours(error, settings, route)
        return cls(connection, pong_seconds)

    def send(self, data: str | bytes) -> None:
        """Send a message. Raises SessionClosed, also when nothing is read at the other end."""
        self.tells("client", data)
        try:
            with self._bound(self._send_seconds):
                self._connection.send(data)
        except ConnectionClosed as closed:
            raise _as_ours(closed) from None

    def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message. Raises TimeoutError and, when there is none left, SessionClosed."""
        try:
            data = self._connection.recv(timeout)
        except ConnectionClosed as closed:
            end = _as_ours(closed)
            self.tells("service", Close(end.code, end.reason))
            raise end from None
        self.tells("service", data)
        return data

    def close(self) -> None:
        """Close the connection; returns within two seconds, also when it is closed already."""
        with self._bound(CLOSE_SECONDS):
            self._connection.close()

    def _bound(self, seconds: float) -> Deadline:
        """The library waits without end for a peer that reads nothing."""
        deadline = Deadline(seconds)
        deadline.holds_for(self._connection.socket)
        return deadline


def _as_ours(closed: ConnectionClosed) -> SessionClosed:
    frame = closed.rcvd
    code, reason = (frame.code, frame.reason) if frame else (CloseCode.ABNORMAL, "")
    return SessionClosed(code, reason, CloseCode.advice_for(code, reason))


def _raise_as_ours(error: Exception, settings: Settings, route: Route) -> NoReturn:
    forget_frames(error)
    if isinstance(error, (OSError, ProxyError)):
        is_late = isinstance(error, TimeoutError)
        gone = unreachable(settings, route, error, is_late, _refusal(error))
        gone.may_pass = is_late  # there was a token a moment ago
        raise gone from error
    if isinstance(error.__cause__, EOFError):
        raise CloseCode.ABNORMAL.error("the connection broke while opening") from None
    where = settings.websocket_url
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status >= 500:
            text = f"{where} answered HTTP {status}; the service or a proxy has a problem"
            may_pass = status in PASSING
            raise ServiceUnreachable(f"{text}, try again in a minute", may_pass=may_pass) from error
        text = f"{where} answered HTTP {status} instead of opening a WebSocket"
    else:
        text = f"{where} does not speak WebSocket: {type(error).__name__}"
    raise ProtocolError(f"{text}; check {URL_VARIABLE}") from None


def _refusal(error: Exception) -> str | None:
    """What a proxy answered, if it did."""
    if isinstance(error, InvalidProxyStatus):
        return str(error.response.status_code)
    is_answer = isinstance(error, ProxyError) and not isinstance(error, InvalidProxyMessage)
    return "no" if is_answer else None


class Recorder:
    """A file to which the frames of a session's links are written while they go, see ``recording``.

    No key and no token is in it. ``keeps_audio`` False writes how long the audio was in its place.
    Raises OSError when the file cannot be written.
    """

    def __init__(self, path: str | Path, *, keeps_audio: bool) -> None:
        self._file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - see close()
        self._keeps_audio = keeps_audio
        self._lock = threading.Lock()

    def begin(self, query: Mapping[str, str]) -> Tells:
        """A link opens; gives what is to be told of each of its frames."""
        with self._lock:
            self._file.write(f"{head_line(query)}\n")
        return partial(self._tell, time.monotonic())

    def close(self) -> None:
        """Nothing more is written."""
        with self._lock:
            self._file.close()

    def _tell(self, begun: float, by: Side, data: str | bytes | Close) -> None:
        with self._lock:  # so that times are in order, too
            if not self._file.closed:
                frame = Frame(time.monotonic() - begun, by, data)
                self._file.write(f"{frame.line(keeps_audio=self._keeps_audio)}\n")
