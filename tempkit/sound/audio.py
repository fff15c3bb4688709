"""AudioFormat: how a session's audio is encoded, cut into chunks, and paced."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tempkit.errors import expect
from tempkit.protocol.parameters import SAMPLE_WIDTH

OF_AN_ARRAY = "of an array, Clip.from_samples makes a clip"
LARGEST_CHUNK = 100  # ms: what is sent at once; the service allows ten times as much


@dataclass(frozen=True)
class AudioFormat:
    """How a session's audio is encoded: what one needs to know to cut and time it."""

    sample_rate: int
    encoding: str = "pcm_s16le"

    def size(self, milliseconds: float) -> int:
        """Bytes that hold at least ``milliseconds``."""
        return -int(-self.sample_rate * milliseconds // 1000) * SAMPLE_WIDTH[self.encoding]

    def seconds(self, size: int) -> float:
        """How long ``size`` bytes last."""
        return size / (self.sample_rate * SAMPLE_WIDTH[self.encoding])

    def cut(self, chunks: Iterable[bytes], milliseconds: float = LARGEST_CHUNK) -> Iterator[bytes]:
        """The same audio in pieces of ``milliseconds`` at the most."""
        size = self.size(milliseconds)
        for chunk in chunks:
            expect("audio", chunk, bytes, bytearray, memoryview, advice=OF_AN_ARRAY)
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]


def paced(
    chunks: Iterable[bytes],
    audio: AudioFormat,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[bytes]:
    """The chunks at the speed at which they sound, counted from the first one.

    Deadlines come from one clock, so waits do not add up; a late source is not slowed down further.
    """
    start, sent = clock(), 0
    for chunk in chunks:
        sent += len(chunk)
        yield chunk
        wait = start + audio.seconds(sent) - clock()
        if wait > 0:
            sleep(wait)
