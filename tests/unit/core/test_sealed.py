"""A file that only this user's program can have written; tests/unit/manifest/test_cache.py has what
becomes of one that was altered, or that others could have written.
"""

import os
from pathlib import Path

import pytest

from provisioner.core import sealed
from provisioner.core.sealed import SealedFile

LIMIT = 200


def file(home: Path, made_by: str = "me", name: str = "a", user: str = "user") -> SealedFile:
    return SealedFile(home / "cache" / name, home / user / "key", made_by.encode(), LIMIT)


@pytest.mark.parametrize("content", [b"", b"x", b"\n\n", bytes(range(100))])
def test_what_was_written_is_read(tmp_path: Path, content: bytes) -> None:
    file(tmp_path).write(content)
    assert content == file(tmp_path).read()


def test_reading_makes_nothing(tmp_path: Path) -> None:
    assert None is file(tmp_path).read()
    assert [] == list(tmp_path.iterdir())


def test_what_something_else_has_made_is_not_read(tmp_path: Path) -> None:
    file(tmp_path).write(b"x")
    assert None is file(tmp_path, made_by="me, of another version").read()


def test_a_file_under_the_name_of_another_one_is_not_read(tmp_path: Path) -> None:
    """Each names in its head what it is for; names of files are not sealed."""
    file(tmp_path, "for a", "a").write(b"x")
    (tmp_path / "cache/a").rename(tmp_path / "cache/b")
    assert None is file(tmp_path, "for b", "b").read()


def test_what_another_user_has_made_is_not_read(tmp_path: Path) -> None:
    file(tmp_path).write(b"x")
    file(tmp_path, name="b", user="other").write(b"y")
    assert None is file(tmp_path, user="other").read()


@pytest.mark.parametrize("place", [0, 70, -1])
def test_a_file_with_one_bit_changed_is_not_read(tmp_path: Path, place: int) -> None:
    file(tmp_path).write(b"content")
    data = bytearray((tmp_path / "cache/a").read_bytes())
    data[place] ^= 1
    (tmp_path / "cache/a").write_bytes(data)
    assert None is file(tmp_path).read()


def test_there_is_room_for_so_much_and_no_more(tmp_path: Path) -> None:
    room = file(tmp_path).room
    file(tmp_path).write(b"x" * room)
    file(tmp_path).write(b"y" * (room + 1))
    assert b"x" * room == file(tmp_path).read()
    assert LIMIT == (tmp_path / "cache/a").stat().st_size


def test_files_of_a_folder_share_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate("abc"):
        file(tmp_path, name=name).write(b"x" * 20)
        os.utime(tmp_path / "cache" / name, (age, age))
    size = (tmp_path / "cache/a").stat().st_size
    monkeypatch.setattr(sealed, "FOLDER_LIMIT", 3 * size)
    file(tmp_path, name="d").write(b"x" * 20)
    assert ["b", "c", "d"] == sorted(path.name for path in (tmp_path / "cache").iterdir())
