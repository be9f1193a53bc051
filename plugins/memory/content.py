"""What is on a disk of a memory endpoint: blocks that guests write. Pure.

Kept with each object (:mod:`provisioner_plugins.memory.objects`), copied by replication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BLOCK = 2**16
"""The bytes of a block: those of a cluster of qcow2, the grain of its dirty bitmaps."""


@dataclass(frozen=True, slots=True)
class Content:
    """``blocks`` has what was written to each block last, by its number as text; a block that is
    not there was never written. ``writes`` counts the writes that led here: of two states of one
    disk, the one with more is the later.
    """

    writes: int = 0
    blocks: Mapping[str, str] = field(default_factory=dict)

    def written(self, block: int, what: str) -> Content:
        """The content after one write more."""
        return Content(self.writes + 1, {**self.blocks, str(block): what})

    def moved_from(self, older: Content) -> int:
        """The bytes that turn ``older`` into this."""
        numbers = {*self.blocks, *older.blocks}
        return BLOCK * sum(self.blocks.get(key) != older.blocks.get(key) for key in numbers)


EMPTY = Content()
"""That of a new disk."""


class Mirror(NamedTuple):
    """Where each write to a disk goes as well: the disk ``disk`` (an address) of a replica, by its
    id, at the endpoint ``where`` (:attr:`provisioner_plugins.memory.inventory.Inventory.where`).
    """

    where: str
    replica: str
    disk: str


def encode_content(content: Content) -> list[Any]:
    """What stands in a line."""
    return [content.writes, dict(content.blocks)]


def decode_content(line: list[Any]) -> Content:
    """Raises ValueError for anything else."""
    writes, blocks = line
    return Content(writes, blocks)
