"""Workers: threads that are used again, up to a number of them."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Workers(Generic[Job]):
    """Runs ``work`` for each job in a thread; a new one only when none is free."""

    def __init__(self, work: Callable[[Job], None], *, most: int, most_waiting: int) -> None:
        self._work = work
        self._most, self._most_waiting = most, most_waiting
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        self._count = 0
        self._waiting = 0

    @property
    def are_busy(self) -> bool:
        """Whether a job waits for a thread."""
        return self._waiting > 0

    def submit(self, job: Job) -> bool:
        """Have a job done; False when there are too many of them."""
        with self._lock:
            if self._free:
                self._free -= 1
            elif self._count < self._most and self._start():
                self._count += 1
            elif self._count and self._waiting < self._most_waiting:
                self._waiting += 1
            else:
                return False
        self._jobs.put(job)
        return True

    def stop(self) -> None:
        """Let every thread end after the job that it is at."""
        with self._lock:
            self._waiting = 0
            for _ in range(self._count):
                self._jobs.put(None)

    def _start(self) -> bool:
        try:
            threading.Thread(target=self._run, name="tempkit worker", daemon=True).start()
        except RuntimeError:  # the system gives no more
            return False
        return True

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._work(job)
            with self._lock:
                if self._waiting:
                    self._waiting -= 1
                else:
                    self._free += 1
