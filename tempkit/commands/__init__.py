"""The commands of tempkit that are more than a few lines; __main__ has the rest."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import redirect_stdout, suppress

from tempkit.config import Settings, default_settings


def port_number(text: str) -> int:
    """The value of ``--port``; whoever listens there checks its range."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}") from None


def settings_aside() -> Settings:
    """The default settings; that a sandbox starts is said on standard error, out of the way."""
    with redirect_stdout(sys.stderr):
        return default_settings()


def wait_for_ctrl_c(wait: Callable[[], None]) -> None:
    """Keep what runs running until Ctrl-C. Raises what ``wait`` raises when it ends by itself."""
    print("Press Ctrl-C to stop.", flush=True)
    with suppress(KeyboardInterrupt):
        wait()
