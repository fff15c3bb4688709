"""Relay: a page's WebSocket passed on to the sandbox, so that one port is all a browser needs."""

import selectors
import socket
import ssl
from typing import cast
from urllib.parse import urlsplit

from tempkit.config import Settings
from tempkit.server.guard import ACCESS_HEADER

READS, WRITES = selectors.EVENT_READ, selectors.EVENT_WRITE
# One that needs no descriptor of its own, as it is made anew each time.
Waiting = getattr(selectors, "PollSelector", selectors.SelectSelector)
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
PIECE = 64 * 1024
SEND_SECONDS = 30.0  # how long one side may take nothing of what the other one said
# What lets a browser in here is not passed on, and the sandbox gets its own name as Host.
OURS = (b"host", b"cookie", ACCESS_HEADER.encode())


def dial(settings: Settings) -> socket.socket:
    """A connection to the service of ``settings``. Raises OSError."""
    parts = urlsplit(settings.websocket_url)
    address = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    service = socket.create_connection(address, settings.timeout)
    if parts.scheme == "ws":
        return service
    from tempkit.network import trusted  # few sandboxes speak TLS

    return trusted().wrap_socket(service, server_hostname=address[0])


def relay(
    browser: socket.socket, head: list[bytes], early: bytes, service: socket.socket, url: str
) -> None:
    """Pass a request on to the service at ``url``, then bytes both ways until one side ends.

    ``head`` is the request's lines, ``early`` what the browser said after them. Raises OSError
    when one side breaks off.
    """
    parts = urlsplit(url)
    with service:
        service.sendall(_head_for(parts.netloc, parts.path, head) + early)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # it may have lost its power
        pass_on(browser, service)


def _head_for(netloc: str, path: str, head: list[bytes]) -> bytes:
    method, target, version = head[0].split(b" ")
    query = target.partition(b"?")[2]
    lines = [b"%s %s?%s %s" % (method, path.encode(), query, version)]
    lines.append(b"Host: %s\r\n" % netloc.encode())
    lines += [line for line in head[1:] if line.partition(b":")[0].lower() not in OURS]
    return b"".join([*lines, b"\r\n"])


def pass_on(browser: socket.socket, service: socket.socket) -> None:
    """Pass bytes both ways until one side ends, or takes nothing for too long. Raises OSError.

    In one thread, as a TLS connection wants it; a side is read only when the other one has taken
    what it said before.
    """
    others = {browser: service, service: browser}
    unsent = {browser: b"", service: b""}
    for side in others:
        side.setblocking(False)
    while True:
        with Waiting() as waiting:
            for side, other in others.items():
                events = (not unsent[other]) * READS | bool(unsent[side]) * WRITES
                if events:
                    waiting.register(side, events)
            ready = waiting.select(SEND_SECONDS if any(unsent.values()) else None)
        if not ready:
            return
        for key, events in ready:
            side = cast("socket.socket", key.fileobj)
            if events & WRITES:
                unsent[side] = _rest(side, unsent[side])
            if events & READS:
                data = _received(side)
                if data == b"":
                    return
                unsent[others[side]] = _rest(others[side], data or b"")


def _received(side: socket.socket) -> bytes | None:
    """What a side said, b"" at its end, None for nothing yet. Raises OSError."""
    try:
        data = side.recv(PIECE)
        # TLS may hold more, of which the selector knows nothing.
        while isinstance(side, ssl.SSLSocket) and side.pending():
            data += side.recv(PIECE)
    except WAITS:
        return None
    return data


def _rest(side: socket.socket, data: bytes) -> bytes:
    """What a side does not take of it at once. Raises OSError."""
    try:
        return data[side.send(data) :] if data else data
    except WAITS:
        return data
