"""What a memory endpoint holds: objects by identity and by name, kept in a file of JSON lines or
nowhere.

Each line of the file is an object as it is from then on, or says that it is gone. A line is written
with one call and lines are only ever added, so that a process that is killed leaves at most a line
without its end, which the next one removes. Threads share an inventory; processes share its file,
under a lock that lasts for one change. Used by sessions and, through
:class:`provisioner_plugins.memory.outside.Outside`, by tests.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.core.collector import collector_paused
from provisioner.providers.api import Present
from provisioner_plugins.memory.objects import (
    StoredObject,
    decode,
    encode,
    encode_removal,
    kept_by,
    present,
)

UNREACHABLE = StoredObject("unreachable", "Endpoint", "unreachable", None, {})
"""What an inventory has while its endpoint cannot be reached."""


class DamagedFileError(Exception):
    """The file holds something that is no line of an inventory."""


class Inventory:
    """The objects of one endpoint."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: the file, made at the first use; None keeps everything in this process."""
        self.path = path
        self._mutex = threading.RLock()
        self._file: int | None = None
        self._read_to = 0
        self._lines_read = 0
        self._objects: dict[str, StoredObject] = {}
        self._lines: dict[str, str] = {}
        self._presents: dict[str, Present] = {}
        self._names: dict[tuple[str, str], dict[str, None]] = {}
        self._holders: dict[str, dict[str, None]] = {}
        self._others: dict[str, Inventory] = {}

    @property
    def where(self) -> str:
        """Where other endpoints find this one (:meth:`other`)."""
        return str(self.path.absolute()) if self.path is not None else f"process/{id(self)}"

    def know(self, other: Inventory) -> None:
        """Find another endpoint of this process as long as both live."""
        self._others[other.where] = other

    def other(self, where: str) -> Inventory | None:
        """The endpoint there; None if it lived in a process that is gone."""
        if where not in self._others and where.startswith("/"):
            self._others[where] = Inventory(Path(where))
        return self._others.get(where)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the inventory still, as up to date as the file is now. Raises OSError and
        :class:`DamagedFileError`.
        """
        with self._mutex:
            if self.path is not None:
                self._refresh(self._open(self.path), mend=False)
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The same, and keep other processes from changing anything meanwhile."""
        with self._mutex:
            if self.path is None:
                yield
                return
            handle = self._open(self.path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                self._refresh(handle, mend=True)
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)

    # Only within reading() or changing():

    def get(self, object_id: str) -> StoredObject | None:
        """The object with this id, if there is one."""
        return self._objects.get(object_id)

    def named(self, kind: str, name: str) -> list[StoredObject]:
        """The objects of a kind that have this name, oldest first."""
        return [self._objects[key] for key in self._names.get((kind, name), ())]

    @property
    def unreachable(self) -> bool:
        """Whether nobody but its own machines gets to the endpoint."""
        return UNREACHABLE.id in self._objects

    def holders(self, object_id: str) -> list[StoredObject]:
        """The objects that hold on to this one, by kind and name."""
        found = [self._objects[key] for key in self._holders.get(object_id, ())]
        return sorted(found, key=lambda item: (item.kind, item.name, item.id))

    def objects(self) -> list[StoredObject]:
        """All objects, by kind and name."""
        return sorted(self._objects.values(), key=lambda item: (item.kind, item.name, item.id))

    def present(self, stored: StoredObject) -> Present:
        """What observing the object tells; worked out once for each state of it."""
        found = self._presents.get(stored.id)
        if found is None:
            found = present(stored, self._lines[stored.id])
            self._presents[stored.id] = found
        return found

    # Only within changing():

    def put(self, stored: StoredObject) -> StoredObject:
        """Write an object; returns it as it is kept, sharing nothing with what was handed in."""
        line = encode(stored)
        kept = decode(json.loads(line))
        assert kept is not None
        self._append(line)
        self._keep(kept, line)
        return kept

    def remove(self, object_id: str) -> None:
        """Take an object out."""
        self._append(encode_removal(object_id))
        self._drop(object_id)

    def close(self) -> None:
        """Free the file; the next use opens it again."""
        with self._mutex:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _open(self, path: Path) -> int:
        """The open file; opened again if another one stands in its place."""
        if self._file is not None:
            try:
                found = path.stat()
            except FileNotFoundError:
                found = None
            mine = os.fstat(self._file)
            if found is not None and (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                return self._file
            os.close(self._file)
            self._file = None
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._forget()
        return self._file

    def _forget(self) -> None:
        self._read_to = self._lines_read = 0
        self._objects.clear()
        self._lines.clear()
        self._presents.clear()
        self._names.clear()
        self._holders.clear()

    def _refresh(self, handle: int, *, mend: bool) -> None:
        """Take in what was added to the file. ``mend``: cut off a line without its end; whoever
        began it is gone, because the caller holds the lock.
        """
        size = os.fstat(handle).st_size
        if size == self._read_to:
            return
        if size < self._read_to:
            self._forget()
        added = _read(handle, self._read_to, size)
        whole = added.rfind(b"\n") + 1
        with collector_paused():
            self._take(added[:whole])
        self._read_to += whole
        if mend and self._read_to < size:
            os.ftruncate(handle, self._read_to)

    def _take(self, added: bytes) -> None:
        try:
            lines = added.decode().split("\n")[:-1]
            # One pass of the parser over all lines is a third cheaper than one for each.
            documents = json.loads("[" + ",".join(lines) + "]")
            if len(documents) != len(lines):
                raise ValueError("a line holds more than one document")
            for line, document in zip(lines, documents, strict=True):
                self._lines_read += 1
                stored = decode(document)
                if stored is None:
                    self._drop(document["id"])
                else:
                    self._keep(stored, line)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DamagedFileError(f"after line {self._lines_read}: {problem}") from problem

    def _append(self, line: str) -> None:
        if self.path is None:
            return
        assert self._file is not None
        data = f"{line}\n".encode()
        written = os.write(self._file, data)
        if written < len(data):
            # The disk is full: what was written of the line must not stay.
            os.ftruncate(self._file, self._read_to)
            raise OSError(28, os.strerror(28), str(self.path))
        self._read_to += len(data)

    def _keep(self, stored: StoredObject, line: str) -> None:
        before = self._objects.get(stored.id)
        if before is not None and (before.kind, before.name) != (stored.kind, stored.name):
            self._drop(stored.id)
        elif before is not None:
            self._let_go(before)
        self._objects[stored.id] = stored
        self._lines[stored.id] = line
        self._presents.pop(stored.id, None)
        self._names.setdefault((stored.kind, stored.name), {})[stored.id] = None
        for held in kept_by(stored):
            self._holders.setdefault(held, {})[stored.id] = None

    def _let_go(self, stored: StoredObject) -> None:
        for held in kept_by(stored):
            holders = self._holders.get(held, {})
            holders.pop(stored.id, None)
            if not holders:
                self._holders.pop(held, None)

    def _drop(self, object_id: str) -> None:
        stored = self._objects.pop(object_id, None)
        if stored is None:
            return
        self._let_go(stored)
        del self._lines[object_id]
        self._presents.pop(object_id, None)
        alike = self._names[stored.kind, stored.name]
        del alike[object_id]
        if not alike:
            del self._names[stored.kind, stored.name]


def _read(handle: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(handle, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
