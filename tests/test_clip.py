import os
import struct
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from contextlib import suppress
from math import pi, sin
from pathlib import Path

import numpy as np
import pytest

from tempkit import AudioError, Clip, ConfigurationError
from tempkit.server import PUBLIC
from tests.doubles import silence, tone
from tests.sound_files import encode, encoded, interleaved, wav

WITHOUT_AV = "import sys; sys.modules['av'] = None; from tempkit import Clip; "


def save(folder: Path, content: bytes, name: str = "a.wav") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def stereo(folder: Path, left: bytes, right: bytes) -> Path:
    return save(folder, wav(interleaved([left, right]), channels=2))


def inverted(pcm: bytes) -> bytes:
    return array("h", [-sample for sample in array("h", pcm)]).tobytes()


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2").astype(float)))))


def test_the_sample_is_what_the_kit_says_it_is():
    clip = Clip.read(PUBLIC / "sample.wav")
    assert clip.sample_rate == 16000
    assert clip.duration is not None
    assert 18 < clip.duration < 25
    assert max(map(abs, array("h", clip.pcm[:16000]))) < 100  # half a second of silence
    assert max(map(abs, array("h", clip.pcm[-6400:]))) < 100


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_any_rate_that_the_service_takes_is_read_as_it_is(tmp_path: Path, rate: int):
    clip = Clip.read(save(tmp_path, wav(tone(500, rate), rate=rate)))
    assert clip.sample_rate == rate
    assert clip.pcm == tone(500, rate)
    assert clip.duration == pytest.approx(0.5)


@pytest.mark.parametrize("codec", ["pcm_s24le", "pcm_s32le", "pcm_f32le"])
def test_samples_that_are_more_exact_are_rounded(tmp_path: Path, codec: str):
    clip = Clip.read(save(tmp_path, encoded("wav", codec)))
    assert clip.pcm == tone(3000)


@pytest.mark.parametrize("name", ["missing.wav", ".", "", "a\0b"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str):
    with pytest.raises(AudioError, match=r"there is no file|is a folder"):
        Clip.read(f"{tmp_path}/{name}")


def test_plain_wav_needs_no_decoder_and_the_rest_says_which_extra_to_install(tmp_path: Path):
    plain = save(tmp_path, wav(interleaved([tone(500)] * 2), channels=2), "plain.wav")
    other = save(tmp_path, encoded("wav", "pcm_s24le"), "other.wav")
    code = f"{WITHOUT_AV}print(Clip.read({str(plain)!r}).pcm[:1000].hex())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == tone(500)[:1000].hex(), done.stderr
    code = f"{WITHOUT_AV}Clip.read({str(other)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    said = done.stderr.splitlines()[-1]
    assert "other.wav is not a plain 16-bit WAV file: it needs av" in said
    assert said.endswith('install it: pip install "av>=18"')
    assert ConfigurationError.__name__ in said


def test_a_playlist_in_disguise_opens_no_other_file(tmp_path: Path):
    save(tmp_path, encoded("adts", "aac"), "other.aac")
    line = f"#EXTINF:3,\n{tmp_path}/other.aac\n#EXT-X-ENDLIST\n"
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#\x00\x01\x02\n" + line.encode()
    with pytest.raises(AudioError, match="is not audio"):
        Clip.read(save(tmp_path, playlist, "a.m3u8"))


# Channels.


def test_channels_are_mixed(tmp_path: Path, caplog):
    clip = Clip.read(stereo(tmp_path, tone(500), silence(500)))
    assert loudness(clip.pcm) == pytest.approx(loudness(tone(500)) / 2, rel=0.01)
    samples = array("h", [100, 300, -32768, -32768, 32767, 32767] * 100).tobytes()
    clip = Clip.read(save(tmp_path, wav(samples, channels=2)))
    assert array("h", clip.pcm).tolist()[:3] == [200, -32768, 32767]
    assert caplog.messages == []


def test_channels_that_cancel_each_other_out_are_not_mixed(tmp_path: Path, caplog):
    clip = Clip.read(stereo(tmp_path, silence(500) + tone(500), silence(500) + inverted(tone(500))))
    assert loudness(clip.pcm) == loudness(silence(500) + tone(500))
    assert clip.pcm == clip.pcm
    assert len(caplog.messages) == 1
    assert "cancel each other out" in caplog.messages[0]
    assert "channel=0, 1 ... picks one" in caplog.messages[0]


@pytest.mark.parametrize("count", [3, 6, 8])
def test_a_voice_in_one_of_many_channels_is_heard_and_so_is_the_next(tmp_path: Path, count: int):
    quiet, loud = silence(500), tone(500)
    voices = [loud + quiet, quiet + loud, *[quiet + quiet] * (count - 2)]
    clip = Clip.read(save(tmp_path, wav(interleaved(voices), channels=count)))
    for half in (clip.pcm[: len(clip.pcm) // 2], clip.pcm[len(clip.pcm) // 2 :]):
        assert loudness(half) == pytest.approx(loudness(loud) / count, rel=0.02)


def test_a_channel_can_be_picked_or_each_had_for_itself(tmp_path: Path):
    path = stereo(tmp_path, tone(500), silence(500))
    assert Clip.read(path, channel=0).pcm == tone(500)
    assert Clip.read(path, channel=1).pcm == silence(500)
    assert [clip.pcm for clip in Clip.read(path).channels()] == [tone(500), silence(500)]
    assert [clip.pcm for clip in Clip.read(path, 1).channels()] == [silence(500)]
    for channel in (-1, 2):
        with pytest.raises(ValueError, match=f"has channels 0 to 1, not {channel}"):
            Clip.read(path, channel)


def test_a_channel_of_a_compressed_file_can_be_picked(tmp_path: Path):
    both = interleaved([tone(1000, 44100), silence(1000, 44100)])
    path = save(tmp_path, encode(both, "ipod", "aac", "stereo", 44100), "a.m4a")
    left, right = Clip.read(path).channels()
    assert loudness(left.pcm) > 5000
    assert loudness(right.pcm) < 50
    assert len(left.pcm) == len(right.pcm)


# Piece by piece.


@pytest.mark.parametrize("milliseconds", [50, 100, 1000])
def test_chunks_hold_every_sample_and_a_silent_rest(milliseconds: int):
    clip = Clip(tone(2345), 16000)
    pieces = list(clip.chunks(milliseconds))
    assert {len(piece) for piece in pieces} == {milliseconds * 32}
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
    with pytest.raises(ValueError, match="milliseconds takes a whole number from 50 to 1000"):
        Clip(tone(100), 16000).chunks(milliseconds)


def test_a_long_file_is_read_only_as_far_as_it_is_needed(tmp_path: Path):
    seconds = 3 * 3600
    path = save(tmp_path, wav(b"", size=seconds * 32000, riff=seconds * 32000 + 36))
    os.truncate(path, 44 + seconds * 32000)  # most of it is a hole
    clip = Clip.read(path)
    assert clip.duration == seconds
    assert len(next(iter(clip.chunks()))) == 3200
    assert len(clip.first(2.5).pcm) == 2.5 * 32000
    assert clip.first(2.5).duration == 2.5
    assert "the first 66 s of 3:00:00.0" in clip._repr_html_()


def test_a_file_that_grows_is_read_to_the_end_that_it_has_then(tmp_path: Path):
    path = save(tmp_path, wav(tone(1000), size=0, riff=36))
    clip = Clip.read(path)
    chunks = iter(clip.chunks())
    first = [next(chunks) for _ in range(5)]
    with path.open("ab") as file:
        file.write(tone(1000))
    assert b"".join([*first, *chunks]) == tone(1000) * 2
    assert clip.duration == 2.0


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be removed here")
def test_a_file_that_is_removed_meanwhile_is_read_to_its_end(tmp_path: Path):
    path = save(tmp_path, wav(tone(1000)))
    clip = Clip.read(path)
    chunks = iter(clip.chunks())
    first = next(chunks)
    path.unlink()
    assert b"".join([first, *chunks]) == tone(1000)
    assert clip.duration == 1.0
    with pytest.raises(AudioError, match="there is no file"):
        next(iter(clip.chunks()))


def test_a_recording_of_a_browser_has_no_length_before_its_end(tmp_path: Path):
    live = encoded("webm", "libopus", rate=48000, live="1")
    clip = Clip.read(save(tmp_path, live, "a.webm"))
    assert clip.duration is None
    assert repr(clip) == "Clip(? s, sample_rate=48000)"
    assert len(list(clip.chunks())) == 30
    assert "0:03.0, 48000 Hz" in clip._repr_html_()


def test_a_beginning_is_a_clip(tmp_path: Path):
    clip = Clip(tone(1000), 16000)
    assert clip.first(0.25).pcm == tone(250)
    assert clip.first(5).pcm == tone(1000)
    assert clip.first(5).duration == 1.0
    both = Clip.read(stereo(tmp_path, tone(500), silence(500))).first(0.1)
    assert [each.pcm for each in both.channels()] == [tone(100), silence(100)]
    with pytest.raises(ValueError, match="more than 0 seconds"):
        clip.first(0)


@pytest.fixture
def pipe(tmp_path: Path):
    """A named pipe through which a file goes, as often as it is called."""
    path = tmp_path / "pipe"
    threads = []

    def write(content: bytes) -> None:
        with suppress(BrokenPipeError):  # who reads has seen enough
            path.write_bytes(content)

    def send(content: bytes) -> Path:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        threads.append(threading.Thread(target=write, args=(content,)))
        threads[-1].start()
        return path

    yield send
    for thread in threads:
        thread.join(10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(
    ("content", "duration"),
    [
        (lambda: wav(), 3.0),
        (lambda: wav(size=0xFFFFFFFF, riff=0xFFFFFFFF), None),
        (lambda: wav(before=b"JUNK\x00\x10\x00\x00" + bytes(4096)), 3.0),
        (lambda: encoded("wav", "pcm_f32le"), 3.0),
        (lambda: encoded("ogg", "libopus", rate=48000), None),
        (lambda: encoded("webm", "libopus", rate=48000, live="1"), None),
        (lambda: encoded("flac", "flac"), 3.0),
    ],
    ids=["wav", "endless wav", "junk", "float", "opus", "webm", "flac"],
)
def test_a_pipe_is_read_once(content: Callable[[], bytes], duration: float | None, pipe):
    clip = Clip.read(pipe(content()))
    assert clip.duration == duration
    assert "Hz" in clip._repr_html_()
    assert len(clip.pcm) / 2 / clip.sample_rate == pytest.approx(3.0, abs=0.02)
    with pytest.raises(AudioError, match="is a pipe and can be read only once"):
        next(iter(clip.chunks()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_wrong_with_what_comes_through_a_pipe_is_said(pipe, caplog):
    with pytest.raises(AudioError, match="index at the end; pass the file, not a pipe"):
        Clip.read(pipe(encoded("ipod", "aac")))
    with pytest.raises(AudioError, match="is a text file"):
        Clip.read(pipe(b"hello\n" * 1000))
    large = encoded("ipod", "aac")[:28] + struct.pack(">I", 2**24) + b"mdat" + bytes(2**24)
    with pytest.raises(AudioError, match="16 MB do not show what it is; pass the file"):
        Clip.read(pipe(large))
    with pytest.raises(AudioError, match="contains no audio"):
        list(Clip.read(pipe(wav(b""))).chunks())
    assert len(Clip.read(pipe(wav(size=len(tone(4000))))).pcm) == len(tone(3000))
    assert len(Clip.read(pipe(wav(size=3200) + bytes(10))).pcm) == 3200
    ends, goes_on = caplog.messages
    assert "is cut off: it ends 1.0 s before its header says" in ends
    assert "is longer than its header says; the rest is ignored" in goes_on


# From memory.


def test_samples_become_a_clip():
    wave = [sin(2 * pi * 440 * n / 16000) for n in range(1600)]
    whole = np.array([round(9000 * value) for value in wave], np.int16)
    assert Clip.from_samples(whole, 16000).pcm == whole.tobytes()
    share = Clip.from_samples((whole / 32768).astype(np.float32), 16000)
    assert share.pcm == whole.tobytes()
    assert array("h", Clip.from_samples([1.5, -1.5, 1.0], 16000).pcm).tolist() == [
        *(32767, -32768, 32767)
    ]
    both = Clip.from_samples(np.stack([whole, 0 * whole], axis=1), 16000)
    assert both.duration == 0.1
    assert [clip.pcm for clip in both.channels()] == [whole.tobytes(), bytes(3200)]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((2, 1600), np.int16), r"\(n,\) or \(n, channels\), not \(2, 1600\)"),
        (np.zeros((1, 2, 3)), r"not \(1, 2, 3\)"),
        (np.zeros(10, np.int32), "int16 or floats from -1 to 1, not int32"),
        (np.array([0.0, np.nan]), "some samples are not numbers"),
    ],
    ids=["turned", "three axes", "int32", "not a number"],
)
def test_samples_that_cannot_be_meant_are_refused(samples: np.ndarray, said: str):
    with pytest.raises(ValueError, match=said):
        Clip.from_samples(samples, 16000)


def test_a_clip_that_the_service_would_refuse_is_not_made():
    with pytest.raises(AudioError, match="sample_rate must be 8000 to 96000, not 7999"):
        Clip(b"", 7999)
    with pytest.raises(AudioError, match="16-bit samples of 1 channels need a multiple of 2 bytes"):
        Clip(b"abc", 16000)


def test_the_sample_is_there_wherever_the_kit_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    clip = Clip.sample()
    assert (round(clip.duration), clip.sample_rate) == (23, 16000)


def test_floats_that_are_no_shares_of_one_are_refused_and_not_clipped():
    np = pytest.importorskip("numpy")
    with pytest.raises(ValueError, match=r"these reach 21043; divide them by 32768, or pass int16"):
        Clip.from_samples(np.array([0.0, 21043.0, -3.0]), 16_000)
    with pytest.raises(ValueError, match=r"not \(2, 500\); pass samples.T"):
        Clip.from_samples(np.zeros((2, 500)), 16_000)
    with pytest.raises(ValueError, match="there are no samples"):
        Clip.from_samples(np.zeros(0), 16_000)
    assert Clip.from_samples(np.array([1.2, -1.2]), 16_000).pcm == b"\xff\x7f\x00\x80"
