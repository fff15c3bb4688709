"""A session that is played back: what the service said, to whoever sends similar audio. No I/O."""

import json
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tempkit.errors import ProtocolError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import END_REASON, Json, parse_object
from tempkit.protocol.recording import Close, Recording
from tempkit.sandbox.rules import Violation
from tempkit.sandbox.rules.opening import bad_input, read_parameters
from tempkit.sandbox.rules.session import Note, Output, ServerSession

COMPARED = ("sample_rate", "encoding")  # without which audio cannot be similar
MATCH_SECONDS = 1.0  # of audio that is not all quiet, to find its place in the recording by
TAIL_SECONDS = 1.0  # audio may end so much earlier or later than it did then
BLOCK_SECONDS = 0.1
LIKE, QUIET = 0.25, 200.0  # of the loudness, and on the scale of 16 bits: what may differ
DIFFERS = 10  # the warning code of what is not as it was recorded
MARKS = ("Terminate", "ForceEndpoint")  # what the service answers
TIMES = ("timestamp", "start", "end", "start_ms", "end_ms", "total_audio_received_ms")


class Cue(NamedTuple):
    """What the service said, and when: after so much audio, so many marks, so many seconds."""

    data: str | Close
    audio_bytes: int
    marks: int
    at: float


class Score:
    """One connection of a recording, ready to be played: its audio, and a cue for each message."""

    def __init__(self, recording: Recording) -> None:
        self.query = recording.query
        self.begin: dict[str, Json] = {}
        self.cues: list[Cue] = []
        self.sound, self.has_sound = bytearray(), True
        self.size = marks = 0  # bytes of audio, messages that are answered
        begun = 0.0
        for frame in recording.frames:
            data = frame.data
            if frame.by == "client":
                if isinstance(data, str):
                    marks += any(f'"{mark}"' in data for mark in MARKS)
                elif isinstance(data, bytes):
                    self.sound += data
                    self.size += len(data)
                elif isinstance(data, int):  # the sound itself was not kept
                    self.has_sound = False
                    self.size += data
            elif isinstance(data, str) and not self.begin and '"Begin"' in data:
                self.begin, begun = parse_object(data), frame.at
            elif isinstance(data, (str, Close)):
                self.cues.append(Cue(data, self.size, marks, frame.at - begun))
        # Who has the Termination need not have waited for the close.
        if self.cues and _loaded(self.cues[-1]).get("type") == "Termination":
            end = Close(CloseCode.ENDED, END_REASON)
            self.cues.append(self.cues[-1]._replace(data=end))


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
        self._offset = self._checked = 0  # bytes of the recording's audio
        self._heard = bytearray()
        self._marks = self._first_order = 0
        self._started_at = self._begun_at  # what the times of the cues count from

    def _begin(self) -> Iterator[Output]:
        self._has_begun = True
        asked_then = read_parameters(self._score.query)
        for name in COMPARED:
            now, then = getattr(self._parameters, name), getattr(asked_then, name)
            if now != then:
                raise differing(f"{name} is {now}, the recording was made with {then}")
        for name, sent in self._score.query.items():
            asked = self._query.get(name, "not given")
            if asked != sent and name not in COMPARED:
                yield Note(DIFFERS, f"{name} is {asked}, the recording was made with {sent}")
        begin = {"id": str(uuid.uuid4()), "expires_at": int(self._expires_at)}
        yield json.dumps({"type": "Begin", **self._score.begin, **begin})

    def _receive_audio(self, data: bytes) -> Iterator[Output]:
        self._audio_milliseconds += self._decoder.milliseconds(data)
        self._heard += data
        if not self._is_placed and self._is_telling():
            self._place()
        if self._is_placed:
            self._compare()
        yield from self._play()

    def _receive_text(self, text: str) -> Iterator[Output]:
        try:
            kind = parse_object(text).get("type")
        except ProtocolError as error:
            raise bad_input(error) from None
        if not self._is_placed and kind in MARKS:
            self._place()
        self._marks += kind in MARKS
        if kind == "Terminate":
            missing = self._score.size - self._offset - len(self._heard)
            if abs(self._seconds_of(missing)) > TAIL_SECONDS:
                said = f"{self._seconds_of(self._score.size):.1f} s of audio"
                ended = self._seconds_of(self._offset + len(self._heard))
                raise differing(f"the client ended after {ended:.1f} s, then it was {said}")
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
        if self._switches.realtime and self._cues and self._has_come(self._cues[0]):
            due = min(due, self._started_at + self._cues[0].at)
        return due

    def _is_telling(self) -> bool:
        latest = self._heard[-round(MATCH_SECONDS / self._seconds_of(1)) :]
        is_long = self._audio_milliseconds >= 1000 * MATCH_SECONDS
        return is_long and loudness(samples(latest)) > 2 * QUIET

    def _place(self) -> None:
        """Find out where in the recording this audio starts: at a start, or else somewhere."""
        self._is_placed = True
        for score in self._scores:
            if not score.has_sound or self._is_like(score.sound, self._heard):
                self._score, self._cues = score, deque(score.cues)
                return
        for score in self._scores:
            offset = find(score.sound, self._heard)
            if offset is not None and self._is_like(score.sound[offset:], self._heard):
                self._start_at(score, offset)
                return
        raise differing("the audio is not that of the recording")

    def _start_at(self, score: Score, offset: int) -> None:
        self._score, self._offset, self._checked = score, offset, offset
        earlier = (cue.marks for cue in score.cues if cue.audio_bytes <= offset)
        self._marks += max(earlier, default=0)
        self._cues = deque(dropwhile(self._is_past, score.cues))
        rest = map(_loaded, self._cues)
        orders = [message["turn_order"] for message in rest if "turn_order" in message]
        self._first_order = int(str(orders[0])) if orders else 0
        if self._cues:
            self._started_at = self._clock() - self._cues[0].at

    def _is_past(self, cue: Cue) -> bool:
        """Whether it was said, or its turn began, before the audio that was sent now."""
        start = next(iter(_words(_loaded(cue))), {}).get("start")
        is_cut = isinstance(start, int) and start < 1000 * self._seconds_of(self._offset)
        return is_cut or cue.audio_bytes < self._offset

    def _compare(self) -> None:
        """Raises Violation when what came since the last time is not what came then."""
        block = int(BLOCK_SECONDS / self._seconds_of(1)) // 2 * 2
        end = self._offset + len(self._heard)
        while self._score.has_sound and self._checked + block <= min(end, self._score.size):
            start = self._checked - self._offset
            then = self._score.sound[self._checked : self._checked + block]
            if not self._is_like(then, self._heard[start : start + block]):
                at = self._seconds_of(self._checked)
                raise differing(f"the audio differs from the recording after {at:.1f} s")
            self._checked += block

    def _is_like(self, then: bytes | bytearray, now: bytes | bytearray) -> bool:
        if self._parameters.encoding != "pcm_s16le":
            return then[: len(now)] == now[: len(then)]
        a, b = samples(then), samples(now)
        size = min(len(a), len(b))
        if not size:
            return True
        return loudness(a[:size] - b[:size]) <= max(QUIET, LIKE * loudness(a[:size]))

    def _has_come(self, cue: Cue) -> bool:
        """Whether that was sent which this answers."""
        has_audio = self._offset + len(self._heard) >= cue.audio_bytes
        return self._has_ended or (has_audio and self._marks >= cue.marks)

    def _play(self) -> Iterator[Output]:
        while self._cues and not self._is_over:
            cue = self._cues[0]
            is_early = self._switches.realtime and self._clock() < self._started_at + cue.at
            if is_early or not self._has_come(cue):
                return
            self._cues.popleft()
            if isinstance(cue.data, Close):
                self._is_over = True
                yield cue.data
            else:
                yield self._moved(cue.data) if self._offset else cue.data

    def _moved(self, text: str) -> str:
        """A message as a session says it that began at the offset."""
        milliseconds = round(1000 * self._seconds_of(self._offset))
        message = parse_object(text)
        for part in (message, *_words(message)):
            for name in TIMES:
                if isinstance(value := part.get(name), int):
                    part[name] = max(0, value - milliseconds)
        if isinstance(order := message.get("turn_order"), int):
            message["turn_order"] = order - self._first_order
        return json.dumps(message)

    def _seconds_of(self, size: int) -> float:
        return size * self._decoder.milliseconds(b"x") / 1000


def differing(text: str) -> Violation:
    """What ends a session in which the client does not do what it did then."""
    return bad_input(f"Replay: {text}")


def find(sound: bytes | bytearray, start: bytes | bytearray) -> int | None:
    """Where in a sound, in bytes, another one starts that is nearly a part of it."""
    whole, part = samples(sound), samples(start)
    if len(part) > len(whole) or not part.any():
        return None
    size = 1 << (len(whole) + len(part) - 1).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    alike = np.fft.irfft(product, size)[: len(whole) - len(part) + 1]
    powers = np.concatenate([[0.0], np.cumsum(whole**2)])
    power = powers[len(part) :] - powers[: -len(part)]
    return 2 * int(np.argmax(alike / np.sqrt(power + 1.0)))


def loudness(sound: NDArray[np.float64]) -> float:
    """The standard deviation: a constant is no sound."""
    return float(np.std(sound))


def samples(sound: bytes | bytearray) -> NDArray[np.float64]:
    """16-bit samples; half a one at the end is left out."""
    return np.frombuffer(sound[: len(sound) // 2 * 2], "<i2").astype(np.float64)


def _loaded(cue: Cue) -> dict[str, Json]:
    return parse_object(cue.data) if isinstance(cue.data, str) else {}


def _words(message: dict[str, Json]) -> list[dict[str, Json]]:
    words = message.get("words")
    return [w for w in words if isinstance(w, dict)] if isinstance(words, list) else []
