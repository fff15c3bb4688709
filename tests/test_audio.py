import struct
import wave
from array import array
from pathlib import Path

import pytest

from tempkit import AudioError, Clip
from tempkit.server import PUBLIC
from tempkit.streaming.audio import AudioFormat, paced
from tests.doubles import tone


def write_wav(path: Path, pcm: bytes, *, rate: int = 16000, channels: int = 1, width: int = 2):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return path


def riff(kind: int, bits: int, data: bytes) -> bytes:
    """A WAV file by hand, for formats that the wave module does not write."""
    layout = struct.pack("<HHIIHH", kind, 1, 16000, 16000 * bits // 8, bits // 8, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


def test_the_sample_is_what_the_kit_says_it_is():
    clip = Clip.read(PUBLIC / "sample.wav")
    assert clip.sample_rate == 16000
    assert 18 < clip.duration < 25
    assert max(map(abs, array("h", clip.pcm[:16000]))) < 100  # half a second of silence
    assert max(map(abs, array("h", clip.pcm[-6400:]))) < 100


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_any_rate_is_read_as_it_is(tmp_path: Path, rate: int):
    clip = Clip.read(write_wav(tmp_path / "a.wav", tone(500, rate), rate=rate))
    assert clip.sample_rate == rate
    assert clip.pcm == tone(500, rate)
    assert clip.duration == pytest.approx(0.5)


def test_stereo_is_averaged(tmp_path: Path):
    stereo = array("h", [100, 300, -32768, -32768, 32767, 32767]).tobytes()
    clip = Clip.read(write_wav(tmp_path / "a.wav", stereo, channels=2))
    assert array("h", clip.pcm).tolist() == [200, -32768, 32767]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty or cut off"),
        (b"RIFF", "empty or cut off"),
        (b"ID3 this is an mp3 or something else entirely", "not a PCM WAV file"),
        (riff(1, 8, bytes(800)), "8-bit samples, 16-bit is taken"),
        (riff(1, 24, bytes(2400)), "24-bit samples, 16-bit is taken"),
        (riff(3, 32, bytes(3200)), "not a PCM WAV file"),
        (riff(1, 16, bytes(3200))[:-200], "cut off: its header promises 1600 samples, 1500"),
        (riff(1, 16, b""), "holds no audio"),
        (riff(1, 16, b"")[:36] + b"LIST\xff\xff\xff\xffdata", "damaged|not a PCM WAV"),
        (riff(1, 16, bytes(3200)).replace(b"\x80\x3e\x00\x00", bytes(4)), "0 samples a second"),
    ],
    ids=[
        "empty",
        "header cut",
        "not a wav",
        "8-bit",
        "24-bit",
        "float",
        "truncated",
        "no audio",
        "odd chunk",
        "no rate",
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said) as caught:
        Clip.read(path)
    assert "bad.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_than_two_channels_are_refused(tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", bytes(1200), channels=3)
    with pytest.raises(AudioError, match="3 channels"):
        Clip.read(path)


@pytest.mark.parametrize("name", ["missing.wav", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str):
    with pytest.raises(AudioError):
        Clip.read(tmp_path / name)


def test_a_file_written_by_a_program_that_did_not_know_its_length_is_read(tmp_path: Path):
    content = bytearray(riff(1, 16, tone(500)))
    content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "stream.wav").write_bytes(content)
    assert Clip.read(tmp_path / "stream.wav").pcm == tone(500)


@pytest.mark.parametrize("milliseconds", [50, 100, 1000])
def test_chunks_hold_every_sample_and_a_silent_rest(milliseconds: int):
    clip = Clip(tone(2345), 16000)
    pieces = list(clip.chunks(milliseconds))
    assert {len(piece) for piece in pieces} == {milliseconds * 32}
    assert len(pieces) == len(clip.chunks(milliseconds))
    joined = b"".join(pieces)
    assert joined.startswith(clip.pcm)
    assert not any(joined[len(clip.pcm) :])


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_chunks_of_any_rate_are_lawful(rate: int):
    for milliseconds in (50, 1000):
        sizes = {len(piece) for piece in Clip(tone(2345, rate), rate).chunks(milliseconds)}
        assert len(sizes) == 1
        assert 50 <= sizes.pop() / 2 / rate * 1000 <= 1000


@pytest.mark.parametrize("milliseconds", [0, 49, 1001])
def test_chunks_that_the_service_would_refuse_are_not_made(milliseconds: int):
    with pytest.raises(ValueError, match="50 to 1000 ms"):
        Clip(tone(100), 16000).chunks(milliseconds)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_long_pieces_are_cut_and_short_ones_left_as_they_are(rate: int):
    audio, sound = AudioFormat(rate), tone(1310, rate)
    pieces = list(audio.cut([sound, b"", sound[:200]]))
    assert [len(piece) for piece in pieces[:13]] == [audio.size(100)] * 13
    assert b"".join(pieces) == sound + sound[:200]
    assert pieces[-1] == sound[:200]


def test_pace_follows_the_clock_and_waits_do_not_add_up():
    now, waits = [100.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds + 0.03  # every sleep is late

    for _ in paced([bytes(3200)] * 50, AudioFormat(16000), clock=lambda: now[0], sleep=sleep):
        now[0] += 0.01  # sending takes time, too
    assert now[0] - 100 == pytest.approx(5.0, abs=0.05)
    assert max(waits) <= 0.1


def test_a_source_that_is_late_is_not_slowed_down_further():
    now, waits = [0.0], []
    for _ in paced([bytes(3200)] * 3, AudioFormat(16000), clock=lambda: now[0], sleep=waits.append):
        now[0] += 1.0
    assert waits == []
