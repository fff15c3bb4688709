import os
from email.utils import formatdate
from pathlib import Path

import pytest

from tempkit.files import MOST_KEPT, Folder, is_unchanged


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "code.js").write_text("1")
    return Folder(tmp_path)


def body(folder: Folder, path: str) -> bytes | None:
    file = folder.find(path)
    return file.body if file else None


def test_a_file_is_read_once_and_again_when_it_has_changed(folder: Folder):
    first = folder.find("/code.js")
    assert first is not None
    assert folder.find("/code.js") is first
    (folder.directory / "code.js").write_text("22")
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


def test_memory_holds_so_many_files_and_no_more(folder: Folder):
    for number in range(MOST_KEPT + 5):
        (folder.directory / f"{number}.txt").touch()
        assert folder.find(f"/{number}.txt") is not None
    assert len(folder._files) == MOST_KEPT


def test_conditions_tell_an_unchanged_file(folder: Folder):
    file = folder.find("/code.js")
    assert file is not None
    now, before = formatdate(file.modified, usegmt=True), formatdate(0, usegmt=True)
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
        assert is_unchanged(file, etags, since) is unchanged, (etags, since)
