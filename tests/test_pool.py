"""How sessions share the cores: finals first, partials only where there is room and time."""

import threading
from collections.abc import Sequence

import pytest

from tempkit.sandbox.hearing.recognizer import (
    NOTHING,
    Hypothesis,
    Pool,
    Samples,
    Scripted,
    ScriptedListener,
    SharedListener,
    SpokenWord,
)
from tests.doubles import tone


class Waiting(Scripted):
    """A recogniser that says what it is asked for, then waits until it is let go."""

    def __init__(self) -> None:
        super().__init__(["Hello."])
        self.asked: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def listen(self) -> "WaitingListener":
        return WaitingListener(self)


class WaitingListener(ScriptedListener):
    def __init__(self, recognizer: Waiting) -> None:
        super().__init__(recognizer)
        self.recognizer = recognizer

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        self.recognizer.asked.append("final" if guess is None else "partial")
        self.recognizer.begun.release()
        self.recognizer.go.wait(10)
        return super().recognize(samples, fixed, guess)


def sound() -> Samples:
    import numpy as np

    return np.frombuffer(tone(1000), "<i2").astype(np.float32) / np.float32(32768)


@pytest.fixture
def busy() -> Waiting:
    return Waiting()


def ask(busy: Waiting, pool: Pool, guess: Sequence | None, *, late: bool = False) -> Hypothesis:
    listener = SharedListener(busy.listen(), lambda: 0.0 if late else 0.1, pool)
    return listener.recognize(sound(), [], guess)


def test_a_partial_that_finds_no_core_is_skipped_and_a_final_waits_for_one(busy: Waiting):
    pool, answers = Pool(1), []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(busy, pool, None))) for _ in range(2)
    ]
    threads[0].start()
    busy.begun.acquire(timeout=5)
    threads[1].start()
    assert ask(busy, pool, ()) == NOTHING
    busy.go.set()
    for thread in threads:
        thread.join(5)
    assert [[word.text for word in answer.words] for answer in answers] == [["Hello."]] * 2
    assert busy.asked == ["final", "final"]


def test_as_many_run_at_a_time_as_there_are_cores(busy: Waiting):
    pool = Pool(2)
    threads = [threading.Thread(target=ask, args=(busy, pool, None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert busy.begun.acquire(timeout=5)
    assert busy.begun.acquire(timeout=5)
    assert not busy.begun.acquire(timeout=0.2)
    busy.go.set()
    for thread in threads:
        thread.join(5)
    assert len(busy.asked) == 3


def test_a_partial_of_a_session_that_lags_is_skipped_but_a_final_never(busy: Waiting):
    busy.go.set()
    assert ask(busy, Pool(1), (), late=True) == NOTHING
    assert ask(busy, Pool(1), None, late=True).words
    assert ask(busy, Pool(1), ()).words


def test_a_failure_gives_its_core_back():
    class Failing(Scripted):
        def listen(self) -> ScriptedListener:
            return FailingListener(self)

    class FailingListener(ScriptedListener):
        def recognize(self, *_: object) -> Hypothesis:
            raise RuntimeError

    pool = Pool(1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(Failing(["Yes."]), pool, None)


def test_a_partial_that_nobody_waits_for_waits_for_its_core(busy: Waiting):
    pool, answers = Pool(1), []
    final = threading.Thread(target=ask, args=(busy, pool, None))
    final.start()
    busy.begun.acquire(timeout=5)
    listener = SharedListener(busy.listen(), lambda: None, pool)
    patient = threading.Thread(target=lambda: answers.append(listener.recognize(sound(), [], ())))
    patient.start()
    patient.join(0.4)  # longer than a talker's partial waits
    assert patient.is_alive()
    busy.go.set()
    for thread in (final, patient):
        thread.join(5)
    assert answers[0].words
