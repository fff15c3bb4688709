"""Recorder: writes the frames of a session's connections to a file, while they go."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tempkit.protocol.recording import Close, Frame, Side, head_line

Tells = Callable[[Side, str | bytes | Close], None]


class Recorder:
    """A file of JSON lines, see ``tempkit.protocol.recording``; no key and no token is in it.

    Each connection starts with a line of its own. ``keeps_audio`` False writes how long the audio
    was in its place. Raises OSError when the file cannot be written.
    """

    def __init__(self, path: str | Path, *, keeps_audio: bool = True) -> None:
        self._file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - see close()
        self._keeps_audio = keeps_audio
        self._lock = threading.Lock()

    def begin(self, query: Mapping[str, str]) -> Tells:
        """A connection opens; gives what is to be told of each of its frames."""
        begun = time.monotonic()
        self._write(head_line(query))

        def tell(by: Side, data: str | bytes | Close) -> None:
            frame = Frame(time.monotonic() - begun, by, data)
            self._write(frame.line(keeps_audio=self._keeps_audio))

        return tell

    def close(self) -> None:
        """Nothing more is written."""
        with self._lock:
            self._file.close()

    def _write(self, line: str) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{line}\n")
