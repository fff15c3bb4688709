"""Markup: what transcripts, clips and services look like in a notebook, as HTML. No I/O.

Everything from outside is escaped. Colours are those of JupyterLab where it shows the output, and
such as can be read on light and dark grounds elsewhere. Where a system forces its own colours,
text, borders and currentColor follow it, and grounds vanish.
"""

import base64
import io
import wave
from array import array
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from html import escape

MUTED = "var(--jp-ui-font-color2, #767d8a)"
ACCENT = "var(--jp-brand-color1, #3b78d8)"
GOOD = "var(--jp-success-color1, #388e3c)"
BAD = "var(--jp-error-color1, #d33f3f)"
LIVE = "#d13438"  # that of the page and of the microphone
LINE = "var(--jp-border-color2, #8884)"
FACE = "font-family:var(--jp-ui-font-family, system-ui, sans-serif);font-size:13px;line-height:1.5"
DIGITS = "font-variant-numeric:tabular-nums"
LARGEST_PLAYER = 2**21  # bytes of audio that a notebook may hold to play: 65 s at 16 kHz
BARS = 400  # of a waveform
TICKS = 8  # at the most, on a time line
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # seconds from tick to tick

Span = tuple[float, float, str, str]  # from, to (seconds), the words, their language or ""


def clock(seconds: float) -> str:
    """A time of the audio: ``0:07.3``, from an hour on ``1:00:07.3``."""
    tenths = round(max(0.0, seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else str(minutes)
    return f"{hours}:{rest // 10:02}.{rest % 10}"


def muted(text: str) -> str:
    """A line in muted colours."""
    return f'<span style="color:{MUTED}">{escape(text)}</span>'


def bad(text: str) -> str:
    """A line that says what went wrong."""
    return f'<span style="color:{BAD}">{escape(text)}</span>'


def block(*parts: str) -> str:
    """The parts, one below the other."""
    return f'<div style="{FACE}">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def words(text: str, language: str = "") -> str:
    """What was said, in its own direction; in its language, where that is known."""
    style = "flex:1;display:block"
    return f'<span dir="auto" lang="{escape(language)}" style="{style}">{escape(text)}</span>'


def partial(text: str) -> str:
    """What may still change."""
    return block(f'<i style="color:{MUTED}">{words(text)}</i>')


def turns(spans: Iterable[Span]) -> str:
    """A line for each turn: when it began, and its text."""
    rows = (
        f'<div style="display:flex;gap:1em"><span style="color:{MUTED};{DIGITS};flex:none">'
        f"{clock(start)}</span>{words(text, language)}</div>"
        for start, _, text, language in spans
    )
    return block(*rows)


def transcript(spans: Sequence[Span], moving: str) -> str:
    """What was said: the turns that are over, and what the open one says so far."""
    parts = [turns(spans)] if spans else []
    if moving:
        parts.append(partial(moving))
    return "".join(parts) or block(muted("nothing was said"))


def comparison(said: str, heard: str) -> str:
    """What was heard, marked where its words differ from those that were said.

    Words are compared as they are: normalise both texts first, or capitals and commas count, too.
    """
    right, found = said.split(), heard.split()
    parts = []
    matcher = SequenceMatcher(None, right, found, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        missed, added = (" ".join(right[start:end]), " ".join(found[other_start:other_end]))
        if kind == "equal":
            parts.append(escape(added))
            continue
        if missed:
            parts.append(f'<del style="color:{MUTED}">{escape(missed)}</del>')
        if added:
            parts.append(f'<ins style="color:{BAD};font-weight:bold">{escape(added)}</ins>')
    return block(" ".join(parts))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text; of the last column what there is room for."""
    plain = f"text-align:left;padding:0 1.2em 0 0;white-space:nowrap;{DIGITS};background:none"
    last = f"{plain};width:100%;max-width:0;overflow:hidden;text-overflow:ellipsis"
    styles = [plain] * (len(columns) - 1) + [last]

    def line(kind: str, more: str, row: Sequence[str]) -> str:
        cells = "".join(
            f'<{kind} style="{style}{more}">{escape(text)}</{kind}>'
            for style, text in zip(styles, row, strict=True)
        )
        return f'<tr style="background:none">{cells}</tr>'

    head = line("th", f";color:{MUTED};font-weight:normal", columns)
    body = "".join(line("td", "", row) for row in rows)
    style = f"{FACE};border-collapse:collapse;margin:0;border:0;width:100%"
    return f'<table style="{style}"><thead>{head}</thead><tbody>{body}</tbody></table>'


def timeline(spans: Iterable[Span], total: float, at: float, open_from: float | None) -> str:
    """When each turn was said, on a line of ``total`` seconds of which ``at`` have been sent.

    ``open_from`` is where the turn began that is still open, if there is one.
    """
    total = max(total, 0.1)
    boxes = [_box(start, end, total, text, ACCENT) for start, end, text, _ in spans]
    if open_from is not None:
        boxes.append(_box(open_from, max(at, open_from), total, "", "currentColor"))
    sent = f'<rect x="0" y="9" width="{_place(at, total)}%" height="2" style="fill:{ACCENT}"/>'
    rest = '<rect x="0" y="9.5" width="100%" height="1" style="fill:currentColor;opacity:0.4"/>'
    marks = [_tick(second, total) for second in ticks(total)]
    label = f"{len(boxes)} turns in {total:.0f} seconds of audio"
    return (
        f'<svg role="img" aria-label="{label}" width="100%" height="34" '
        f'style="display:block;overflow:visible">{rest}{sent}{"".join(boxes + marks)}</svg>'
    )


def ticks(total: float) -> range:
    """The seconds that are marked on an axis of ``total`` seconds."""
    step = next((step for step in STEPS if total / step <= TICKS), STEPS[-1])
    return range(0, int(total) + 1, step)


def _box(start: float, end: float, total: float, text: str, colour: str) -> str:
    left, width = _place(start, total), max(0.3, _place(end, total) - _place(start, total))
    title = f"<title>{clock(start)} to {clock(end)}: {escape(text)}</title>" if text else ""
    return (
        f'<rect x="{left}%" y="2" width="{width:.2f}%" height="16" rx="3" '
        f'style="fill:{colour};fill-opacity:0.4;stroke:{colour}">{title}</rect>'
    )


def _tick(second: int, total: float) -> str:
    place = _place(second, total)
    anchor = "start" if place < 3 else "end" if place > 97 else "middle"
    text = f"{second // 60}:{second % 60:02}" if total >= 60 else f"{second} s"
    return (
        f'<text x="{place}%" y="32" font-size="10" text-anchor="{anchor}" style="{DIGITS};'
        f'fill:currentColor;opacity:0.7">{text}</text>'
    )


def _place(seconds: float, total: float) -> float:
    return round(100 * min(max(seconds / total, 0.0), 1.0), 2)


def clip(pcm: bytes, sample_rate: int, duration: float | None) -> str:
    """A sound: its waveform, a player, and how long it is, as far as that is known.

    ``pcm`` is 16-bit little-endian mono at ``sample_rate`` Hz: all of the sound, or of a longer one
    the first LARGEST_PLAYER bytes, as a notebook should not hold more.
    """
    seconds = len(pcm) / 2 / sample_rate
    length = clock(seconds)
    if len(pcm) >= LARGEST_PLAYER and duration != seconds:
        whole = "a longer clip" if duration is None else clock(duration)
        length = f"the first {seconds:.0f} s of {whole}"
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, sample_rate, 0, "NONE", ""))
        writer.writeframes(pcm)
    data = base64.b64encode(file.getvalue()).decode()
    player = f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
    return block(_waveform(pcm), player, muted(f"{length}, {sample_rate} Hz"))


def _waveform(pcm: bytes) -> str:
    """How loud a sound is along its length, as a row of bars; the loudest is as high as it gets."""
    samples = array("h", pcm)
    size = max(1, -(-len(samples) // BARS))
    pieces = (samples[at : at + size] for at in range(0, len(samples), size))
    peaks = [max(max(piece), -min(piece)) for piece in pieces]
    loudest, step = max(peaks, default=0) or 1, 1000 / max(1, len(peaks))
    heights = (max(0.8, 56 * peak / loudest) for peak in peaks)
    path = "".join(
        f"M{index * step + step / 2:.1f} {30 - height / 2:.1f}v{height:.1f}"
        for index, height in enumerate(heights)
    )
    return (
        '<svg role="img" aria-label="waveform" viewBox="0 0 1000 60" preserveAspectRatio="none" '
        'width="100%" height="60" style="display:block">'
        f'<path d="{path}" style="stroke:{ACCENT}" stroke-width="{step * 0.6:.2f}"/></svg>'
    )


def bar(share: float, seconds: float) -> str:
    """A bar, full by ``share``, that runs empty within ``seconds`` by itself; 0 stands still."""
    runs = f"animation:tempkit-runs-out {seconds:.1f}s linear forwards;" if seconds else ""
    return (
        "<style>@keyframes tempkit-runs-out{to{transform:scaleX(0)}}</style>"
        f'<div style="border:1px solid {LINE};border-radius:4px;background:{LINE};overflow:hidden;'
        f'margin:4px 0"><div style="border-top:6px solid {ACCENT};width:{100 * share:.1f}%;'
        f'transform-origin:left;{runs}"></div></div>'
    )


def link(address: str) -> str:
    """A link that opens in a tab of its own."""
    shown = escape(address)
    style = "color:var(--jp-content-link-color, #3b78d8);text-decoration:underline"
    return f'<a href="{shown}" target="_blank" rel="noopener" style="{style}">{shown}</a>'


def heading(name: str, colour: str, *parts: str) -> str:
    """A dot in a colour that says how it goes, a name, and what there is to say of it, as HTML."""
    dot = f'<span style="color:{colour}">●</span>'
    return f'<div style="{FACE}">{dot} <b>{escape(name)}</b> {" ".join(parts)}</div>'
