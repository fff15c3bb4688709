"""Both halves of a session joined by a list instead of a socket, on a clock that tests move."""

from collections import deque
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tempkit import Reconnect, SessionParameters
from tempkit.protocol.messages import Begin, ServerMessage, dump
from tempkit.protocol.recording import Close
from tempkit.sandbox.hearing.recognizer import FRAME, RATE, Hypothesis, Samples, SpokenWord
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.session import ServerSession
from tempkit.streaming.session import ClientSession
from tempkit.streaming.watch import Watch

PIECE_SECONDS = 0.1
WORD_MS, PAUSE_MS = 200, 700
WINDOW = 256  # samples; a tone sits in the middle of a bin of RATE / WINDOW Hz
NAMES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
)


def tones(turns: Sequence[str]) -> bytes:
    """Speech for the recogniser below: a tone for each word, a pause after each turn."""
    pause = np.zeros(RATE * PAUSE_MS // 1000)
    time = np.arange(RATE * WORD_MS // 1000) / RATE
    pieces = [pause[: RATE // 10]]
    for turn in turns:
        for word in turn.split():
            hertz = (8 + 4 * NAMES.index(word)) * RATE / WINDOW
            pieces.append(0.3 * np.sin(2 * np.pi * hertz * time))
        pieces.append(pause)
    return (np.concatenate(pieces) * 32767).astype("<i2").tobytes()


class ToneRecognizer:
    """Hears words in tones: what it says depends on the audio alone, wherever that begins."""

    def listen(self) -> "ToneRecognizer":
        return self

    def speech_probability(self, frame: Samples) -> float:
        assert len(frame) == FRAME
        return float(np.dot(frame, frame) > 0.05**2 * FRAME)

    def recognize(
        self,
        samples: Samples,
        fixed: Sequence[SpokenWord],
        guess: Sequence[SpokenWord] | None,
    ) -> Hypothesis:
        whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
        spectrum = np.abs(np.fft.rfft(whole))
        bins = np.where(spectrum.max(axis=1) > 10, spectrum.argmax(axis=1), 0)
        runs = [(place, len(list(run))) for place, run in groupby(bins)]
        heard = [NAMES[(place - 8) // 4] for place, length in runs if place >= 8 and length >= 4]
        words = tuple(SpokenWord(word, 1.0) for word in heard)
        assert [w.text for w in words[: len(fixed)]] == [w.text for w in fixed]
        return Hypothesis(words, 1.0)

    def end_turn(self) -> None:
        pass


class Line:
    """One session of the client half, over as many sessions of the server half as it takes.

    ``cuts`` are numbers of transmissions (either way, counted from 0) in which the line breaks:
    a whole number before the message arrives, ``n + 0.5`` after it.
    """

    def __init__(
        self, audio: bytes, cuts: Sequence[float] = (), *, seconds: float = 10_800
    ) -> None:
        self.parameters = SessionParameters()
        self.half = ClientSession(self.parameters, Reconnect())
        self.connections = 0
        self.transmissions = 0
        self.sent: list[tuple[int, str]] = []
        self.messages: list[object] = []
        self.most_kept = 0.0
        self.now = 0.0
        self._audio = deque(audio[at : at + 3200] for at in range(0, len(audio), 3200))
        self._cuts = set(cuts)
        self._seconds = seconds
        self._ledger = Ledger()
        self._server: ServerSession | None = None

    def run(self) -> "Line":
        """Stream all audio in real time, terminate, and go on until the Termination."""
        limit = 3 * len(self._audio) + 3000
        for _ in range(limit):
            if self._server is None:
                self._connect()
            if self._audio:
                self.half.backlog.offer(self._audio.popleft())
            elif not self.half.has_ended_audio:
                self.half.end_audio()
            self._exchange()
            if self.half.termination:
                return self
            self.now += PIECE_SECONDS
        raise AssertionError("the session did not end")

    def _connect(self) -> None:
        self.connections += 1
        token = self._ledger.issue(self.now, 60, self._seconds)
        query = self.half.parameters.client_query() | {"token": token}
        self._server = ServerSession(query, None, self._ledger, ToneRecognizer, lambda: self.now)
        self.half.connected(self.now)
        stall_seconds = Reconnect().stall_seconds
        self._watch = Watch(stall_seconds, self.now, self.now + self._seconds)
        self._deliver(list(self._server.open()))

    def _exchange(self) -> None:
        while self._server is not None:
            piece = self.half.backlog.take(self.now)
            if piece is None:
                break
            if self._transmit():
                self._deliver(list(self._server.receive(piece)))
        self.most_kept = max(self.most_kept, self.half.backlog.seconds)
        self.half.pass_time(self.now)
        is_between = not self.half.transcript.partial
        if self._server and self._watch.look(self.now, 0.0, is_between_turns=is_between):
            self._server = None

    def _deliver(self, outputs: list) -> None:
        for output in outputs:
            if isinstance(output, Close):
                self._server = None
                return
            if not self._transmit(output):
                return
            self._watch.hear(self.now, self.half.taken_ms)

    def _transmit(self, output: ServerMessage | None = None) -> bool:
        """Carry one message, an ``output`` to the client; whether the line is still there."""
        number, self.transmissions = self.transmissions, self.transmissions + 1
        if number in self._cuts:
            self._server = None
            return False
        if output is not None:
            message = self.half.receive(dump(output))
            if message is not None and not isinstance(message, Begin):
                self.messages.append(message)
        if number + 0.5 in self._cuts:
            self._server = None
        return self._server is not None
