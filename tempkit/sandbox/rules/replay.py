"""A session that is played back: what the service said, to whoever sends similar audio. No I/O."""

import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, dropwhile
from typing import Any, NamedTuple

import numpy as np

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import END_REASON, Json, Unknown
from tempkit.protocol.parameters import SAMPLE_WIDTH
from tempkit.protocol.recording import Close, Recording
from tempkit.sandbox.hearing.pcm import PcmDecoder
from tempkit.sandbox.hearing.recognizer import RATE, Samples
from tempkit.sandbox.rules import Violation
from tempkit.sandbox.rules.opening import bad_input, read_message, read_parameters
from tempkit.sandbox.rules.session import Note, Output, ServerSession

COMPARED = ("sample_rate", "encoding")  # without which audio cannot be similar
MATCH_SECONDS = 1.0  # of audio that is not all quiet, to find its place in the recording by
TAIL_SECONDS = 1.0  # audio may end so much earlier or later than it did then
LIKE, QUIET = 0.25, 0.006  # of the loudness, and of full scale: what may differ
DIFFERS = 10  # the warning code of what is not as it was recorded
MARKS = ("Terminate", "ForceEndpoint")  # what the service answers
TIMES = ("timestamp", "start", "end", "start_ms", "end_ms", "total_audio_received_ms")


class Cue(NamedTuple):
    """What the service said, and when: after so many samples, so many marks, so many seconds."""

    output: Unknown | Close
    samples: int
    marks: int
    at: float

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

    def __init__(self, recording: Recording, encoding: str) -> None:
        self.begin: dict[str, Json] = {}
        self.cues: list[Cue] = []
        self.has_sound, begun = True, 0.0
        self.samples = marks = 0  # of audio; messages that are answered
        decoder, heard = PcmDecoder(RATE, encoding), [np.zeros(0, np.float32)]
        for frame in recording.frames:
            data = frame.data
            if frame.by == "client":
                if isinstance(data, bytes):
                    heard.append(decoder.decode(data))
                    self.samples += len(heard[-1])
                elif isinstance(data, int):  # the sound itself was not kept
                    self.has_sound = False
                    self.samples += data // SAMPLE_WIDTH[encoding]
                elif isinstance(data, str):
                    marks += any(f'"{mark}"' in data for mark in MARKS)
            elif isinstance(data, str) and '"Begin"' in data and not self.begin:
                self.begin, begun = read_message(data), frame.at
            elif isinstance(data, (str, Close)):
                output = data if isinstance(data, Close) else as_it_came(data)
                self.cues.append(Cue(output, self.samples, marks, frame.at - begun))
        self.sound = np.concatenate(heard)
        # Who has the Termination need not have waited for the close.
        if self.cues and self.cues[-1].message.get("type") == "Termination":
            end = Close(CloseCode.ENDED, END_REASON)
            self.cues.append(self.cues[-1]._replace(output=end))


class ReplaySession(ServerSession):
    """Admits as any session does; then says what was said then, as far as the audio is similar.

    With audio at the pace at which it sounds, so are the answers; else they come as soon as the
    audio that they answer. A session that is resumed in the middle starts there.
    """

    def __init__(self, recordings: Sequence[Recording], *given: Any) -> None:  # noqa: ANN401
        super().__init__(*given)
        self._recordings = recordings
        self._score: Score | None = None  # as soon as it is known which one is played
        self._cues: deque[Cue] = deque()  # that are still to be said
        self._has_ended = False
        self._marks = 0
        self._heard: list[Samples] = []  # until then
        self._latest = np.zeros(0, np.float32)
        self._position = 0  # in the recording, samples
        self._started_at = self._begun_at  # what the times of the cues count from

    def _begin(self) -> Iterator[Output]:
        self._has_begun = True
        query = self._recordings[0].query
        asked_then = read_parameters(query)
        for name in COMPARED:
            now, then = getattr(self._parameters, name), getattr(asked_then, name)
            if now != then:
                raise differing(f"{name} is {now}, but {then} in the recording")
        for name, sent in query.items():
            asked = self._query.get(name, "not given")
            if asked != sent and name not in COMPARED:
                yield Note(DIFFERS, f"{name} is {asked}, but {sent} in the recording")
        self._rate, encoding = self._parameters.sample_rate, self._parameters.encoding
        self._scores = [Score(recording, encoding) for recording in self._recordings]
        self._samples = PcmDecoder(RATE, encoding)  # as they are, whatever their rate
        self._long = round(MATCH_SECONDS * self._rate)
        own: dict[str, Json] = {"id": str(uuid.uuid4()), "expires_at": int(self._expires_at)}
        yield Unknown("Begin", {"type": "Begin", **self._scores[0].begin, **own})

    def _receive_audio(self, data: bytes) -> Iterator[Output]:
        self._audio_milliseconds += self._decoder.milliseconds(data)
        samples = self._samples.decode(data)
        if self._score:
            self._follow(self._score, samples)
        else:
            self._heard.append(samples)
            self._latest = np.concatenate([self._latest, samples])[-self._long :]
            if len(self._latest) == self._long and loudness(self._latest) > 2 * QUIET:
                self._place()
        yield from self._play()

    def _receive_text(self, text: str) -> Iterator[Output]:
        kind = read_message(text).get("type")
        if kind in MARKS:
            self._score = self._score or self._place()
            self._marks += 1
        if kind == "Terminate" and self._score:
            then = self._score.samples / self._rate
            now = self._position / self._rate
            if abs(then - now) > TAIL_SECONDS:
                text = f"the client ended after {now:.1f} s, the recording after {then:.1f} s"
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

    def _place(self) -> Score:
        """Find out where in the recording this audio starts: at a start, or else somewhere."""
        heard = np.concatenate([self._latest[:0], *self._heard])
        self._heard.clear()
        starts = ((score, 0) for score in self._scores)
        others = ((score, find(score.sound, heard)) for score in self._scores)
        for score, start in chain(starts, others):
            if not score.has_sound or is_like(score.sound[start:], heard):
                self._start_at(score, start, len(heard))
                return score
        raise differing("the audio is not the recording's")

    def _start_at(self, score: Score, start: int, heard: int) -> None:
        self._score, self._position = score, start + heard
        self._started_at -= start / self._rate
        milliseconds = round(1000 * start / self._rate)

        def is_past(cue: Cue) -> bool:
            """Whether it was said, or its turn began, before the audio that was sent now."""
            began = cue.words[0].get("start") if cue.words else None
            is_cut = isinstance(began, int) and began < milliseconds
            return is_cut or cue.samples < start

        self._cues = deque(dropwhile(is_past, score.cues))
        if not start:
            return
        self._marks = max((cue.marks for cue in score.cues if cue.samples <= start), default=0)
        # What is left is said as by a session that began here.
        orders = [cue.message["turn_order"] for cue in self._cues if "turn_order" in cue.message]
        for cue in self._cues:
            for part in (cue.message, *cue.words):
                for name in TIMES:
                    if isinstance(value := part.get(name), int):
                        part[name] = max(0, value - milliseconds)
            if isinstance(order := cue.message.get("turn_order"), int):
                cue.message["turn_order"] = order - int(str(orders[0]))

    def _follow(self, score: Score, samples: Samples) -> None:
        """Go on by these samples. Raises Violation when they are not what came then."""
        then = score.sound[self._position : self._position + len(samples)]
        if score.has_sound and len(then) and not is_like(then, samples):
            at = self._position / self._rate
            raise differing(f"the audio differs from the recording after {at:.1f} s")
        self._position += len(samples)

    def _is_answer(self, cue: Cue) -> bool:
        """Whether that was sent which this answers."""
        has_come = self._position >= cue.samples and self._marks >= cue.marks
        return self._has_ended or has_come

    def _play(self) -> Iterator[Output]:
        while self._cues and not self._is_over and self._is_answer(self._cues[0]):
            if self._switches.realtime and self._clock() < self._started_at + self._cues[0].at:
                return
            output = self._cues.popleft().output
            self._is_over = isinstance(output, Close)
            yield output


def as_it_came(text: str) -> Unknown:
    """A message that is passed on. Raises Violation when it is none."""
    message = read_message(text)
    return Unknown(str(message.get("type")), message)


def differing(text: str) -> Violation:
    """What ends a session in which the client does not do what it did then."""
    return bad_input(f"Replay: {text}")


def find(whole: Samples, part: Samples) -> int:
    """Where in a sound another one starts that is nearly a part of it, or where it ends."""
    if len(part) > len(whole) or not part.any():
        return len(whole)
    size = 1 << (len(whole) + len(part) - 1).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    alike = np.fft.irfft(product, size)[: len(whole) - len(part) + 1]
    powers = np.concatenate([[0.0], np.cumsum(whole**2, dtype=np.float64)])
    power = powers[len(part) :] - powers[: -len(part)]
    return int(np.argmax(alike / np.sqrt(power + 1e-9)))


def is_like(then: Samples, now: Samples) -> bool:
    """Whether two sounds are similar as long as both last, if not only one of them is a sound."""
    size = min(len(then), len(now))
    if not size:
        return not len(now)
    return loudness(then[:size] - now[:size]) <= max(QUIET, LIKE * loudness(then[:size]))


def loudness(sound: Samples) -> float:
    """The standard deviation: a constant is no sound."""
    return float(np.std(sound))
