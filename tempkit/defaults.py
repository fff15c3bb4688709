"""default_settings: the real service when a key is configured, else a sandbox in this process."""

import os
import threading
from typing import TYPE_CHECKING

from tempkit.config import BASE_URL, KEY_VARIABLE, URL_VARIABLE, Settings
from tempkit.errors import ConfigurationError

if TYPE_CHECKING:
    from tempkit.sandbox import Sandbox

_lock = threading.Lock()
_sandbox: "Sandbox | None" = None


def default_settings() -> Settings:
    """The settings of the real service when a key is configured, else those of a sandbox.

    The sandbox runs in this process, the same one for every call, and is announced in one line.
    Raises ConfigurationError for a key or address that cannot be right, and when the sandbox cannot
    run.
    """
    settings = Settings.from_env()
    if settings.api_key:
        settings.require_key()
        return settings
    if settings.base_url != BASE_URL:
        raise ConfigurationError(
            f"{URL_VARIABLE} is set but {KEY_VARIABLE} is not; set both, or neither to use a "
            "sandbox in this process (a sandbox elsewhere takes any key)"
        )
    return _shared_sandbox().settings


def _shared_sandbox() -> "Sandbox":
    # The one look upward in the house, and a late one: the kit works without the sandbox extra.
    from tempkit.sandbox import Sandbox

    global _sandbox
    with _lock:
        if _sandbox is None or not _sandbox.is_running:
            _sandbox = Sandbox(realtime=False).start()
            print(f"No {KEY_VARIABLE} found: using the sandbox at {_sandbox.url}", flush=True)
        return _sandbox


def _forget_sandbox() -> None:
    """In a forked child: the sandbox is the parent's, and a thread of it may hold the lock."""
    global _lock, _sandbox
    _lock, _sandbox = threading.Lock(), None


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_sandbox)
