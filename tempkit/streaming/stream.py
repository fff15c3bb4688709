"""Stream: audio on its way out and messages on their way in, until it ends or is stopped."""

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Generic, TypeVar

from tempkit.errors import SessionClosed, TempkitError
from tempkit.sound.clip import Chunks
from tempkit.sound.samples import AudioFormat
from tempkit.streaming.conversation import Conversation
from tempkit.streaming.session import Message
from tempkit.streaming.transcript import Transcript

Owner = TypeVar("Owner", covariant=True)  # the session, of which no more is known here

STOP_SECONDS = 2.0  # how long a stopped stream waits for a source that blocks
WAIT_SECONDS = 0.02  # how often a source that is far ahead looks whether it may go on


class Stream(Iterator[Message], Generic[Owner]):
    """The messages of a session while its audio is sent; made by ``StreamingSession.stream``.

    The audio starts with the first message that is asked for. ``is_stopped`` says that ``stop`` was
    called.
    """

    def __init__(
        self, session: Owner, conversation: Conversation, chunks: Iterable[bytes], *, realtime: bool
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
        backlog, total = self._conversation.half.backlog, self.total_seconds
        sent = backlog.audio.seconds(backlog.end)
        return sent if total is None else min(sent, total)  # what fills the last chunk is no audio

    def stop(self) -> None:
        """End the audio here; what was sent still gets its words, then the messages end.

        Any thread may call it, and more than once.
        """
        self.is_stopped = True
        self._source.stopped.set()
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

    def __next__(self) -> Message:
        return next(self._messages)


def _messages(conversation: Conversation, source: "_Source") -> Generator[Message, None, None]:
    source.thread.start()
    try:
        yield from conversation.messages()
    finally:
        source.stopped.set()
        try:
            source.thread.join(STOP_SECONDS)  # it may be inside a source that blocks
        finally:
            conversation.close()
        if source.failure is not None:
            raise source.failure


class _Source:
    """Takes a stream's audio from where it comes, in a thread of its own, and then ends it."""

    def __init__(
        self, conversation: Conversation, chunks: Iterable[bytes], *, realtime: bool
    ) -> None:
        self.failure: BaseException | None = None  # what the source of the audio raised
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="tempkit source", daemon=True)
        self._conversation = conversation
        self._backlog = backlog = conversation.half.backlog
        self._pieces = backlog.cut(chunks)
        if realtime:
            self._pieces = paced(self._pieces, backlog.audio, sleep=self.stopped.wait)
        else:
            backlog.rate = math.inf
        # More would push out what has no final text yet.
        self._most_seconds = math.inf if realtime else backlog.limit_seconds / 2

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                while self._backlog.seconds > self._most_seconds:
                    if self.stopped.wait(WAIT_SECONDS):
                        return
                if self.stopped.is_set():
                    return
                self._conversation.send(piece)
            self._conversation.end_audio()
        except SessionClosed:
            return  # the messages say so
        except BaseException as error:
            self.failure = error
            self._conversation.close()


def paced(
    pieces: Iterable[bytes],
    audio: AudioFormat,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object],
) -> Iterator[bytes]:
    """The pieces at the speed at which they sound, counted from the first one.

    Deadlines come from one clock, so waits do not add up; a late source is not slowed down further.
    """
    start, sent = clock(), 0
    for piece in pieces:
        sent += len(piece)
        yield piece
        wait = start + audio.seconds(sent) - clock()
        if wait > 0:
            sleep(wait)
