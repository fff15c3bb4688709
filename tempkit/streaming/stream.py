"""Stream: audio on its way out and messages on their way in, until it ends or is stopped."""

import math
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Generic, Self, TypeVar

from tempkit.errors import SessionClosed, TempkitError
from tempkit.sound.audio import paced
from tempkit.sound.clip import Chunks
from tempkit.streaming.conversation import Conversation
from tempkit.streaming.session import Message
from tempkit.streaming.transcript import Transcript

Owner = TypeVar("Owner", covariant=True)  # the session, of which no more is known here

STOP_SECONDS = 2.0  # how long a stopped stream waits for a source that blocks
FILLING_SECONDS = 1.0  # of silence, at the most, that make up the last chunk
WAIT_SECONDS = 0.02  # how often a source that is far ahead looks whether it may go on


class Stream(Iterator[Message], Generic[Owner]):
    """The messages of a session while its audio is sent; made by ``StreamingSession.stream``.

    The audio starts with the first message that is asked for. ``is_stopped`` says that ``stop`` was
    called.
    """

    def __init__(
        self,
        session: Owner,
        conversation: Conversation,
        chunks: Iterable[bytes],
        *,
        realtime: bool,
    ) -> None:
        # Kept, as a session that nobody holds closes itself: connect(...).stream(...) is one.
        self.session = session
        self._clip = chunks.clip if isinstance(chunks, Chunks) else None
        self.is_stopped = False
        self._conversation = conversation
        self._source = _Source(conversation, chunks, realtime=realtime)
        # It knows nothing of this object: who drops the stream ends it.
        self._messages = _messages(conversation, self._source)

    @property
    def transcript(self) -> Transcript:
        """What was said so far."""
        return self._conversation.half.transcript

    @property
    def total_seconds(self) -> float | None:
        """How long the audio is; None where that is not known beforehand."""
        return self._clip.duration if self._clip else None

    @property
    def sent_seconds(self) -> float:
        """How much audio has been sent."""
        sent = self._conversation.half.backlog.audio.seconds(self._source.size)
        total = self.total_seconds
        # What fills the last chunk is no audio; but a file may be longer than it says.
        return total if total is not None and total < sent < total + FILLING_SECONDS else sent

    def stop(self) -> None:
        """End the audio here; what was sent still gets its words, then the messages end.

        Any thread may call it, and more than once.
        """
        self.is_stopped = True
        self._source.halt()
        with suppress(TempkitError):  # it has ended already
            self._conversation.end_audio()

    def close(self) -> None:
        """End the stream and its session at once; only ``stop`` waits for the last words.

        Any thread may call it: who reads the messages gets those that came by then.
        """
        try:
            if getgeneratorstate(self._messages) != GEN_RUNNING:
                self._messages.close()
        finally:
            self._conversation.close()  # it may not have begun, or be read by another thread

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        return next(self._messages)


def _messages(conversation: Conversation, source: "_Source") -> Generator[Message, None, None]:
    source.start()
    try:
        yield from conversation.messages()
    finally:
        try:
            source.stop()
        finally:
            conversation.close()
        source.raise_failure()


class _Source:
    """Takes a stream's audio from where it comes, in a thread of its own, and then ends it."""

    def __init__(
        self,
        conversation: Conversation,
        chunks: Iterable[bytes],
        *,
        realtime: bool,
    ) -> None:
        self.size = 0  # bytes that were sent
        self._conversation = conversation
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._backlog = backlog = conversation.half.backlog
        self._pieces = backlog.audio.cut(chunks)
        if realtime:
            self._pieces = paced(self._pieces, backlog.audio, sleep=self._stopped.wait)
        else:
            backlog.rate = math.inf
        # More would push out what has no final text yet.
        self._most_seconds = math.inf if realtime else backlog.limit_seconds / 2
        self._thread = threading.Thread(target=self._run, name="tempkit source", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def halt(self) -> None:
        """Take no more."""
        self._stopped.set()

    def stop(self) -> None:
        """Take no more; waits a little for the thread, which may be inside a source that blocks."""
        self.halt()
        self._thread.join(STOP_SECONDS)

    def raise_failure(self) -> None:
        """Raise what the source of the audio raised, where the user is."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        conversation = self._conversation
        try:
            for piece in self._pieces:
                while self._backlog.seconds > self._most_seconds:
                    if self._stopped.wait(WAIT_SECONDS):
                        return
                if self._stopped.is_set():
                    return
                conversation.send(piece)
                self.size += len(piece)
            conversation.end_audio()
        except SessionClosed:
            return  # the messages say so
        except BaseException as error:
            self._failure = error
            conversation.close()
