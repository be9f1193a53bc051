"""Backup and restore of a state database; called by the SQLite store.

A backup is one plain SQLite file, checked after it was written. A restore checks it again, keeps
what was there beside it, and goes on counting where the replaced state had arrived, so that what is
written from then on has serials of its own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.state import faults
from provisioner.state.database import (
    Identity,
    check_identity,
    check_version,
    read_meta,
    sync_folder,
)
from provisioner.state.integrity import all_problems
from provisioner.state.ledger import Ledger, Transaction
from provisioner.state.mark import Mark, MarkValue
from provisioner.state.reading import log_of


def write(connection: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy the database to ``target`` (mode 0600) and check the copy.

    Raises ProvisionerError: PRV4011 if ``target`` exists or cannot be written, PRV4001 if the
    database is damaged.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise _not_written(target, problem.strerror or str(problem)) from problem
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("DELETE FROM lock")
            # One file without a log beside it is what people expect a backup to be.
            copy.execute("PRAGMA journal_mode = DELETE")
            if problems := all_problems(copy):
                raise faults.damaged(path, problems)
        _sync(target)
        sync_folder(target.parent)
    except BaseException as problem:
        target.unlink(missing_ok=True)
        if isinstance(problem, (*faults.DATABASE_ERRORS, OSError)):
            raise _not_written(target, str(problem)) from problem
        raise


def restore(source: Path, path: Path, identity: Identity, now: datetime, actor: str) -> Path | None:
    """Put the backup ``source`` in the place of the database ``path``; returns where the old one is
    kept. ``actor`` goes into the history.

    The database must be closed. Raises ProvisionerError: PRV4013 if the backup is damaged or none,
    PRV4002 if it is newer than this program, PRV4010 if it belongs to another stack.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".restoring")
    try:
        _remove(fresh)
        _copy(source, fresh)
        known = Mark.of(path).read()
        value = _prepare(source, fresh, identity, known.serial if known else 0, now, actor=actor)
        kept = _exchange(path, fresh, now)
    except (*faults.DATABASE_ERRORS, OSError) as problem:
        raise _unfit(source, str(problem)) from problem
    finally:
        _remove(fresh)
    try:
        sync_folder(path.parent)
        with closing(Mark.of(path)) as mark:
            mark.write(value)
    except OSError as problem:
        raise faults.translate(path, problem) from problem
    return kept


def _copy(source: Path, fresh: Path) -> None:
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    shutil.copyfile(source, fresh)
    # A file copied by hand from a store in use is only whole with its log.
    log = log_of(source)
    if log.exists():
        shutil.copyfile(log, log_of(fresh))


def _prepare(
    source: Path, fresh: Path, identity: Identity, serial: int, now: datetime, *, actor: str
) -> MarkValue:
    """Check the copy and give it the next serial; returns its mark."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        try:
            check_version(connection, source)
            problems = all_problems(connection)
            lineage, found = read_meta(connection, source)
        except ProvisionerError as problem:
            if problem.diagnostics[0].code != "PRV4001":
                raise
            raise _unfit(source, problem.diagnostics[0].detail) from problem
        if problems:
            raise _unfit(source, "\n".join(problems))
        check_identity(source, found, identity)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM lock")
        ledger = Ledger.load(connection)
        ledger.serial = max(ledger.serial, serial)
        transaction = Transaction(connection, ledger)
        number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM operations")
        moment = now.isoformat()
        value = number.fetchone()[0]
        transaction.insert(
            "operations",
            value,
            f"{now:%Y%m%dT%H%M%SZ}-{value}",
            "restore",
            actor,
            moment,
            moment,
            "done",
            "{}",
            None,
        )
        reached = transaction.seal()
        connection.execute("COMMIT")
    _sync(fresh)
    return MarkValue(lineage, reached)


def _exchange(path: Path, fresh: Path, now: datetime) -> Path | None:
    """Put the new database in the place of the old one; returns where that is now. Raises OSError,
    and then all is as it was.
    """
    kept = path.with_name(f"{path.name}.before-restore-{now:%Y%m%dT%H%M%S.%fZ}")
    moved: list[tuple[Path, Path]] = []
    try:
        # The log goes, too, if its database is lost: SQLite would write it over the new one.
        for old, new in ((path, kept), (log_of(path), log_of(kept))):
            if old.exists():
                old.rename(new)
                moved.append((old, new))
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        fresh.rename(path)
    except OSError:
        for old, new in reversed(moved):
            new.rename(old)
        raise
    return kept if kept.exists() else None


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(target: Path, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV4011",
            f"the backup {target} cannot be written",
            detail=detail,
            hint="Name a file that does not exist yet, in a folder with enough space.",
        )
    )


def _unfit(source: Path, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV4013",
            f"the backup {source} cannot be restored",
            detail=detail,
            hint="Nothing was changed. Name a file written by 'provisioner state backup'.",
        )
    )
