import pytest

from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import (
    EXPIRED,
    INVALID,
    MISSING,
    MOST,
    SPENT,
    TOO_MANY,
    Ledger,
    Refused,
)


def refusal(ledger: Ledger, now: float, token: str | None, authorization: str | None) -> str:
    with pytest.raises(Refused) as caught:
        ledger.admit(now, token, authorization)
    return str(caught.value)


def test_a_token_opens_one_session_with_its_cap():
    ledger = Ledger()
    token = ledger.issue(100, 60, 300)
    assert ledger.admit(159.9, token, None) == 300
    assert refusal(ledger, 159.9, token, None) == SPENT


def test_a_token_may_come_in_the_header_too():
    ledger = Ledger()
    assert ledger.admit(100, None, ledger.issue(100, 60)) == 10_800


def test_an_expired_token_is_told_from_a_made_up_one_and_from_a_spent_one():
    ledger = Ledger()
    token = ledger.issue(100, 60)
    assert refusal(ledger, 160, token, None) == EXPIRED
    assert refusal(ledger, 100, token[:-1] + "x", None) == INVALID
    assert refusal(ledger, 100, "sandbox-made.up", None) == INVALID
    assert refusal(ledger, 100, "sandbox-é", None) == INVALID
    ledger.admit(100, token, None)
    assert refusal(ledger, 160, token, None) == EXPIRED


def test_a_token_of_another_sandbox_is_refused():
    assert refusal(Ledger(), 100, Ledger().issue(100, 60), None) == INVALID


def test_single_use_is_a_switch():
    ledger = Ledger(Switches(single_use=False))
    token = ledger.issue(100, 60)
    assert [ledger.admit(100, token, None) for _ in range(3)] == [10_800] * 3


def test_no_credentials_are_said_to_be_missing():
    assert refusal(Ledger(), 100, None, None) == MISSING
    assert refusal(Ledger(), 100, "", "") == MISSING


def test_any_key_is_taken_unless_some_are_named():
    assert Ledger().admit(100, None, "anything") == 10_800
    strict = Ledger(Switches(api_keys=frozenset({"good"})))
    assert strict.admit(100, None, "good") == 10_800
    assert refusal(strict, 100, None, "bad") == INVALID


@pytest.mark.parametrize("authorization", ["Bearer key", "key\n", "kéy"])
def test_what_is_not_a_raw_key_is_refused(authorization: str):
    assert refusal(Ledger(), 100, None, authorization) == INVALID


def test_a_key_in_the_place_of_a_token_is_refused():
    assert refusal(Ledger(), 100, "anything", None) == INVALID


def test_the_oldest_tokens_are_forgotten_when_there_are_too_many():
    ledger = Ledger()
    first, second = ledger.issue(100, 60), ledger.issue(100, 60)
    for _ in range(MOST - 1):
        ledger.issue(100, 60)
    assert refusal(ledger, 100, first, None) == INVALID
    assert ledger.admit(100, second, None) == 10_800


def test_who_opened_sessions_long_ago_is_forgotten():
    ledger = Ledger(Switches(sessions_per_minute=1))
    for number in range(100):
        assert ledger.admit(100.0 + number, None, f"key{number}") == 10_800
    assert refusal(ledger, 199.5, None, "key99") == TOO_MANY
    assert len(ledger._opened) <= 60


def test_a_ledger_shows_no_secret():
    ledger = Ledger()
    token = ledger.issue(100, 60, key="hush")
    assert token not in repr(ledger)
    assert "hush" not in repr(vars(ledger))
