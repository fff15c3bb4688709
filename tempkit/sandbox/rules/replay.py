"""A session that is played back: what the service said, to whoever sends similar audio. No I/O."""

import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, dropwhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import END_REASON, Json, Unknown, parse_object
from tempkit.protocol.recording import Close, Recording
from tempkit.sandbox.rules import Violation
from tempkit.sandbox.rules.opening import bad_input, read_message, read_parameters
from tempkit.sandbox.rules.session import Note, Output, ServerSession

COMPARED = ("sample_rate", "encoding")  # without which audio cannot be similar
MATCH_SECONDS = 1.0  # of audio that is not all quiet, to find its place in the recording by
TAIL_SECONDS = 1.0  # audio may end so much earlier or later than it did then
LIKE, QUIET = 0.25, 200.0  # of the loudness, and on the scale of 16 bits: what may differ
DIFFERS = 10  # the warning code of what is not as it was recorded
TIMES = ("timestamp", "start", "end", "start_ms", "end_ms", "total_audio_received_ms")


class Cue(NamedTuple):
    """What the service said, and when: after so much audio, so many seconds, and Terminate."""

    output: Unknown | Close
    audio_bytes: int
    at: float
    has_ended: bool

    @property
    def message(self) -> dict[str, Json]:
        """The message; that of a close is empty."""
        return self.output.payload if isinstance(self.output, Unknown) else {}

    @property
    def words(self) -> list[dict[str, Json]]:
        """The words of a Turn."""
        words = self.message.get("words")
        return [w for w in words if isinstance(w, dict)] if isinstance(words, list) else []


class Score:
    """One connection of a recording, ready to be played: its audio, and a cue for each message."""

    def __init__(self, recording: Recording) -> None:
        self.query = recording.query
        self.begin: dict[str, Json] = {}
        self.cues: list[Cue] = []
        self.sound, self.has_sound = bytearray(), True
        has_ended, begun = False, 0.0
        for at, by, data in ((frame.at, frame.by, frame.data) for frame in recording.frames):
            if by == "client" and isinstance(data, str):
                has_ended |= '"Terminate"' in data
            elif by == "client" and isinstance(data, (bytes, int)):
                self.sound += bytes(data)  # as many zeros where only the size was kept
                self.has_sound &= isinstance(data, bytes)
            elif isinstance(data, str) and '"Begin"' in data and not self.begin:
                self.begin, begun = parse_object(data), at
            elif isinstance(data, str):
                message = parse_object(data)
                output = Unknown(str(message.get("type")), message)
                self.cues.append(Cue(output, len(self.sound), at - begun, has_ended))
            elif isinstance(data, Close):
                self.cues.append(Cue(data, len(self.sound), at - begun, has_ended))
        # Who has the Termination need not have waited for the close.
        if self.cues and self.cues[-1].message.get("type") == "Termination":
            end = Close(CloseCode.ENDED, END_REASON)
            self.cues.append(self.cues[-1]._replace(output=end))


class ReplaySession(ServerSession):
    """Admits as any session does; then says what was said then, as far as the audio is similar.

    With audio at the pace at which it sounds, so are the answers; else they come as soon as the
    audio that they answer. A session that is resumed in the middle starts there.
    """

    def __init__(self, scores: Sequence[Score], *given: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*given, **options)
        self._scores = scores
        self._score = scores[0]
        self._cues: deque[Cue] = deque()  # that are still to be said
        self._is_placed = self._has_ended = False
        self._offset = 0  # bytes of the recording's audio before what is heard now
        self._heard = bytearray()
        self._compared = 0  # bytes of what is heard
        self._started_at = self._begun_at  # what the times of the cues count from

    def _begin(self) -> Iterator[Output]:
        self._has_begun = True
        self._rate = round(1000 / self._decoder.milliseconds(b"x"))  # bytes a second
        asked_then = read_parameters(self._score.query)
        for name in COMPARED:
            now, then = getattr(self._parameters, name), getattr(asked_then, name)
            if now != then:
                raise differing(f"{name} is {now}, the recording was made with {then}")
        for name, sent in self._score.query.items():
            asked = self._query.get(name, "not given")
            if asked != sent and name not in COMPARED:
                yield Note(DIFFERS, f"{name} is {asked}, the recording was made with {sent}")
        own: dict[str, Json] = {"id": str(uuid.uuid4()), "expires_at": int(self._expires_at)}
        yield Unknown("Begin", {"type": "Begin", **self._score.begin, **own})

    def _receive_audio(self, data: bytes) -> Iterator[Output]:
        self._audio_milliseconds += self._decoder.milliseconds(data)
        self._heard += data
        latest = self._heard[-round(MATCH_SECONDS * self._rate) :]
        is_long = self._audio_milliseconds >= 1000 * MATCH_SECONDS
        if not self._is_placed and is_long and loudness(samples(latest)) > 2 * QUIET:
            self._place()
        if self._is_placed:
            self._compare()
        yield from self._play()

    def _receive_text(self, text: str) -> Iterator[Output]:
        if read_message(text).get("type") == "Terminate":
            if not self._is_placed:
                self._place()
            then = len(self._score.sound) / self._rate
            now = (self._offset + len(self._heard)) / self._rate
            if abs(then - now) > TAIL_SECONDS:
                text = f"the client ended after {now:.1f} s, then it was {then:.1f} s of audio"
                raise differing(text)
            self._has_ended = True  # all answers may come
        yield from self._play()

    def _tick(self) -> Iterator[Output]:
        yield from super()._tick()
        yield from self._play()

    def _beat(self, now: float) -> Iterator[Output]:
        return iter(())  # heartbeats are played as they were

    @property
    def deadline(self) -> float:
        """When the next answer is due, or what else time alone leads to."""
        due = super().deadline
        if self._switches.realtime and self._cues and self._is_answer(self._cues[0]):
            due = min(due, self._started_at + self._cues[0].at)
        return due

    def _place(self) -> None:
        """Find out where in the recording this audio starts: at a start, or else somewhere."""
        starts = ((score, 0) for score in self._scores)
        others = ((score, find(score.sound, self._heard)) for score in self._scores)
        for score, offset in chain(starts, others):
            if not score.has_sound or self._is_like(score.sound[offset:], self._heard):
                self._start_at(score, offset)
                return
        raise differing("the audio is not that of the recording")

    def _start_at(self, score: Score, offset: int) -> None:
        self._is_placed = True
        self._score, self._offset = score, offset
        self._started_at -= offset / self._rate
        milliseconds = round(1000 * offset / self._rate)

        def is_past(cue: Cue) -> bool:
            """Whether it was said, or its turn began, before the audio that was sent now."""
            start = cue.words[0].get("start") if cue.words else None
            is_cut = isinstance(start, int) and start < milliseconds
            return is_cut or cue.audio_bytes < offset

        self._cues = deque(dropwhile(is_past, score.cues))
        if not offset:
            return
        # What is left is said as by a session that began here.
        orders = [cue.message["turn_order"] for cue in self._cues if "turn_order" in cue.message]
        for cue in self._cues:
            for part in (cue.message, *cue.words):
                for name in TIMES:
                    if isinstance(value := part.get(name), int):
                        part[name] = max(0, value - milliseconds)
            if isinstance(order := cue.message.get("turn_order"), int):
                cue.message["turn_order"] = order - int(str(orders[0]))

    def _compare(self) -> None:
        """Raises Violation when what came since the last time is not what came then."""
        start, now = self._offset + self._compared, self._heard[self._compared :]
        then = self._score.sound[start : start + len(now)]
        if self._score.has_sound and then and not self._is_like(then, now):
            at = start / self._rate
            raise differing(f"the audio differs from the recording after {at:.1f} s")
        self._compared += len(now) // 2 * 2

    def _is_like(self, then: bytes | bytearray, now: bytes | bytearray) -> bool:
        size = min(len(then), len(now))
        if not size or self._parameters.encoding != "pcm_s16le":
            return then[:size] == now[: size or None]
        a, b = samples(then[:size]), samples(now[:size])
        return loudness(a - b) <= max(QUIET, LIKE * loudness(a))

    def _is_answer(self, cue: Cue) -> bool:
        """Whether that was sent which this answers."""
        has_audio = self._offset + len(self._heard) >= cue.audio_bytes
        return self._has_ended or (has_audio and not cue.has_ended)

    def _play(self) -> Iterator[Output]:
        while self._cues and not self._is_over and self._is_answer(self._cues[0]):
            if self._switches.realtime and self._clock() < self._started_at + self._cues[0].at:
                return
            output = self._cues.popleft().output
            self._is_over = isinstance(output, Close)
            yield output


def differing(text: str) -> Violation:
    """What ends a session in which the client does not do what it did then."""
    return bad_input(f"Replay: {text}")


def find(sound: bytes | bytearray, start: bytes | bytearray) -> int:
    """Where in a sound, in bytes, another one starts that is nearly a part of it, or its end."""
    whole, part = samples(sound), samples(start)
    if len(part) > len(whole) or not part.any():
        return len(sound)
    size = 1 << (len(whole) + len(part) - 1).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    alike = np.fft.irfft(product, size)[: len(whole) - len(part) + 1]
    powers = np.concatenate([[0.0], np.cumsum(whole**2)])
    power = powers[len(part) :] - powers[: -len(part)]
    return 2 * int(np.argmax(alike / np.sqrt(power + 1.0)))


def loudness(sound: NDArray[np.float64]) -> float:
    """The standard deviation: a constant is no sound."""
    return float(np.std(sound)) if len(sound) else 0.0


def samples(sound: bytes | bytearray) -> NDArray[np.float64]:
    """16-bit samples; half a one at the end is left out."""
    return np.frombuffer(sound[: len(sound) // 2 * 2], "<i2").astype(np.float64)
