"""Opens a state database: makes it if there is none, reads it where it cannot be written, and
refuses one that cannot be trusted.

Called by the SQLite store. Whatever is wrong is found before the first row is used: a damaged file,
one of a newer program, one that is older than its mark, one of another stack.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.state import faults, schema
from provisioner.state.codec import row_digest
from provisioner.state.integrity import quick_problems
from provisioner.state.ledger import DamagedLedgerError, Ledger, Transaction
from provisioner.state.mark import Mark, MarkValue
from provisioner.state.reading import connect_reading, has_log, is_read_only


class Identity(NamedTuple):
    """Which stack, in which environment, a state belongs to."""

    stack: str
    environment: str | None

    def __str__(self) -> str:
        return f"{self.stack} ({self.environment})" if self.environment else self.stack


class Opened(NamedTuple):
    """A database that can be used."""

    connection: sqlite3.Connection
    lineage: UUID
    read_only: bool


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """A connection in WAL mode that waits for the disk at each commit.

    Raises sqlite3.Error, or OSError where the file system cannot do it. The caller sees to it that
    one thread at a time uses it.
    """
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise OSError(errno.ENOTSUP, "the file system cannot hold a write-ahead log")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        # 16 MiB between checkpoints: a page that changes often is copied back once, not each time.
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_database(
    path: Path,
    identity: Identity,
    mark: Mark,
    new_lineage: Callable[[], UUID],
    patience: float,
) -> Opened:
    """The connection and the lineage of the state; makes the state if there is none.

    Raises ProvisionerError with the codes of :mod:`provisioner.state.faults`.
    """
    connection = None
    try:
        # Before the database: it may go on meanwhile, and must never seem to lag behind.
        known = mark.read()
        read_only = path.exists() and is_read_only(path)
        if read_only:
            connection = connect_reading(path, patience)
        else:
            _make_file(path, known)
            connection = connect(path, patience)
            _create_if_blank(connection, identity, new_lineage)
        lineage = _open(connection, path, identity, known, read_only=read_only)
        if not read_only:
            mark.write(MarkValue(lineage, Ledger.load(connection).serial))
    except BaseException as problem:
        if connection is not None:
            connection.close()
        if isinstance(problem, (*faults.DATABASE_ERRORS, OSError)):
            raise faults.translate(path, problem) from problem
        raise
    return Opened(connection, lineage, read_only)


def recorded_stack(path: Path) -> str | None:
    """The name of the stack that a state belongs to; None where that cannot be read."""
    try:
        with closing(connect_reading(path)) as connection:
            return read_meta(connection, path)[1].stack
    except (*faults.DATABASE_ERRORS, OSError, ProvisionerError):
        return None


def read_meta(connection: sqlite3.Connection, path: Path) -> tuple[UUID, Identity]:
    """Lineage and identity; raises ProvisionerError (PRV4001) if they were altered."""
    rows = connection.execute("SELECT key, value, digest FROM meta").fetchall()
    values = {key: value for key, value, digest in rows if row_digest("meta", key, value) == digest}
    try:
        return UUID(values["lineage"]), Identity(values["stack"], values["environment"] or None)
    except (KeyError, ValueError) as problem:
        raise faults.damaged(path, ["Its own description is damaged or missing."]) from problem


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the layout; raises ProvisionerError (PRV4001, PRV4002) if it is none of ours
    or newer.
    """
    if schema.application_id(connection) != schema.APPLICATION_ID:
        raise faults.damaged(path, ["The file is not a state database."])
    version = schema.user_version(connection)
    if version > schema.VERSION:
        raise faults.newer(path, version, schema.VERSION)
    return version


def check_mark(path: Path, connection: sqlite3.Connection, mark: Mark) -> None:
    """Raise ProvisionerError (PRV4003) if the database is not the one that was written last."""
    # The mark first: see open_database.
    known = mark.read()
    _compare(path, connection, known)


def check_identity(path: Path, found: Identity, expected: Identity) -> None:
    """Raise ProvisionerError (PRV4010) if the state belongs to another stack or environment."""
    if found == expected:
        return
    raise ProvisionerError(
        error(
            "PRV4010",
            f"the state {path} belongs to another stack",
            detail=f"It was made for {found}; the stack here is {expected}.",
            hint="If the stack was renamed, give it its old name again. If the folder is a copy in"
            " which another stack begins, remove the copied state.",
        )
    )


def _make_file(path: Path, known: MarkValue | None) -> None:
    """Make the folder (0700) and an empty file (0600) if they are not there."""
    if path.exists():
        if path.stat().st_size == 0 and known is not None and not has_log(path):
            raise faults.damaged(path, ["The file is empty."])
        return
    if known is not None:
        raise faults.outdated(
            path, f"The file is gone; its mark says that {known.serial} transactions were written."
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open(
    connection: sqlite3.Connection,
    path: Path,
    identity: Identity,
    known: MarkValue | None,
    *,
    read_only: bool,
) -> UUID:
    version = check_version(connection, path)
    if problems := quick_problems(connection):
        raise faults.damaged(path, problems)
    if version < schema.VERSION:
        if read_only:
            raise faults.read_only(path, "Its layout is an older one and needs to be upgraded.")
        try:
            schema.upgrade(connection, schema.UPGRADES, schema.VERSION)
        except KeyError as problem:
            raise faults.damaged(
                path, [f"There never was a version {version} of its layout."]
            ) from problem
    try:
        lineage, found = read_meta(connection, path)
        check_identity(path, found, identity)
        _compare(path, connection, known)
    except DamagedLedgerError as problem:
        raise faults.damaged(path, [str(problem)]) from problem
    return lineage


def _create_if_blank(
    connection: sqlite3.Connection, identity: Identity, new_lineage: Callable[[], UUID]
) -> None:
    if not schema.is_blank(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        if schema.is_blank(connection):
            schema.create_tables(connection)
            transaction = Transaction(connection, Ledger())
            transaction.insert("meta", "lineage", str(new_lineage()))
            transaction.insert("meta", "stack", identity.stack)
            transaction.insert("meta", "environment", identity.environment or "")
            transaction.seal()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _compare(path: Path, connection: sqlite3.Connection, known: MarkValue | None) -> None:
    if known is None:
        return
    lineage, _ = read_meta(connection, path)
    serial = Ledger.load(connection).serial
    if lineage != known.lineage:
        raise faults.outdated(
            path, f"Its lineage is {lineage}; the state that was written last has {known.lineage}."
        )
    if serial < known.serial:
        raise faults.outdated(
            path,
            f"It ends with transaction {serial}; transaction {known.serial} was written since."
            " An older copy was put in its place, or its write-ahead log was removed.",
        )
