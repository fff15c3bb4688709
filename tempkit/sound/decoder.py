"""Decoder: whatever else FFmpeg's libraries know as sound, decoded piece by piece by PyAV."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import RawIOBase
from itertools import chain
from typing import TYPE_CHECKING
from uuid import UUID

from tempkit.errors import AudioError, require
from tempkit.protocol.parameters import SAMPLE_RATE
from tempkit.sound.samples import MOST_CHANNELS, Sound
from tempkit.sound.source import Source

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler
    from av.container import InputContainer

LOWEST, HIGHEST = 8000, 48_000  # Hz: what rates become that the service does not take
LEAST_RATE = 1000  # Hz: no speech has less, but a header that was hit may
# These say nothing of their length: what FFmpeg gives for one is a guess by the bit rate.
WITHOUT_LENGTH = {"aac", "ac3", "dts", "eac3", "loas", "truehd"}
# How an MP4 file marks sound that needs a key: Apple's, the standard's, and Audible's way.
PROTECTED = {"drms", "drmi", "enca", "aavd", "aaxc"}
WINDOWS_MEDIA_KEYS = (  # in the header of Windows Media either says the same
    UUID("2211b3fb-bd23-11d2-b4b7-00a0c955fc6e").bytes_le,
    UUID("298ae614-2622-4c17-b935-dae07ee9289c").bytes_le,
)
INDEX_AT_END = "{} is an MP4 file with its index at the end; pass the file, not a pipe"
MOST_VALUES = 250  # different bytes in a head of 4096: more have only packed or encrypted ones
CUT_OFF_SECONDS = 0.5  # so much less than the file says it lasts is worth a word


class Decoded(Sound):
    """The first sound track of a file, be it a film; ``options`` are those of FFmpeg's reader.

    Raises AudioError when there is none, ConfigurationError without PyAV.
    """

    def __init__(self, source: Source, options: dict[str, str]) -> None:
        require("av", "audio", f"{source.name} is not a plain 16-bit WAV file: it")
        self._source, self._options = source, options
        with _opened(source, source.look(), options) as container:
            frame = _first_frame(source, container)
            self._duration = _duration(container)
        rate = frame.sample_rate
        if rate < LEAST_RATE:
            raise AudioError(f"{source.name} is damaged: it claims {rate} Hz")
        low, high = SAMPLE_RATE
        taken = LOWEST if rate < low else HIGHEST if rate > high else rate
        super().__init__(source.name, taken, frame.layout.nb_channels)
        self.is_pipe = source.is_pipe
        if rate != taken:
            allowed = f"but the service takes {low} to {high}"
            self.say(f"{self.name} has {rate} Hz, {allowed}; it is sent at {taken} Hz")

    def pieces(self, size: int) -> Iterator[bytes]:
        """The samples, as they are decoded."""
        done, rest, piece = 0, bytearray(), b""
        with _opened(self._source, self._source.read(), self._options) as container:
            decoding = _Decoding(container)
            for piece in decoding.pieces(self.sample_rate, self.frame):
                done += len(piece)
                rest += piece
                while len(rest) - len(piece) >= size:  # the last one may have to be shortened
                    yield bytes(rest[:size])
                    del rest[:size]
            if self._duration is not None and container.format.name.startswith("mov"):
                # What fills an encoder's last block: some versions of FFmpeg give that, too.
                filling = done - round(self._duration * self.sample_rate) * self.frame
                if 0 < filling < len(piece):
                    done -= filling
                    del rest[-filling:]
        if not done:
            raise AudioError(f"{self.name} contains no audio")
        for start in range(0, len(rest), size):
            yield bytes(rest[start : start + size])
        self._say_what_is_missing(done / self.frame / self.sample_rate, decoding.damages)

    def _say_what_is_missing(self, seconds: float, damages: int) -> None:
        is_short = self.duration is not None and self.duration - seconds > CUT_OFF_SECONDS
        if damages > is_short:  # where a file is cut off, its last packet is damaged, too
            self.say(f"{self.name} is damaged: {damages} of its packets could not be decoded")
        elif is_short:
            there = f"only {seconds:.1f} of {self.duration:.1f} s are there"
            self.say(f"{self.name} is cut off: {there}")


class _Decoding:
    """The way from a file's packets to samples."""

    def __init__(self, container: "InputContainer") -> None:
        self.damages = 0  # packets that could not be decoded
        self._container = container

    def frames(self) -> Iterator["AudioFrame"]:
        """What the packets decode to."""
        import av

        packets = self._container.demux(audio=0)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except (av.FFmpegError, ValueError):  # the latter for a codec that is none
                self.damages += 1
                continue
            yield from frames

    def pieces(self, sample_rate: int, frame_size: int) -> Iterator[bytes]:
        """The samples as 16-bit PCM at that rate, all channels of the first frame."""
        import av

        resampler: AudioResampler | None = None
        layout = form = None
        for frame in chain(self.frames(), [None]):  # and the end
            new = frame and (frame.format.name, frame.layout.name, frame.sample_rate)
            done: list[AudioFrame] = []
            try:
                # It may change on the way, as in a recorded radio programme.
                if resampler and new != form:
                    done, resampler = resampler.resample(None), None
                if frame:
                    layout, form = layout or frame.layout, new
                    resampler = resampler or av.AudioResampler("s16", layout, sample_rate)
                    done += resampler.resample(frame)
            except (av.FFmpegError, ValueError):  # a rate or channels that cannot be
                resampler = None
                self.damages += 1
            yield from (bytes(each.planes[0])[: each.samples * frame_size] for each in done)


class _Bytes:
    """A file as FFmpeg's libraries ask for it: to them a place that cannot be is no error."""

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self.read = file.read
        self.tell = file.tell
        self.seekable = file.seekable

    def seek(self, offset: int, whence: int) -> int:
        """The new place, or -1."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -1


@contextmanager
def _opened(
    source: Source, opening: AbstractContextManager[RawIOBase], options: dict[str, str]
) -> Iterator["InputContainer"]:
    import av

    # A sound file has no business with other files, but a playlist may name any.
    options = {"protocol_whitelist": "none", **options}
    with opening as file:
        try:
            container = av.open(_Bytes(file), "r", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise AudioError(_why_it_cannot_be_opened(source, error)) from None
        with container:
            yield container


def _why_it_cannot_be_opened(source: Source, error: Exception) -> str:
    import av

    name, head = source.name, source.head()
    if head[4:8] == b"ftyp":
        cut_off = f"{name} is an MP4 file without an index: recording or copying it was cut short"
        return INDEX_AT_END.format(name) if source.is_pipe else cut_off
    if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
        return f"{name} cannot be read: {error.strerror}"
    if len(set(head)) > MOST_VALUES:
        return f"{name} is not audio that FFmpeg knows; it may be compressed or encrypted"
    return f"{name} is not audio that FFmpeg knows, or its beginning is missing"


def _first_frame(source: Source, container: "InputContainer") -> "AudioFrame":
    """The first of the sound. Raises AudioError that says why there is none."""
    name, streams = source.name, container.streams
    if not streams.audio:
        seen = "pictures" if streams.video else "data"
        raise AudioError(f"{name} contains {seen} but no audio ({container.format.long_name})")
    codec = streams.audio[0].codec_context
    if codec is None:
        raise AudioError(f"{name} contains audio that FFmpeg cannot decode")
    codec_name = codec.name  # PyAV 19.0 crashes when asked after a decoder that could not be opened
    if codec.layout.nb_channels > MOST_CHANNELS:
        raise AudioError(f"{name} is damaged: it claims {codec.layout.nb_channels} channels")
    try:
        is_protected = codec.codec_tag in PROTECTED
    except UnicodeDecodeError:  # a damaged file's tag may be no letters
        is_protected = False
    if is_protected or any(key in source.head() for key in WINDOWS_MEDIA_KEYS):
        raise AudioError(f"{name} is copy-protected (DRM): only its seller's app can play it")
    decoding = _Decoding(container)
    frame = next(decoding.frames(), None)
    if frame is None and source.is_pipe and container.format.name.startswith("mov"):
        raise AudioError(INDEX_AT_END.format(name))
    if frame is None and decoding.damages:
        raise AudioError(f"{name} is damaged or encrypted: none of it decodes as {codec_name}")
    if frame is None:
        raise AudioError(f"{name} contains no audio: it ends after its header")
    return frame


def _duration(container: "InputContainer") -> float | None:
    """Seconds that a file says it lasts."""
    if container.format.name in WITHOUT_LENGTH:
        return None
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
