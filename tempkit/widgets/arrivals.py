"""Arrivals: when the words of a stream came, against when they were said, as a picture."""

import time
from collections.abc import Iterator

from tempkit import pictures
from tempkit.protocol.messages import Turn
from tempkit.streaming.retry import Reconnect
from tempkit.streaming.session import Message, Reconnected, Reconnecting

WIDTH, HEIGHT = 900, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 890, 36, 304  # of the plot
REPLAY_RATE = Reconnect().replay_rate
TITLE = "When each word was spoken, and when its text came"
FINE = "fill:currentColor;font-size:12px"
DOT = "stroke-width:8;stroke-linecap:round"
STYLES = {  # of each kind of thing, in the order in which they are drawn
    "sent": "stroke:currentColor;stroke-opacity:0.35;stroke-width:2",
    "connection lost": f"stroke:{pictures.BAD};stroke-width:2;stroke-dasharray:3 4",
    "sent again": "stroke:#e08a00;stroke-width:4;stroke-linecap:round",
    "partial text": f"stroke:{pictures.ACCENT};stroke-opacity:0.35;{DOT}",
    "final text": f"stroke:{pictures.ACCENT};{DOT}",
}
DOTS = ("partial text", "final text")


class Arrivals:
    """What came of a stream and when; last in a cell it is a picture of that."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        # Lines in seconds: since the start, and of the audio; None stands for the top.
        self._lines: dict[str, list[list[tuple[float, float | None]]]] = {
            kind: [] for kind in STYLES
        }
        self._lines["sent"].append([(0.0, 0.0)])
        self.is_lost = False

    def note(self, message: Message, sent_seconds: float) -> None:
        """Take in a message that has come now, when so much audio was sent."""
        at = time.monotonic() - self._began
        self._lines["sent"][0].append((at, sent_seconds))
        if isinstance(message, Turn) and message.words:
            kind = "final text" if message.end_of_turn else "partial text"
            point = (at, message.words[-1].end / 1000)
            self._lines[kind].append([point, point])
        elif isinstance(message, Reconnecting):
            if not self.is_lost:  # it says so before each try
                self._lines["connection lost"].append([(at, 0.0), (at, None)])
            self.is_lost = True
        elif isinstance(message, Reconnected):
            self.is_lost = False
            first = sent_seconds - message.replayed_seconds
            lasts = message.replayed_seconds / (REPLAY_RATE - 1)
            end = (at + lasts, first + REPLAY_RATE * lasts)
            self._lines["sent again"].append([(at, first), end])

    def __repr__(self) -> str:
        """What is shown where there are no pictures."""
        count = len(self._lines["final text"])
        return f"<Arrivals: {count} final texts, losses: {len(self._lines['connection lost'])}>"

    def _repr_html_(self) -> str:
        points = [point for lines in self._lines.values() for line in lines for point in line]
        across = max(1.0, *(at for at, _ in points))
        top = max(1.0, *(audio for _, audio in points if audio is not None))

        def place(at: float, audio: float | None) -> str:
            x = LEFT + (RIGHT - LEFT) * at / across
            y = BOTTOM - (BOTTOM - TOP) * (1 if audio is None else audio / top)
            return f"{x:.1f},{y:.1f}"

        parts = [_text(LEFT, 20, TITLE, "font-weight:bold"), *_axes(across, top)]
        for kind, lines in self._lines.items():
            path = "".join("M" + "L".join(place(*point) for point in line) for line in lines)
            parts.append(_path(path, STYLES[kind]))
        return (
            f'<svg role="img" aria-label="{TITLE}" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" '
            f'style="max-width:{WIDTH}px;display:block;{pictures.FACE}">'
            f"{''.join([*parts, *self._legend()])}</svg>"
        )

    def _legend(self) -> Iterator[str]:
        """An entry for each kind of thing that is in the picture."""
        there = [kind for kind, lines in self._lines.items() if lines]
        for place, kind in enumerate(there):
            left, y = LEFT + 150 * place, HEIGHT - 12
            mark = f"M{left + 11},{y - 4}h0" if kind in DOTS else f"M{left},{y - 4}h22"
            yield _path(mark, STYLES[kind])
            yield _text(left + 30, y, kind)


def _axes(across: float, top: float) -> Iterator[str]:
    yield _path(f"M{LEFT},{TOP}V{BOTTOM}H{RIGHT}", "stroke:currentColor")
    for second in pictures.ticks(across):
        x = LEFT + (RIGHT - LEFT) * second / across
        yield _text(x, BOTTOM + 16, f"{second}", "text-anchor:middle")
    for second in pictures.ticks(top):
        y = BOTTOM - (BOTTOM - TOP) * second / top
        yield _text(LEFT - 8, y + 4, f"{second}", "text-anchor:end")
    yield _text(RIGHT, BOTTOM + 34, "seconds since the start", "text-anchor:end")
    yield _text(16, (TOP + BOTTOM) / 2, "seconds of audio", "text-anchor:middle", turn=-90)


def _path(path: str, style: str) -> str:
    return f'<path d="{path}" style="fill:none;{style}"/>'


def _text(x: float, y: float, text: str, style: str = "", turn: int = 0) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" transform="rotate({turn} {x:.1f} {y:.1f})"'
    return f'<text {place} style="{FINE};{style}">{text}</text>'
