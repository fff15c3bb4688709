"""A listening socket that knows its clients and outlives a shortage, of descriptors for one."""

import errno
import socket
import time
from contextlib import suppress
from typing import Any
from weakref import WeakSet

# The library takes any error of accept for the end of its server.
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED}
PAUSE_SECONDS = 0.1


class ListeningSocket:
    """A listening socket, with or without TLS, whose ``accept`` waits until it can be done."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._accepted: WeakSet[socket.socket] = WeakSet()
        self.fileno = plain.fileno
        self.close = plain.close
        self.getsockname = plain.getsockname
        self.family = plain.family

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection and where it comes from. Raises OSError once the socket is closed."""
        while True:
            try:
                connection, address = self._plain.accept()
            except OSError as error:
                if error.errno not in PASSING:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                self._accepted.add(connection)
                return connection, address

    def forget(self) -> None:
        """Close this process's copies of the socket and of the connections that were accepted."""
        for each in (self._plain, *self._accepted):
            with suppress(OSError):
                each.close()

    def cut(self) -> None:
        """Cut the connections that were accepted."""
        for connection in list(self._accepted):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
