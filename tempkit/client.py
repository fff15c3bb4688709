"""connect, StreamingSession and transcribe: the client half of a session over a real WebSocket."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from tempkit.audio import AudioFormat, Chunks, Clip, paced
from tempkit.config import Settings
from tempkit.defaults import default_settings
from tempkit.errors import ProtocolError, ServiceUnreachable, SessionClosed
from tempkit.link import Link, LinkClosed
from tempkit.messages import Begin, CloseCode, Error, Json, ServerMessage, Termination, load
from tempkit.parameters import SessionParameters, check_as_service
from tempkit.session import ClientSession, Transcript
from tempkit.tokens import generate_temp_token

TERMINATE = '{"type": "Terminate"}'
TERMINATE_SECONDS = 10.0  # how long the last words may take; the service was seen to take 1.3 s
STOP_SECONDS = 2.0  # how long a stopped stream waits for its sending thread
LOOK_SECONDS = 0.2  # how often a waiting stream looks whether all audio was sent


def connect(
    settings: Settings | None = None,
    parameters: SessionParameters | None = None,
    *,
    token: str | None = None,
) -> "StreamingSession":
    """An open streaming session, as a context manager; leaving it closes the connection.

    ``settings`` None takes ``default_settings()``; ``token`` None takes a new temporary token.
    Raises what ``generate_temp_token`` raises, ServiceUnreachable, SessionClosed when the service
    refuses the session, and ProtocolError.
    """
    settings = settings or default_settings()
    return StreamingSession(settings, parameters or SessionParameters(), token=token)


def transcribe(
    clip: Clip,
    settings: Settings | None = None,
    parameters: SessionParameters | None = None,
    *,
    realtime: bool = True,
) -> Transcript:
    """The transcript of a clip, which is streamed at the speed at which it sounds.

    ``realtime`` False sends it at once; the service works at its own pace all the same. Without
    ``parameters`` the clip's rate is declared. Raises what ``connect`` and ``stream`` raise.
    """
    parameters = parameters or SessionParameters(sample_rate=clip.sample_rate)
    with connect(settings, parameters) as session:
        for _ in session.stream(clip.chunks(), realtime=realtime):
            pass
    return session.transcript


class StreamingSession:
    """An open session: send audio, iterate over what the service says.

    Made by ``connect``. ``id`` and ``expires_at`` (Unix seconds) are the service's; ``transcript``
    grows while messages are read. Use ``stream``, or send from one thread and iterate in another.
    """

    def __init__(
        self, settings: Settings, parameters: SessionParameters, *, token: str | None = None
    ) -> None:
        self.parameters = parameters
        self._audio = AudioFormat(parameters.sample_rate, parameters.encoding)
        self._sent_seconds = 0.0
        self._half = ClientSession()
        self._link = Link.open(
            settings, parameters, token or generate_temp_token(settings=settings)
        )
        self._opened_at = time.monotonic()
        try:
            begin = self._await_begin(settings.timeout)
        except BaseException:
            self._link.close()
            raise
        self.id = begin.id
        self.expires_at = begin.expires_at

    @property
    def transcript(self) -> Transcript:
        """What was said, as far as messages were read."""
        return self._half.transcript

    def send_audio(self, chunk: bytes) -> None:
        """Send 50 to 1000 ms of audio in the session's encoding. Raises SessionClosed."""
        self._send(chunk)
        self._sent_seconds += self._audio.seconds(len(chunk))

    def force_endpoint(self) -> None:
        """End the current turn now; its final Turn comes among the messages."""
        self._send(json.dumps({"type": "ForceEndpoint"}))

    def keep_alive(self) -> None:
        """Restart the clock of ``inactivity_timeout``."""
        self._send(json.dumps({"type": "KeepAlive"}))

    def update_configuration(self, **changes: Json) -> None:
        """Change parameters of the running session, for example ``max_turn_silence=2000``.

        Raises ValueError for a value that is out of range, TypeError for an unknown name.
        """
        for name, value in changes.items():
            if name not in SessionParameters.__dataclass_fields__:
                raise TypeError(f"{name} is no session parameter")
            check_as_service(name, value)
        self._send(json.dumps({"type": "UpdateConfiguration", **changes}))

    def terminate(self) -> Transcript:
        """End the session: everything said, the last words included. Raises SessionClosed.

        Messages that were not read yet are read here; ``transcript`` has them all.
        """
        self._send(TERMINATE)
        sent = threading.Event()
        sent.set()
        for _ in self._messages(sent):
            pass
        return self.transcript

    def __iter__(self) -> Iterator[ServerMessage]:
        """The messages until the session ends. Raises SessionClosed unless it ends well."""
        return self._messages(threading.Event())

    def stream(self, chunks: Iterable[bytes], *, realtime: bool = True) -> Iterator[ServerMessage]:
        """Send audio, yield every message meanwhile, then terminate and yield the last ones.

        ``chunks`` is audio in pieces of any size, also from a source that blocks; it is sent in 50
        to 100 ms pieces at the speed at which it sounds, or at once with ``realtime`` False.
        Raises SessionClosed, and whatever ``chunks`` raises.
        """
        if isinstance(chunks, Chunks) and chunks.sample_rate != self.parameters.sample_rate:
            raise ValueError(
                f"the audio has {chunks.sample_rate} Hz, the session {self.parameters.sample_rate};"
                f" connect with SessionParameters(sample_rate={chunks.sample_rate})"
            )
        return self._stream(chunks, realtime)

    def close(self) -> None:
        """Close the connection; without ``terminate`` before it the last words are lost."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<StreamingSession {self.id}>"

    def _stream(self, chunks: Iterable[bytes], realtime: bool) -> Iterator[ServerMessage]:
        sender = _Sender(self, chunks, realtime)
        sender.start()
        try:
            yield from self._messages(sender.finished)
        except SessionClosed:
            sender.raise_failure()
            raise
        finally:
            sender.stop()
            self._link.close()
        sender.raise_failure()

    def _messages(self, terminated: threading.Event) -> Iterator[ServerMessage]:
        """The messages until the session ends; that has a bound once ``terminated`` is set."""
        deadline = None
        while True:
            if deadline is None and terminated.is_set():
                # Audio that was sent ahead of time takes its own time to be heard.
                ahead = self._sent_seconds - (time.monotonic() - self._opened_at)
                deadline = time.monotonic() + TERMINATE_SECONDS + max(0.0, ahead)
            try:
                message = self._half.receive(self._link.receive(LOOK_SECONDS))
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    lost, text = CloseCode.ABNORMAL, f"no Termination in {TERMINATE_SECONDS:g} s"
                    raise SessionClosed(lost, text, lost.advice) from None
                continue
            except LinkClosed as closed:
                if error := self._half.closed(closed.code, closed.reason):
                    raise error from None
                return
            yield message
            if isinstance(message, Termination):
                return

    def _await_begin(self, timeout: float) -> Begin:
        deadline = time.monotonic() + timeout
        while self._half.begin is None:
            try:
                self._half.receive(self._link.receive(max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                text = f"the service opened the connection but sent no Begin within {timeout:g} s"
                raise ServiceUnreachable(text) from None
            except LinkClosed as closed:
                raise self._half.closed(closed.code, closed.reason) or ProtocolError(
                    "the service closed the session before it began"
                ) from None
        return self._half.begin

    def _send(self, data: str | bytes) -> None:
        try:
            self._link.send(data)
        except LinkClosed as closed:
            raise self._why(closed) from None

    def _why(self, closed: LinkClosed) -> SessionClosed:
        """Why nothing can be sent any more: the service's reason came before the close."""
        for text in self._link.waiting():
            if isinstance(error := load(text), Error):
                advice = CloseCode.advice_for(error.error_code)
                return SessionClosed(error.error_code, error.error, advice)
        ended = SessionClosed(CloseCode.ENDED, "the session has ended", "open a new one")
        return self._half.closed(closed.code, closed.reason) or ended


class _Sender:
    """Sends a stream's audio and the Terminate after it, in a thread of its own."""

    def __init__(self, session: StreamingSession, chunks: Iterable[bytes], realtime: bool) -> None:
        self.finished = threading.Event()
        self._session = session
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        pieces = session._audio.lawful(chunks)
        self._pieces = (
            paced(pieces, session._audio, sleep=self._stopped.wait) if realtime else pieces
        )
        self._thread = threading.Thread(target=self._run, name="tempkit sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; waits a little for the thread, which may be inside a source that blocks."""
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def raise_failure(self) -> None:
        """Raise what the source of the audio raised, where the user is."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        session, link = self._session, self._session._link
        try:
            for piece in self._pieces:
                if self._stopped.is_set():
                    return
                link.send(piece)
                session._sent_seconds += session._audio.seconds(len(piece))
            link.send(TERMINATE)
        except LinkClosed:
            pass  # the reader raises it, with the service's reason
        except BaseException as error:
            self._failure = error
            link.close()
        finally:
            self.finished.set()
