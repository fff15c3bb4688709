"""AudioFormat: how a session's audio is encoded; Sound: 16-bit PCM, read piece by piece."""

import logging
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import add, mul

from tempkit.errors import AudioError, expect
from tempkit.protocol.parameters import SAMPLE_RATE, SAMPLE_WIDTH

log = logging.getLogger(__name__)

WIDTH = 2  # bytes of a sample
MOST_CHANNELS = 64  # more of them are samples, or a header that lies
STEP = 7  # one sample in so many tells how loud a piece is
FADING = 0.8  # of how loud it was, what counts in the next piece
CANCELLED = 0.25  # of the power that a mix of unlike channels has
OF_AN_ARRAY = "for an array, use Clip.from_samples"


@dataclass(frozen=True)
class AudioFormat:
    """How a session's audio is encoded."""

    sample_rate: int
    encoding: str = "pcm_s16le"

    def size(self, milliseconds: float) -> int:
        """Bytes that hold at least ``milliseconds``."""
        return -int(-self.sample_rate * milliseconds // 1000) * SAMPLE_WIDTH[self.encoding]

    def seconds(self, size: int) -> float:
        """How long ``size`` bytes last."""
        return size / (self.sample_rate * SAMPLE_WIDTH[self.encoding])


class Sound(ABC):
    """Samples of one or more channels, one after the other, 16-bit little-endian.

    ``duration`` is seconds, or None where nobody knows before the end. ``name`` is what messages
    call it; a pipe can be read once.
    """

    is_pipe = False
    _duration: float | None = None

    def __init__(self, name: str, sample_rate: int, channels: int) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self._said: set[str] = set()

    @property
    def duration(self) -> float | None:
        """Seconds, as far as they are known."""
        return self._duration

    @abstractmethod
    def pieces(self, size: int) -> Iterator[bytes]:
        """The samples in pieces of ``size`` bytes, at the end a shorter one. Raises AudioError."""

    @property
    def frame(self) -> int:
        """Bytes of a sample of every channel."""
        return self.channels * WIDTH

    def say(self, text: str) -> None:
        """Tell the user, once, what he should know of this sound."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)


class Samples(Sound):
    """What is in memory. Raises AudioError unless it is what the service takes."""

    def __init__(self, pcm: bytes, sample_rate: int, channels: int = 1) -> None:
        expect("sample_rate", sample_rate, int)
        super().__init__("the clip", sample_rate, channels)
        low, high = SAMPLE_RATE
        if not low <= sample_rate <= high:
            raise AudioError(f"a clip's sample_rate must be {low} to {high}, not {sample_rate}")
        if len(pcm) % self.frame:
            text = f"16-bit samples of {channels} channels need a multiple of {self.frame} bytes"
            raise AudioError(f"{text}, not {len(pcm)}")
        self._pcm = pcm
        self._duration = len(pcm) / self.frame / sample_rate

    def pieces(self, size: int) -> Iterator[bytes]:
        """The samples."""
        for start in range(0, len(self._pcm), size):
            yield self._pcm[start : start + size]


def one_channel(sound: Sound, pieces: Iterable[bytes], channel: int | None) -> Iterator[bytes]:
    """Pieces of a sound with one channel in the place of all: their mean, or ``channel``.

    The mean of channels cancels them out where one is the other's inverse, as behind a microphone
    cable that is wired the wrong way round. There the loudest one is taken.
    """
    count = sound.channels
    powers, mixed_power = [0.0] * count, 0.0
    for piece in pieces:
        samples = array("h", piece)
        if channel is not None:
            yield samples[channel::count].tobytes()
            continue
        channels = [samples[at::count] for at in range(count)]
        sums: Iterable[int] = channels[0]
        for each in channels[1:]:
            sums = map(add, sums, each)
        mixed = array("h", [total // count for total in sums])
        powers = [FADING * old + _power(new) for old, new in zip(powers, channels, strict=True)]
        mixed_power = FADING * mixed_power + _power(mixed)
        # Channels that have nothing to do with each other make a mix of this power.
        unlike = sum(powers) / count**2
        if mixed_power < CANCELLED * unlike:
            loudest = powers.index(max(powers))
            sound.say(
                f"the channels of {sound.name} cancel each other out when mixed, so the"
                f" loudest is used (now channel {loudest}); channel=0, 1 ... picks one"
            )
            mixed = channels[loudest]
        yield mixed.tobytes()


def _power(samples: "array[int]") -> int:
    some = samples[::STEP]
    return sum(map(mul, some, some))
