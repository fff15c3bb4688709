"""A TCP relay in front of a service that resets WebSocket connections when it is told to."""

import socket
import struct
from contextlib import suppress

from tests.listening import Listening

RESET = struct.pack("ii", 1, 0)  # linger for no time: close() sends a reset


class Relay(Listening):
    """Passes bytes on to ``port``. Each cut resets one WebSocket connection, in order.

    A cut is a pair: how many bytes, and which way ("up" to the service, "down" to the client). With
    ``stalls`` a cut connection stays open instead, and nothing passes any more either way.
    """

    def __init__(self, port: int, cuts: list[tuple[int, str]], *, stalls: bool = False) -> None:
        super().__init__()
        self.cuts = list(cuts)
        self._stalls = stalls
        self._stalled: set[socket.socket] = set()
        self.made = 0
        self._service = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        try:
            service = socket.create_connection(("127.0.0.1", self._service))
        except OSError:  # it is gone, and so is this
            client.close()
            return
        with suppress(OSError):
            first = client.recv(65536)
            service.sendall(first)
            cut = self.cuts.pop(0) if b"/v3/ws" in first and self.cuts else None
            for source, target, way in ((client, service, "up"), (service, client, "down")):
                most = cut[0] if cut is not None and cut[1] == way else None
                self.start(self._pass_on, source, target, most)

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
