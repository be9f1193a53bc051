"""VMDK files as people hand them around (monolithicSparse and streamOptimized, one file), read as
the plain data of the disk in them, and the descriptor of such data on a datastore. Pure but for
reading.

Source: VMware, "Virtual Disk Format 5.0", "Hosted Sparse Extents" and "Stream-Optimized Compressed
Sparse Extents".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SECTOR = 512
MAGIC = b"KDMV"
_HEADER = struct.Struct("<4sIIQQQQIQQQ")
_MARKER = struct.Struct("<QI")
_AT_END = 0xFFFFFFFFFFFFFFFF
_FOOTER_FROM_END = 1024
_COMPRESSED = 1 << 16
_MARKS_ZEROS = 1 << 2


class UnreadableDiskError(ValueError):
    """The file is no VMDK that can be read here; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the beginning of the file says; units are sectors but for ``per_table``."""

    capacity: int
    grain: int
    per_table: int
    directory: int
    compressed: bool
    absent: int
    """Entries of a grain table up to this stand for a grain of zeros."""

    @property
    def bytes(self) -> int:
        """Size of the disk in it."""
        return self.capacity * SECTOR


def header_of(file: BinaryIO) -> Header:
    """Read it; raises UnreadableDiskError."""
    found = header_at(file, 0)
    if found.directory != _AT_END:
        return found
    file.seek(0, 2)
    return header_at(file, file.tell() - _FOOTER_FROM_END)


def header_at(file: BinaryIO, at: int) -> Header:
    """Read the one that begins at a place of the file; raises UnreadableDiskError."""
    file.seek(max(0, at))
    text = file.read(_HEADER.size)
    if len(text) < _HEADER.size or not text.startswith(MAGIC):
        raise UnreadableDiskError("its header is not that of a VMDK")
    _, _, flags, capacity, grain, _, _, per_table, _, directory, _ = _HEADER.unpack(text)
    if not grain or not per_table:
        raise UnreadableDiskError("its header is damaged")
    compressed, absent = bool(flags & _COMPRESSED), int(bool(flags & _MARKS_ZEROS))
    return Header(capacity, grain, per_table, directory, compressed, absent)


def grains(file: BinaryIO, header: Header) -> Iterator[bytes]:
    """The data of the disk, from its beginning to its end; raises UnreadableDiskError."""
    if header.directory == _AT_END:
        raise UnreadableDiskError("its end is missing")
    size = header.grain * SECTOR
    zeros = bytes(size)
    left = header.bytes
    for start in _starts(file, header):
        grain = zeros if start <= header.absent else _grain(file, header, start, size)
        yield grain[:left] if left < size else grain
        left -= min(left, size)


def _starts(file: BinaryIO, header: Header) -> Iterator[int]:
    """The sector of each grain; see :attr:`Header.absent`."""
    count = -(-header.capacity // header.grain)
    tables = -(-count // header.per_table)
    for table in _numbers(file, header.directory, tables):
        inside = min(header.per_table, count)
        yield from _numbers(file, table, inside) if table else (0,) * inside
        count -= inside


def _numbers(file: BinaryIO, sector: int, count: int) -> tuple[int, ...]:
    file.seek(sector * SECTOR)
    text = file.read(4 * count)
    if len(text) < 4 * count:
        raise UnreadableDiskError("it is shorter than its tables say")
    return struct.unpack(f"<{count}I", text)


def _grain(file: BinaryIO, header: Header, start: int, size: int) -> bytes:
    file.seek(start * SECTOR)
    if header.compressed:
        head = file.read(_MARKER.size)
        if len(head) < _MARKER.size:
            raise UnreadableDiskError("it is shorter than its tables say")
        try:
            data = zlib.decompress(file.read(_MARKER.unpack(head)[1]))
        except zlib.error as problem:
            raise UnreadableDiskError(f"a part of it cannot be unpacked ({problem})") from problem
    else:
        data = file.read(size)
        if len(data) < size:
            raise UnreadableDiskError("it is shorter than its tables say")
    return data.ljust(size, b"\0")


def descriptor(capacity: int, flat: str) -> bytes:
    """The descriptor of a disk of that many bytes whose data is the file ``flat`` beside it."""
    sectors = capacity // SECTOR
    cylinders = max(1, sectors // (255 * 63))
    return f"""# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW {sectors} VMFS "{flat}"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "14"
ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
""".encode()
