"""Folder: what of a folder is served, and how it is revalidated."""

import mimetypes
import os
import re
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

# No dot file; a backslash and a colon are parts of a path on Windows.
PATH = re.compile(r"(/[^/\\:\0.][^/\\:\0]*)+")
PIECE = 64 * 1024  # bytes that are read at once
MOST_KEPT = 256  # files of one piece that stay in memory: to read them takes longer than to send

# The system's own table may say anything: on Windows it is in the registry.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wav": "audio/wav",
    ".svg": "image/svg+xml",
}


class File(NamedTuple):
    """A file's content, and what an answer says about it: the first two headers are of the body."""

    body: bytes | Iterator[bytes]
    headers: tuple[tuple[str, str], ...]
    etag: str
    modified: str

    def is_unchanged(self, headers: Mapping[str, str]) -> bool:
        """Whether a client that sends these conditions has the file already."""
        if (etags := headers.get("if-none-match")) is not None:  # goes before the date
            known = [each.strip().removeprefix("W/") for each in etags.split(",")]
            return self.etag in known or "*" in known
        return headers.get("if-modified-since") == self.modified  # the date that came with it


class Folder:
    """The files of a folder: no listing, no dot files, nothing outside of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._inside = os.path.join(self.directory, "")
        self._kept: dict[str, File] = {}

    def find(self, path: str) -> File | None:
        """The file for a decoded path of a URL, "/" standing for index.html; else None."""
        path = "/index.html" if path == "/" else path
        if not PATH.fullmatch(path):
            return None
        name = self._inside + path[1:]
        try:
            status = os.stat(name)
            kept = self._kept.get(name)
            if kept is not None and kept.etag == _etag(status):
                return kept
            file = self._file(os.path.realpath(name, strict=True), status)
        except (OSError, ValueError):
            return None
        if file is not None and isinstance(file.body, bytes):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = file
        return file

    def _file(self, name: str, status: os.stat_result) -> File | None:
        if not name.startswith(self._inside) or not S_ISREG(status.st_mode):
            return None
        kind = TYPES.get(os.path.splitext(name)[1].lower()) or mimetypes.guess_type(name)[0]
        etag, modified = _etag(status), formatdate(status.st_mtime, usegmt=True)
        headers = (
            ("Content-Type", kind or "application/octet-stream"),
            ("Content-Length", str(status.st_size)),
            ("Cache-Control", "no-cache"),  # kept, but asked about each time
            ("ETag", etag),
            ("Last-Modified", modified),
        )
        pieces = _pieces(name, status)
        body = pieces if status.st_size > PIECE else b"".join(pieces)
        return File(body, headers, etag, modified)


def _pieces(name: str, status: os.stat_result) -> Iterator[bytes]:
    """A file's bytes. Raises OSError when it is no longer what it was."""
    with open(name, "rb", buffering=0) as source:
        if _etag(os.fstat(source.fileno())) != _etag(status):
            raise OSError("the file has changed")
        left = status.st_size
        while left:
            piece = source.read(min(PIECE, left))
            if not piece:
                raise OSError("the file has become shorter")
            left -= len(piece)
            yield piece


def _etag(status: os.stat_result) -> str:
    """The name of a file's version."""
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}-{status.st_dev:x}"'
