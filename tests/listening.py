"""A double that listens on a port: each connection is served in a thread of its own."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class Listening:
    """Serves connections with ``serve`` from entering to leaving; every thread ends with it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def serve(self, client: socket.socket) -> None:
        """Do with a connection what the double is for."""
        raise NotImplementedError

    def start(self, target: Callable[..., None], *arguments: object) -> None:
        """Run something in a thread, which leaving waits for."""
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.start(self.serve, client)
