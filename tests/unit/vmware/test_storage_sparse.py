"""VMDK files read as the disk in them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest

from provisioner_plugins.vmware.storage.sparse import (
    SECTOR,
    UnreadableDiskError,
    descriptor,
    grains,
    header_of,
)

GRAIN = 8
"""Sectors."""
DATA = [b"a" * GRAIN * SECTOR, bytes(GRAIN * SECTOR), b"c" * GRAIN * SECTOR]
AT_END = 0xFFFFFFFFFFFFFFFF


def header(directory: int, flags: int, capacity: int) -> bytes:
    fields = (b"KDMV", 3, flags, capacity, GRAIN, 0, 0, 512, 0, directory, 0)
    return struct.pack("<4sIIQQQQIQQQ", *fields).ljust(SECTOR, b"\0")


def plain(capacity: int = 3 * GRAIN) -> bytes:
    """monolithicSparse: header, directory, table, grains; the grain of zeros is not there."""
    directory = struct.pack("<I", 2).ljust(SECTOR, b"\0")
    table = struct.pack("<3I", 6, 0, 14).ljust(4 * SECTOR, b"\0")
    return header(1, 0, capacity) + directory + table + DATA[0] + DATA[2]


def compressed() -> bytes:
    """streamOptimized: header, grains, table, directory, footer with the place of that, end."""
    first, second = (
        (struct.pack("<QI", 0, len(data)) + data).ljust(SECTOR, b"\0")
        for data in map(zlib.compress, (DATA[0], DATA[2]))
    )
    assert len(first) == len(second) == SECTOR
    table = struct.pack("<3I", 1, 0, 2)
    body = header(AT_END, 1 << 16, 3 * GRAIN) + first + second + table.ljust(4 * SECTOR, b"\0")
    directory = struct.pack("<I", 3).ljust(SECTOR, b"\0")
    return body + directory + header(7, 1 << 16, 3 * GRAIN) + bytes(SECTOR)


@pytest.mark.parametrize("content", [plain(), compressed()])
def test_the_data_of_the_disk_is_read(content: bytes) -> None:
    file = BytesIO(content)
    found = header_of(file)
    assert 3 * GRAIN * SECTOR == found.bytes
    assert b"".join(DATA) == b"".join(grains(file, found))


def test_a_disk_need_not_end_with_a_whole_grain() -> None:
    file = BytesIO(plain(2 * GRAIN + 3))
    assert (b"".join(DATA))[: (2 * GRAIN + 3) * SECTOR] == b"".join(grains(file, header_of(file)))


@pytest.mark.parametrize(
    "content",
    [b"", b"KDMV", b"something else".ljust(SECTOR, b"\0"), plain()[: 3 * SECTOR]],
    ids=["empty", "short", "other", "cut"],
)
def test_what_is_damaged_is_said_to_be(content: bytes) -> None:
    file = BytesIO(content)
    with pytest.raises(UnreadableDiskError):
        b"".join(grains(file, header_of(file)))


def test_a_descriptor_says_how_large_the_data_is_and_where() -> None:
    assert b'RW 2048 VMFS "a-flat.vmdk"' in descriptor(2**20, "a-flat.vmdk").splitlines()
