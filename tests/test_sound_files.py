"""Whatever people have on disk: the right length, or a sentence that says what the file is."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tempkit import AudioError, Clip
from tests.doubles import tone
from tests.sound_files import (
    SECONDS,
    chunk,
    encoded,
    extensible,
    film,
    protected_windows_media,
    wav,
)

THREE = tone(3000)
HUNDREDTH = len(THREE) // 100
NOISE = random.Random(7).randbytes(100_000)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


WHOLE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "8-bit": ("a.wav", lambda: encoded("wav", "pcm_u8")),
    "16-bit 8 kHz": ("a.wav", lambda: encoded("wav", "pcm_s16le", rate=8000)),
    "16-bit stereo": ("a.wav", lambda: encoded("wav", "pcm_s16le", "stereo", 44100)),
    "16-bit 5.1": ("a.wav", lambda: encoded("wav", "pcm_s16le", "5.1", 48000)),
    "16-bit extensible": ("a.wav", lambda: wav(kind=0xFFFE, form=extensible(16))),
    "24-bit extensible": (
        "a.wav",
        lambda: wav(bytes(3 * 48000), kind=0xFFFE, bits=24, form=extensible(24)),
    ),
    "24-bit": ("a.wav", lambda: encoded("wav", "pcm_s24le", rate=48000)),
    "24-bit stereo 96 kHz": ("a.wav", lambda: encoded("wav", "pcm_s24le", "stereo", 96000)),
    "32-bit": ("a.wav", lambda: encoded("wav", "pcm_s32le", "stereo", 22050)),
    "float": ("a.wav", lambda: encoded("wav", "pcm_f32le", "stereo", 48000)),
    "double": ("a.wav", lambda: encoded("wav", "pcm_f64le")),
    "mu-law": ("a.wav", lambda: encoded("wav", "pcm_mulaw", rate=8000)),
    "A-law": ("a.wav", lambda: encoded("wav", "pcm_alaw", rate=8000)),
    "11025 Hz": ("a.wav", lambda: encoded("wav", "pcm_s16le", rate=11025)),
    "quad": ("a.wav", lambda: encoded("wav", "pcm_s16le", "quad", 48000)),
    "title before": ("a.wav", lambda: wav(before=chunk(b"LIST", b"INFOINAM" + bytes(201)))),
    "title after": ("a.wav", lambda: wav(after=chunk(b"LIST", b"INFO") + chunk(b"id3 ", b"ID3"))),
    "size 0": ("a.wav", lambda: wav(size=0, riff=36)),
    "size -1": ("a.wav", lambda: wav(size=0xFFFFFFFF, riff=0xFFFFFFFF)),
    "size of a pipe": ("a.wav", lambda: wav(size=0x7FFFFFFF, riff=0x7FFFFFFF)),
    "24-bit size 0": ("a.wav", lambda: wav(bytes(3 * 48000), bits=24, size=0, riff=0)),
    "float size -1": (
        "a.wav",
        lambda: wav(bytes(4 * 48000), kind=3, bits=32, size=0xFFFFFFFF, riff=0xFFFFFFFF),
    ),
    "half a sample more": ("a.wav", lambda: wav(THREE + b"\0", size=0)),
    "RF64": ("a.wav", lambda: encoded("wav", "pcm_s16le", rf64="always")),
    "W64": ("a.w64", lambda: encoded("w64", "pcm_s16le")),
    "AIFF": ("a.aiff", lambda: encoded("aiff", "pcm_s16be", "stereo", 44100)),
    "AU": ("a.au", lambda: encoded("au", "pcm_s16be")),
    "CAF": ("a.caf", lambda: encoded("caf", "pcm_s16be", "stereo", 44100)),
    "FLAC": ("a.flac", lambda: encoded("flac", "flac")),
    "FLAC 5.1": ("a.flac", lambda: encoded("flac", "flac", "5.1", 96000)),
    "MP3": ("a.mp3", lambda: encoded("mp3", "libmp3lame", "stereo", 44100)),
    "MP3 64 kbit/s": ("a.mp3", lambda: encoded("mp3", "libmp3lame", bit_rate=64000)),
    "M4A": ("a.m4a", lambda: encoded("ipod", "aac", "stereo", 44100)),
    "M4A 8 kHz": ("a.m4a", lambda: encoded("ipod", "aac", rate=8000)),
    "M4A lossless": ("a.m4a", lambda: encoded("ipod", "alac", "stereo", 44100)),
    "OGG Opus": ("a.ogg", lambda: encoded("ogg", "libopus", rate=48000, bit_rate=24000)),
    "OGG FLAC": ("a.oga", lambda: encoded("ogg", "flac")),
    "WebM": ("a.webm", lambda: encoded("webm", "libopus", rate=48000)),
    "WebM of a browser": ("a.webm", lambda: encoded("webm", "libopus", rate=48000, live="1")),
    "MKV": ("a.mkv", lambda: encoded("matroska", "flac", "stereo", 48000)),
    "AVI": ("a.avi", lambda: encoded("avi", "pcm_s16le", "stereo", 44100)),
    "MOV": ("a.mov", lambda: encoded("mov", "pcm_s24le", "stereo", 48000)),
    "film": ("a.mp4", film),
    "AC-3": ("a.ac3", lambda: encoded("ac3", "ac3", "5.1", 48000)),
    "a WAV called MP3": ("a.mp3", wav),
    "an MP3 called WAV": ("a.wav", lambda: encoded("mp3", "libmp3lame", "stereo", 44100)),
    "an M4A called text": ("a.txt", lambda: encoded("ipod", "aac", "stereo", 44100)),
    "an OGG without a suffix": ("a", lambda: encoded("ogg", "libopus", rate=48000)),
}
# What fills an encoder's first and last block counts here, as these do not say how much it is.
FILLED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "MP3 without length": ("a.mp3", lambda: encoded("mp3", "libmp3lame", write_xing="0")),
    "M4A fragmented": (
        "a.m4a",
        lambda: encoded("mp4", "aac", rate=48000, movflags="frag_keyframe+empty_moov"),
    ),
    "ADTS": ("a.aac", lambda: encoded("adts", "aac", rate=48000)),
}
REPORTED: dict[str, tuple[str, Callable[[], bytes], float, str]] = {
    "192 kHz": (
        *("a.wav", lambda: encoded("wav", "pcm_s16le", rate=192000)),
        *(3.0, "has 192000 Hz, but the service takes 8000 to 96000; it is sent at 48000 Hz"),
    ),
    "4 kHz": (
        *("a.wav", lambda: encoded("wav", "pcm_s16le", rate=4000)),
        *(3.0, "it is sent at 8000 Hz"),
    ),
    "cut off": (
        *("a.wav", lambda: wav()[:-32000]),
        *(2.0, "is cut off: only 2.0 of 3.0 s are there"),
    ),
    "24-bit cut off": (
        *("a.wav", lambda: wav(bytes(3 * 48000), bits=24)[:-48000]),
        *(2.0, "is cut off: only 2.0 of 3.0 s are there"),
    ),
    "unfinished": (
        *("a.wav", lambda: wav(size=HUNDREDTH)),
        *(3.0, "was not closed by its recorder: it contains 3.0 s more than its header says"),
    ),
    "float unfinished": (
        *("a.wav", lambda: wav(bytes(4 * 48000), kind=3, bits=32, size=64000, riff=0)),
        *(3.0, "was not closed by its recorder: it contains 2.0 s more than its header says"),
    ),
    "finished too early": (
        *("a.wav", lambda: wav(size=len(THREE) // 3, riff=36 + len(THREE) // 3)),
        *(1.0, "contains 2.0 s more than its header says; they are ignored"),
    ),
    "two in one": (
        *("a.wav", lambda: wav() + wav()),
        *(3.0, "contains 3.0 s more than its header says; they are ignored"),
    ),
    "MP3 cut off": (
        *("a.mp3", lambda: half(encoded("mp3", "libmp3lame", "stereo", 44100))),
        *(1.5, "is cut off: only 1.5 of 3.0 s are there"),
    ),
    "WebM cut off": (
        *("a.webm", lambda: half(encoded("webm", "libopus", rate=48000))),
        *(1.5, "is cut off: only 1.5 of 3.0 s are there"),
    ),
    "FLAC cut off": (
        *("a.flac", lambda: half(encoded("flac", "flac"))),
        *(0.864, "is cut off: only 0.9 of 3.0 s are there"),
    ),
    "AAC damaged": (
        *("a.aac", lambda: encoded("adts", "aac", rate=48000)[:-20]),
        *(3.018, "is damaged: 1 of its packets could not be decoded"),
    ),
}
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty": ("a.wav", lambda: b"", "is empty"),
    "text": ("a.wav", lambda: "Grüße\n".encode() * 1000, "is a text file, not sound"),
    "text in UTF-16": ("a.wav", lambda: "Grüße\n".encode("utf-16"), "is a text file, not sound"),
    "playlist": ("a.m3u8", lambda: b"#EXTM3U\n#EXTINF:9,\nsample.wav\n", "is a text file"),
    "web page": ("a.mp3", lambda: b"\n<!DOCTYPE html><html></html>", r"is a web page \(HTML\)"),
    "NumPy": ("a.npy", lambda: b"\x93NUMPY\x01\0" + NOISE, "array .* to Clip.from_samples"),
    "PNG": ("a.wav", lambda: b"\x89PNG\r\n\x1a\n" + NOISE, "is a PNG picture, not sound"),
    "JPEG": ("a.wav", lambda: b"\xff\xd8\xff\xe0" + NOISE, "is a JPEG picture, not sound"),
    "GIF": ("a.wav", lambda: b"GIF89a" + NOISE, "is a GIF picture, not sound"),
    "WebP": ("a.wav", lambda: b"RIFF\0\0\1\0WEBPVP8 " + NOISE, "is a WebP picture, not sound"),
    "PDF": ("a.wav", lambda: b"%PDF-1.7\n" + NOISE, "is a PDF document, not sound"),
    "ZIP": ("a.wav", lambda: b"PK\x03\x04" + NOISE, "is a ZIP archive or office document"),
    "gzip": ("a.wav", lambda: b"\x1f\x8b\x08" + NOISE, "is a gzip archive, not sound"),
    "encrypted": ("a.wav", lambda: b"Salted__" + NOISE, "is encrypted with a password"),
    "random": ("a.bin", lambda: NOISE, "it may be compressed or encrypted"),
    "zeros": ("a.wav", lambda: bytes(100_000), "is not audio that FFmpeg knows"),
    "DRM": (
        *("a.m4a", lambda: encoded("ipod", "aac").replace(b"mp4a", b"drms")),
        r"is copy-protected \(DRM\): only its seller's app can play it",
    ),
    "Windows DRM": ("a.wma", protected_windows_media, "is copy-protected"),
    "M4A cut off": (
        "a.m4a",
        lambda: half(encoded("ipod", "aac")),
        "is an MP4 file without an index",
    ),
    "silent film": ("a.mp4", lambda: film(with_sound=False), "contains pictures but no audio"),
    "header cut off": ("a.wav", lambda: wav()[:30], "ends inside its header"),
    "four letters": ("a.wav", lambda: b"RIFF", "ends inside its header"),
    "header alone": ("a.wav", lambda: wav(b""), "contains no audio: it ends after its header"),
    "title alone": (
        *("a.wav", lambda: wav(b"", after=chunk(b"LIST", b"INFO"))),
        "contains no audio: it ends after its header",
    ),
    "no data": ("a.wav", lambda: wav(b"")[:-8], "ends inside its header"),
    "0 Hz": ("a.wav", lambda: wav(THREE, rate=0), "damaged WAV file: its header says 0 samples"),
    "65281 channels": (
        *("a.aiff", lambda: encoded("aiff", "pcm_s16be").replace(b"\0\x12\0\1", b"\0\x12\xff\1")),
        "is damaged",
    ),
    "unknown codec": (
        *("a.wav", lambda: wav(kind=0x6FF9)),
        "contains audio that FFmpeg cannot decode",
    ),
    "24-bit at 3 Hz": ("a.wav", lambda: wav(bytes(9000), bits=24, rate=3), "it claims 3 Hz"),
    "no channel": (
        "a.wav",
        lambda: wav(channels=0),
        "damaged WAV file: its header says no channels",
    ),
    "no format": (
        *("a.wav", lambda: b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16)),
        "does not say how its audio is stored",
    ),
}


def length(clip: Clip) -> float:
    return len(clip.pcm) / 2 / clip.sample_rate


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_recording_has_its_length(name: str, tmp_path: Path, caplog):
    file, content = WHOLE[name]
    (tmp_path / file).write_bytes(content())
    clip = Clip.read(tmp_path / file)
    assert length(clip) == pytest.approx(SECONDS, abs=0.02)
    if clip.duration is not None:
        assert clip.duration == pytest.approx(SECONDS, abs=0.02)
    assert caplog.messages == []


@pytest.mark.parametrize("name", FILLED)
def test_a_recording_that_cannot_say_where_its_sound_begins_is_hardly_longer(
    name: str, tmp_path: Path
):
    file, content = FILLED[name]
    (tmp_path / file).write_bytes(content())
    assert SECONDS <= length(Clip.read(tmp_path / file)) < SECONDS + 0.1


@pytest.mark.parametrize("name", REPORTED)
def test_what_is_unusual_about_a_recording_is_said_once(name: str, tmp_path: Path, caplog):
    file, content, seconds, said = REPORTED[name]
    (tmp_path / file).write_bytes(content())
    clip = Clip.read(tmp_path / file)
    assert length(clip) == pytest.approx(seconds, abs=0.02)
    assert length(clip) == length(clip)
    assert len(caplog.messages) == 1, caplog.messages
    assert re.search(said, caplog.messages[0])
    assert file in caplog.messages[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_is_called_what_it_is(name: str, tmp_path: Path):
    file, content, said = REFUSED[name]
    (tmp_path / file).write_bytes(content())
    with pytest.raises(AudioError, match=said) as caught:
        Clip.read(tmp_path / file)
    text = str(caught.value)
    assert file in text
    assert "\n" not in text
    assert "Errno" not in text


@pytest.mark.lab
def test_a_file_with_wrong_bytes_is_heard_or_refused_and_nothing_else(tmp_path: Path):
    chance, outcomes = random.Random(5), []
    whole = [content() for _, content in WHOLE.values()]
    for _ in range(150):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.choice((1, 5, 20))):
            at = chance.randrange(chance.choice((64, 512, len(content))))
            content[at] = chance.randrange(256)
        end = chance.choice((len(content), chance.randrange(len(content))))
        (tmp_path / "a").write_bytes(content[:end])
        try:
            outcomes.append(f"{length(Clip.read(tmp_path / 'a').first(10)):.0f} s")
        except AudioError as error:
            outcomes.append(str(error))
    assert len(set(outcomes)) > 5
    assert not any("Errno" in each for each in outcomes)
