"""The high-water mark: a small file beside a state database that says how far the database has
come.

A database that is older than its mark was put back from a copy, or lost its write-ahead log.
Working on with it would repeat and undo what happened since, so the store refuses it. The mark is
written after each commit, without waiting for the disk: it may lag behind the database after a
power failure, it can never run ahead of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from provisioner.state.codec import row_digest

_TITLE = "provisioner-state-mark"


class MarkValue(NamedTuple):
    """Which state it is and the serial of its last known transaction."""

    lineage: UUID
    serial: int


class Mark:
    """The mark of one database. The caller sees to it that one thread at a time uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @classmethod
    def of(cls, database: Path) -> Mark:
        """The mark that belongs to a database file."""
        return cls(database.with_name(database.name + "-mark"))

    def read(self) -> MarkValue | None:
        """What it says; None if there is no mark or a torn one, which guards nothing. Raises
        OSError.
        """
        try:
            words = self.path.read_text("utf-8", errors="replace").split()
        except FileNotFoundError:
            return None
        if len(words) != 4 or words[0] != _TITLE:
            return None
        _, lineage, serial, digest = words
        if row_digest(_TITLE, lineage, serial).hex() != digest:
            return None
        return MarkValue(UUID(lineage), int(serial))

    def write(self, value: MarkValue) -> None:
        """Overwrite it in place, always with the same number of bytes. Raises OSError."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        lineage, serial = str(value.lineage), f"{value.serial:020d}"
        digest = row_digest(_TITLE, lineage, serial).hex()
        os.pwrite(self._file, f"{_TITLE} {lineage} {serial} {digest}\n".encode(), 0)

    def close(self) -> None:
        """Free the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
