"""Deadline: a bound on all that is waited for on a socket, where a library bounds each wait."""

import os
import socket
import threading
import time
from contextlib import suppress
from typing import ClassVar, Self


class Deadline:
    """Shuts a socket down when its time is up, so that whatever waits on it returns.

    One thread looks after all deadlines, and ends when there are none.
    """

    _change = threading.Condition()
    _running: ClassVar[set["Deadline"]] = set()
    _wakes_at: ClassVar[float | None] = None  # None: there is no thread

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._socket: socket.socket | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until then, 0.0 afterwards."""
        return max(0.0, self._at - time.monotonic())

    def holds_for(self, connected: socket.socket | None) -> None:
        """Name the socket."""
        self._socket = connected
        if not self.seconds_left:
            self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # SSLSocket's own shutdown would go on without TLS
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        with self._change:
            self._running.add(self)
            if self._wakes_at is None:
                watch = threading.Thread(target=self._watch, name="tempkit deadlines", daemon=True)
                with suppress(RuntimeError):  # at the end of a program: each wait is bounded still
                    watch.start()
                    Deadline._wakes_at = self._at
            elif self._at < self._wakes_at:
                Deadline._wakes_at = self._at
                self._change.notify()
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._running.discard(self)

    @classmethod
    def _watch(cls) -> None:
        with cls._change:
            while cls._running:
                now = time.monotonic()
                for deadline in [each for each in cls._running if each._at <= now]:
                    deadline._cut()
                    cls._running.discard(deadline)
                cls._wakes_at = min((each._at for each in cls._running), default=now)
                cls._change.wait(cls._wakes_at - now)
            cls._wakes_at = None

    @classmethod
    def _start_over(cls) -> None:
        """A forked child has none of its parent's threads."""
        cls._change, cls._running, cls._wakes_at = threading.Condition(), set(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Deadline._start_over)
