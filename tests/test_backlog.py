import pytest

from tempkit.sound.samples import AudioFormat
from tempkit.streaming.backlog import Backlog
from tests.doubles import tone

AUDIO = AudioFormat(16000)
SECOND = 32_000  # bytes


def backlog(
    audio: AudioFormat = AUDIO, *, limit_seconds: float = 300, rate: float = 2.0
) -> Backlog:
    made = Backlog(audio, limit_seconds=limit_seconds, rate=rate)
    made.connect(0.0)
    return made


def taken(backlog: Backlog, now: float = 0.0) -> list[bytes | str]:
    pieces = []
    while (piece := backlog.take(now)) is not None:
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("size", [1, 7, 256, 640, 777, 3200, 50_000, 500_000])
def test_audio_goes_out_at_once_in_lawful_pieces_and_no_byte_is_lost(rate: int, size: int):
    audio, sound, out = AudioFormat(rate), tone(1310, rate), b""
    made = backlog(audio)
    for at in range(0, len(sound), size):
        made.offer(sound[at : at + size])
        out += lawful(taken(made), audio)
    made.command("end")
    *last, command = taken(made)
    out += lawful(last, audio)
    assert command == "end"
    assert out[: len(sound)] == sound
    assert not any(out[len(sound) :])


def lawful(pieces: list[bytes], audio: AudioFormat) -> bytes:
    lengths = [audio.seconds(len(piece)) * 1000 for piece in pieces]
    assert all(50 <= length < 101 for length in lengths)
    assert not any(len(piece) % 2 for piece in pieces)
    return b"".join(pieces)


def test_mulaw_is_filled_with_its_own_silence():
    made = backlog(AudioFormat(8000, "pcm_mulaw"))
    made.offer(b"\x12" * 100)
    made.command("end")
    assert taken(made) == [b"\x12" * 100 + b"\xff" * 300, "end"]


def test_no_audio_makes_no_piece():
    made = backlog()
    made.offer(b"")
    assert taken(made) == []
    made.command("end")
    assert taken(made) == ["end"]


def test_a_new_connection_carries_what_was_not_released_in_the_same_order():
    made = backlog()
    sound = tone(1000)
    made.offer(sound)
    made.command("force")
    made.offer(sound)
    first = taken(made)
    assert first[10] == "force"
    made.release(600)
    made.connect(10.0)
    again = []
    for tick in range(100):
        again += taken(made, 10 + tick / 10)
    assert again == [*first[6:10], "force", *first[11:]]
    assert made.own_time(0) == 600
    assert made.own_time(400) == 1000


def test_replayed_audio_keeps_its_rate_and_live_audio_goes_at_once_after_it():
    made = backlog(rate=2.0)
    made.offer(tone(1000))
    taken(made)
    made.connect(100.0)
    assert len(taken(made, 100.0)) == 1
    assert made.due(100.0) == pytest.approx(100.05)
    assert len(taken(made, 100.24)) == 4
    assert len(taken(made, 101.0)) == 5
    made.offer(tone(100))
    assert len(taken(made, 101.0)) == 1
    assert made.due(101.0) == 101.0


def test_what_could_not_be_kept_is_counted():
    made = backlog(limit_seconds=10)
    made.connect(0.0)
    made.offer(bytes(4 * SECOND))
    taken(made)
    for _ in range(20):  # nothing takes it: there is no connection
        made.offer(bytes(SECOND))
    assert made.seconds == 10
    assert AUDIO.seconds(made.lost) == 10
    made.connect(30.0)  # and now the four seconds that were sent cannot be sent again
    assert AUDIO.seconds(made.lost) == 14
    assert made.own_time(0) == 14_000


def test_audio_that_was_heard_before_it_had_to_go_is_not_lost():
    made = backlog(limit_seconds=10)
    for second in range(30):
        made.offer(bytes(SECOND))
        taken(made)
        made.release(second * 1000)
    made.connect(30.0)
    assert made.lost == 0


def test_times_go_on_after_a_hole():
    made = backlog(limit_seconds=2)
    made.offer(bytes(SECOND))
    taken(made)
    made.offer(bytes(5 * SECOND))  # three seconds fall out unsent
    taken(made)
    assert AUDIO.seconds(made.lost) == 3
    assert [made.own_time(ms) for ms in (0, 999, 1000, 2500)] == [0, 999, 4000, 5500]


def test_long_silence_is_let_go():
    made = backlog()
    made.offer(bytes(200 * SECOND))
    taken(made)
    made.release_silence(70.0)
    assert made.start == 10 * SECOND
    made.release_silence(30.0)
    assert made.start == 10 * SECOND
    made.connect(0.0)
    assert made.lost == 0


def test_an_end_that_was_sent_is_sent_again_on_a_new_connection():
    made = backlog()
    made.offer(tone(1000))
    made.command("end")
    taken(made)
    made.release(1000)
    made.connect(1.0)
    assert taken(made, 1.0) == ["end"]


def test_half_a_sample_before_a_command_is_cut_off():
    made = backlog()
    made.offer(bytes(3201))
    made.command("end")
    assert [len(piece) for piece in taken(made)] == [3200, 3]
