import os
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tempkit.server.files import MOST_KEPT, PIECE, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "code.js").write_text("1")
    return Folder(tmp_path)


def body(folder: Folder, path: str) -> bytes | None:
    file = folder.find(path)
    if file is None:
        return None
    return file.body if isinstance(file.body, bytes) else b"".join(file.body)


def large(folder: Folder) -> Iterator[bytes]:
    file = folder.find("/large.bin")
    assert file is not None
    assert not isinstance(file.body, bytes)
    return file.body


def test_a_file_that_changes_is_another_one(folder: Folder):
    first, again = folder.find("/code.js"), folder.find("/code.js")
    assert first is not None
    assert again is not None
    assert first.etag == again.etag
    (folder.directory / "code.js").write_text("22")
    changed = folder.find("/code.js")
    assert changed is not None
    assert changed.etag != first.etag
    assert body(folder, "/code.js") == b"22"
    (folder.directory / "code.js").unlink()
    assert body(folder, "/code.js") is None


def test_a_file_that_becomes_a_link_to_the_outside_is_served_no_more(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory
):
    outside = tmp_path_factory.mktemp("outside") / "secret.txt"
    outside.write_text("outside")
    assert body(folder, "/code.js") == b"1"
    (folder.directory / "code.js").unlink()
    (folder.directory / "code.js").symlink_to(outside)
    assert body(folder, "/code.js") is None
    assert body(folder, "/code.js") is None


def test_a_link_within_the_folder_is_followed(folder: Folder):
    (folder.directory / "other.js").symlink_to(folder.directory / "code.js")
    assert body(folder, "/other.js") == b"1"


@pytest.mark.parametrize(
    "path", ["", "code.js", "/C:/code.js", "/code.js::$DATA", "/\\code.js", "/code.js\0", "/.",
             "/..", "//code.js", "/./code.js", "/" + "a" * 5000],
)  # fmt: skip
def test_a_path_that_is_no_file_name_here_is_none_anywhere(folder: Folder, path: str):
    assert folder.find(path) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_device_is_no_file(folder: Folder):
    os.mkfifo(folder.directory / "pipe")
    assert folder.find("/pipe") is None


def test_memory_holds_so_many_small_files_and_no_more(folder: Folder):
    for number in range(MOST_KEPT + 5):
        (folder.directory / f"{number}.txt").write_text(str(number))
        assert body(folder, f"/{number}.txt") == str(number).encode()
    assert len(folder._kept) == 5
    assert body(folder, "/0.txt") == b"0"


def test_a_large_file_is_read_while_it_is_sent(folder: Folder):
    content = os.urandom(5 * PIECE + 1)
    (folder.directory / "large.bin").write_bytes(content)
    pieces = list(large(folder))
    assert max(map(len, pieces)) == PIECE
    assert b"".join(pieces) == content


def test_a_large_file_that_is_cut_short_or_replaced_on_the_way_is_given_up(folder: Folder):
    (folder.directory / "large.bin").write_bytes(bytes(5 * PIECE + 1))
    pieces, others = large(folder), large(folder)
    next(pieces)
    os.truncate(folder.directory / "large.bin", 70_000)
    with pytest.raises(OSError, match="shorter"):
        list(pieces)
    with pytest.raises(OSError, match="changed"):
        next(others)


def test_conditions_tell_an_unchanged_file(folder: Folder):
    file = folder.find("/code.js")
    assert file is not None
    now, before = file.modified, formatdate(0, usegmt=True)
    for etags, since, unchanged in (
        (None, None, False),
        (file.etag, None, True),
        (f'"x", W/{file.etag}', None, True),
        ("*", None, True),
        ('"x"', now, False),  # the tag goes before the date
        (None, now, True),
        (None, before, False),
        (None, "yesterday", False),
    ):
        given = {"if-none-match": etags, "if-modified-since": since}
        headers = {name: value for name, value in given.items() if value is not None}
        assert file.is_unchanged(headers) is unchanged, headers
