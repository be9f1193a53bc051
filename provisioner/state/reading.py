"""Reads a state database where it cannot be written: a read-only disk, another user's files.

Called by :mod:`provisioner.state.database`. SQLite wants a lock file beside a database with a
write-ahead log (sqlite.org/wal.html, "Read-Only Databases"): what has none, and can be given none,
is read as it lies there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


def is_read_only(path: Path) -> bool:
    """Whether this process may not write to the database, its log or their folder."""
    files = [path, *(file for file in (log_of(path), _index_of(path)) if file.exists())]
    return not all(_may(item, os.W_OK) for item in (path.parent, *files))


def connect_reading(path: Path, patience: float = 0.0) -> sqlite3.Connection:
    """A connection that never writes. Raises sqlite3.Error or OSError.

    ``patience``: seconds to wait for another process. The caller sees to it that one thread at a
    time uses it.
    """
    index = _index_of(path)
    if not is_read_only(path) or (has_log(path) and _may(index, os.R_OK)):
        return _connect(path, "mode=ro", patience)
    if not has_log(path):
        return _connect(path, "mode=ro&immutable=1", patience)
    return _connect_to_copy(path)


def has_log(path: Path) -> bool:
    """Whether there is a write-ahead log with something in it."""
    log = log_of(path)
    return log.exists() and log.stat().st_size > 0


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


def _index_of(path: Path) -> Path:
    return path.with_name(path.name + "-shm")


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=True)


def _connect(path: Path, how: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    """A log without its lock file belongs to no process that lives; put together with the database
    in another place it tells what was written last."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with tempfile.TemporaryDirectory(prefix="provisioner-state-") as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            shutil.copyfile(log_of(path), log_of(copy))
            with closing(sqlite3.connect(copy, isolation_level=None)) as source:
                source.backup(memory)
    except BaseException:
        memory.close()
        raise
    return memory
