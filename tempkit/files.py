"""Folder: the files of a folder from memory, looked at again by one ``stat`` a request."""

import hashlib
import mimetypes
import os
import threading
from collections.abc import Generator
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

LARGEST_KEPT = 4 * 1024 * 1024  # bytes; a larger file is read while it is sent
MOST_KEPT = 64 * 1024 * 1024  # bytes of all files together
MOST_FILES = 500
PIECE = 64 * 1024

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wav": "audio/wav",
    ".svg": "image/svg+xml",
}


class LargeFile:
    """A file that is read while it is sent, so that it is never in memory; ``len`` is its size."""

    def __init__(self, path: Path, status: os.stat_result) -> None:
        self._path, self._version, self._size = path, _version(status), status.st_size

    def __len__(self) -> int:
        return self._size

    def pieces(self) -> Generator[bytes, None, None]:
        """The bytes. Raises OSError when the file is no longer what it was."""
        with self._path.open("rb", buffering=0) as source:
            if _version(os.fstat(source.fileno())) != self._version:
                raise OSError("the file has changed")
            left = self._size
            while left:
                piece = source.read(min(PIECE, left))
                if not piece:
                    raise OSError("the file has become shorter")
                left -= len(piece)
                yield piece


Body: TypeAlias = bytes | LargeFile


class File(NamedTuple):
    """A file's bytes, and what an answer says about them."""

    body: Body
    headers: tuple[tuple[str, str], ...]
    etag: str
    modified: float
    version: tuple[int, ...]


class Folder:
    """The files of a folder: no listing, no dot files, nothing outside of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._files: dict[str, File] = {}
        self._lock = threading.Lock()

    def find(self, path: str) -> File | None:
        """The file at a decoded path, None where there is none to be served."""
        name = self._name(path)
        if name is None:
            return None
        try:
            version = _version(os.stat(name))
            file = self._files.get(name)
            if file is None or file.version != version:
                file = self._read(name)
        except (OSError, ValueError):
            return None
        return file

    def _name(self, path: str) -> str | None:
        if path == "/":
            path = "/index.html"
        # A backslash and a colon are parts of a path on Windows.
        if not path.startswith("/") or any(sign in path for sign in "\0\\:"):
            return None
        parts = path[1:].split("/")
        if any(not part or part.startswith(".") for part in parts):
            return None
        return os.path.join(self.directory, *parts)

    def _read(self, name: str) -> File | None:
        path = Path(name).resolve()
        if not path.is_relative_to(self.directory) or not path.is_file():
            return None
        with path.open("rb") as source:
            status = os.fstat(source.fileno())
            is_large = status.st_size > LARGEST_KEPT
            read = b"" if is_large else source.read(LARGEST_KEPT)
        body: Body = LargeFile(path, status) if is_large else read
        seed = repr(_version(status)).encode() if is_large else read
        etag = f'"{hashlib.sha256(seed).hexdigest()[:24]}"'
        kind = TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
        headers = (
            ("Content-Type", kind or "application/octet-stream"),
            ("Cache-Control", "no-cache"),  # kept, but asked about each time
            ("ETag", etag),
            ("Last-Modified", formatdate(status.st_mtime, usegmt=True)),
        )
        file = File(body, headers, etag, status.st_mtime, _version(status))
        with self._lock:
            self._files.pop(name, None)
            self._files[name] = file
            while len(self._files) > MOST_FILES or self._bytes_kept() > MOST_KEPT:
                del self._files[next(iter(self._files))]
        return file

    def _bytes_kept(self) -> int:
        return sum(len(each.body) for each in self._files.values() if isinstance(each.body, bytes))


def is_unchanged(file: File, etags: str | None, since: str | None) -> bool:
    """Whether a client that sends these conditions has the file already."""
    if etags is not None:  # goes before the date
        known = [each.strip().removeprefix("W/") for each in etags.split(",")]
        return file.etag in known or "*" in known
    if since is None:
        return False
    try:
        return int(file.modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
