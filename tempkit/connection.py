"""Connection: a browser's socket that never blocks, what was read, and what is to be written."""

import select
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import suppress
from enum import Enum

from tempkit.http1 import BadRequest, Head, find_head, parse_head, render_head

PIECE = 64 * 1024
MOST_PIECES = 16  # that are written before the others have their turn
BUSY = render_head(
    503, [("Content-Length", "0"), ("Retry-After", "1"), ("Cache-Control", "no-store")], False
)
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class State(Enum):
    """What a connection waits for."""

    HANDSHAKE = "handshake"
    READING = "reading"
    WRITING = "writing"
    DRAINING = "draining"  # all is said; the other side may still be talking
    DONE = "done"


class Connection:
    """A socket, its peer's address, bytes in and bytes out; used by one thread at a time."""

    def __init__(self, sock: socket.socket, client: str, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        self.client = client
        self.is_secure = tls is not None
        self.state = State.READING
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self.state = State.HANDSHAKE
        self.socket = sock
        self.read = bytearray()
        self.deadline = 0.0
        self.wants_write = False  # of what TLS is waiting for
        self.was_answered = False
        self.ends = False  # closed after what is to be written
        self.asked: Head | BadRequest | None = None  # to be answered, or to be refused
        self._unsent = self._rest = memoryview(b"")
        self._more: Generator[bytes, None, None] | None = None

    def has_request(self) -> bool:
        """Whether the next request is there; what it is, is in ``asked`` from then on."""
        if self.asked is None:
            try:
                if size := find_head(self.read):
                    self.asked = parse_head(bytes(self.read[:size]))
                    del self.read[:size]
            except BadRequest as error:
                self.asked = error
        return self.asked is not None

    def receive(self) -> bool:
        """Read what is there; whether the other side still talks. Raises OSError."""
        while True:
            try:
                piece = self.socket.recv(PIECE)
            except WAITS:
                return True
            if not piece:
                return False
            self.read += piece
            # TLS may hold more, of which the selector knows nothing.
            if not self.is_secure or len(self.read) >= PIECE:
                return True

    def receive_within(self, seconds: float) -> bool | None:
        """Wait for bytes: whether the other side still talks, None when it said nothing."""
        before = len(self.read)
        if self.is_secure:
            talks = self.receive()
            if not talks or len(self.read) > before:
                return talks
        if not wait_readable(self.socket, seconds):
            return None
        talks = self.receive()
        return talks if not talks or len(self.read) > before else None

    def send(
        self, head: bytes, body: bytes = b"", more: Generator[bytes, None, None] | None = None
    ) -> bool:
        """Write; whether all of it went out, the rest waits for ``flush``. Raises OSError."""
        # In one write, but slow clients of a large file share its bytes.
        self._unsent = memoryview(head + body[:PIECE])
        self._rest = memoryview(body)[PIECE:]
        self._more = more
        return self.flush()

    def flush(self) -> bool:
        """Write more of what is to be written; whether that is all. Raises OSError."""
        for _ in range(MOST_PIECES):
            if not self._unsent and not self._turn_over():
                return True
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except WAITS:
                return False
        return False

    def _turn_over(self) -> bool:
        """Whether there is more to be written. Raises OSError."""
        self._unsent, self._rest = self._rest, self._unsent
        if not self._unsent and self._more is not None:
            self._unsent = memoryview(next(self._more, b""))
        return bool(self._unsent)

    def shake_hands(self) -> bool:
        """Get on with TLS; whether it stands. Raises OSError."""
        assert isinstance(self.socket, ssl.SSLSocket)
        try:
            self.socket.do_handshake()
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return False
        except ssl.SSLWantReadError:
            self.wants_write = False
            return False
        self.wants_write = False
        self.state = State.READING
        return True

    def hang_up(self) -> None:
        """Say that nothing more comes, and listen on: a reset would take back the answer."""
        self.state = State.DRAINING
        self._say_goodbye()
        self.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """End a connection that another thread has: what that does with it next fails."""
        # Not SSLSocket's own, which for a moment lets the other thread write plain text.
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, and the file that was being sent."""
        self._say_goodbye()
        self.socket.close()
        if self._more is not None:
            self._more.close()

    def _say_goodbye(self) -> None:
        """TLS says that this is the end, else it looks like a cut; nobody waits for an answer."""
        if isinstance(self.socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                self.socket.unwrap()


def turn_away(sock: socket.socket) -> None:
    """Say that there are too many; what was sent is read first, lest a reset takes that back."""
    with sock:
        try:
            sock.setblocking(False)
            sock.send(BUSY)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(PIECE)
        except OSError:
            return


def _poll_readable(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _select_readable(sock: socket.socket, seconds: float) -> bool:
    return bool(select.select([sock], [], [], seconds)[0])


# Windows has no poll, and poll alone knows descriptors above 1023.
wait_readable: Callable[[socket.socket, float], bool] = (
    _poll_readable if hasattr(select, "poll") else _select_readable
)
