"""Relay: a page's WebSocket passed on to the sandbox, so that one port is all a browser needs."""

import selectors
import socket
import ssl
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

from tempkit.config import Settings
from tempkit.server.guard import ACCESS_HEADER

READS, WRITES = selectors.EVENT_READ, selectors.EVENT_WRITE
# One without a descriptor of its own, as it is made anew for each wait.
Waiting = getattr(selectors, "PollSelector", selectors.SelectSelector)
PIECE = 64 * 1024
SEND_SECONDS = 30.0  # how long one side may take nothing of what the other one said
# What lets a browser in here is not passed on, and the sandbox gets its own name as Host.
OURS = (b"host", b"cookie", ACCESS_HEADER.encode())


def dial(settings: Settings, head: list[bytes]) -> socket.socket:
    """A connection to the service, on which the request of these lines was said. Raises OSError."""
    parts = urlsplit(settings.websocket_url)
    address = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    service = socket.create_connection(address, settings.timeout)
    if parts.scheme == "wss":
        from tempkit.network import trusted  # few sandboxes speak TLS

        service = trusted().wrap_socket(service, server_hostname=address[0])
    query = head[0].split(b" ")[1].partition(b"?")[2]
    names = parts.path.encode(), query, parts.netloc.encode()
    theirs = (line for line in head[1:] if line.partition(b":")[0].lower() not in OURS)
    service.sendall(b"GET %s?%s HTTP/1.1\r\nHost: %s\r\n" % names + b"".join(theirs) + b"\r\n")
    return service


def pass_on(browser: socket.socket, service: socket.socket, early: bytes = b"") -> None:
    """Pass bytes both ways until one side ends, or takes nothing for too long. Raises OSError.

    ``early`` is what the browser has said already. In one thread, as a TLS connection wants it; a
    side is read only when the other one has taken what it said before.
    """
    others = {browser: service, service: browser}
    unsent = {browser: b"", service: early}
    for side in others:
        side.setblocking(False)
        side.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # it may have lost its power
    while True:
        with Waiting() as waiting:
            for side, other in others.items():
                if events := READS * (not unsent[other]) | WRITES * bool(unsent[side]):
                    waiting.register(side, events)
            ready = waiting.select(SEND_SECONDS if any(unsent.values()) else None)
        if not ready:
            return
        for key, events in ready:
            side = cast("socket.socket", key.fileobj)
            with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if events & WRITES:
                    unsent[side] = unsent[side][side.send(unsent[side]) :]
                if events & READS:
                    data = side.recv(PIECE)
                    # TLS may hold more, of which the selector knows nothing.
                    while isinstance(side, ssl.SSLSocket) and side.pending():
                        data += side.recv(PIECE)
                    if not data:
                        return
                    unsent[others[side]] = data
