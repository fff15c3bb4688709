import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace

import limits.storage.memory
import pytest

from tempkit import ConfigurationError
from tempkit.server import rate
from tempkit.server.guard import Rate
from tempkit.server.rate import TIDY_EVERY, TokenCounter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The time that the library reads, to be set forward."""
    clock = SimpleNamespace(now=1_000_000.0)
    clock.time = lambda: clock.now
    monkeypatch.setattr(limits.storage.memory, "time", clock)
    monkeypatch.setattr(rate, "time", clock)
    return clock


def taken(counter: TokenCounter, client: str, times: int) -> int:
    return sum(counter.take(client) is None for _ in range(times))


def test_a_burst_then_a_minute_then_everybody_are_limited(clock: SimpleNamespace):
    counter = TokenCounter(Rate(client=30, burst=10, overall=45))
    assert taken(counter, "ann", 50) == 10
    clock.now += 10.1
    assert taken(counter, "ann", 50) == 10
    clock.now += 10.1
    assert taken(counter, "ann", 50) == 10
    clock.now += 10.1
    assert taken(counter, "ann", 50) == 0  # her minute is used up
    assert taken(counter, "bob", 50) == 10
    assert taken(counter, "cid", 50) == 5  # everybody's is
    clock.now += 60
    assert taken(counter, "ann", 50) == 10


def test_who_is_refused_takes_nothing_from_the_others(clock: SimpleNamespace):
    counter = TokenCounter(Rate(client=5, burst=5, overall=6))
    assert taken(counter, "ann", 100) == 5
    assert taken(counter, "bob", 1) == 1


def test_the_next_free_place_is_when_the_oldest_token_leaves_its_window(clock: SimpleNamespace):
    counter = TokenCounter(Rate(client=2, burst=2))
    counter.take("ann")
    clock.now += 3.5
    counter.take("ann")
    for later, seconds in ((0, 7), (9, 48)):  # until 10 for the burst, until 60 for the minute
        clock.now += later
        refusal = counter.take("ann")
        assert refusal is not None
        assert refusal[:2] == (429, "rate_limited")
        assert refusal.retry_after == seconds


def test_clients_of_long_ago_are_forgotten(clock: SimpleNamespace):
    counter = TokenCounter(Rate(overall=10**6))
    memory = counter._memory
    assert memory is not None
    for number in range(TIDY_EVERY - 1):
        counter.take(f"client {number}")
    clock.now += 3600
    deadline = time.monotonic() + 10
    while any(memory.events.values()) and time.monotonic() < deadline:
        counter.take("one more")  # the library empties its lists in a thread of its own
        clock.now += 3600
    while counter._taken % TIDY_EVERY:
        counter.take("one more")
    assert len(memory.events) < 10


@pytest.mark.parametrize("storage", ["nowhere://", "redis", "", "redis://127.0.0.1:port"])
def test_a_storage_that_cannot_be_one_is_said(storage: str):
    with pytest.raises(ConfigurationError, match="redis:// or valkey://"):
        TokenCounter(Rate(storage=storage))


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_a_storage_that_is_away_is_said_once_and_not_waited_for(
    scheme: str, caplog: pytest.LogCaptureFixture
):
    counter = TokenCounter(Rate(storage=f"{scheme}://:hush@127.0.0.1:9"))
    with caplog.at_level(logging.INFO, "tempkit"):
        for _ in range(3):
            refusal = counter.take("ann")
            assert refusal is not None
            assert (*refusal[:2], refusal.retry_after) == (503, "rate_unavailable", 5)
    assert [record.getMessage() for record in caplog.records] == [
        "the rate limit cannot count tokens (ConnectionError); when_down: refuse"
    ]
    assert "hush" not in caplog.text
    allowing = TokenCounter(Rate(storage=f"{scheme}://127.0.0.1:9", when_down="allow"))
    assert allowing.take("ann") is None


def test_without_anything_else_nothing_is_ever_free_too_late():
    counter = TokenCounter(Rate(client=1, burst=1))
    assert counter.take("ann") is None
    refusal = counter.take("ann")
    assert refusal is not None
    assert 0 < refusal.retry_after <= 60
