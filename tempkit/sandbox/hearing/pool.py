"""Pool: how the sessions of a process share the cores for recognition. No I/O."""

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tempkit.sandbox.hearing.recognizer import Hypothesis, Listener, Samples, SpokenWord

SKIPPED = Hypothesis((), 0.0)


class Pool:
    """Lets so many recognitions run at a time, finals first."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.clear()

    def clear(self) -> None:
        """Take every place for free: in a forked child the threads that had one are missing."""
        self._free = self._width
        self._finals = 0  # waiting
        self._changed = threading.Condition()

    @contextmanager
    def place(self, *, is_final: bool, patience: float = math.inf) -> Iterator[bool]:
        """A place to recognise in; False for who did not get one in so many seconds."""
        with self._changed:
            self._finals += is_final
            has_place = self._changed.wait_for(
                lambda: self._free > 0 and (is_final or not self._finals),
                None if patience == math.inf else patience,
            )
            self._finals -= is_final
            self._free -= has_place
        try:
            yield has_place
        finally:
            with self._changed:
                self._free += has_place
                self._changed.notify_all()


CORES = Pool(os.cpu_count() or 1)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=CORES.clear)


class Sharing:
    """One session's ears, which take their turn: all sessions share the cores.

    A session waits for its own recognition, so that it has one partial in flight at most.
    ``patience`` says for how many seconds a partial may wait; 0 skips it.
    """

    def __init__(self, listener: Listener, pool: Pool, patience: Callable[[], float]) -> None:
        self.speech_probability = listener.speech_probability
        self.end_turn = listener.end_turn
        self._recognize = listener.recognize
        self._pool = pool
        self._patience = patience

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        """The words of ``samples``; none for a partial (it has a ``guess``) that would be late."""
        is_final = guess is None
        patience = math.inf if is_final else self._patience()
        if not patience:
            return SKIPPED
        with self._pool.place(is_final=is_final, patience=patience) as has_place:
            return self._recognize(samples, fixed, guess) if has_place else SKIPPED
