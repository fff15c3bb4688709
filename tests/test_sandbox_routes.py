"""The HTTP side of a sandbox: the token route, the sandbox's own routes and who may use them."""

import json

import httpx
import pytest

from tempkit import Sandbox, generate_temp_token
from tempkit.sandbox import Faults, Scripted
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.state import LENGTH, SIZE, Journal, State
from tempkit.sandbox.wire.routes import HttpAnswer, HttpRequest, answer, is_from_here
from tests.conftest import KEY
from tests.doubles import chunked, spoken
from tests.raw import TERMINATE, opened, rest

HEADERS = {"Host": "localhost:8765", "Authorization": "key"}


def asked(target: str, *, documented: bool = False, **headers: str) -> HttpAnswer:
    switches = Switches(api_keys=frozenset({"key"}), documented_token_errors=documented)
    state = State(switches, Faults(), lambda: 1_790_000_000.0)
    return answer(HttpRequest("GET", target, headers, "127.0.0.1"), state, "http://localhost:8765")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?expires_in_seconds=0", {
            "type": "greater_than_equal", "loc": ["query", "expires_in_seconds"],
            "msg": "Input should be greater than or equal to 1", "input": "0", "ctx": {"ge": 1},
        }),
        ("?expires_in_seconds=601", {
            "type": "less_than_equal", "loc": ["query", "expires_in_seconds"],
            "msg": "Input should be less than or equal to 600", "input": "601", "ctx": {"le": 600},
        }),
        ("", {
            "type": "missing", "loc": ["query", "expires_in_seconds"],
            "msg": "Field required", "input": None,
        }),
    ],
)  # fmt: skip
def test_a_bad_parameter_of_the_token_route_is_a_422_in_the_documented_shape(query, problem):
    refused = asked(f"/v3/token{query}", **HEADERS)
    assert (refused.status, json.loads(refused.body)) == (422, {"detail": [problem]})
    assert asked(f"/v3/token{query}", documented=True, **HEADERS).status == 400


def test_a_missing_key_and_a_bad_parameter_are_named_together():
    problems = json.loads(asked("/v3/token?expires_in_seconds=0", Host="localhost").body)["detail"]
    assert [problem["loc"] for problem in problems] == [
        ["query", "expires_in_seconds"],
        ["header", "authorization"],
    ]


@pytest.mark.parametrize(("documented", "status"), [(False, 422), (True, 401)])
def test_a_missing_key_is_a_422_or_by_a_switch_a_401(documented: bool, status: int):
    target = "/v3/token?expires_in_seconds=60"
    assert asked(target, documented=documented, Host="localhost").status == status
    assert asked(target, documented=documented, Authorization="no key").status == 401
    assert asked(target, documented=documented, Authorization="key").status == 200


@pytest.mark.parametrize("cors", [False, True])
def test_a_page_of_another_origin_gets_a_token_only_by_a_switch(cors: bool):
    with Sandbox(Scripted(["Hello."]), cors=cors) as sandbox:
        url = f"{sandbox.url}/v3/token?expires_in_seconds=60"
        given = httpx.get(url, headers={"Authorization": "any", "Origin": "http://localhost:1"})
        first = httpx.options(url, headers={"Access-Control-Request-Headers": "authorization"})
    assert given.status_code == 200
    assert given.headers.get("Access-Control-Allow-Origin") == ("*" if cors else None)
    assert first.status_code == (204 if cors else 405)
    assert first.headers.get("Access-Control-Allow-Headers") == ("Authorization" if cors else None)


def test_other_paths_are_403_and_the_old_socket_is_410(sandbox: Sandbox):
    for path, status in (("/", 403), ("/v3/stream", 403), ("/v2/realtime/ws", 410)):
        assert httpx.get(sandbox.url + path, trust_env=False).status_code == status


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("127.0.0.1", {"Host": "localhost:8765"}, True),
        ("::1", {"Host": "[::1]:8765"}, True),
        ("127.0.0.1", {"Host": "127.0.0.1", "Origin": "http://localhost:3000"}, True),
        ("192.168.1.7", {"Host": "localhost:8765"}, False),
        ("127.0.0.1", {"Host": "rebound.example:8765"}, False),
        ("127.0.0.1", {"Host": "localhost:8765", "Origin": "https://evil.example"}, False),
        ("127.0.0.1", {"Host": "localhost:8765", "Origin": "null"}, False),
        ("127.0.0.1", {"Host": "[nonsense"}, False),
        ("", {"Host": ""}, False),
    ],
)
def test_the_sandboxs_own_routes_answer_this_machine_only(peer, headers, expected):
    request = HttpRequest("POST", "/sandbox/reset", headers, peer)
    assert is_from_here(request) is expected
    state = State(Switches(), Faults(sessions=1), lambda: 0.0)
    assert answer(request, state, "").status == (200 if expected else 403)
    assert (state.faults == Faults()) is expected


def test_the_page_says_how_to_point_an_sdk_at_it(sandbox: Sandbox):
    page = httpx.get(f"{sandbox.url}/sandbox", trust_env=False)
    assert page.headers["Content-Type"].startswith("text/html")
    assert f"ASSEMBLYAI_BASE_URL={sandbox.url}" in page.text
    assert "Open sessions: 0" in page.text
    assert "processed as fast as it arrives" in page.text


def test_the_journal_keeps_the_latest_and_stays_small():
    journal = Journal()
    for number in range(LENGTH + 10):
        journal.add(0.0, 1, "sent", "Turn", {"number": number})
    assert len(journal.entries) == LENGTH
    assert journal.entries[0].detail == {"number": 10}
    assert journal.entries[-1].detail == {"number": LENGTH + 9}
    for _ in range(1000):
        journal.add(0.0, 1, "sent", "Turn", {"words": ["x" * 10_000]})
    assert len(journal.entries) < SIZE / 10_000
    journal.add(0.0, 1, "received", "UpdateConfiguration", {"prompt": "x" * 10**7})
    assert journal.entries[-1].detail == {"characters": 10**7 + 14}
    assert len(journal.entries) > 100


def test_the_journal_tells_a_session_without_its_secrets():
    with Sandbox(Scripted(["Yes."]), api_keys=frozenset({KEY}), realtime=False) as sandbox:
        token = generate_temp_token(settings=sandbox.settings)
        secret = {"webhook_auth_header_value": "hush", "min_turn_silense": 3, "a" * 32: KEY}
        with opened(sandbox, token=token, key=KEY, speech_model="u3-rt-pro", **secret) as talk:
            for chunk in chunked(spoken(1)):
                talk.send(chunk)
            talk.send('{"type": "UpdateConfiguration", "min_turn_silence": 200}')
            talk.send(TERMINATE)
            rest(talk)
        answer = httpx.get(f"{sandbox.url}/sandbox/journal", trust_env=False)
        entries = answer.json()
        assert [entry["name"] for entry in entries] == [e.name for e in sandbox.journal]
    assert (entries[0]["name"], entries[0]["detail"]["status"]) == ("GET /v3/token", 200)
    opening = entries[1]["detail"]
    # A misspelled parameter loses its setting without a trace; here it leaves one.
    assert opening["ignored"] == ["min_turn_silense", "(not shown)"]
    assert opening["speech_model"] == "u3-rt-pro"
    heard = [e["detail"] for e in entries if e["name"] == "audio"]
    assert sum(each["messages"] for each in heard) == 28
    assert entries[-1]["detail"] == {"code": 1000, "reason": "Session Ended"}
    for secret in (KEY, token, "hush", "a" * 32):
        assert secret not in answer.text
        assert secret not in repr(sandbox.journal)
