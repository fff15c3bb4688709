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
OF_AN_ARRAY = "of an array, Clip.from_samples makes a clip"


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
            raise AudioError(f"a clip has {low} to {high} samples a second, not {sample_rate}")
        if len(pcm) % self.frame:
            text = f"16-bit samples of {channels} channels fill a multiple of {self.frame} bytes"
            raise AudioError(f"{text}, not {len(pcm)}")
        self._pcm = pcm
        self._duration = len(pcm) / self.frame / sample_rate

    def pieces(self, size: int) -> Iterator[bytes]:
        """The samples."""
        for start in range(0, len(self._pcm), size):
            yield self._pcm[start : start + size]


class Mixer:
    """Makes one channel of all that a sound has: their mean, unless that cancels them out.

    It does where one channel is the other's inverse, as behind a microphone cable that is wired the
    wrong way round. There the loudest channel is taken. ``channel`` picks one instead.
    """

    def __init__(self, sound: Sound, channel: int | None) -> None:
        self._sound = sound
        self._channel = channel
        self._powers = [0.0] * sound.channels
        self._mixed_power = 0.0

    def mix(self, piece: bytes) -> bytes:
        """The one channel of the sound's next piece."""
        count, samples = self._sound.channels, array("h", piece)
        if self._channel is not None:
            return samples[self._channel :: count].tobytes()
        channels = [samples[at::count] for at in range(count)]
        sums: Iterable[int] = channels[0]
        for channel in channels[1:]:
            sums = map(add, sums, channel)
        mixed = array("h", [total // count for total in sums])
        self._powers = [
            FADING * power + _power(channel)
            for power, channel in zip(self._powers, channels, strict=True)
        ]
        self._mixed_power = FADING * self._mixed_power + _power(mixed)
        # Channels that have nothing to do with each other make a mix of this power.
        unlike = sum(self._powers) / count**2
        if self._mixed_power >= CANCELLED * unlike:
            return mixed.tobytes()
        loudest = self._powers.index(max(self._powers))
        self._sound.say(
            f"the channels of {self._sound.name} cancel each other out when they are mixed, so"
            f" the loudest is taken (now channel {loudest}); channel=0, 1 ... picks one"
        )
        return channels[loudest].tobytes()


def _power(samples: "array[int]") -> int:
    some = samples[::STEP]
    return sum(map(mul, some, some))
