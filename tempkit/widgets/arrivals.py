"""Arrivals: when the words of a stream came, against when they were said, as a picture."""

import time
from collections.abc import Iterable

from tempkit import pictures
from tempkit.protocol.messages import Turn
from tempkit.streaming.retry import Reconnect
from tempkit.streaming.session import Message, Reconnected, Reconnecting

Point = tuple[float, float]  # seconds since the start, seconds of the audio

WIDTH, HEIGHT = 900, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 36, 76  # what is left free around the plot
REPLAY_RATE = Reconnect().replay_rate
TITLE = "When each word came, and when it was said"
FINE = "fill:currentColor;font-size:12px"
SENT = "stroke:currentColor;stroke-opacity:0.35;stroke-width:2;fill:none"
LOST = f"stroke:{pictures.BAD};stroke-width:2;stroke-dasharray:3 4"
AGAIN = "stroke:#e08a00;stroke-width:4;stroke-linecap:round"
PARTIAL = f"stroke:{pictures.ACCENT};fill:none"
FINAL = f"stroke:{pictures.ACCENT};fill:{pictures.ACCENT}"


class Arrivals:
    """What came of a stream and when; last in a cell it is a picture of that."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._sent: list[Point] = [(0.0, 0.0)]
        self._partial: list[Point] = []
        self._final: list[Point] = []
        self._lost: list[float] = []
        self._again: list[tuple[Point, Point]] = []
        self._is_lost = False

    def note(self, message: Message, sent_seconds: float) -> None:
        """Take in a message that has come now, when so much audio was sent."""
        at = time.monotonic() - self._began
        self._sent.append((at, sent_seconds))
        if isinstance(message, Turn) and message.words:
            points = self._final if message.end_of_turn else self._partial
            points.append((at, message.words[-1].end / 1000))
        elif isinstance(message, Reconnecting):
            if not self._is_lost:  # it says so before each try
                self._lost.append(at)
            self._is_lost = True
        elif isinstance(message, Reconnected):
            self._is_lost = False
            first = sent_seconds - message.replayed_seconds
            lasts = message.replayed_seconds / (REPLAY_RATE - 1)
            self._again.append(((at, first), (at + lasts, first + REPLAY_RATE * lasts)))

    def __repr__(self) -> str:
        """What is shown where there are no pictures."""
        return f"<Arrivals: {len(self._final)} final texts, losses: {len(self._lost)}>"

    def _repr_html_(self) -> str:
        axes = _Axes(*self._ends())
        parts = [f'<text x="{LEFT}" y="20" style="{FINE};font-weight:bold">{TITLE}</text>']
        parts += axes.draw()
        parts.append(f'<polyline points="{axes.places(self._sent)}" style="{SENT}"/>')
        parts += (_line(axes.place(a, 0), axes.place(a, axes.top), LOST) for a in self._lost)
        parts += (_line(axes.place(*a), axes.place(*b), AGAIN) for a, b in self._again)
        parts += (_dot(axes.place(*point), PARTIAL) for point in self._partial)
        parts += (_dot(axes.place(*point), FINAL) for point in self._final)
        parts += self._legend()
        return (
            f'<svg role="img" aria-label="{TITLE}" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" '
            f'style="max-width:{WIDTH}px;display:block;{pictures.FACE}">{"".join(parts)}</svg>'
        )

    def _ends(self) -> Point:
        """How far the axes go."""
        ends = [end for _, end in self._again]
        points = [*self._sent, *self._partial, *self._final, *ends, (1.0, 1.0)]
        return max(at for at, _ in points), max(audio for _, audio in points)

    def _legend(self) -> Iterable[str]:
        """An entry for each kind of thing that is in the picture."""
        y = HEIGHT - 12
        kinds = [
            ("sent", SENT, True, self._sent),
            ("partial text", PARTIAL, False, self._partial),
            ("final text", FINAL, False, self._final),
            ("connection lost", LOST, True, self._lost),
            ("sent again", AGAIN, True, self._again),
        ]
        there = [(name, style, is_line) for name, style, is_line, found in kinds if found]
        for x, (name, style, is_line) in enumerate(there):
            left = LEFT + 150 * x
            mark = (left, y - 4), (left + 22, y - 4)
            yield _line(*mark, style) if is_line else _dot((left + 11, y - 4), style)
            yield f'<text x="{left + 30}" y="{y}" style="{FINE}">{name}</text>'


class _Axes:
    """Where the seconds since the start, to the right, and those of the audio, upward, lie."""

    def __init__(self, right: float, top: float) -> None:
        self.right, self.top = right, top

    def place(self, at: float, audio: float) -> Point:
        across, up = at / self.right, audio / self.top
        x = LEFT + across * (WIDTH - LEFT - RIGHT)
        return round(x, 1), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1)

    def places(self, points: Iterable[Point]) -> str:
        return " ".join(f"{x},{y}" for x, y in (self.place(*point) for point in points))

    def draw(self) -> Iterable[str]:
        corner = self.place(0, 0)
        yield _line(corner, self.place(self.right, 0), "stroke:currentColor")
        yield _line(corner, self.place(0, self.top), "stroke:currentColor")
        for second in _ticks(self.right):
            x, y = self.place(second, 0)
            yield f'<text x="{x}" y="{y + 16}" text-anchor="middle" style="{FINE}">{second}</text>'
        for second in _ticks(self.top):
            x, y = self.place(0, second)
            yield f'<text x="{x - 8}" y="{y + 4}" text-anchor="end" style="{FINE}">{second}</text>'
        x, y = self.place(self.right, 0)
        yield f'<text x="{x}" y="{y + 34}" text-anchor="end" style="{FINE}">' + (
            "seconds since the start</text>"
        )
        x, y = 16, (TOP + HEIGHT - BOTTOM) // 2
        yield f'<text transform="translate({x},{y}) rotate(-90)" text-anchor="middle" ' + (
            f'style="{FINE}">seconds of audio</text>'
        )


def _ticks(end: float) -> range:
    return range(0, int(end) + 1, next((s for s in pictures.STEPS if end / s <= 8), 3600))


def _line(start: Point, end: Point, style: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" style="{style}"/>'


def _dot(place: Point, style: str) -> str:
    return f'<circle cx="{place[0]}" cy="{place[1]}" r="4" style="{style}"/>'
