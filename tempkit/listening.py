"""Listening: the sockets, the TLS set-up and the room for connections of a server."""

import errno
import os
import socket
import ssl
import sys

from tempkit.errors import ConfigurationError

BACKLOG = 1024  # a burst that does not fit is lost for a second, without any error to see
MOST_CONNECTIONS = 1000
BOTH = {"127.0.0.1": "::1", "::1": "127.0.0.1", "localhost": "::1"}


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on a host; on both loopback families where there are two.

    Raises OSError.
    """
    first = _listen("127.0.0.1" if host == "localhost" else host, port)
    other = BOTH.get(host)
    if other is None:
        return [first]
    try:
        return [first, _listen(other, first.getsockname()[1])]
    except OSError as error:
        # "localhost" may lead to the other program; without a second family there is none.
        if error.errno == errno.EADDRINUSE and port != 0:
            first.close()
            raise
        return [first]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Windows the option would let two programs share the port.
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def tls_context(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    """The TLS set-up of a certificate and its key. Raises ConfigurationError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:  # ssl.SSLError is one
        what = error.strerror if isinstance(error, FileNotFoundError) else "no matching pair"
        raise ConfigurationError(
            f"the certificate {certfile} and its key cannot be used: {what}; both are PEM files"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def most_connections() -> int:
    """How many connections there may be: half of the descriptors that the process may have."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS // 4  # select() there takes 512
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft < 0 else min(MOST_CONNECTIONS, max(16, soft // 2))
