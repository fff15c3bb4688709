"""Source: where a recording's bytes come from, a file or a pipe, and what they are if not sound."""

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from stat import S_ISREG

from tempkit.errors import AudioError

MOST_KEPT = 2**24  # bytes of a pipe, to find out what comes through it
HEAD = 4096  # bytes that show what a file is
SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a NumPy array (pass np.load's result to Clip.from_samples)",
    b"Salted__": "encrypted with a password (OpenSSL)",
}
SOUND = (b"RIFF", b"OggS", b"fLaC", b"FORM")  # a file may be cut off after its first letters
WEB_PAGE = (b"<!doctype html", b"<html")


class Source:
    """A file, which can be read again and again, or a pipe, which cannot.

    Its beginning can be looked at as often as one likes. ``-`` is standard input. Raises
    AudioError when it cannot be opened, is empty, or is plainly something else than sound.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self._path = 0 if path == "-" else os.fspath(path)
        self.name = "standard input" if path == "-" else os.fspath(path)
        file = self._open()
        self.is_pipe = not S_ISREG(os.fstat(file.fileno()).st_mode)
        self._pipe = _Pipe(file, self.name) if self.is_pipe else None
        if not self.is_pipe:
            file.close()
        head = self.head()
        if not head:
            raise AudioError(f"{self.name} is empty")
        if kind := _what_it_is(head):
            raise AudioError(f"{self.name} is {kind}, not sound")

    @property
    def size(self) -> int | None:
        """Bytes that are there now; None where nobody can say."""
        with suppress(OSError):  # it may have been removed meanwhile
            return None if self.is_pipe else os.stat(self._path).st_size
        return None

    @contextmanager
    def look(self) -> Iterator[io.RawIOBase]:
        """The bytes from the first one on, to find out what they are."""
        if self._pipe is not None:
            self._pipe.at = 0
            yield self._pipe
            return
        with self._open() as file:
            yield file

    @contextmanager
    def read(self) -> Iterator[io.RawIOBase]:
        """The bytes from the first one on, to the end; of a pipe once, or it raises AudioError."""
        if self._pipe is not None:
            self._pipe.let_go()
        with self.look() as file, file:  # a pipe ends here, too
            yield file

    def head(self) -> bytes:
        """The first bytes."""
        with self.look() as file:
            return read_all(file, HEAD)

    def _open(self) -> io.FileIO:
        is_path = isinstance(self._path, str)
        try:
            file = io.FileIO(self._path, closefd=is_path)
            if not is_path and file.seekable():  # standard input that is a file
                file.seek(0)
        except FileNotFoundError:
            raise AudioError(f"there is no file {self.name}") from None
        except ValueError:  # a name that can be none
            raise AudioError(f"there is no file {self.name!r}") from None
        except OSError as error:
            if os.path.isdir(self._path):
                raise AudioError(f"{self.name} is a folder, not a sound file") from None
            raise AudioError(f"{self.name} cannot be read: {error.strerror}") from None
        return file


class _Pipe(io.RawIOBase):
    """A pipe whose beginning is kept until ``let_go``."""

    def __init__(self, file: io.RawIOBase, name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._kept = bytearray()
        self._keeps = True
        self.at = 0  # place of the next byte; the first one as long as they are kept

    def let_go(self) -> None:
        """Keep no more than there is. Raises AudioError when that was said before."""
        if not self._keeps:
            raise AudioError(f"{self._name} is a pipe and can be read only once")
        self._keeps = False

    def close(self) -> None:
        """Close it: also what happens when nobody holds it any more."""
        self._file.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, as many as are there; none at the end."""
        is_new = self.at >= len(self._kept)
        data = (self._file.read(size) or b"") if is_new else self._kept[self.at : self.at + size]
        self.at += len(data)
        if is_new and self._keeps:
            self._kept += data
            if len(self._kept) > MOST_KEPT:
                text = f"its first {MOST_KEPT // 2**20} MB do not show what it is"
                raise AudioError(f"{self._name} is a pipe and {text}; pass the file itself")
        return bytes(data)


def read_all(file: io.RawIOBase, size: int) -> bytes:
    """The next ``size`` bytes, or as many as there are to the end."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _what_it_is(head: bytes) -> str | None:
    """What a file is that begins with these bytes, unless it may be sound."""
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head.lstrip().lower().startswith(WEB_PAGE):
        return "a web page (HTML)"
    return "a text file" if _is_text(head) and not head.startswith(SOUND) else None


def _is_text(head: bytes) -> bool:
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        # Where a head ends that is not the whole file, a letter may be cut.
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\n\r\f" for letter in text)
