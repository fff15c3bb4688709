"""Clip: speech from a recording or from memory, in the chunks that the streaming service takes."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Self

from tempkit.errors import BadType, BadValue, expect, require, unfailing
from tempkit.places import PUBLIC
from tempkit.protocol.messages import CHUNK_MILLISECONDS
from tempkit.protocol.parameters import check_whole_number
from tempkit.sound.decoder import Decoded
from tempkit.sound.samples import (
    MOST_CHANNELS,
    OF_AN_ARRAY,
    WIDTH,
    AudioFormat,
    Samples,
    Sound,
    one_channel,
)
from tempkit.sound.source import Source
from tempkit.sound.wav import Wav, read_header, sound_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LARGEST_PIECE = 2**15  # bytes, of a clip that is read as a whole
MOST_OVER = 2.0  # a filter overshoots by less; what is beyond that is no share of 1


class Clip:
    """Speech: ``pcm`` is 16-bit little-endian mono at ``sample_rate`` Hz.

    ``Clip.read`` opens a sound file, which is decoded while it is sent. Problems with it (it is
    cut off, or the service does not take its rate) are logged as warnings.
    """

    # Without the default, Python would miss the rate before we see what came in place of bytes.
    def __init__(self, pcm: bytes, sample_rate: int = 0) -> None:
        advice = "for a file, use Clip.read" if isinstance(pcm, (str, PathLike)) else OF_AN_ARRAY
        expect("pcm", pcm, bytes, bytearray, advice=advice)
        self._sound: Sound = Samples(pcm, sample_rate)
        self._channel: int | None = None  # None: all of them, mixed
        self._frames = sys.maxsize  # at the most

    @classmethod
    def read(cls, path: "str | PathLike[str]", channel: int | None = None) -> Self:
        """The speech in a sound file or a film's first audio track; ``-`` is standard input.

        All channels are mixed, unless ``channel`` picks one (0, 1 ...). Anything but 16-bit PCM in
        a WAV file needs the ``audio`` extra. Raises AudioError, saying what the file is instead,
        and ConfigurationError without that extra.
        """
        advice = "" if isinstance(path, bytes) else OF_AN_ARRAY
        expect("path", path, str, PathLike, advice=advice)
        return cls._of(_recording(Source(path)), channel)

    @classmethod
    def sample(cls) -> Self:
        """Six English sentences to try things with: 23 s of a synthetic voice."""
        return cls.read(PUBLIC / "sample.wav")

    @classmethod
    def from_samples(cls, samples: "ArrayLike", sample_rate: int) -> Self:
        """The speech in an array: int16, or floats from -1 to 1; shape (n,) or (n, channels).

        Raises ValueError for another type or shape, AudioError for an unsupported rate.
        """
        require("numpy", "sandbox", "Clip.from_samples")
        import numpy as np

        if isinstance(samples, (str, bytes, Real)):
            kind = type(samples).__name__
            raise BadType(f"samples takes an array, not {kind}; Clip(pcm, sample_rate) takes bytes")
        values = np.asarray(samples)
        channels = values.shape[1] if values.ndim == 2 else 1
        if values.ndim not in (1, 2) or not 0 < channels <= MOST_CHANNELS:
            turned = "; pass samples.T" if values.ndim == 2 else ""
            shapes = "the shape (n,) or (n, channels)"
            raise BadValue(f"samples must have {shapes}, not {values.shape}{turned}")
        if not values.size:
            raise BadValue("there are no samples")
        if np.issubdtype(values.dtype, np.floating):
            if not np.isfinite(values).all():
                raise BadValue("some samples are not numbers")
            if (loudest := float(np.abs(values).max())) > MOST_OVER:
                advice = "divide them by 32768, or pass int16"
                raise BadValue(f"floats must be -1 to 1, but these reach {loudest:g}; {advice}")
            values = np.rint(np.clip(values * 32768.0, -32768, 32767)).astype(np.int16)
        if values.dtype != np.int16:
            kinds = "int16 or floats from -1 to 1"
            raise BadValue(f"samples must be {kinds}, not {values.dtype}; scale them to floats")
        return cls._of(Samples(values.astype("<i2").tobytes(), sample_rate, channels), None)

    @classmethod
    def _of(cls, sound: Sound, channel: int | None, frames: int = sys.maxsize) -> Self:
        expect("channel", channel, int, None)
        if channel is not None and not 0 <= channel < sound.channels:
            most = f"channels 0 to {sound.channels - 1}" if sound.channels > 1 else "only channel 0"
            raise BadValue(f"{sound.name} has {most}, not {channel}")
        clip = cls.__new__(cls)
        clip._sound, clip._channel, clip._frames = sound, channel, frames
        return clip

    @property
    def sample_rate(self) -> int:
        """In Hz; the session has to be opened with the same rate."""
        return self._sound.sample_rate

    @property
    def duration(self) -> float | None:
        """Seconds of audio; None if the file does not say, as with a browser's recordings."""
        whole = self._sound.duration
        return None if whole is None else min(whole, self._frames / self.sample_rate)

    @property
    def pcm(self) -> bytes:
        """All the audio, decoded into memory."""
        return b"".join(self._pieces(LARGEST_PIECE))

    def channels(self) -> list[Self]:
        """A clip for each channel, all on one clock; for calls with one speaker per channel."""
        if self._channel is not None:
            return [self]
        return [self._of(self._sound, each, self._frames) for each in range(self._sound.channels)]

    def first(self, seconds: float) -> Self:
        """Its first seconds, as a clip."""
        expect("seconds", seconds, Real)
        if seconds <= 0:
            raise BadValue(f"the length of a clip must be more than 0 seconds, not {seconds}")
        frames = min(self._frames, max(1, round(seconds * self.sample_rate)))
        return self._of(self._sound, self._channel, frames)

    def chunks(self, milliseconds: int = 100) -> "Chunks":
        """The audio in pieces of ``milliseconds`` (50 to 1000), the last one filled with silence.

        Iterate over it as often as you like, but only once if it comes from a pipe.
        """
        expect("milliseconds", milliseconds, int)
        check_whole_number("milliseconds", milliseconds, CHUNK_MILLISECONDS)
        return Chunks(self, milliseconds)

    def _pieces(self, size: int, least: int = 0) -> Iterator[bytes]:
        """Its one channel in pieces of ``size`` bytes, the last one with silence to ``least``."""
        sound, left = self._sound, self._frames * WIDTH
        pieces = sound.pieces(size * sound.channels)
        if sound.channels > 1:
            pieces = one_channel(sound, pieces, self._channel)
        for piece in pieces:
            yield piece[:left].ljust(least, b"\x00")
            left -= len(piece)
            if left <= 0:
                return

    @unfailing
    def __repr__(self) -> str:
        """How long it is; the samples would fill pages."""
        length = "?" if self.duration is None else f"{self.duration:.1f}"
        return f"Clip({length} s, sample_rate={self.sample_rate})"

    def _repr_html_(self) -> str:
        from tempkit import pictures

        if self._sound.is_pipe:
            return pictures.block(pictures.muted(f"{self._sound.name}, {self.sample_rate} Hz"))
        beginning = self.first(pictures.LARGEST_PLAYER / 2 / self.sample_rate)
        return pictures.clip(beginning.pcm, self.sample_rate, self.duration)


@dataclass(frozen=True)
class Chunks:
    """A clip in pieces of bytes."""

    clip: Clip
    milliseconds: int

    def __iter__(self) -> Iterator[bytes]:
        size = AudioFormat(self.clip.sample_rate).size(self.milliseconds)
        return self.clip._pieces(size, least=size)


def _recording(source: Source) -> Sound:
    """The sound in a file: plain WAV as it is, the rest by way of a decoder."""
    header = read_header(source)
    if header is None:
        return Decoded(source, {})
    size, notice = sound_size(source, header)
    if header.is_plain:
        sound: Sound = Wav(source, header, size)
    else:
        sound = Decoded(source, {"ignore_length": "1"} if header.promised and not size else {})
    if notice:
        sound.say(notice)
    return sound
