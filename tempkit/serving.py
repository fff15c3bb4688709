"""Service: start, stop and address of anything with ``serve_forever``, safe to start twice."""

import atexit
import errno
import logging
import os
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from ssl import SSLContext
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from tempkit.errors import ConfigurationError, TempkitError, expect, unfailing

log = logging.getLogger(__name__)

TRIES = 20  # ports after the default one, when another program holds that
BACKLOG = 1024  # a burst that does not fit is lost for a second, without any error to see
IPV4, IPV6 = "127.0.0.1", "::1"
LOOPBACK = {"localhost": (IPV4, IPV6), IPV4: (IPV4, IPV6), IPV6: (IPV6, IPV4)}
SHORTAGE_SECONDS = 0.01  # between two tries to get a descriptor
STOP_SECONDS = 5.0  # how long stopping waits for the serving thread


class Engine(Protocol):
    """What serves: it holds its port from its making until ``shutdown``."""

    port: int

    def serve_forever(self) -> None:
        """Serve until ``shutdown``."""

    def shutdown(self) -> None:
        """Stop serving, close the port and every connection."""

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""


class Report(NamedTuple):
    """What a service says about itself: a line, and its latest requests, newest first."""

    line: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Service(ABC):
    """Something that listens on a port, in its own thread.

    ``start()`` first stops an earlier service of the same kind and port in this process, so that a
    notebook cell can run twice. Use it as a context manager, or call ``stop()``; the end of the
    process stops it, too. In a forked child it is stopped; in the parent it goes on.
    """

    kind: ClassVar[str]
    default_port: ClassVar[int]

    def __init__(self, host: str, port: int | None, tls: SSLContext | None = None) -> None:
        expect("host", host, str)
        expect("port", port, int, None)
        if port is not None and not 0 <= port < 65536:
            raise ConfigurationError(f"port must be 0 to 65535, not {port}")
        expect("ssl", tls, SSLContext, None)
        self.host = host
        self._first_port = self.default_port if port is None else port  # 0: any free one
        self._last_port = self._first_port + (TRIES if port is None and self.default_port else 0)
        self._tls = tls
        self._engine: Engine | None = None
        self._thread: threading.Thread  # the engine's, while there is one

    @abstractmethod
    def _bind(self, port: int) -> Engine:
        """The engine on a port, 0 standing for any free one. Raises OSError."""

    def _begin(self) -> None:  # noqa: B027 - a service may start in silence
        """What is to be done, and said, as soon as it listens."""

    @property
    def link(self) -> str:
        """The address that people open. Raises ConfigurationError while it is stopped."""
        return self.url

    def report(self, most: int = 8) -> Report:
        """What the service does, and its ``most`` latest requests, without secrets."""
        return Report("running" if self.is_running else "stopped")

    @property
    def port(self) -> int:
        """The port that it listens on, 0 while stopped."""
        return self._engine.port if self._engine else 0

    @property
    def url(self) -> str:
        """The address of the running service. Raises ConfigurationError while it is stopped."""
        if not self.is_running:
            raise ConfigurationError(f"the {self.kind} is not running; call start() first")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether the service listens."""
        return self._engine is not None and self._thread.is_alive()

    def start(self) -> Self:
        """Listen, and return at once. Raises ConfigurationError if it cannot use the port."""
        with _starting:
            if self.is_running:
                return self
            self.stop()  # what is left when serving ended by itself
            wanted = self._first_port
            for other in list(_running):
                if other.kind == self.kind and wanted in (other._first_port, other.port) and wanted:
                    other.stop()
            engine = self._listen()
            name = f"tempkit {self.kind}"
            self._thread = threading.Thread(target=engine.serve_forever, name=name, daemon=True)
            self._thread.start()
            self._engine = engine
            _running.append(self)
        self._begin()
        return self

    def stop(self) -> None:
        """Close the port and every connection; does nothing if it is already stopped."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.shutdown()
            self._thread.join(STOP_SECONDS)
            _running.remove(self)

    def wait(self) -> None:
        """Wait until it is stopped, or Ctrl-C. Raises TempkitError if it stops by itself."""
        while self.is_running:
            self._thread.join(0.5)
        if self._engine is not None:
            raise TempkitError(f"the {self.kind} stopped by itself; its log says why")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @unfailing
    def __repr__(self) -> str:
        """Where it listens."""
        where = f" {self.url}" if self.is_running else ", stopped"
        return f"<{type(self).__name__}{where}>"

    def _repr_html_(self) -> str:
        from tempkit import pictures

        name = self.kind.capitalize()
        return f"{name} at {pictures.link(self.link)}" if self.is_running else f"{name}, stopped"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        """What a notebook shows: a view with a link, a Stop button and the latest requests."""
        try:
            from tempkit.widgets.service_view import bundle
        except (ImportError, ConfigurationError):  # no ipywidgets: text and HTML then
            return {}
        return bundle(self)

    def _listen(self) -> Engine:
        wanted, last = self._first_port, self._last_port
        for port in range(wanted, last + 1):
            try:
                return self._bind(port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    text = f"cannot listen on {self.host}:{port}: {error.strerror or error}"
                    raise ConfigurationError(text) from error
            if port < last:
                log.warning("port %s is taken by another program, trying %s", port, port + 1)
        text = f"port {wanted} is taken by another program; stop it or choose another port"
        raise ConfigurationError(text)


class HttpServer(ThreadingHTTPServer):
    """The library's threaded server, on a socket that listens already, with TLS or without."""

    def __init__(
        self,
        listener: socket.socket,
        tls: SSLContext | None,
        handler: type[BaseHTTPRequestHandler],
    ) -> None:
        BaseServer.__init__(self, listener.getsockname()[:2], handler)  # it has its socket
        self.socket = listener
        if tls is not None:
            self.socket = tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        self.port: int = self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises OSError when there is none."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self.make_room()
                time.sleep(SHORTAGE_SECONDS)
            raise

    def make_room(self) -> None:
        """Do what can be done when the process has no descriptor left."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what nobody expected; a client that went away is no news."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a connection failed", exc_info=error)

    def shutdown(self) -> None:
        """Stop accepting connections, and close the port."""
        with suppress(OSError):  # this wakes its thread at once, where the system has it so
            self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()
        self.server_close()


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there: on both families of loopback, if it has two. Raises OSError."""
    address, *others = LOOPBACK.get(host, (host,))
    listeners = [listen_on(address, port)]
    try:
        listeners += [listen_on(other, listeners[0].getsockname()[1]) for other in others]
    except OSError as error:
        # "localhost" may lead to the other program; without a second family there is none.
        if error.errno == errno.EADDRINUSE and port != 0:
            listeners[0].close()
            raise
    return listeners


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens there, "::" standing for all of both families. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)


_starting = threading.Lock()
_running: list[Service] = []


@atexit.register
def _stop_all() -> None:
    for service in list(_running):
        service.stop()


def _forget_all() -> None:
    """In a forked child: the services are the parent's, and a thread of it may hold the lock."""
    global _starting
    _starting = threading.Lock()
    while _running:
        service = _running.pop()
        engine, service._engine = service._engine, None
        if engine is not None:
            engine.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)
