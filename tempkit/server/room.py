"""Room: the threads of a server, the connections in them, and who has to go when all are taken."""

import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

MOST_THREADS = 256
SETTLE_SECONDS = 0.1
STALL_SECONDS = 2.0  # who takes nothing of an answer for so long may have to make room, too


class Connection:
    """What a room knows of a connection: what it may be cut off for."""

    request: socket.socket
    silent_since: float | None  # when the browser last said or took something; None: it waits
    deadline: float
    was_answered = is_sending = False

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
    """Threads that are used again, so many and no more, each with a connection."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self._is_closed = False
        self._most = most_threads()
        self._change = threading.Condition()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # Below zero, ``_free`` counts connections that wait for the thread of one that was cut.
        self._threads = self._free = 0

    def take(self, serve: Callable[[], None]) -> bool:
        """Have a connection served in a thread; False when there is none to be had."""
        with self._change:
            if self._free <= 0 and self._threads < self._most:
                with suppress(RuntimeError):  # the system gives no more
                    threading.Thread(target=self._run, name="tempkit worker", daemon=True).start()
                    self._threads += 1
                    self._free += 1
            if self._free <= 0 and not self.cut_longest_silent(SETTLE_SECONDS):
                return False
            self._free -= 1
        self._jobs.put(serve)
        return True

    def enter(self, connection: Connection) -> None:
        """A connection has its thread, until it is taken out of ``open``."""
        with self._change:
            self.open.add(connection)
            self._change.notify_all()
        if self._is_closed:
            connection.cut()

    def begin(self, connection: Connection) -> bool:
        """Mark that we are at work for it; False when it had to make room meanwhile."""
        with self._change:
            is_here = connection.silent_since is not None
            connection.silent_since = None
        return is_here

    def sweep(self, now: float) -> None:
        """Cut the connections whose time is over."""
        for connection in list(self.open):
            if connection.deadline < now:
                connection.cut()

    def close(self) -> None:
        """Cut every connection, and let every thread end."""
        self._is_closed = True
        for _ in range(self._threads):
            self._jobs.put(None)
        for connection in list(self.open):
            connection.cut()

    def cut_longest_silent(self, patience: float = 0.0) -> bool:
        """Whether one could be cut: who never asked anything goes first, who reads slowly last.

        Those that are on their way in or out are waited for: else, in a burst, one that was
        answered before would have to go for one that never asked.
        """
        with self._change:
            self._change.wait_for(lambda: self._threads - self._free == len(self.open), patience)
            silent = [
                (each.is_sending, each.was_answered, each.silent_since, each)
                for each in list(self.open)
                if each.silent_since is not None
            ]
            if not silent:
                return False
            is_sending, _, since, connection = min(silent, key=lambda found: found[:3])
            if is_sending and time.monotonic() - since < STALL_SECONDS:
                return False
            connection.silent_since = None
        connection.cut()
        return True

    def _run(self) -> None:
        while (serve := self._jobs.get()) is not None:
            serve()
            with self._change:
                self._free += 1
                self._change.notify_all()


def most_threads() -> int:
    """How many connections there may be: each takes two of the process's descriptors at most."""
    if sys.platform == "win32":
        return MOST_THREADS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_THREADS if soft < 0 else min(MOST_THREADS, max(16, soft // 3))
