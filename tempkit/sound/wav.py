"""Wav: 16-bit PCM in a WAV file, read as it is; and how much sound a WAV header is right about."""

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tempkit.errors import AudioError
from tempkit.protocol.parameters import SAMPLE_RATE
from tempkit.sound.samples import MOST_CHANNELS, WIDTH, Sound
from tempkit.sound.source import Source, read_all

ENDLESS = 0x7FFF_0000  # bytes: what a program writes as length when it does not know it yet
PCM, EXTENSIBLE = 1, 0xFFFE
LONGEST_FORM = 40  # bytes of a header that say how the sound is stored
UNHEARD_SECONDS = 0.05  # so much more or less than was promised is not worth a word
LARGEST_SKIP = 2**20  # bytes that are passed over at once


@dataclass(frozen=True)
class Header:
    """What a WAV file says of itself; ``promised`` is bytes of sound, None if it does not say."""

    format: int
    channels: int
    sample_rate: int
    bytes_per_second: int
    frame: int  # bytes of a sample of every channel
    bits: int
    start: int  # of the sound, bytes
    riff_size: int
    promised: int | None

    @property
    def is_plain(self) -> bool:
        """Whether it needs no decoder: 16-bit PCM at a rate that the service takes."""
        low, high = SAMPLE_RATE
        is_pcm = self.format == PCM and self.bits == 16 and self.channels <= MOST_CHANNELS
        return is_pcm and self.frame == self.channels * WIDTH and low <= self.sample_rate <= high


def read_header(source: Source) -> Header | None:
    """The header of a WAV file, up to its sound; None if it is none. Raises AudioError."""
    with source.look() as file:
        start = read_all(file, 12)
        if start[:4] != b"RIFF" or start[8:12] not in b"WAVE":
            return None
        form, at = b"", 12
        while len(chunk := read_all(file, 8)) == 8:
            name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
            at += 8
            if name == b"data":
                return _header(source.name, form, int.from_bytes(start[4:8], "little"), at, size)
            beginning = read_all(file, min(size, LONGEST_FORM))
            form = beginning if name == b"fmt " else form
            size += size % 2
            _skip(file, size - len(beginning))
            at += size
        raise AudioError(f"{source.name} is a WAV file that ends inside its header")


def _header(name: str, form: bytes, riff_size: int, start: int, size: int) -> Header:
    if len(form) < 16:
        raise AudioError(f"{name} is a WAV file that does not say how its audio is stored")
    kind, channels, rate, speed, frame, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == EXTENSIBLE and len(form) >= 26:
        kind = int.from_bytes(form[24:26], "little")  # the long form of the same numbers
    if not rate or not channels:
        what = "no channels" if rate else "0 samples a second"
        raise AudioError(f"{name} is a damaged WAV file: its header says {what}")
    promised = size if 0 < size < ENDLESS else None
    return Header(kind, channels, rate, speed, frame, bits, start, riff_size, promised)


def sound_size(source: Source, header: Header) -> tuple[int | None, str]:
    """How many bytes of sound to read (None: all), what to tell the user. Raises AudioError."""
    size = source.size
    if size is None:
        return header.promised, ""
    there, promised = size - header.start, header.promised
    is_silent = promised is None and _holds_chunks_from(source, header.start, size)
    if there < header.frame or is_silent:
        raise AudioError(f"{source.name} contains no audio: it ends after its header")
    seconds = header.bytes_per_second or 1
    if promised is None or abs(there - promised) < UNHEARD_SECONDS * seconds:
        return promised, ""
    if there < promised:
        said = f"only {there / seconds:.1f} of {promised / seconds:.1f} s are there"
        return promised, f"{source.name} is cut off: {said}"
    if _holds_chunks_from(source, header.start + promised + promised % 2, size):
        return promised, ""
    extra = f"{(there - promised) / seconds:.1f} s more than its header says"
    # Whoever finishes a file writes both sizes; here the outer one is missing, or covers it all.
    if header.riff_size == 0 or header.riff_size >= min(ENDLESS, size - 8):
        return None, f"{source.name} was not closed by its recorder: it contains {extra}"
    return promised, f"{source.name} contains {extra}; they are ignored, as they may not be audio"


def _holds_chunks_from(source: Source, at: int, end: int) -> bool:
    """Whether a file goes on with what else may be in a WAV file, like its title."""
    with source.look() as file:
        while at < end:
            file.seek(at)
            chunk = read_all(file, 8)
            at += 8 + int.from_bytes(chunk[4:], "little")
            if not _is_chunk(chunk) or at > end:
                return False
            at += at % 2
    return True


def _is_chunk(data: bytes) -> bool:
    """Whether a chunk of a WAV file begins here, or nothing does; another WAV file is none."""
    name = data[:4]
    return name != b"RIFF" and name.isascii() and name.decode().isprintable()


class Wav(Sound):
    """The sound of a plain WAV file: ``size`` bytes of it, or to the end."""

    def __init__(self, source: Source, header: Header, size: int | None) -> None:
        super().__init__(source.name, header.sample_rate, header.channels)
        self.is_pipe = source.is_pipe
        self._source = source
        self._start = header.start
        self._size = size

    @property
    def duration(self) -> float | None:
        """Seconds that the file has now; of a pipe those that its header promises."""
        size, file_size = self._size, self._source.size
        if file_size is not None:
            there = file_size - self._start
            size = there if size is None else min(size, there)
        return None if size is None else size // self.frame / self.sample_rate

    def pieces(self, size: int) -> Iterator[bytes]:
        """The samples, to the promised end or to the end of the file at that time."""
        most = math.inf if self._size is None else self._size
        done, data = 0, bytes(size)
        with self._source.read() as file:
            _skip(file, self._start)
            while done < most and len(data) == size:  # a shorter piece is the last one
                data = read_all(file, int(min(size, most - done)))
                done += len(data)
                if len(data) >= self.frame:
                    yield data[: len(data) - len(data) % self.frame]
            if self._source.is_pipe:
                self._judge_end(done, most - done, file)

    def _judge_end(self, done: int, left: float, pipe: io.RawIOBase) -> None:
        """Say what only the end of a pipe shows; of a file it is known beforehand."""
        if not done:
            raise AudioError(f"{self.name} contains no audio: it ends after its header")
        if 0 < left < math.inf:
            missing = left / self.frame / self.sample_rate
            self.say(f"{self.name} is cut off: it ends {missing:.1f} s before its header says")
        elif left == 0 and not _is_chunk(pipe.read(LARGEST_SKIP) or b""):
            self.say(f"{self.name} is longer than its header says; the rest is ignored")


def _skip(file: io.RawIOBase, size: int) -> None:
    if file.seekable():
        file.seek(size, io.SEEK_CUR)
        return
    while size > 0 and (passed := file.read(min(size, LARGEST_SKIP))):
        size -= len(passed)
