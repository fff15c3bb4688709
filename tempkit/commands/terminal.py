"""Terminal: how the commands show text, whatever letters the terminal has."""

import io
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
