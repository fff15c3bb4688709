"""Clip: speech from a WAV file, cut into the chunks that the streaming service takes."""

import time
import wave
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike, fspath

from tempkit.errors import AudioError
from tempkit.protocol.messages import CHUNK_MILLISECONDS
from tempkit.protocol.parameters import SAMPLE_RATE, SAMPLE_WIDTH

CONVERT = "convert it: ffmpeg -i IN -ac 1 -ar 16000 -c:a pcm_s16le OUT.wav"
ENDLESS = 0x7FFF_0000  # bytes: what a program writes as length when it does not know it yet
LARGEST_CHUNK = 100  # ms: what is sent at once; the service allows ten times as much


@dataclass(frozen=True)
class Clip:
    """Speech: 16-bit little-endian mono PCM at ``sample_rate`` Hz."""

    pcm: bytes = field(repr=False)
    sample_rate: int

    def __post_init__(self) -> None:
        low, high = SAMPLE_RATE
        if not low <= self.sample_rate <= high:
            raise AudioError(f"a clip has {low} to {high} samples a second, not {self.sample_rate}")
        if len(self.pcm) % 2:
            raise AudioError(f"16-bit samples fill an even number of bytes, not {len(self.pcm)}")

    @classmethod
    def read(cls, path: "str | PathLike[str]") -> "Clip":
        """The speech in a WAV file of 16-bit PCM, any rate, mono or stereo (averaged).

        Raises AudioError, which names what is wrong, for anything else.
        """
        name = fspath(path)
        try:
            with wave.open(name, "rb") as file:
                return cls._from_wave(name, file)
        except FileNotFoundError:
            raise AudioError(f"there is no file {name}") from None
        except OSError as error:
            raise AudioError(f"{name} cannot be read: {error.strerror}") from None
        except EOFError:
            raise AudioError(f"{name} is empty or cut off: it ends inside its header") from None
        except (wave.Error, RuntimeError, ValueError) as error:  # of a damaged file, too
            raise AudioError(
                f"{name} is not a PCM WAV file ({error or 'damaged'}); {CONVERT}"
            ) from None

    @classmethod
    def _from_wave(cls, name: str, file: wave.Wave_read) -> "Clip":
        low, high = SAMPLE_RATE
        channels, width, declared = file.getnchannels(), file.getsampwidth(), file.getnframes()
        if width != 2:
            raise AudioError(f"{name} has {width * 8}-bit samples, 16-bit is taken; {CONVERT}")
        if channels not in (1, 2):
            raise AudioError(f"{name} has {channels} channels, one or two are taken; {CONVERT}")
        if not low <= file.getframerate() <= high:
            rate = f"{file.getframerate()} samples a second, {low} to {high} are taken"
            raise AudioError(f"{name} has {rate}; {CONVERT}")
        pcm = file.readframes(declared)
        frames = len(pcm) // (width * channels)
        if frames < declared and declared * width * channels < ENDLESS:
            raise AudioError(
                f"{name} is cut off: its header promises {declared} samples, {frames} are there"
            )
        if frames == 0:
            raise AudioError(f"{name} holds no audio")
        pcm = pcm[: frames * width * channels]
        return cls(_averaged(pcm) if channels == 2 else pcm, file.getframerate())

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.pcm) / 2 / self.sample_rate

    def chunks(self, milliseconds: int = 100) -> "Chunks":
        """The audio in pieces of ``milliseconds`` (50 to 1000), the last one filled with silence.

        Iterate it as often as needed; ``len()`` counts the pieces.
        """
        low, high = CHUNK_MILLISECONDS
        if not low <= milliseconds <= high:
            raise ValueError(f"a chunk holds {low} to {high} ms, not {milliseconds}")
        return Chunks(self, milliseconds)

    def __repr__(self) -> str:
        """How long it is; the samples would fill pages."""
        return f"Clip({self.duration:.1f} s, sample_rate={self.sample_rate})"

    def _repr_html_(self) -> str:
        from tempkit import pictures

        return pictures.clip(self.pcm, self.sample_rate)


@dataclass(frozen=True)
class Chunks:
    """A clip in pieces of bytes."""

    clip: Clip
    milliseconds: int

    @property
    def sample_rate(self) -> int:
        """Hz; a session has to be opened with the same rate."""
        return self.clip.sample_rate

    def __len__(self) -> int:
        return -(-len(self.clip.pcm) // AudioFormat(self.sample_rate).size(self.milliseconds))

    def __iter__(self) -> Iterator[bytes]:
        audio = AudioFormat(self.sample_rate)
        for piece in audio.cut([self.clip.pcm], self.milliseconds):
            yield piece.ljust(audio.size(self.milliseconds), b"\x00")


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


def _averaged(stereo: bytes) -> bytes:
    samples = array("h", stereo)
    mono = array("h", ((a + b) // 2 for a, b in zip(samples[::2], samples[1::2], strict=True)))
    return mono.tobytes()
