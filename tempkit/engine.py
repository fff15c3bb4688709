"""Engine: sockets and threads for a site.

One thread accepts, holds the connections that wait (for a head, for room to write, for their end)
and answers what is at hand, as files are. A connection has a thread of its own only while its token
is made and shortly after, so that silent and slow clients cost no thread.
"""

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from typing import cast

from tempkit.connection import BUSY, Connection, State, turn_away
from tempkit.listening import most_connections
from tempkit.responder import Responder
from tempkit.site import Site
from tempkit.workers import Workers

log = logging.getLogger(__name__)

MOST_THREADS = 256
MOST_WAITING = 256  # requests that wait for a thread
MOST_AT_ONCE = 16  # answers on a connection, then the others have their turn
HEAD_SECONDS = 10.0  # from the first moment to the end of a head
IDLE_SECONDS = 30.0  # how long a kept connection may be silent, or an answer not be taken
LINGER_SECONDS = 0.25  # how long a thread waits for the next request itself
DRAIN_SECONDS = 1.0
SWEEP_SECONDS = 0.5
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Engine:
    """Serves a site on listening sockets until ``shutdown``."""

    def __init__(
        self, site: Site, listeners: list[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        self._responder, self._listeners, self._tls = Responder(site), listeners, tls
        self._most = most_connections()
        self._workers = Workers(
            self._serve, most=min(MOST_THREADS, self._most), most_waiting=MOST_WAITING
        )
        self._selector = selectors.DefaultSelector()
        self._open: set[Connection] = set()
        self._parked: dict[Connection, None] = {}  # the one that has waited longest first
        self._returned: deque[Connection] = deque()
        self._waker, self._wakes = socket.socketpair()
        self._handing_over = threading.Lock()
        self._is_stopping = self._has_ended = False
        self._ended = threading.Event()
        self._waker.setblocking(False)
        for each in (*listeners, self._wakes):
            each.setblocking(False)
            self._selector.register(each, READ)

    def serve_forever(self) -> None:
        """Serve until ``shutdown``."""
        next_sweep = time.monotonic()
        try:
            while not self._is_stopping:
                for key, _ in self._selector.select(SWEEP_SECONDS):
                    self._handle(cast("socket.socket", key.fileobj), key.data)
                while self._returned:
                    self._park(self._returned.popleft())
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SWEEP_SECONDS
                    self._sweep()
        finally:
            self._end()

    def shutdown(self) -> None:
        """Stop serving, close the port and every connection."""
        self._is_stopping = True
        self._wake()
        self._ended.wait(2)

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""
        connections = [connection.socket for connection in self._open]
        for each in (*self._listeners, *connections, self._waker, self._wakes):
            with suppress(OSError):
                each.close()
        with suppress(OSError):
            self._selector.close()

    def _end(self) -> None:
        with self._handing_over:
            self._has_ended = True
        for listener in self._listeners:
            listener.close()
        self._workers.stop()
        for connection in (*self._parked, *self._returned):
            self._close(connection)
        for connection in list(self._open):  # a thread has it, and will close it
            connection.cut()
        self._selector.close()
        self._waker.close()
        self._wakes.close()
        self._ended.set()

    def _handle(self, sock: socket.socket, connection: Connection | None) -> None:
        if connection is not None:
            self._advance(connection)
        elif sock is self._wakes:
            sock.recv(1024)
        else:
            self._accept(sock)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):  # then the others have their turn
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptors left, or gone before it was there
                self._make_room()
                self._ended.wait(0.01)
                return
            if len(self._open) >= self._most and not self._make_room():
                turn_away(sock)
                continue
            try:
                connection = Connection(sock, address[0], self._tls)
            except OSError:
                sock.close()
                continue
            self._open.add(connection)
            connection.deadline = time.monotonic() + HEAD_SECONDS
            self._advance(connection)

    def _make_room(self) -> bool:
        """Close what has waited longest, those first that never asked anything."""
        silent = (each for each in self._parked if not each.was_answered)
        connection = next(silent, None) or next(iter(self._parked), None)
        if connection is not None:
            self._close(connection)
        return connection is not None

    def _advance(self, connection: Connection) -> None:
        """Go on with a connection that is held here, as far as that goes without waiting."""
        try:
            if self._step(connection):
                self._hold(connection)
        except OSError:
            self._close(connection)
        except Exception:
            log.exception("a connection failed")
            self._close(connection)

    def _step(self, connection: Connection) -> bool:
        """Whether the connection goes on waiting here. Raises OSError."""
        if connection.state is State.HANDSHAKE and not connection.shake_hands():
            return True
        if connection.state is State.WRITING:
            connection.deadline = time.monotonic() + IDLE_SECONDS
            if not connection.flush():
                return True
            if connection.ends:
                connection.hang_up()
                connection.deadline = time.monotonic() + DRAIN_SECONDS
                return True
            connection.state = State.READING
        talks = connection.receive()
        if connection.state is State.DRAINING:
            connection.read.clear()
        elif connection.has_request():
            return self._take_up(connection)
        if not talks:
            self._close(connection)
        return talks

    def _take_up(self, connection: Connection) -> bool:
        """Answer here what is at hand, leave the rest to a thread; whether it goes on waiting."""
        for _ in range(MOST_AT_ONCE):
            if not self._responder.is_at_hand(connection):
                break
            self._responder.answer(connection)
            if connection.state is State.DONE:
                self._close(connection)
                return False
            if connection.state is State.WRITING or not connection.has_request():
                self._await(connection)
                return True
        self._release(connection)
        if not self._workers.submit(connection):
            connection.send(BUSY)
            self._close(connection)
        return False

    def _await(self, connection: Connection) -> None:
        """Begin to wait for what a connection that was answered does next."""
        is_in_head = connection.state is State.READING and connection.read
        connection.deadline = time.monotonic() + (HEAD_SECONDS if is_in_head else IDLE_SECONDS)
        if connection in self._parked:  # it has not waited long any more
            del self._parked[connection]
            self._parked[connection] = None

    def _hold(self, connection: Connection) -> None:
        """Wait for what the connection waits for."""
        writes = connection.state is State.WRITING or connection.wants_write
        events = WRITE if writes else READ
        if connection not in self._parked:
            self._parked[connection] = None
            self._selector.register(connection.socket, events, connection)
        elif self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)

    def _park(self, connection: Connection) -> None:
        """Take over a connection from a thread."""
        self._await(connection)
        self._advance(connection)

    def _release(self, connection: Connection) -> None:
        if connection in self._parked:
            del self._parked[connection]
            self._selector.unregister(connection.socket)

    def _close(self, connection: Connection) -> None:
        self._release(connection)
        self._open.discard(connection)
        connection.close()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._parked if each.deadline < now]:
            self._close(connection)

    def _wake(self) -> None:
        try:
            self._waker.send(b".")
        except OSError:  # full: it wakes anyway; closed: there is nobody to wake
            return

    # From here on in the threads of the workers.

    def _serve(self, connection: Connection) -> None:
        """Answer a connection's requests; give it back when the next one is not there yet."""
        try:
            while True:
                self._responder.answer(connection)
                if connection.state is not State.READING:
                    break
                if connection.has_request():
                    continue
                wait = 0.0 if self._workers.are_busy else LINGER_SECONDS
                if connection.receive_within(wait) is False:
                    connection.state = State.DONE
                if connection.state is State.DONE or not connection.has_request():
                    break  # a slow one costs no thread
        except OSError:  # it went away in the middle
            connection.state = State.DONE
        except Exception:
            log.exception("a connection failed")
            connection.state = State.DONE
        if connection.state is State.DONE:
            self._drop(connection)
        else:
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        with self._handing_over:
            if not self._has_ended:
                self._returned.append(connection)
                self._wake()
                return
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()
