"""connect, StreamingSession and transcribe: the client half of a session over a real WebSocket."""

import json
import math
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Self

from tempkit.config import HOW_TO_MAKE, Settings, default_settings
from tempkit.errors import BadType, BadValue, expect, unfailing
from tempkit.protocol.messages import Json
from tempkit.protocol.parameters import FIXED, HOW_TO_ASK, RULES, SAMPLE_WIDTH, SessionParameters
from tempkit.secret import Secret
from tempkit.sound.clip import Chunks, Clip
from tempkit.streaming.conversation import Conversation
from tempkit.streaming.link import Recorder
from tempkit.streaming.retry import Reconnect
from tempkit.streaming.session import Message
from tempkit.streaming.stream import Stream, paced
from tempkit.streaming.transcript import Transcript
from tempkit.tokens import TemporaryToken

HOW_TO_MAKE_A_CLIP = "use Clip.read(path) for a file, Clip.from_samples for an array"


def connect(
    settings: Settings | None = None,
    parameters: SessionParameters | None = None,
    *,
    token: str | None = None,
    reconnect: Reconnect | bool = True,
    record: str | Path | None = None,
    record_audio: bool = True,
) -> "StreamingSession":
    """An open streaming session, as a context manager; leaving it closes the connection.

    ``settings`` None uses ``default_settings()``; ``token`` None gets a new temporary token. If
    the connection is lost, ``reconnect`` opens another one with a fresh token and resends audio
    that had no final text yet; False ends the session instead. ``record`` names a file for the
    session's frames in both directions, which ``Sandbox(replay=...)`` replays; without
    ``record_audio`` it has the length of the audio but not its sound. Raises what
    ``generate_temp_token`` raises, ServiceUnreachable, SessionClosed if the service refuses the
    session, ProtocolError, ValueError for a TemporaryToken that was used before, and OSError if
    the recording cannot be written.
    """
    expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
    expect("parameters", parameters, SessionParameters, None, advice=HOW_TO_ASK)
    expect("token", token, str, None)
    expect("reconnect", reconnect, Reconnect, bool)
    expect("record", record, str, PathLike, None)
    if token is not None and not isinstance(token, TemporaryToken):
        token = Secret(token)
    parameters = parameters or SessionParameters()
    _check(parameters)
    policy = Reconnect() if reconnect is True else reconnect or None
    settings = settings or default_settings()
    recorder = Recorder(record, keeps_audio=record_audio) if record is not None else None
    try:
        return StreamingSession(Conversation(settings, parameters, token, policy, recorder))
    except BaseException:  # Ctrl-C, too
        if recorder is not None:
            recorder.close()
        raise


def transcribe(
    clip: Clip,
    settings: Settings | None = None,
    parameters: SessionParameters | None = None,
    *,
    realtime: bool = True,
) -> Transcript:
    """The transcript of a clip, which is streamed at the speed of speech.

    ``realtime`` False sends it at once, though the service still works at its own pace. Without
    ``parameters``, the clip's rate is used. Raises what ``connect`` and ``stream`` raise.
    """
    expect("clip", clip, Clip, advice=HOW_TO_MAKE_A_CLIP)
    expect("parameters", parameters, SessionParameters, None, advice=HOW_TO_ASK)
    parameters = parameters or SessionParameters(sample_rate=clip.sample_rate)
    chunks = clip.chunks()
    _check(parameters, chunks)
    with connect(settings, parameters) as session:
        for _ in session.stream(chunks, realtime=realtime):
            pass
    return session.transcript


class StreamingSession:
    """An open session: send audio, iterate over what the service says.

    Made by ``connect``. ``transcript`` grows as messages arrive, whether you read them or not. All
    times are on the session's own clock, which continues when a lost connection is replaced. Use
    ``stream``, or send from one thread and iterate in another.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._half = conversation.half
        self.transcript: Transcript = self._half.transcript
        conversation.open()
        weakref.finalize(self, conversation.closing.set)  # a session that nobody closed

    @property
    def parameters(self) -> SessionParameters:
        """What the session was asked for, updates included."""
        return self._half.parameters

    @property
    def id(self) -> str:
        """The service's name for the session, or for the one that replaced it."""
        return self._conversation.begin.id

    @property
    def expires_at(self) -> int:
        """Unix seconds at which the service will end the session."""
        return self._conversation.begin.expires_at

    @property
    def lost_seconds(self) -> float:
        """Audio that was lost while there was no connection; usually 0.0."""
        return self._half.lost_seconds

    @property
    def odd_messages(self) -> int:
        """How many messages from the service were ignored as unreadable; usually 0."""
        return self._half.odd.total()

    def send_audio(self, chunk: bytes) -> None:
        """Send audio in the session's encoding, any amount. Raises SessionClosed after the end."""
        # More at once would push out what is older before that is sent.
        for piece in paced([chunk], self._half.backlog.audio, math.inf):
            self._conversation.send(piece)

    def force_endpoint(self) -> None:
        """End the current turn now; its final Turn is among the messages."""
        self._command({"type": "ForceEndpoint"})

    def keep_alive(self) -> None:
        """Restart the ``inactivity_timeout``."""
        self._command({"type": "KeepAlive"})

    def update_configuration(self, **changes: Json) -> None:
        """Change parameters of the running session, for example ``max_turn_silence=2000``.

        Raises ValueError for a value that is out of range, TypeError for an unknown name.
        """
        for name, value in changes.items():
            if name not in RULES:
                raise BadType(f"{name} is not a session parameter")
            if name in FIXED:
                raise BadValue(f"{name} is fixed when a session opens; open a new session")
            RULES[name].check(name, value)
        self._half.parameters = replace(self.parameters, **changes)  # type: ignore[arg-type]
        self._command({"type": "UpdateConfiguration", **changes})

    def terminate(self) -> Transcript:
        """End the session and return its transcript, last words included. Raises SessionClosed.

        This reads any messages that were not read yet; ``transcript`` has them all.
        """
        if not self._half.has_ended_audio:
            self._conversation.end_audio()
        for _ in self:
            pass
        return self.transcript

    def __iter__(self) -> Iterator[Message]:
        """The messages until the session ends. Raises SessionClosed unless it ends well."""
        return self._conversation.messages()

    def stream(self, chunks: Iterable[bytes], *, realtime: bool = True) -> Stream:
        """Send audio, yield every message meanwhile, then terminate and yield the last ones.

        ``chunks`` is audio in pieces of any size; the source may block. It is sent in 50 to
        100 ms pieces at the speed of speech, or at once with ``realtime`` False.
        Reconnecting and Reconnected are among the messages; the iterator's ``stop()`` ends the
        audio early, from any thread. Raises SessionClosed, and whatever ``chunks`` raises.
        """
        _check(self.parameters, chunks)
        self._conversation.check_open()
        return Stream(self, self._conversation, chunks, 1.0 if realtime else math.inf)

    def close(self) -> None:
        """Close the connection; without ``terminate`` first, the last words are lost."""
        self._conversation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @unfailing
    def __repr__(self) -> str:
        return f"<StreamingSession {self.id}>"

    def _command(self, message: dict[str, Json]) -> None:
        self._conversation.send(json.dumps(message))


def _check(parameters: SessionParameters, chunks: Iterable[bytes] = ()) -> None:
    """Raises TypeError or ValueError, before any network, for what cannot be meant."""
    if not isinstance(chunks, Iterable) or isinstance(chunks, (str, bytes)):
        advice = "for a clip, pass clip.chunks()"
        raise BadType(f"chunks takes audio in pieces, not {type(chunks).__name__}; {advice}")
    if parameters.encoding not in SAMPLE_WIDTH:
        known = " or ".join(SAMPLE_WIDTH)
        raise BadValue(f"the client sends {known}, not {parameters.encoding}")
    if not isinstance(chunks, Chunks):
        return
    rate, session_rate = chunks.clip.sample_rate, parameters.sample_rate
    if rate != session_rate:
        advice = f"connect with SessionParameters(sample_rate={rate})"
        raise BadValue(f"the audio has {rate} Hz, the session {session_rate}; {advice}")
    if parameters.encoding != "pcm_s16le":
        text = f"a Clip is sent as pcm_s16le, but the session takes {parameters.encoding}"
        raise BadValue(f"{text}; connect without encoding")
