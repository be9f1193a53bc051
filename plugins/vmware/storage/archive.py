"""The files in a tar archive, found by its headers alone: nothing is unpacked. Pure but for
reading; called by :mod:`~provisioner_plugins.vmware.storage.appliance`.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic
Tar Format" (long names, sizes that are not octal).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_BLOCK = 512
_MOST = 1000
"""Members; an appliance has a few files."""
_MOST_SAID = 1 << 16
"""Bytes of what is said of a member before its header."""
_FILES, _FOLDER = (b"\x00", b"0", b"7"), b"5"
_LONG_NAME, _EXTENDED, _FOR_ALL = b"L", b"x", b"g"


class UnreadableArchiveError(ValueError):
    """The file is no archive that can be read here; the text says why."""


class Member(NamedTuple):
    """A file in it: where its content begins, and how many bytes it has."""

    name: str
    start: int
    size: int


def members(file: BinaryIO) -> list[Member]:
    """The files in an archive, in their order; raises UnreadableArchiveError."""
    found = [*_members(file, file.seek(0, 2))]
    names = [member.name for member in found]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise UnreadableArchiveError(f"it has two files {double!r}")
    return found


def _members(file: BinaryIO, end: int) -> Iterator[Member]:
    at, said = 0, _Said()
    for _ in range(_MOST):
        file.seek(at)
        block = file.read(_BLOCK)
        if block in (b"", bytes(_BLOCK)) and at > 0:
            return
        kind, name, size = _header(block)
        size = size if said.size is None else said.size
        start = at + _BLOCK
        if start + size > end:
            raise UnreadableArchiveError(f"it ends within the file {name!r}")
        at = start + -(-size // _BLOCK) * _BLOCK
        if kind in (_LONG_NAME, _EXTENDED, _FOR_ALL):
            if size > _MOST_SAID:
                raise UnreadableArchiveError("more is said of a file than can be true")
            said = _read_said(file.read(size), kind, said)
            continue
        if kind in _FILES:
            yield Member(_plain(said.name or name), start, size)
        elif kind != _FOLDER:
            raise UnreadableArchiveError(f"{name!r} in it is neither file nor folder")
        said = _Said()
    raise UnreadableArchiveError(f"it has more than {_MOST} files")


class _Said(NamedTuple):
    """What was said of the next member before its own header."""

    name: str = ""
    size: int | None = None


def _header(block: bytes) -> tuple[bytes, str, int]:
    """Type, name and size."""
    if len(block) < _BLOCK:
        raise UnreadableArchiveError("it ends within a header")
    told = block[148:156].strip(b" \0")
    counted = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    if not told or not told.isdigit() or _octal(told) != counted:
        raise UnreadableArchiveError("a header in it is damaged, or it is no tar archive")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    field = block[124:136]
    if field[0] == 0x80:
        return block[156:157], name, int.from_bytes(field[1:], "big")
    return block[156:157], name, _octal(field.strip(b" \0") or b"0")


def _octal(digits: bytes) -> int:
    try:
        return int(digits, 8)
    except ValueError as problem:
        raise UnreadableArchiveError("a header in it is damaged") from problem


def _read_said(content: bytes, kind: bytes, said: _Said) -> _Said:
    if kind == _LONG_NAME:
        return said._replace(name=_text(content))
    if kind == _FOR_ALL:
        return said
    while content:
        length, _, rest = content.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(content):
            raise UnreadableArchiveError("what it says of a file is damaged")
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        if key == b"path":
            said = said._replace(name=_text(value))
        elif key == b"size":
            if not value.isdigit():
                raise UnreadableArchiveError("what it says of a file is damaged")
            said = said._replace(size=int(value))
        content = content[int(length) :]
    return said


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _plain(name: str) -> str:
    return name.removeprefix("./")
