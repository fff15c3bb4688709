"""Room: the threads of a server, the connections in them, and who has to go when all are taken."""

import queue
import socket
import sys
import threading
import time
from contextlib import suppress

MOST_THREADS = 256
SETTLE_SECONDS = 0.1
STALL_SECONDS = 2.0  # who takes nothing of an answer for so long may have to make room, too


class Connection:
    """A browser's connection: how it is served, and what it may be cut off for."""

    request: socket.socket
    silent_since: float | None  # when the browser last said or took something; None: it waits
    deadline: float
    was_answered = is_sending = False

    def serve(self) -> None:
        """Serve it, until it leaves the room."""
        raise NotImplementedError

    def await_browser(self, seconds: float) -> None:
        """Give the browser so long to say something, or to take what is sent."""
        self.silent_since = time.monotonic()
        self.deadline = self.silent_since + seconds

    def cut(self) -> None:
        """End it from another thread: whatever its own does with it next fails."""
        self.deadline = float("inf")
        with suppress(OSError):
            # Not SSLSocket's own, which for a moment lets the other thread write plain text.
            socket.socket.shutdown(self.request, socket.SHUT_RDWR)


class Room:
    """Connections, so many and no more, and threads that are used again, one for each of them."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self._most = most_threads()
        self._threads = 0
        self._change = threading.Condition()
        self._waiting: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()

    def take(self, connection: Connection) -> bool:
        """Have a connection served in a thread; False when there is none to be had."""
        most = self._most
        with self._change:
            if self._threads == len(self.open) < most:
                try:
                    threading.Thread(target=self._run, name="tempkit worker", daemon=True).start()
                    self._threads += 1
                except RuntimeError:  # the system gives no more
                    most = self._threads
            # In a burst, those that have just come are given a moment to ask and to leave.
            for patience in (0.0, SETTLE_SECONDS):
                if patience and all(each.silent_since is None for each in self.open):
                    return False  # we are at work for all of them
                has_room = self._change.wait_for(lambda: len(self.open) < most, patience)
                if has_room or self.cut_longest_silent():
                    break
            else:
                return False
            connection.silent_since = time.monotonic()  # until now it was we who let it wait
            self.open.add(connection)
        self._waiting.put(connection)
        return True

    def begin(self, connection: Connection) -> bool:
        """Mark that we are at work for it; False when it had to make room meanwhile."""
        with self._change:
            connection.silent_since = None
            return connection in self.open

    def leave(self, connection: Connection) -> None:
        """A connection is over."""
        with self._change:
            self.open.discard(connection)
            self._change.notify()

    def sweep(self, now: float) -> None:
        """Cut the connections whose time is over."""
        for connection in list(self.open):
            if connection.deadline < now:
                connection.cut()

    def close(self) -> None:
        """Cut every connection, and let every thread end."""
        for connection in list(self.open):
            connection.cut()
        for _ in range(self._threads):
            self._waiting.put(None)

    def cut_longest_silent(self) -> bool:
        """Whether one could be cut: who never asked anything goes first, who reads slowly last."""
        with self._change:
            silent = [
                (each.is_sending, each.was_answered, each.silent_since, each)
                for each in self.open
                if each.silent_since is not None
            ]
            if not silent:
                return False
            is_sending, _, since, connection = min(silent, key=lambda found: found[:3])
            if time.monotonic() - since < (STALL_SECONDS if is_sending else SETTLE_SECONDS):
                return False
            self.open.remove(connection)
        connection.cut()
        return True

    def _run(self) -> None:
        while (connection := self._waiting.get()) is not None:
            connection.serve()
            del connection  # an idle thread holds none


def most_threads() -> int:
    """How many connections there may be: each takes two of the process's descriptors at most."""
    if sys.platform == "win32":
        return MOST_THREADS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_THREADS if soft < 0 else min(MOST_THREADS, max(16, soft // 3))
