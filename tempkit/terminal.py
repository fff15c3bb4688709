"""Terminal: how the commands show text, whatever letters the terminal has."""

import io
import sys


def replace_what_is_missing() -> None:
    """Have letters that standard output or error cannot write replaced by a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
