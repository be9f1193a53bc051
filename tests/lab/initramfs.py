"""Packs files into the archive that the kernel unpacks as its first root directory. Called by
``linux``.

The kernel's format (initramfs buffer format, "newc" cpio) is written here and not by cpio(1), which
needs a privileged user for the device node and keeps time stamps that differ in every build.
"""

import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class Entry(NamedTuple):
    """One member: ``mode`` with its type bits, ``device`` as (major, minor) of a node."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    """A regular file at the absolute ``path``."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def link(path: str, target: str) -> Entry:
    """A symbolic link at the absolute ``path``."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def directory(path: str) -> Entry:
    """An empty directory; those that files need are made without being asked for."""
    return Entry(path, stat.S_IFDIR | 0o755)


def write(target: Path, entries: Iterable[Entry]) -> None:
    """Writes the archive, with /dev/console, which the kernel gives to the first process."""
    members = {entry.path: entry for entry in entries}
    console = Entry("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    members[console.path] = console
    parents = {
        str(parent) for path in members for parent in PurePosixPath(path).parents if parent.name
    }
    everything = [directory(parent) for parent in sorted(parents) if parent not in members]
    everything += members.values()
    with target.open("wb") as archive:
        for number, entry in enumerate(everything, start=1):
            archive.write(_member(number, entry))
        archive.write(_member(0, Entry("/TRAILER!!!", 0)))


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.lstrip("/").encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # inode, mode, uid, gid, links, time, size, device of the file, device node, name, checksum
    numbers = [number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device]
    header = b"070701" + b"".join(b"%08X" % value for value in [*numbers, len(name), 0])
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
