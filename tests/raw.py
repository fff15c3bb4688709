"""A WebSocket to a sandbox without this kit's client: what any other program sees."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tempkit import Sandbox
from tempkit.protocol.parameters import US_MODELS

REASON = "See Error message for details"
TERMINATE = '{"type": "Terminate"}'
UPGRADE = (
    "GET /v3/ws?sample_rate=16000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: any\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{}\r\n"
)


def opened(sandbox: Sandbox, *, key: str | None = "any", **query: object) -> connect:
    """A socket that the sandbox has upgraded; ``sample_rate`` is 16000 unless given."""
    headers = {} if key is None else {"Authorization": key}
    parameters = {"speech_model": US_MODELS[0], "sample_rate": 16000} | query
    url = f"{sandbox.settings.websocket_url}?{urlencode(parameters, doseq=True)}"
    return connect(url, additional_headers=headers, compression=None, proxy=None)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Every thread that is started inside has to end soon after."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive(), thread


def check_that_it_stops(sandbox: Sandbox) -> None:
    """Stop it, whatever its clients do; it waits for none of them as long as the library would."""
    begun = monotonic()
    sandbox.stop()
    assert monotonic() - begun < 8


def read(connection: ClientConnection) -> dict:
    """The next message."""
    return json.loads(connection.recv(timeout=10))


def say(connection: ClientConnection, *messages: str | bytes) -> None:
    """Send, until the sandbox has had enough."""
    with suppress(ConnectionClosed):
        for message in messages:
            connection.send(message)


def rest(connection: ClientConnection) -> tuple[list[dict], int, str]:
    """All messages that still come, the close code (1006 for a cut) and the reason."""
    messages = []
    while True:
        try:
            messages.append(json.loads(connection.recv(timeout=20)))
        except ConnectionClosed as closed:
            close = closed.rcvd
            return messages, close.code if close else 1006, close.reason if close else ""


def types(messages: list[dict]) -> list[str]:
    """Their types."""
    return [message["type"] for message in messages]
