"""Turn detection: audio in, what was said and when a turn ends out. No I/O; time is the audio's.

The rules are those of the service's turn detection page: a turn ends when the recogniser is
confident that the sentence is over and ``min_turn_silence`` has passed, or at ``max_turn_silence``.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from tempkit.protocol.messages import Silence
from tempkit.sandbox.hearing.recognizer import (
    FRAME,
    RATE,
    Hypothesis,
    Listener,
    Samples,
    SpokenWord,
)

FRAME_MILLISECONDS = FRAME * 1000 // RATE
LOOK_BACK = 500 // FRAME_MILLISECONDS  # frames before the first sound that belong to a turn
ONSET = 3  # frames in a row over the threshold start a turn; more than the 80 ms that one needs
HYSTERESIS = 0.15  # a frame this far under the threshold counts as silence
TAIL = 250 // FRAME_MILLISECONDS  # frames of silence that are decoded after the last speech
PARTIAL_MILLISECONDS = 500  # between two partials
PARTIAL_SHARE = 0.06  # of the turn's length: partials come no closer, so that cost stays flat
RETRY_MILLISECONDS = 750  # until the next try, after a partial that would have been empty
PAUSE = 160 // FRAME_MILLISECONDS  # frames of silence after which an utterance is complete
QUIET = 1000 // FRAME_MILLISECONDS  # frames of silence in one Silence
PARTIAL_SILENCE = 300 // FRAME_MILLISECONDS  # frames of silence after which no partial is made
SETTLE_MILLISECONDS = 600  # a word this far from the edge of the audio may become final
STRETCH = 28_000 // FRAME_MILLISECONDS  # frames: the recogniser knows no longer ones
GAP = 3  # frames without speech: a place to divide a long turn at


@dataclass
class TurnRules:
    """What decides when a turn ends, milliseconds and 0 to 1; changes apply at the next frame."""

    min_turn_silence: int
    max_turn_silence: int
    vad_threshold: float
    end_of_turn_confidence_threshold: float
    first_partial: int = PARTIAL_MILLISECONDS  # after the first sound
    next_partial: int = PARTIAL_MILLISECONDS
    longest: int = 60_000  # "max_turn_duration": a turn is closed then, whatever is said
    is_u3: bool = False
    acknowledges_silence: bool = False


@dataclass(frozen=True)
class Heard:
    """What a turn says so far, and whether it is over."""

    words: tuple[SpokenWord, ...]
    end_of_turn: bool
    confidence: float  # that the turn ends here
    speech_start: int  # milliseconds of the session's audio
    speech_confidence: float
    is_utterance: bool = False  # a short pause follows what was said


class TurnDetector:
    """Cuts the audio of one session into turns."""

    def __init__(self, listener: Listener, rules: TurnRules) -> None:
        self.rules = rules
        self._listener = listener
        self._rest = np.zeros(0, np.float32)
        self._position = 0  # frames heard
        self._look_back: deque[Samples] = deque(maxlen=LOOK_BACK)
        self._onset = 0
        self._quiet = 0  # frames without speech, up to now
        self._highest = 0.0  # speech probability
        self._turn: _OpenTurn | None = None

    def hear(self, samples: Samples) -> Iterator[Heard | Silence]:
        """What these next samples (mono, 16 kHz) let one say."""
        audio = np.concatenate([self._rest, samples])
        whole = len(audio) // FRAME * FRAME
        self._rest = audio[whole:]
        for start in range(0, whole, FRAME):
            yield from self._hear_frame(audio[start : start + FRAME])

    def end_turn(self) -> Iterator[Heard]:
        """End the open turn now, if there is one."""
        if self._turn is not None:
            yield from self._close(self._turn, self._turn.hypothesis())

    def take_highest_probability(self) -> float:
        """The highest speech probability since this was asked last."""
        highest, self._highest = self._highest, 0.0
        return highest

    def finish(self, samples: Samples) -> Iterator[Heard | Silence]:
        """What the last samples, and the end of the open turn, let one say."""
        rest = (len(self._rest) + len(samples)) % FRAME
        yield from self.hear(np.append(samples, np.zeros(-rest % FRAME, np.float32)))
        yield from self.end_turn()

    def _hear_frame(self, frame: Samples) -> Iterator[Heard | Silence]:
        rules, probability = self.rules, self._listener.speech_probability(frame)
        self._position += 1
        self._highest = max(self._highest, probability)
        is_loud = probability > rules.vad_threshold
        self._quiet = 0 if is_loud else self._quiet + 1
        if rules.acknowledges_silence and self._quiet == QUIET:
            # U3: "about every 1 s of silence with acknowledge_silence=true".
            self._quiet = 0
            end = self._position * FRAME_MILLISECONDS
            yield Silence(end - QUIET * FRAME_MILLISECONDS, end)
        turn = self._turn
        if turn is None:
            self._look_back.append(frame)
            self._onset = self._onset + 1 if is_loud else 0
            if self._onset >= ONSET:
                frames, begin = [*self._look_back], self._position - len(self._look_back)
                self._turn = _OpenTurn(self._listener, rules, frames, begin, probability)
                self._look_back.clear()
                self._onset = 0
            return
        turn.add(frame, is_speech=probability >= rules.vad_threshold - HYSTERESIS)
        least_silence = min(rules.min_turn_silence, rules.max_turn_silence)
        if (turn.position - turn.begin) * FRAME_MILLISECONDS >= rules.longest:
            yield from self._close(turn, turn.hypothesis())
        elif turn.silence * FRAME_MILLISECONDS >= least_silence:
            yield from self._in_silence(turn)
        elif not rules.is_u3 and turn.silence == PAUSE:
            yield from turn.partial(rules, is_utterance=True)
        elif turn.is_due_for_partial():
            yield from turn.partial(rules)

    def _in_silence(self, turn: "_OpenTurn") -> Iterator[Heard]:
        is_new = turn.kept is None
        kept = turn.kept = turn.kept or turn.hypothesis()
        silence = turn.silence * FRAME_MILLISECONDS
        threshold = self.rules.end_of_turn_confidence_threshold
        # "Threshold 0: min_turn_silence decides."
        confident = kept.end_confidence > threshold or threshold == 0
        # Semantic, or acoustic as a fallback: the two "independent ways to end a turn".
        enough = self.rules.min_turn_silence if confident else math.inf
        if silence >= min(enough, self.rules.max_turn_silence):
            yield from self._close(turn, kept)
        elif is_new and self.rules.is_u3 and kept.words:
            # U3: "transcribes speculatively at min_turn_silence; otherwise one partial".
            yield turn.heard(kept, end_of_turn=False)

    def _close(self, turn: "_OpenTurn", hypothesis: Hypothesis) -> Iterator[Heard]:
        self._turn = None
        self._look_back.extend(turn.frames[turn.spoken_frames() :])
        has_spoken, heard = turn.has_spoken, turn.heard(hypothesis, end_of_turn=True)
        self._listener.end_turn()
        if heard.words or has_spoken:
            yield heard


class _OpenTurn:
    """One open turn: its audio, which of it is speech, and the words that are final already."""

    def __init__(
        self,
        listener: Listener,
        rules: TurnRules,
        frames: list[Samples],
        begin: int,
        probability: float,
    ) -> None:
        self.frames = frames
        # The frames of the session that the turn, and what is kept of its audio, start with.
        self.begin = self._first = begin
        self._speech = list(range(self.position - ONSET, self.position))  # frames of the session
        self.silence = 0  # frames since the last speech
        self.kept: Hypothesis | None = None  # decoded when the silence began to count
        self.has_spoken = False
        self._listener = listener
        self._probability = probability
        self._earlier: list[SpokenWord] = []  # of a long turn, what is decoded for good
        self._fixed: list[SpokenWord] = []
        self._last: Sequence[SpokenWord] = ()  # the words of the last partial
        # In milliseconds of the session's audio.
        self._next_partial = self.position * FRAME_MILLISECONDS + rules.first_partial

    @property
    def position(self) -> int:
        """Frames of the session heard so far."""
        return self._first + len(self.frames)

    def add(self, frame: Samples, *, is_speech: bool) -> None:
        """The next frame."""
        self.frames.append(frame)
        self.silence += 1
        if is_speech:
            self._speech.append(self.position - 1)
            self.silence, self.kept = 0, None
        if self.spoken_frames() >= STRETCH:
            self._divide()

    def spoken_frames(self) -> int:
        """How many frames of the audio are worth decoding: up to a little after the last speech."""
        return min(len(self.frames), self._speech[-1] + 1 + TAIL - self._first)

    def hypothesis(self) -> Hypothesis:
        """The turn's words up to here, from its audio and its final words alone."""
        return self._recognize(self.frames[: self.spoken_frames()], None)

    def _recognize(self, frames: list[Samples], guess: Sequence[SpokenWord] | None) -> Hypothesis:
        heard = self._listener.recognize(np.concatenate(frames), self._fixed, guess)
        seconds = len(self._speech_after_fixed()) * FRAME_MILLISECONDS / 1000
        return heard.without_loop(len(self._fixed), seconds)

    def _speech_after_fixed(self) -> list[int]:
        """The frames of the session that hold the words that may still change."""
        start = self._fixed_until() / FRAME_MILLISECONDS
        return [frame for frame in self._speech if start <= frame < self.position]

    def _fixed_until(self) -> int:
        return self._fixed[-1].end if self._fixed else self._first * FRAME_MILLISECONDS

    def _divide(self) -> None:
        """Decode for good what lies before the longest gap in the later half, or else all of it."""
        half = self._first + len(self.frames) // 2
        speech = [half, *(frame for frame in self._speech if frame > half), self.position]
        size, middle = max((b - a, (a + b) // 2) for a, b in pairwise(speech))
        at = (middle if size > GAP else self.position) - self._first
        left, self.frames = self.frames[at:], self.frames[:at]
        self._earlier += [replace(w, is_final=True) for w in self._timed(self.hypothesis())]
        self.frames, self._first = left, self._first + at
        self._fixed, self._last, self.kept = [], (), None
        self._listener.end_turn()

    def is_due_for_partial(self) -> bool:
        """Whether it is time to say what was heard so far; by the audio's clock."""
        now = self.position * FRAME_MILLISECONDS
        return now >= self._next_partial and self.silence < PARTIAL_SILENCE

    def partial(self, rules: TurnRules, *, is_utterance: bool = False) -> Iterator[Heard]:
        """What was heard so far, if it is anything."""
        hypothesis = self._recognize(self.frames, self._last)
        length = len(self.frames) * FRAME_MILLISECONDS
        wait = max(rules.next_partial, math.ceil(length * PARTIAL_SHARE))
        if not hypothesis.words:
            wait = RETRY_MILLISECONDS
        self._next_partial = self.position * FRAME_MILLISECONDS + wait
        if hypothesis.words:
            heard = self.heard(hypothesis, end_of_turn=False)
            self._last = hypothesis.words
            yield replace(heard, is_utterance=is_utterance)

    def heard(self, hypothesis: Hypothesis, *, end_of_turn: bool) -> Heard:
        """A hypothesis with times; the words that are final from now on are kept."""
        words = self._timed(hypothesis)
        settled = len(words) if end_of_turn else self._agreed(words)
        words = [replace(word, is_final=n < settled) for n, word in enumerate(words)]
        self._fixed = words[:settled]
        self.has_spoken = True
        return Heard(
            words=(*self._earlier, *words),
            end_of_turn=end_of_turn,
            confidence=hypothesis.end_confidence if end_of_turn else 0.0,
            speech_start=self._speech[0] * FRAME_MILLISECONDS,
            speech_confidence=round(self._probability, 4),
        )

    def _agreed(self, words: list[SpokenWord]) -> int:
        """How many leading words are final: alike twice in a row and well before the audio's end.

        A finalised word never changes again, so this errs on the late side.
        """
        edge = self.position * FRAME_MILLISECONDS - SETTLE_MILLISECONDS
        for n in range(len(self._fixed), min(len(self._last), len(words) - 1)):
            if self._last[n].plain != words[n].plain or words[n].end > edge:
                return n
        return max(len(self._fixed), min(len(self._last), len(words) - 1))

    def _timed(self, hypothesis: Hypothesis) -> list[SpokenWord]:
        """The words laid over the speech frames, each as long as its letters' share of them."""
        fixed, start, frames = self._fixed, self._fixed_until(), self._speech_after_fixed()
        new = hypothesis.words[len(fixed) :]
        letters = [0, *accumulate(len(word.text) for word in new)]
        times = [_place(frames, count / max(1, letters[-1]), start) for count in letters]
        edges = [*((word.start, word.end) for word in fixed), *pairwise(times)]
        pairs = zip(hypothesis.words, edges, strict=False)
        return [replace(word, start=begin, end=end) for word, (begin, end) in pairs]


def _place(frames: list[int], share: float, otherwise: int) -> int:
    """The time, in ms, that lies ``share`` (0 to 1) of the way through the speech frames."""
    if not frames:
        return otherwise
    at = share * len(frames)
    index = min(int(at), len(frames) - 1)
    return round((frames[index] + (at - index)) * FRAME_MILLISECONDS)
