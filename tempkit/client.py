"""connect, StreamingSession and transcribe: the client half of a session over a real WebSocket."""

import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from tempkit.audio import AudioFormat, Chunks, Clip, paced
from tempkit.config import URL_VARIABLE, Settings
from tempkit.defaults import default_settings
from tempkit.errors import ProtocolError, ServiceUnreachable, SessionClosed
from tempkit.messages import Begin, CloseCode, Error, Json, ServerMessage, Termination, load
from tempkit.parameters import SessionParameters, check_as_service
from tempkit.session import ClientSession, Transcript
from tempkit.tokens import generate_temp_token

# The library's own lines at DEBUG show addresses and headers, and with them tokens.
quiet_log = logging.getLogger("tempkit.client.websocket")
quiet_log.setLevel(logging.WARNING)

TERMINATE = '{"type": "Terminate"}'
TERMINATE_SECONDS = 10.0  # how long the last words may take; the service was seen to take 1.3 s
CLOSE_SECONDS = 2.0
STOP_SECONDS = 2.0  # how long a stopped stream waits for its sending thread
LARGEST_MESSAGE = 2**24  # bytes: a turn with all its words


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
    parameters = parameters or SessionParameters()
    return StreamingSession(settings, parameters, token=token)


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
    grows while messages are read. Only reading moves it: use ``stream``, or send from one thread
    and iterate in another.
    """

    def __init__(
        self, settings: Settings, parameters: SessionParameters, *, token: str | None = None
    ) -> None:
        self.parameters = parameters
        self._audio = AudioFormat(parameters.sample_rate, parameters.encoding)
        self._sent_seconds = 0.0
        self._opened_at = time.monotonic()
        self._half = ClientSession()
        self._unread: deque[str | bytes] = deque()
        self._connection = _open(settings, parameters, token)
        try:
            begin = self._await_begin(settings.timeout)
        except BaseException:
            self._connection.close()
            raise
        self.id = begin.id
        self.expires_at = begin.expires_at

    @property
    def transcript(self) -> Transcript:
        """What was said, as far as messages were read."""
        return self._half.transcript

    def send_audio(self, chunk: bytes) -> None:
        """Send 50 to 1000 ms of audio in the session's encoding. Raises SessionClosed."""
        try:
            self._transmit_audio(chunk)
        except ConnectionClosed as closed:
            raise self._explained(closed) from None

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
        for _ in self._messages(self._terminate_deadline()):
            pass
        return self.transcript

    def __iter__(self) -> Iterator[ServerMessage]:
        """The messages until the session ends. Raises SessionClosed unless it ends well."""
        return self._messages(None)

    def stream(
        self, chunks: Iterable[bytes], *, realtime: bool = True
    ) -> Iterator[ServerMessage]:
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
        self._connection.close()

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
        stopped = threading.Event()
        failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        finished = threading.Event()

        def send() -> None:
            pieces = self._audio.lawful(chunks)
            if realtime:
                pieces = paced(pieces, self._audio, sleep=stopped.wait)
            try:
                for piece in pieces:
                    if stopped.is_set():
                        return
                    self._transmit_audio(piece)
                self._connection.send(TERMINATE)
            except ConnectionClosed:
                pass  # the reader raises it, with the service's reason
            except BaseException as error:  # noqa: BLE001 - it is raised where the user is
                failures.put(error)
                self._connection.close()
            finally:
                finished.set()

        sender = threading.Thread(target=send, name="tempkit sender", daemon=True)
        sender.start()
        try:
            yield from self._messages(None, finished)
        except SessionClosed:
            if not failures.empty():
                raise failures.get() from None
            raise
        finally:
            stopped.set()
            sender.join(STOP_SECONDS)
            self._connection.close()
        if not failures.empty():
            raise failures.get()

    def _messages(
        self, deadline: float | None, finished: threading.Event | None = None
    ) -> Iterator[ServerMessage]:
        """The messages until the connection closes; ``finished`` sets the deadline when it is set."""
        while True:
            if deadline is None and finished is not None and finished.is_set():
                deadline = self._terminate_deadline()
            wait = 0.2 if finished is not None else None
            if deadline is not None:
                wait = max(0.0, min(wait or TERMINATE_SECONDS, deadline - time.monotonic()))
            try:
                text = self._unread.popleft() if self._unread else self._connection.recv(wait)
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    text = f"no Termination within {TERMINATE_SECONDS:g} s"
                    raise SessionClosed(
                        CloseCode.ABNORMAL, text, CloseCode.ABNORMAL.advice
                    ) from None
                continue
            except ConnectionClosed as closed:
                if error := self._error(closed):
                    raise error from None
                return
            message = self._half.receive(text)
            yield message
            if isinstance(message, Termination):
                return

    def _await_begin(self, timeout: float) -> Begin:
        deadline = time.monotonic() + timeout
        while self._half.begin is None:
            try:
                text = self._connection.recv(timeout=max(0.0, deadline - time.monotonic()))
                self._half.receive(text)
            except TimeoutError:
                raise ServiceUnreachable(
                    f"the service opened the connection but sent no Begin within {timeout:g} s"
                ) from None
            except ConnectionClosed as closed:
                raise self._error(closed) or ProtocolError(
                    "the service closed the session before it began"
                ) from None
        return self._half.begin

    def _error(self, closed: ConnectionClosed) -> SessionClosed | None:
        frame = closed.rcvd
        return self._half.closed(*(frame.code, frame.reason) if frame else (1006, ""))

    def _terminate_deadline(self) -> float:
        """When waiting for the Termination ends: audio sent ahead takes its own time to be heard."""
        ahead = self._sent_seconds - (time.monotonic() - self._opened_at)
        return time.monotonic() + TERMINATE_SECONDS + max(0.0, ahead)

    def _transmit_audio(self, chunk: bytes) -> None:
        self._connection.send(chunk)
        self._sent_seconds += self._audio.seconds(len(chunk))

    def _send(self, message: str) -> None:
        try:
            self._connection.send(message)
        except ConnectionClosed as closed:
            raise self._explained(closed) from None

    def _explained(self, closed: ConnectionClosed) -> SessionClosed:
        """Why nothing can be sent any more: the reason is among what had come before the close."""
        try:
            while True:
                self._unread.append(self._connection.recv(timeout=0))
        except (ConnectionClosed, TimeoutError, ConcurrencyError):
            pass  # ConcurrencyError: another thread is reading, it gets the reason
        for text in self._unread:
            if isinstance(error := load(text), Error):
                advice = CloseCode.advice_for(error.error_code)
                return SessionClosed(error.error_code, error.error, advice)
        ended = SessionClosed(CloseCode.ENDED, "the session has ended", "open a new one")
        return self._error(closed) or ended


def _open(
    settings: Settings, parameters: SessionParameters, token: str | None
) -> ClientConnection:
    if token is None:
        token = generate_temp_token(settings=settings)
    # The token travels in the header, where no log of addresses shows it.
    try:
        return open_websocket(
            f"{settings.websocket_url}?{urlencode(parameters.query())}",
            additional_headers={"Authorization": token, "User-Agent": "tempkit"},
            user_agent_header=None,
            compression=None,
            proxy=None if settings.is_local else True,
            open_timeout=settings.timeout,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            max_queue=None,
            logger=quiet_log,
        )
    except InvalidStatus as refusal:
        raise ProtocolError(
            f"the service answered HTTP {refusal.response.status_code} instead of opening a "
            f"WebSocket; check {URL_VARIABLE}"
        ) from None
    except InvalidHandshake as error:
        raise ProtocolError(f"no WebSocket at {settings.websocket_url}: {error}") from None
    except TimeoutError as error:
        raise ServiceUnreachable(
            f"{settings.websocket_url} did not open within {settings.timeout:g} s"
        ) from error
    except OSError as error:
        raise ServiceUnreachable(
            f"{settings.websocket_url} cannot be reached: {error.strerror or error}; "
            f"check the network and {URL_VARIABLE}"
        ) from error
