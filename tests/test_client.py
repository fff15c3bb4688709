import gc
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from tempkit import (
    Begin,
    Clip,
    ProtocolError,
    Reconnect,
    Reconnecting,
    Sandbox,
    ServiceUnreachable,
    SessionClosed,
    SessionParameters,
    Settings,
    StreamingSession,
    Termination,
    Turn,
    connect,
    generate_temp_token,
    transcribe,
)
from tempkit.sandbox import Faults, Scripted
from tests.conftest import KEY
from tests.doubles import AnsweringService, chunked, our_threads, silence, spoken, tone
from tests.relay import Relay
from tests.talking import until

BEGIN = '{"type": "Begin", "id": "1", "expires_at": 1}'


@contextmanager
def speaking(
    handler: Callable[[ServerConnection], None], max_queue: int = 16, timeout: float = 10
) -> Iterator[Settings]:
    """A WebSocket service that does what ``handler`` does."""
    with serve(handler, "127.0.0.1", 0, max_queue=max_queue, close_timeout=1) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        yield Settings(api_key=KEY, base_url=url, timeout=timeout)
        server.shutdown()
        thread.join()


def test_a_stream_yields_turns_and_ends_with_the_termination(settings: Settings):
    with connect(settings) as session:
        messages = list(session.stream(chunked(spoken(3)), realtime=False))
    assert isinstance(messages[-1], Termination)
    assert messages[-1].audio_duration_seconds == 7
    assert session.transcript.text == "Hello there. My name is Ada. How are you today?"
    assert str(session.transcript).splitlines()[1] == "My name is Ada."
    assert session.transcript.partial == ""
    assert session.id
    assert session.expires_at > time.time() + 10_000


def test_messages_come_while_audio_is_still_being_sent(settings: Settings):
    came = threading.Event()

    def source() -> Iterator[bytes]:
        first, *others = chunked(spoken(3), 40 * 3200)
        yield from chunked(first)
        assert came.wait(30)
        yield from chunked(b"".join(others))

    with connect(settings) as session:
        stream = session.stream(source())
        next(message for message in stream if isinstance(message, Turn))
        came.set()
        stream.close()


def test_the_last_words_are_there_although_no_silence_follows_them(settings: Settings):
    clip = Clip(silence(300) + tone(1033), 16000)
    assert transcribe(clip, settings, realtime=False).text == "Hello there."


def test_transcribe_declares_the_rate_of_the_clip(settings: Settings):
    clip = Clip(silence(300, 44100) + tone(1000, 44100), 44100)
    assert transcribe(clip, settings, realtime=False).text == "Hello there."


def test_a_clip_of_another_rate_than_the_session_is_refused_before_it_is_sent(settings: Settings):
    with connect(settings) as session:
        with pytest.raises(ValueError, match=r"44100 Hz, the session 16000; connect with"):
            session.stream(Clip(tone(500, 44100), 44100).chunks())
        assert session.terminate().text == ""


def test_what_cannot_be_meant_is_refused_before_the_network():
    nowhere = Settings(api_key=KEY, base_url="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="44100 Hz, the session 16000"):
        transcribe(Clip(tone(500, 44100), 44100), nowhere, SessionParameters())
    with pytest.raises(ValueError, match="pcm_s16le or pcm_mulaw, not opus"):
        connect(nowhere, SessionParameters(encoding="opus"))
    mulaw = SessionParameters(encoding="pcm_mulaw")
    with pytest.raises(ValueError, match="sent as pcm_s16le, but the session takes pcm_mulaw"):
        transcribe(Clip(tone(500), 16000), nowhere, mulaw)
    with pytest.raises(TypeError, match="settings takes a Settings"):
        connect("a key")  # type: ignore[arg-type]


def test_more_audio_at_once_than_is_ever_kept_is_sent_all_the_same(settings: Settings):
    with connect(settings) as session:
        session.send_audio(spoken(128))  # 320 s
        assert len(session.terminate().turns) == 128
    assert session.lost_seconds == 0.0


def test_pieces_of_any_size_are_sent_lawfully(settings: Settings):
    sound = spoken(1)
    with connect(settings) as session:
        pieces = (sound[at : at + 333] for at in range(0, len(sound), 333))
        assert list(session.stream(pieces, realtime=False))
    assert session.transcript.text == "Hello there."


def test_by_hand_audio_goes_out_and_terminate_brings_the_words(settings: Settings):
    with connect(settings) as session:
        for chunk in chunked(spoken(1)):
            session.send_audio(chunk)
        assert session.terminate().text == "Hello there."


def test_force_endpoint_brings_the_final_without_silence(settings: Settings):
    with connect(settings) as session:
        session.send_audio(silence(300) + tone(1000))
        session.force_endpoint()
        final = next(m for m in session if isinstance(m, Turn) and m.turn_is_formatted)
        assert final.transcript == "Hello there."


def test_an_update_reaches_the_service(settings: Settings):
    with connect(settings) as session:
        session.update_configuration(format_turns=False)
        session.keep_alive()
        session.send_audio(spoken(1))
        assert session.terminate().text == "hello there"
        with pytest.raises(ValueError, match="vad_threshold"):
            session.update_configuration(vad_threshold=3)
        with pytest.raises(ValueError, match="sample_rate is fixed when a session opens"):
            session.update_configuration(sample_rate=8000)
        with pytest.raises(TypeError, match="wrong_name is not a session parameter"):
            session.update_configuration(wrong_name=1)


def test_every_session_takes_a_token_of_its_own(settings: Settings):
    ids = set()
    for _ in range(3):
        with connect(settings) as session:
            ids.add(session.id)
            session.terminate()
    assert len(ids) == 3


def test_a_token_opens_one_session(settings: Settings):
    token = generate_temp_token(settings=settings)
    with connect(settings, token=token):
        pass
    with pytest.raises(ValueError, match="has already opened a session"):
        connect(settings, token=token)  # refused before the network
    with pytest.raises(SessionClosed, match="already been used") as caught:
        connect(settings, token=str(token))
    assert caught.value.code == 1008
    assert "fresh token" in caught.value.advice
    assert token not in str(caught.value)


def test_an_expired_token_opens_none():
    now = [1000.0]
    with Sandbox(Scripted(["Yes."]), clock=lambda: now[0]) as sandbox:
        token = generate_temp_token(1, settings=sandbox.settings)
        now[0] += 1
        with pytest.raises(SessionClosed, match="Signature has expired") as caught:
            connect(sandbox.settings, token=token)
    assert caught.value.code == 1008


def test_a_fault_of_the_client_closes_with_the_reason_and_is_not_tried_again(settings: Settings):
    with connect(settings) as session:
        session._conversation._link.send(bytes(38400))
        with pytest.raises(SessionClosed, match=r"session closed 3007: .*1200.0 ms.*; send 50"):
            list(session)
        with pytest.raises(SessionClosed, match=r"1200\.0 ms"):
            session.send_audio(bytes(3200))


def test_a_session_cap_closes_with_3008():
    now = [1000.0]
    with Sandbox(Scripted(["Yes."]), clock=lambda: now[0]) as sandbox:
        token = generate_temp_token(max_session_duration_seconds=60, settings=sandbox.settings)
        with connect(sandbox.settings, token=token, reconnect=False) as session:
            now[0] += 60
            with pytest.raises(SessionClosed, match="Maximum session duration") as caught:
                list(session)
    assert caught.value.code == 3008


def test_an_error_in_the_source_is_raised_where_the_user_is(settings: Settings):
    def source() -> Iterator[bytes]:
        yield from chunked(silence(500))
        raise RuntimeError("the microphone was pulled out")

    with connect(settings) as session, pytest.raises(RuntimeError, match="pulled out"):
        list(session.stream(source(), realtime=False))
    assert our_threads() == []


def test_a_session_that_has_ended_takes_no_more_audio(settings: Settings):
    with connect(settings) as session:
        session.terminate()
        assert session.terminate().text == ""
        with pytest.raises(SessionClosed, match="the session has ended"):
            session.send_audio(bytes(3200))
        with pytest.raises(SessionClosed, match="the session has ended"):
            session.stream([bytes(3200)])
        assert list(session) == []


def test_one_thread_may_send_and_terminate_while_another_reads(settings: Settings):
    read: list[object] = []
    with connect(settings) as session:
        reader = threading.Thread(target=lambda: read.extend(session))
        reader.start()
        session.send_audio(spoken(1))
        assert session.terminate().text == "Hello there."
        reader.join(30)
    assert not reader.is_alive()


@pytest.mark.parametrize("end", ["terminate", "close"])
def test_several_readers_come_to_their_end_whoever_brings_it(settings: Settings, end: str):
    read: list[object] = []
    with connect(settings) as session:
        readers = [threading.Thread(target=lambda: read.extend(session)) for _ in range(4)]
        for reader in readers:
            reader.start()
        session.send_audio(spoken(1))
        getattr(session, end)()
        for reader in readers:
            reader.join(30)
        assert not any(reader.is_alive() for reader in readers)
        assert sum(isinstance(message, Termination) for message in read) <= 1
        assert list(session) == []
    assert our_threads() == []


def test_a_session_that_nobody_closed_ends_when_nobody_holds_it(settings: Settings):
    session = connect(settings)
    thread = session._conversation._thread
    del session
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_leaving_a_stream_early_leaves_no_thread(settings: Settings):
    with connect(settings) as session:
        for _ in session.stream(chunked(spoken(20))):
            break
    assert our_threads() == []


def test_a_service_that_goes_away_in_mid_stream_is_said(settings: Settings, sandbox: Sandbox):
    policy = Reconnect(give_up_after_seconds=1)
    with connect(settings, reconnect=policy) as session, pytest.raises(SessionClosed) as caught:
        for message in session.stream(chunked(spoken(20))):
            if isinstance(message, Turn):
                sandbox.stop()
    assert caught.value.code == 1001
    assert "cannot be reached" in caught.value.reason
    assert caught.value.seconds_not_transcribed > 0
    assert our_threads() == []


def test_a_service_that_begins_each_session_and_cancels_it_is_given_up(
    settings: Settings, sandbox: Sandbox
):
    sandbox.faults = Faults(cancel_after_sent=1)
    policy = Reconnect(give_up_after_seconds=4)
    with connect(settings, reconnect=policy) as session, pytest.raises(SessionClosed) as caught:
        list(session.stream(chunked(spoken(20))))
    assert caught.value.code == 3005
    begun = [entry for entry in sandbox.journal if entry.name == "Begin"]
    assert 2 < len(begun) < 10


def test_a_connection_that_is_cut_is_1006():
    def cut(connection: ServerConnection) -> None:
        connection.send(BEGIN)
        connection.socket.shutdown(socket.SHUT_RDWR)

    with speaking(cut) as settings, connect(settings, token="t", reconnect=False) as session:
        with pytest.raises(SessionClosed, match="check the network") as caught:
            list(session.stream([silence(100)] * 100))
    assert caught.value.code == 1006


def test_a_line_on_which_nothing_passes_heals_and_no_traceback_is_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
):
    with Relay(sandbox.port, [(2_000, "down")], stalls=True) as relay:
        policy = Reconnect(pong_seconds=1)
        with connect(Settings("any", relay.url), reconnect=policy) as session:
            list(session.stream(chunked(spoken(3)), realtime=False))
        assert relay.made == 1
    assert session.transcript.text == "Hello there. My name is Ada. How are you today?"
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_service_that_reads_nothing_is_left_and_closing_has_its_bound():
    done = threading.Event()

    def deaf(connection: ServerConnection) -> None:
        connection.send(BEGIN)
        done.wait(30)

    with speaking(deaf, max_queue=1) as settings:
        policy = Reconnect(pong_seconds=2)
        with connect(settings, token="t", reconnect=policy) as session:
            stream = session.stream([silence(1000)] * 400, realtime=False)
            assert isinstance(next(stream), Reconnecting)
            stream.close()
        session = connect(settings, token="t", reconnect=Reconnect(pong_seconds=60))
        sender = threading.Thread(target=send_until_closed, args=(session,))
        sender.start()
        until(lambda: is_stuck(session))
        session.close()
        sender.join(30)
        assert not sender.is_alive()
        done.set()


def is_stuck(session: StreamingSession) -> bool:
    """Whether much was sent, and no more goes out."""
    carried = session._half.backlog.carried_seconds
    threading.Event().wait(0.2)
    return 60 < carried == session._half.backlog.carried_seconds


def send_until_closed(session: StreamingSession) -> None:
    with suppress(SessionClosed):
        while True:
            session.send_audio(silence(1000))


def test_a_session_that_does_not_open_leaves_no_recording_open(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    # The error is held, and with it all that it came through.
    with pytest.raises(ServiceUnreachable) as error:
        connect(Settings("any", "http://127.0.0.1:9"), record=path, reconnect=False)
    files = [each for each in gc.get_objects() if type(each) is io.TextIOWrapper]
    assert [each for each in files if each.name == path and not each.closed] == [], error


def test_no_begin_is_reported_after_the_timeout():
    with speaking(lambda connection: connection.recv(), timeout=1) as settings:
        with pytest.raises(ServiceUnreachable, match="sent no Begin within 1 s"):
            connect(settings, token="t", reconnect=False)


def test_a_close_before_begin_settles():
    with speaking(lambda connection: None) as settings:
        with pytest.raises(SessionClosed, match="1000: closed before all text had arrived"):
            connect(settings, token="t", reconnect=False)


def test_no_termination_is_reported_within_its_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempkit.streaming.watch.TERMINATE_SECONDS", 0.3)

    def mute(connection: ServerConnection) -> None:
        connection.send(BEGIN)
        for _ in connection:
            pass

    with speaking(mute) as settings, connect(settings, token="t", reconnect=False) as session:
        with pytest.raises(SessionClosed, match=r"no Termination within \d s"):
            session.terminate()


def test_a_message_of_an_unknown_type_is_passed_on_and_an_odd_one_left_out():
    def talk(connection: ServerConnection) -> None:
        connection.send("[]")
        connection.send(BEGIN)
        connection.send('{"type": "SpeakerRevision", "revisions": []}')
        connection.send(b'{"type": "Termination"}')
        connection.recv()
        connection.send(
            '{"type": "Termination", "audio_duration_seconds": 0, "session_duration_seconds": 0}'
        )

    with speaking(talk) as settings, connect(settings, token="t") as session:
        session.terminate()
        assert [type(message) for message in session] == []
        assert session.odd_messages == 2


def test_a_begin_that_cannot_be_read_is_a_protocol_error():
    with speaking(lambda connection: connection.send('{"type": "Begin"}')) as settings:
        with pytest.raises(ProtocolError, match="has no 'id'"):
            connect(settings, token="t")


def test_what_is_no_websocket_is_said(service: AnsweringService):
    with pytest.raises(ProtocolError, match="HTTP 200 instead of opening a WebSocket"):
        connect(service.settings, token="t")


def test_a_wrong_path_is_answered_with_403(sandbox: Sandbox):
    settings = Settings(api_key="any", base_url=f"{sandbox.url}/elsewhere")
    with pytest.raises(ProtocolError, match="HTTP 403"):
        connect(settings, token="t")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_a_service_that_is_not_there_is_unreachable(url: str):
    with pytest.raises(ServiceUnreachable, match="cannot be reached"):
        connect(Settings(api_key=KEY, base_url=url), token="t")


def test_the_token_travels_in_the_header_and_not_in_the_address():
    seen = []

    def look(connection: ServerConnection) -> None:
        seen.append((connection.request.path, connection.request.headers["Authorization"]))
        connection.send(BEGIN)

    with speaking(look) as settings, connect(settings, token="t-o-k-e-n"):
        pass
    assert seen[0][1] == "t-o-k-e-n"
    assert "t-o-k-e-n" not in seen[0][0]
    assert "speech_model=universal-streaming-english" in seen[0][0]


def test_parameters_reach_the_service(sandbox: Sandbox):
    with connect(sandbox.settings, SessionParameters(speech_model="u3-rt-pro")) as session:
        begin = session._conversation.begin
    assert isinstance(begin, Begin)
    assert begin.configuration["model"] == "u3-rt-pro"
