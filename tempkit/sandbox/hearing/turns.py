"""Turn detection: audio in, what was said and when a turn ends out. No I/O; time is the audio's.

The rules are those of the service's turn detection page: a turn ends when the recogniser is
confident that the sentence is over and ``min_turn_silence`` has passed, or at ``max_turn_silence``.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from tempkit.protocol.messages import Silence
from tempkit.sandbox.hearing.heard import Heard, TurnRules, plain, without_loop
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
PARTIAL_SHARE = 0.06  # of the turn's length: partials come no closer, so that cost stays flat
RETRY_MILLISECONDS = 750  # until the next try, after a partial that would have been empty
PAUSE = 160 // FRAME_MILLISECONDS  # frames of silence after which an utterance is complete
QUIET = 1000 // FRAME_MILLISECONDS  # frames of silence in one Silence
PARTIAL_SILENCE = 300 // FRAME_MILLISECONDS  # frames of silence after which no partial is made
SETTLE_MILLISECONDS = 600  # a word this far from the edge of the audio may become final
STRETCH = 28_000 // FRAME_MILLISECONDS  # frames: the recogniser knows no longer ones
GAP = 3  # frames without speech: a place to divide a long turn at


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

    def finish(self) -> Iterator[Heard | Silence]:
        """No more audio comes: the last samples, then the end of the open turn."""
        if len(self._rest):
            yield from self.hear(np.zeros(FRAME - len(self._rest), np.float32))
        yield from self.end_turn()

    def _hear_frame(self, frame: Samples) -> Iterator[Heard | Silence]:
        probability = self._listener.speech_probability(frame)
        self._position += 1
        self._highest = max(self._highest, probability)
        self._quiet = 0 if probability > self.rules.vad_threshold else self._quiet + 1
        if self.rules.acknowledges_silence and self._quiet == QUIET:
            # U3: "about every 1 s of silence with acknowledge_silence=true".
            self._quiet = 0
            end = self._position * FRAME_MILLISECONDS
            yield Silence(end - QUIET * FRAME_MILLISECONDS, end)
        if self._turn is None:
            self._look_back.append(frame)
            self._onset = self._onset + 1 if probability > self.rules.vad_threshold else 0
            if self._onset >= ONSET:
                self._turn = self._open(probability)
            return
        turn = self._turn
        turn.add(frame, is_speech=probability >= self.rules.vad_threshold - HYSTERESIS)
        if turn.spoken_frames() >= STRETCH:
            turn.divide()
        least_silence = min(self.rules.min_turn_silence, self.rules.max_turn_silence)
        if (turn.position - turn.begin) * FRAME_MILLISECONDS >= self.rules.longest:
            yield from self._close(turn, turn.hypothesis())
        elif turn.silence * FRAME_MILLISECONDS >= least_silence:
            yield from self._in_silence(turn)
        elif self.rules.utters_in_pauses and turn.silence == PAUSE:
            yield from turn.partial(self.rules, is_utterance=True)
        elif turn.is_due_for_partial():
            yield from turn.partial(self.rules)

    def _open(self, probability: float) -> "_OpenTurn":
        frames = list(self._look_back)
        self._look_back.clear()
        self._onset = 0
        turn = _OpenTurn(self._listener, frames, self._position, probability)
        turn.next_partial = self._position * FRAME_MILLISECONDS + self.rules.first_partial
        return turn

    def _in_silence(self, turn: "_OpenTurn") -> Iterator[Heard]:
        is_new = turn.kept is None
        if turn.kept is None:
            turn.kept = turn.hypothesis()
        silence = turn.silence * FRAME_MILLISECONDS
        threshold = self.rules.end_of_turn_confidence_threshold
        # "Threshold 0: min_turn_silence decides."
        confident = turn.kept.end_confidence > threshold or threshold == 0
        # Semantic, or acoustic as a fallback: the two "independent ways to end a turn".
        if (confident and silence >= self.rules.min_turn_silence) or (
            silence >= self.rules.max_turn_silence
        ):
            yield from self._close(turn, turn.kept)
        elif is_new and self.rules.guesses_in_silence and turn.kept.words:
            # U3: "transcribes speculatively at min_turn_silence; otherwise one partial".
            yield turn.heard(turn.kept, end_of_turn=False)
            turn.has_spoken = True

    def _close(self, turn: "_OpenTurn", hypothesis: Hypothesis) -> Iterator[Heard]:
        self._turn = None
        self._look_back.extend(turn.frames[turn.spoken_frames() :])
        heard = turn.heard(hypothesis, end_of_turn=True)
        self._listener.end_turn()
        if heard.words or turn.has_spoken:
            yield heard


class _OpenTurn:
    """One open turn: its audio, which of it is speech, and the words that are final already."""

    def __init__(
        self, listener: Listener, frames: list[Samples], position: int, probability: float
    ) -> None:
        self.frames = frames
        # The frames of the session that the turn, and what is kept of its audio, start with.
        self.begin = self.first = position - len(frames)
        self.speech = list(range(position - ONSET, position))  # frames of the session
        self.silence = 0  # frames since the last speech
        self.kept: Hypothesis | None = None  # decoded when the silence began to count
        self.has_spoken = False
        self._listener = listener
        self._probability = probability
        self._earlier: list[SpokenWord] = []  # of a long turn, what is decoded for good
        self._fixed: list[SpokenWord] = []
        self._last: Hypothesis | None = None
        self.next_partial: float = 0  # milliseconds of the session's audio

    @property
    def position(self) -> int:
        """Frames of the session heard so far."""
        return self.first + len(self.frames)

    def add(self, frame: Samples, *, is_speech: bool) -> None:
        """The next frame."""
        self.frames.append(frame)
        if is_speech:
            self.speech.append(self.position - 1)
            self.silence = 0
            self.kept = None
        else:
            self.silence += 1

    def spoken_frames(self) -> int:
        """How many frames of the audio are worth decoding: up to a little after the last speech."""
        return min(len(self.frames), self.speech[-1] + 1 + TAIL - self.first)

    def hypothesis(self) -> Hypothesis:
        """The turn's words up to here, from its audio and its final words alone."""
        samples = np.concatenate(self.frames[: self.spoken_frames()])
        return self._recognize(samples, None)

    def _recognize(self, samples: Samples, guess: Sequence[SpokenWord] | None) -> Hypothesis:
        hypothesis = self._listener.recognize(samples, self._fixed, guess)
        seconds = len(self._speech_after_fixed()) * FRAME_MILLISECONDS / 1000
        return without_loop(hypothesis, len(self._fixed), seconds)

    def _speech_after_fixed(self) -> list[int]:
        """The frames of the session that hold the words that may still change."""
        start = self._fixed[-1].end if self._fixed else self.first * FRAME_MILLISECONDS
        return [f for f in self.speech if start <= f * FRAME_MILLISECONDS and f < self.position]

    def divide(self) -> None:
        """Decode for good what lies before the latest long gap, and keep the audio after it."""
        at = self._latest_gap()
        kept, self.frames = self.frames[at:], self.frames[:at]
        self._earlier += [replace(w, is_final=True) for w in self._timed(self.hypothesis())]
        self.frames, self.first = kept, self.first + at
        self._fixed, self._last, self.kept = [], None, None
        self._listener.end_turn()

    def _latest_gap(self) -> int:
        """The middle of the longest gap in the later half of the audio, or else its end."""
        half = self.first + len(self.frames) // 2
        speech = [half, *(frame for frame in self.speech if frame > half), self.position]
        size, middle = max((b - a, (a + b) // 2) for a, b in pairwise(speech))
        return (middle if size > GAP else self.position) - self.first

    def is_due_for_partial(self) -> bool:
        """Whether it is time to say what was heard so far; by the audio's clock."""
        now = self.position * FRAME_MILLISECONDS
        return now >= self.next_partial and self.silence < PARTIAL_SILENCE

    def partial(self, rules: TurnRules, *, is_utterance: bool = False) -> Iterator[Heard]:
        """What was heard so far, if it is anything."""
        now = self.position * FRAME_MILLISECONDS
        guess = self._last.words if self._last else ()
        hypothesis = self._recognize(np.concatenate(self.frames), guess)
        if not hypothesis.words:
            self.next_partial = now + RETRY_MILLISECONDS
            return
        length = len(self.frames) * FRAME_MILLISECONDS
        self.next_partial = now + max(rules.next_partial, math.ceil(length * PARTIAL_SHARE))
        heard = self.heard(hypothesis, end_of_turn=False)
        self._last = hypothesis
        self.has_spoken = True
        yield replace(heard, is_utterance=is_utterance)

    def heard(self, hypothesis: Hypothesis, *, end_of_turn: bool) -> Heard:
        """A hypothesis with times; the words that are final from now on are kept."""
        words = self._timed(hypothesis)
        settled = len(words) if end_of_turn else self._agreed(words)
        words = [replace(word, is_final=n < settled) for n, word in enumerate(words)]
        if not end_of_turn:
            self._fixed = words[:settled]
        return Heard(
            words=(*self._earlier, *words),
            end_of_turn=end_of_turn,
            confidence=hypothesis.end_confidence if end_of_turn else 0.0,
            speech_start=self.speech[0] * FRAME_MILLISECONDS,
            speech_confidence=round(self._probability, 4),
        )

    def _agreed(self, words: list[SpokenWord]) -> int:
        """How many leading words are final: alike twice in a row and well before the audio's end.

        A finalised word never changes again, so this errs on the late side.
        """
        count = len(self._fixed)
        before = self._last.words if self._last else ()
        edge = self.position * FRAME_MILLISECONDS - SETTLE_MILLISECONDS
        while count < min(len(before), len(words) - 1):
            if plain(before[count].text) != plain(words[count].text):
                break
            if words[count].end > edge:
                break
            count += 1
        return count

    def _timed(self, hypothesis: Hypothesis) -> list[SpokenWord]:
        """The words laid over the speech frames, each as long as its letters' share of them."""
        fixed = self._fixed
        timed = [
            replace(word, start=before.start, end=before.end)
            for word, before in zip(hypothesis.words, fixed, strict=False)
        ]
        new = hypothesis.words[len(fixed) :]
        start = fixed[-1].end if fixed else self.first * FRAME_MILLISECONDS
        frames = self._speech_after_fixed()
        letters = sum(len(word.text) for word in new)
        passed = 0
        for word in new:
            begin = _place(frames, passed / letters, start)
            passed += len(word.text)
            end = max(begin, _place(frames, passed / letters, start))
            timed.append(replace(word, start=begin, end=end))
        return timed


def _place(frames: list[int], share: float, otherwise: int) -> int:
    """The time, in ms, that lies ``share`` (0 to 1) of the way through the speech frames."""
    if not frames:
        return otherwise
    at = share * len(frames)
    index = min(int(at), len(frames) - 1)
    return round((frames[index] + (at - index)) * FRAME_MILLISECONDS)
