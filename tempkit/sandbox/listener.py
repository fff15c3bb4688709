"""A listening socket that outlives a shortage, of file descriptors for one."""

import errno
import socket
import time
from typing import Any

# The library takes any error of accept for the end of its server.
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED}
PAUSE_SECONDS = 0.1


class Listener(socket.socket):
    """``accept`` waits until it can be done, or the socket is closed."""

    @classmethod
    def on(cls, host: str, port: int) -> "Listener":
        """A socket that listens there. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        plain = socket.create_server((host, port), family=family, backlog=1024)
        return cls(fileno=plain.detach())

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection and where it comes from. Raises OSError once the socket is closed."""
        while True:
            try:
                return super().accept()
            except OSError as error:
                if error.errno not in PASSING:
                    raise
                time.sleep(PAUSE_SECONDS)
