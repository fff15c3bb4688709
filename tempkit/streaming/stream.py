"""Stream: audio on its way out and messages on their way in, until it ends or is stopped."""

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress

from tempkit.errors import SessionClosed, TempkitError, expect
from tempkit.sound.clip import Chunks
from tempkit.sound.samples import OF_AN_ARRAY, AudioFormat
from tempkit.streaming.backlog import LARGEST_CHUNK
from tempkit.streaming.conversation import Conversation
from tempkit.streaming.session import Message
from tempkit.streaming.transcript import Transcript

STOP_SECONDS = 2.0  # how long the end of a stream waits for a source that blocks
BEING_READ = "generator already executing"  # Python's words: another thread is in it
WAIT_SECONDS = 0.02  # how often a source that is far ahead looks whether it may go on


class Stream(Iterator[Message]):
    """The messages of a session while its audio is sent; made by ``StreamingSession.stream``.

    The audio starts when the first message is requested. ``transcript`` is what was said so far,
    ``is_stopped`` says that ``stop`` was called. Any thread may call ``stop`` and ``close``, and
    more than once.
    """

    def __init__(
        self, session: object, conversation: Conversation, chunks: Iterable[bytes], rate: float
    ) -> None:
        # Kept, as a session that nobody holds closes itself: connect(...).stream(...) is one.
        self.session = session
        self.transcript: Transcript = conversation.half.transcript
        self.is_stopped = False
        self._clip = chunks.clip if isinstance(chunks, Chunks) else None
        self._conversation = conversation
        # It knows nothing of this object: who drops the stream ends it.
        self._messages = _messages(conversation, chunks, rate)

    @property
    def total_seconds(self) -> float | None:
        """How long the audio is; None if that is not known beforehand."""
        return self._clip.duration if self._clip else None

    @property
    def sent_seconds(self) -> float:
        """How much audio has been sent."""
        backlog, total = self._conversation.half.backlog, self.total_seconds
        sent = backlog.audio.seconds(backlog.end)
        return sent if total is None else min(sent, total)  # what fills the last chunk is no audio

    def stop(self) -> None:
        """End the audio here; the words of what was sent still come, then the messages end."""
        self.is_stopped = True
        with suppress(TempkitError):  # it has ended already
            self._conversation.end_audio()

    def close(self) -> None:
        """End the stream and its session at once; only ``stop`` waits for the last words.

        Another thread that reads the messages gets those that had arrived by then.
        """
        self._conversation.close()
        try:
            self._messages.close()
        except ValueError as error:
            if str(error) != BEING_READ:  # the source's own
                raise

    def __next__(self) -> Message:
        return next(self._messages)


def _messages(
    conversation: Conversation, chunks: Iterable[bytes], rate: float
) -> Generator[Message, None, None]:
    failures: list[BaseException] = []  # what the source of the audio raised
    given = (conversation, chunks, rate, failures)
    source = threading.Thread(target=_send, args=given, name="tempkit source", daemon=True)
    source.start()
    try:
        yield from conversation.messages()
    finally:
        try:
            conversation.close()
        finally:
            source.join(STOP_SECONDS)  # it may be inside a source that blocks
        if failures:
            raise failures[0]


def _send(
    conversation: Conversation,
    chunks: Iterable[bytes],
    rate: float,
    failures: list[BaseException],
) -> None:
    """Take the audio from where it comes, until it or the session ends."""
    backlog, wait = conversation.half.backlog, conversation.closing.wait
    backlog.rate = max(backlog.rate, rate)
    try:
        for piece in paced(chunks, backlog.audio, rate, sleep=wait):
            # More would push out what has no final text yet.
            while rate == math.inf and backlog.seconds > backlog.limit_seconds / 2:
                conversation.check_open()
                wait(WAIT_SECONDS)
            conversation.send(piece)
        conversation.end_audio()
    except SessionClosed:
        pass  # the messages say so
    except BaseException as error:
        failures.append(error)
        conversation.close()


def paced(
    chunks: Iterable[bytes],
    audio: AudioFormat,
    rate: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[bytes]:
    """Audio in pieces of 100 ms at the most, at ``rate`` times the speed at which it sounds.

    Deadlines come from one clock, so waits do not add up; a late source is not slowed down further.
    """
    start, sent, largest = clock(), 0, audio.size(LARGEST_CHUNK)
    for chunk in chunks:
        expect("audio", chunk, bytes, bytearray, memoryview, advice=OF_AN_ARRAY)
        for at in range(0, len(chunk), largest):
            piece = chunk[at : at + largest]
            sent += len(piece)
            yield piece
            wait = start + audio.seconds(sent) / rate - clock()
            if wait > 0:
                sleep(wait)
