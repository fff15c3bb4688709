"""A proxy for tests, CONNECT and SOCKS 5 on one port: every name leads to one port here."""

import base64
import socket
import threading
from contextlib import closing, suppress

from tempkit.server.relay import pass_on
from tests.listening import Listening

REFUSED = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"


class Proxy(Listening):
    """Leads to ``port`` of this machine, or answers ``refusal``; b"" says nothing at all.

    ``asked`` has a pair for each connection: what for, and with which login.
    """

    def __init__(self, port: int, refusal: bytes | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self._target = port
        self._refusal = refusal
        self._is_over = threading.Event()

    def __exit__(self, *failure: object) -> None:
        self._is_over.set()
        super().__exit__(*failure)  # type: ignore[arg-type]

    def serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            if self._refusal == b"":
                client.recv(65536)
                self._is_over.wait(10)
                return
            first = client.recv(65536)
            accepted = self._socks(client, first) if first[:1] == b"\5" else self._connect(first)
            if self._refusal is not None:
                client.sendall(self._refusal)
                return
            with closing(socket.create_connection(("127.0.0.1", self._target))) as service:
                client.sendall(accepted)
                pass_on(client, service)

    def _connect(self, request: bytes) -> bytes:
        line, *headers = request.decode().split("\r\n")
        logins = [h.split()[-1] for h in headers if h.lower().startswith("proxy-authorization:")]
        self.asked.append((line.split()[1], "".join(base64.b64decode(x).decode() for x in logins)))
        return b"HTTP/1.1 200 Connected\r\n\r\n"

    def _socks(self, client: socket.socket, methods: bytes) -> bytes:
        login = ""
        client.sendall(b"\5\2" if 2 in methods[2:] else b"\5\0")
        if 2 in methods[2:]:
            words = client.recv(65536)
            user, password = words[2 : 2 + words[1]], words[3 + words[1] :]
            login = f"{user.decode()}:{password.decode()}"
            client.sendall(b"\1\0")
        request = client.recv(65536)
        name, port = request[5:-2].decode(), int.from_bytes(request[-2:], "big")
        self.asked.append((f"{name}:{port}", login))
        return b"\5\0\0\1" + bytes(6)
