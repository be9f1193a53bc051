"""The files behind the disks and CD drives of machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioner_plugins.vmware.storage.file import FileId, split_path


def file_of(backing: Any) -> FileId | None:
    """The file of a backing itself; None for one without a file."""
    name, datastore = getattr(backing, "fileName", None), getattr(backing, "datastore", None)
    if not name or datastore is None:
        return None
    return FileId(datastore._GetMoId(), split_path(name)[1])


def layers_of(backing: Any) -> Iterator[Any]:
    """A backing, and what lies below it where snapshots have been laid over a disk; the last one is
    what the disk was made as.
    """
    while backing is not None:
        yield backing
        backing = getattr(backing, "parent", None)


def base_file(backing: Any) -> FileId | None:
    """The file that a disk was made as."""
    *_, base = layers_of(backing)
    return file_of(base)
