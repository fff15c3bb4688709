"""Terminal: how the commands show text, whatever letters the terminal has."""

import io
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress


def replace_what_is_missing() -> None:
    """Have letters that standard output or error cannot write replaced by a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def wait_for_ctrl_c(wait: Callable[[], None]) -> None:
    """Keep what runs running until Ctrl-C. Raises what ``wait`` raises when it ends by itself."""
    print("Press Ctrl-C to stop.", flush=True)
    with suppress(KeyboardInterrupt):
        wait()


def show_live(text: str, heard_seconds: float, duration_seconds: float) -> None:
    """An open turn's text on the error stream: one line that moves on a terminal."""
    if not sys.stderr.isatty():
        if text:
            print(f"{heard_seconds:5.1f} s  {text}", file=sys.stderr, flush=True)
        return
    full, empty = _bar_marks(sys.stderr.encoding)
    bar = full * round(10 * min(1.0, heard_seconds / duration_seconds))
    room = shutil.get_terminal_size().columns - 13
    line = f"{bar:{empty}<10}  {text[-room:]}" if text else ""
    print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _bar_marks(encoding: str) -> tuple[str, str]:
    """What a bar is drawn with, full and empty, in an encoding that may have no blocks."""
    try:
        "█░".encode(encoding)
    except UnicodeEncodeError:
        return "#", "-"
    return "█", "░"
