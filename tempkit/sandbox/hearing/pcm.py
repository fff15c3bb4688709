"""From the bytes of a session to what a recogniser is fed with."""

import numpy as np
import soxr

from tempkit.protocol.parameters import SAMPLE_WIDTH
from tempkit.sandbox.hearing.recognizer import RATE, Samples

# The value of each of the 256 mu-law codes, -1..1 (ITU-T G.711).
_code = ~np.arange(256) & 0xFF
_magnitude = (((_code & 0x0F) << 3) + 0x84 << ((_code & 0x70) >> 4)) - 0x84
MULAW: Samples = (np.where(_code & 0x80, -_magnitude, _magnitude) / 32768).astype(np.float32)


class PcmDecoder:
    """Turns one session's audio messages into mono samples at 16 kHz, -1..1."""

    def __init__(self, sample_rate: int, encoding: str) -> None:
        self._encoding = encoding
        self._odd = b""  # half a sample, which the next message completes
        self._bytes_per_ms = sample_rate * SAMPLE_WIDTH[encoding] / 1000
        self._resampler = (
            None if sample_rate == RATE else soxr.ResampleStream(sample_rate, RATE, 1, "float32")
        )

    def milliseconds(self, data: bytes) -> float:
        """How long a message sounds."""
        return len(data) / self._bytes_per_ms

    def decode(self, data: bytes, *, is_last: bool = False) -> Samples:
        """The samples that this message completes; ``is_last`` gives what is still inside."""
        if self._encoding == "pcm_mulaw":
            samples: Samples = MULAW[np.frombuffer(data, np.uint8)]
        else:
            data = self._odd + data
            whole = len(data) // 2 * 2
            data, self._odd = data[:whole], data[whole:]
            samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        if self._resampler is None:
            return samples
        resampled: Samples = self._resampler.resample_chunk(samples, last=is_last)
        return resampled
