"""The commands of tempkit that are more than a few lines; __main__ has the rest."""

from collections.abc import Callable
from contextlib import suppress


def wait_for_ctrl_c(wait: Callable[[], None]) -> None:
    """Keep what runs running until Ctrl-C. Raises what ``wait`` raises when it ends by itself."""
    print("Press Ctrl-C to stop.", flush=True)
    with suppress(KeyboardInterrupt):
        wait()
