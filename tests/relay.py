"""A TCP relay in front of a service that resets WebSocket connections when it is told to."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

RESET = struct.pack("ii", 1, 0)  # linger for no time: close() sends a reset


class Relay:
    """Passes bytes on to ``port``. Each cut resets one WebSocket connection, in order.

    A cut is a pair: how many bytes, and which way ("up" to the service, "down" to the client). With
    ``stalls`` a cut connection stays open instead, and nothing passes any more either way.
    """

    def __init__(self, port: int, cuts: list[tuple[int, str]], *, stalls: bool = False) -> None:
        self.cuts = list(cuts)
        self._stalls = stalls
        self._stalled: set[socket.socket] = set()
        self.made = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Relay":
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # A browser opens some that it has no use for yet: they must not hold up the others.
            self._start(self._connect, client)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _connect(self, client: socket.socket) -> None:
        service = socket.create_connection(("127.0.0.1", self._port))
        with suppress(OSError):
            first = client.recv(65536)
            service.sendall(first)
            cut = self.cuts.pop(0) if b"/v3/ws" in first and self.cuts else None
            for source, target, way in ((client, service, "up"), (service, client, "down")):
                most = cut[0] if cut is not None and cut[1] == way else None
                self._start(self._pass_on, source, target, most)

    def _pass_on(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(4096):
                if source in self._stalled:
                    continue
                if most is not None and passed + len(data) >= most:
                    target.sendall(data[: most - passed])
                    self.made += 1
                    if self._stalls:
                        self._stalled |= {source, target}
                        continue
                    for end in (source, target):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        end.shutdown(socket.SHUT_RDWR) if end is source else None
                    break
                passed += len(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
