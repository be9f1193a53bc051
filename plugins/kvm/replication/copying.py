"""From one NBD export into another: all that is dirty, or all that differs. Called by
:mod:`handler`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provisioner_plugins.kvm.replication.nbd import ALLOCATION, IS_DIRTY, ZERO, Client, Extent

CHUNK = 1 << 20
GRAIN = 1 << 16
"""Bytes that are written if any of them differs: a cluster of qcow2."""

Tick = Callable[[int, int], None]
"""Told the bytes that are done and those that there are in all; may raise."""


def copy_dirty(source: Client, target: Client, bitmap: str, tick: Tick) -> int:
    """Copy what a bitmap's context says is dirty; returns the bytes transferred."""
    dirty = [e for e in source.extents(bitmap) if e.flags & IS_DIRTY]
    total = sum(extent.length for extent in dirty)
    moved = done = 0
    for part, data in source.read_many(_chunks(dirty)):
        moved += _write(target, part.offset, data, None)
        done += part.length
        tick(done, total)
    return moved


def copy_differing(source: Client, target: Client, tick: Tick) -> int:
    """Bring ``target`` to the content of ``source`` by writing only what differs; returns the
    bytes transferred. ``target`` is at least as large.

    Both have the context :data:`~.nbd.ALLOCATION`.
    """
    extents = [*source.extents(ALLOCATION)]
    empty = [e for e in target.extents(ALLOCATION) if e.flags & ZERO]
    zero = [e for e in extents if e.flags & ZERO]
    data = [e for e in extents if not e.flags & ZERO]
    total = sum(extent.length for extent in data)
    moved = done = 0
    held = _Zeros(empty)
    for part in _chunks(zero):
        if not held.covers(part.offset, part.length):
            before = target.read(part.offset, part.length)
            moved += _write(target, part.offset, bytes(part.length), before)
            tick(done, total)
    held = _Zeros(empty)
    for part, content in source.read_many(_chunks(data)):
        is_empty = held.covers(part.offset, part.length)
        before = bytes(part.length) if is_empty else target.read(part.offset, part.length)
        moved += _write(target, part.offset, content, before)
        done += part.length
        tick(done, total)
    return moved


class _Zeros:
    """Which parts of an export are known to be zero, by the extents that are."""

    def __init__(self, parts: list[Extent]) -> None:
        self._parts = parts
        self._next = 0

    def covers(self, offset: int, length: int) -> bool:
        """Whether all of a part is zero. Asked in ascending order."""
        while self._next < len(self._parts):
            part = self._parts[self._next]
            if part.offset + part.length > offset:
                return part.offset <= offset and offset + length <= part.offset + part.length
            self._next += 1
        return False


def _chunks(extents: list[Extent]) -> Iterator[Extent]:
    for extent in extents:
        for at in range(extent.offset, extent.offset + extent.length, CHUNK):
            length = min(CHUNK, extent.offset + extent.length - at)
            yield Extent(at, length, extent.flags)


def _write(target: Client, offset: int, data: bytes, before: bytes | None) -> int:
    """Write the grains that differ from ``before`` (None: all), neighbours at once."""
    if data == before:
        return 0
    moved = 0
    start: int | None = None
    is_zero = False
    for at in range(0, len(data) + GRAIN, GRAIN):
        grain = data[at : at + GRAIN]
        differs = bool(grain) and (before is None or grain != before[at : at + GRAIN])
        zero = differs and grain.count(0) == len(grain)
        if start is not None and (not differs or zero != is_zero):
            end = min(at, len(data))
            if is_zero:
                target.write_zeroes(offset + start, end - start)
            else:
                target.write(offset + start, data[start:end])
            moved += end - start
            start = None
        if differs and start is None:
            start, is_zero = at, zero
    return moved
