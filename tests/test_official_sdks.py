"""The official SDKs, as they come from their registries, against the sandbox on real speech."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from assemblyai.streaming.v3 import (
    AsyncStreamingClient,
    BeginEvent,
    SpeechModel,
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
    TerminationEvent,
    TurnEvent,
)

from tempkit import Clip, Sandbox
from tempkit.certificates import make_certificate
from tempkit.sandbox import Faults, Scripted
from tests.conftest import require
from tests.words import SAMPLE, SENTENCES, word_error_rate

# The Python SDK's own warning, which would end its threads, is not ours.
pytestmark = pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")

PARAMETERS = StreamingParameters(
    sample_rate=16000,
    speech_model=SpeechModel.universal_streaming_english,
    format_turns=True,
    inactivity_timeout=60,
)
PATIENCE = {"connect_timeout": 10, "terminate_timeout": 60}


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox with real ears behind TLS, by a certificate that this process trusts."""
    context, authority = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with Sandbox(ssl=context, realtime=False) as sandbox:
        yield sandbox


def host(sandbox: Sandbox) -> str:
    return f"localhost:{sandbox.port}"


class Heard:
    """What an SDK's client was told."""

    def __init__(self) -> None:
        self.begun: list[BeginEvent] = []
        self.turns: dict[int, str] = {}
        self.ended: list[TerminationEvent] = []
        self.errors: list = []

    def listen(self, client: StreamingClient | AsyncStreamingClient) -> None:
        client.on(StreamingEvents.Begin, lambda _, event: self.begun.append(event))
        client.on(StreamingEvents.Turn, self._turn)
        client.on(StreamingEvents.Termination, lambda _, event: self.ended.append(event))
        client.on(StreamingEvents.Error, lambda _, error: self.errors.append(error))

    def _turn(self, _: object, event: TurnEvent) -> None:
        if event.end_of_turn:
            self.turns[event.turn_order] = event.transcript

    def check(self) -> None:
        assert self.errors == []
        assert len(self.begun) == len(self.ended) == 1
        assert word_error_rate(" ".join(SENTENCES), " ".join(self.turns.values())) < 0.1


def test_the_python_sdk_streams_with_a_key_in_the_header():
    heard = Heard()
    with Sandbox(realtime=False) as sandbox:
        url = sandbox.url.replace("http", "ws")
        client = StreamingClient(StreamingClientOptions(api_key="any", api_host=url, **PATIENCE))
        heard.listen(client)
        client.connect(PARAMETERS)
        client.stream(Clip.read(SAMPLE).chunks())
        client.disconnect(terminate=True)
    heard.check()


def test_the_python_sdk_takes_a_token_by_https_and_streams_with_it(secure: Sandbox):
    heard = Heard()
    options = StreamingClientOptions(api_key="any", api_host=host(secure), **PATIENCE)
    token = StreamingClient(options).create_temporary_token(expires_in_seconds=60)
    options = StreamingClientOptions(token=token, api_host=host(secure), **PATIENCE)
    client = StreamingClient(options)
    heard.listen(client)
    client.connect(PARAMETERS)
    client.stream(Clip.read(SAMPLE).chunks())
    client.disconnect(terminate=True)
    heard.check()


def test_the_asyncio_client_of_the_python_sdk_does_the_same(secure: Sandbox):
    heard = Heard()

    async def talk() -> None:
        options = StreamingClientOptions(api_key="any", api_host=host(secure), **PATIENCE)
        token = await AsyncStreamingClient(options).create_temporary_token(expires_in_seconds=60)
        options = StreamingClientOptions(token=token, api_host=host(secure), **PATIENCE)
        client = AsyncStreamingClient(options)
        heard.listen(client)
        await client.connect(PARAMETERS)
        await client.stream(Clip.read(SAMPLE).chunks())
        await client.disconnect(terminate=True)

    with ThreadPoolExecutor() as aside:  # in this thread Playwright's loop may be running
        aside.submit(asyncio.run, talk()).result()
    heard.check()


@pytest.mark.parametrize(
    ("faults", "key", "code"),
    [
        (Faults(), "Bearer any", 1008),
        (Faults(cancel_after_sent=1), "any", 3005),
        (Faults(refuse_connections=9, refuse_status=401), "any", 401),
    ],
)
def test_the_python_sdk_reports_what_the_service_refuses(faults: Faults, key: str, code: int):
    heard = Heard()
    with Sandbox(Scripted(["Yes."]), faults=faults) as sandbox:
        url = sandbox.url.replace("http", "ws")
        client = StreamingClient(StreamingClientOptions(api_key=key, api_host=url, **PATIENCE))
        heard.listen(client)
        client.connect(PARAMETERS)
        client.disconnect(terminate=True)
    assert [error.code for error in heard.errors] == [code]


def test_the_javascript_sdk_takes_a_token_and_streams_with_it(tmp_path: Path, secure: Sandbox):
    node, npm = require("node"), require("npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), "assemblyai"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=120)
    if done.returncode:
        reason = "npm could not install the official JavaScript SDK; it needs the network"
        if os.environ.get("TEMPKIT_REQUIRE_ALL"):
            pytest.fail(f"{reason}:\n{done.stderr}")
        pytest.skip(reason)
    script = tmp_path / "official_sdk.mjs"
    script.write_text((Path(__file__).parent / script.name).read_text())
    variables = {
        "SANDBOX_URL": f"https://{host(secure)}",
        "SAMPLE": str(SAMPLE),
        "NODE_EXTRA_CA_CERTS": os.environ["SSL_CERT_FILE"],
    }
    done = subprocess.run(
        [node, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    assert heard["id"]
    assert word_error_rate(" ".join(SENTENCES), " ".join(heard["turns"])) < 0.1
