"""Sound files as other programs write them, and as they break them: made here, by av or by hand."""

import io
import struct
from functools import cache
from uuid import UUID

import av

from tests.doubles import tone

SECONDS = 3.0


@cache
def encoded(
    container: str,
    codec: str,
    layout: str = "mono",
    rate: int = 16000,
    bit_rate: int = 0,
    **options: str,
) -> bytes:
    """A file that holds the tone."""
    count = av.AudioLayout(layout).nb_channels
    mono = tone(round(SECONDS * 1000), rate)
    return encode(interleaved([mono] * count), container, codec, layout, rate, bit_rate, **options)


def encode(
    pcm: bytes,
    container: str,
    codec: str,
    layout: str,
    rate: int,
    bit_rate: int = 0,
    **options: str,
) -> bytes:
    """A file that holds these samples, 16-bit and of all channels in turn."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame("s16", layout, len(pcm) // 2 // stream.layout.nb_channels, align=1)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def interleaved(channels: list[bytes]) -> bytes:
    """The samples of all channels in turn."""
    samples = bytearray(len(channels) * len(channels[0]))
    for at, channel in enumerate(channels):
        for byte in (0, 1):
            samples[2 * at + byte :: 2 * len(channels)] = channel[byte::2]
    return bytes(samples)


def film(with_sound: bool = True) -> bytes:
    """An MP4 file of moving pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        pictures = output.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=16000, layout="mono") if with_sound else None
        for number in range(round(SECONDS * 10)):
            picture = av.VideoFrame(64, 64, "yuv420p")
            picture.pts = number
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
        if sound is not None:
            pcm = tone(round(SECONDS * 1000))
            frame = av.AudioFrame("s16", "mono", len(pcm) // 2, align=1)
            frame.planes[0].update(pcm)
            frame.sample_rate, frame.pts = 16000, 0
            for packet in [*sound.encode(frame), *sound.encode(None)]:
                output.mux(packet)
    return file.getvalue()


def wav(
    data: bytes | None = None,
    *,
    kind: int = 1,
    bits: int = 16,
    channels: int = 1,
    rate: int = 16000,
    size: int | None = None,
    riff: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    form: bytes = b"",
) -> bytes:
    """A WAV file by hand: ``size`` and ``riff`` are what its header says, ``form`` adds to fmt."""
    data = tone(round(SECONDS * 1000), rate) if data is None else data
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + form
    size = len(data) if size is None else size
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(layout)) + layout
    body += b"data" + struct.pack("<I", size) + data + after
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def extensible(bits: int, kind: int = 1) -> bytes:
    """What the header of an EXTENSIBLE WAV file adds: valid bits, speakers, the true format."""
    return struct.pack("<HHIH", 22, bits, 4, kind) + bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a WAV file, as for its title."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def protected_windows_media() -> bytes:
    """A Windows Media file whose header says that it needs a key."""
    key = UUID("2211b3fb-bd23-11d2-b4b7-00a0c955fc6e").bytes_le + struct.pack("<Q", 24 + 16)
    plain = encoded("asf", "wmav2", "stereo", 44100, 128_000)
    size, count = struct.unpack("<QI", plain[16:28])
    sizes = struct.pack("<QI", size + 40, count + 1)
    return plain[:16] + sizes + plain[28:30] + key + bytes(16) + plain[30:]
