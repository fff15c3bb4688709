"""The audio that the service may have to hear again, and the clock it is counted on. No I/O.

A session's audio has one clock, milliseconds from its first sample, whatever connections carry it.
The service counts from the start of each connection; ``own_time`` turns its times into ours.
"""

import math
from bisect import bisect_right

from tempkit.protocol.messages import CHUNK_MILLISECONDS
from tempkit.protocol.parameters import SAMPLE_WIDTH
from tempkit.sound.samples import AudioFormat

LARGEST_CHUNK = 100  # ms: what is sent at once; the service allows ten times as much
SILENCE = {"pcm_s16le": b"\x00", "pcm_mulaw": b"\xff"}
COVERED_SECONDS = 60.0  # so long after it sounded, audio without a word is taken for heard


class Backlog:
    """What was offered, from the end of the last final turn on. Positions are bytes of the session.

    What is sent again goes out at ``rate`` times the speed at which it sounds; infinity is at once.
    """

    def __init__(self, audio: AudioFormat, *, limit_seconds: float, rate: float) -> None:
        self.audio = audio
        self.limit_seconds = limit_seconds
        self.rate = rate
        self.lost = 0  # bytes that no connection carried, or that could not be sent again
        self.start = 0  # position of the first byte that is kept
        self._bytes = bytearray()
        self._frame = SAMPLE_WIDTH[audio.encoding]
        self._silence = SILENCE[audio.encoding]
        self._limit = audio.size(limit_seconds * 1000)
        self._smallest = audio.size(CHUNK_MILLISECONDS[0])
        self._largest = audio.size(LARGEST_CHUNK)
        self._commands: list[tuple[int, str]] = []
        self._risked = 0  # bytes that were sent and let go before the service had heard them
        self._replay: tuple[float, int] | None = None  # since when, from where
        self.connect(0.0)

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + len(self._bytes)

    @property
    def seconds(self) -> float:
        """How much is kept."""
        return self.audio.seconds(len(self._bytes))

    @property
    def carried_seconds(self) -> float:
        """How much audio the present connection carried."""
        return self.audio.seconds(self._carried)

    @property
    def is_sent(self) -> bool:
        """Whether the present connection carried all there is."""
        return self.sent == self.end and self._told == len(self._commands)

    def offer(self, data: bytes) -> None:
        """More audio; what is more than the limit pushes the oldest out."""
        self._bytes += data
        self._forget(self.end - self._limit)

    def command(self, text: str) -> None:
        """A message that belongs at this place of the audio; half a sample before it is cut off."""
        del self._bytes[len(self._bytes) - self.end % self._frame :]
        self._commands.append((self.end, text))

    def take(self, now: float) -> bytes | str | None:
        """The next piece of 50 to 100 ms, or command, to send now; None when nothing is due."""
        place, text = (*self._commands, (self.end, None))[self._told]
        if self.sent >= place and text is not None:
            self._told += 1
            return text
        size = min(place - self.sent, self._largest)
        size -= size % self._frame
        if text is None and size < self._smallest:
            self._replay = None  # all that waited is sent
            return None
        if self.due(now) > now:
            return None
        rest = place - self.sent - size
        if text is not None and 0 < rest < self._smallest:
            size -= (self._smallest - rest) // self._frame * self._frame
        at = self.sent - self.start
        piece = bytes(self._bytes[at : at + size]).ljust(self._smallest, self._silence)
        self.sent += size
        self._carried += len(piece)
        if len(piece) > size:  # silence that is on the connection alone: the clocks part here
            self._clock.append((self._carried, self.sent))
        return piece

    def due(self, now: float) -> float:
        """When the next piece may be sent: replayed audio keeps its rate, other goes at once."""
        if self._replay is None:
            return now
        since, place = self._replay
        return since + self.audio.seconds(self.sent - place) / self.rate

    def connect(self, now: float) -> None:
        """A new connection carries everything that is kept, from its beginning."""
        self.lost, self._risked = self.lost + self._risked, 0
        self.sent = self.start  # up to where it carried the audio
        self._carried = 0  # bytes, with what fills pieces up
        self._told = 0  # how many of the commands
        self._clock = [(0, self.start)]  # bytes that it carried, position: where the two part
        self._replay = (now, self.start) if self._bytes else None

    @property
    def is_on_its_own_clock(self) -> bool:
        """Whether the present connection's times are the session's own."""
        return self._clock == [(0, 0)]

    def own_time(self, milliseconds: int) -> int:
        """A time of the present connection, ms, on the session's clock."""
        ahead = self.audio.seconds(self._ahead(self._position(milliseconds)))
        return milliseconds + round(ahead * 1000)

    def release(self, milliseconds: int) -> None:
        """The service has heard everything up to a time of the session's clock, ms."""
        self._risked = 0
        self._drop(min(self._position(milliseconds), self.sent))

    def release_silence(self, connected_seconds: float) -> None:
        """No turn is open: what sounded long ago without a word will bring none any more."""
        heard = self.audio.size(max(0.0, connected_seconds - COVERED_SECONDS) * 1000)
        if heard and self._carried:
            self._drop(min(heard + self._ahead(heard), self.sent))

    def _position(self, milliseconds: int) -> int:
        return milliseconds * self.audio.sample_rate // 1000 * self._frame

    def _ahead(self, carried: int) -> int:
        """By how much the session's clock is ahead where the connection had carried so much."""
        at, position = self._clock[bisect_right(self._clock, (carried, math.inf)) - 1]
        return position - at

    def _forget(self, position: int) -> None:
        """Drop what the limit pushes out: lost if it was never sent, at risk until it is heard."""
        if position <= self.start:
            return
        position += -position % self._frame
        if position > self.sent:
            self.lost += position - self.sent
            self._clock.append((self._carried, position))
        self._risked += max(0, min(self.sent, position) - self.start)
        self.sent = max(self.sent, position)
        self._drop(position)

    def _drop(self, position: int) -> None:
        if position <= self.start:
            return
        del self._bytes[: position - self.start]
        self.start = position
        while self._told and self._commands[0][0] < position:
            del self._commands[0]
            self._told -= 1
