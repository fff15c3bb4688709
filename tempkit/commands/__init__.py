"""The commands of tempkit that are more than a few lines; __main__ has the rest."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress

from tempkit.config import Settings, default_settings


def settings_aside() -> Settings:
    """The default settings; that a sandbox starts is said on standard error, out of the way."""
    with redirect_stdout(sys.stderr):
        return default_settings()


def wait_for_ctrl_c(wait: Callable[[], None]) -> None:
    """Keep what runs running until Ctrl-C. Raises what ``wait`` raises when it ends by itself."""
    print("Press Ctrl-C to stop.", flush=True)
    with suppress(KeyboardInterrupt):
        wait()
