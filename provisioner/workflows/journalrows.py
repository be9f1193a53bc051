"""Rows of a journal as values. Called by :mod:`provisioner.workflows.journal`, within its
transactions.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from provisioner.state.process import ProcessIdentity
from provisioner.workflows import refusals
from provisioner.workflows.journalfile import DamagedRowError
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import Entry, Outcome, Run, RunRecord, What, carrier_of

RUN = "SELECT id, name, mode, digest, actor, started, ended, outcome, undoes FROM runs"
ALL_RUNS = "(SELECT id FROM runs)"
LOG = "SELECT sequence, run, what, task, at, actor, seconds, detail FROM log"


def log_of(run: str, after: int = 0) -> tuple[str, tuple[str, int]]:
    """The query for the log of a run, behind the entry with this number."""
    return f"{LOG} WHERE run = ? AND sequence > ? ORDER BY sequence", (run, after)


def log_about(prefix: str) -> tuple[str, tuple[str, str]]:
    """The query for the log of all runs about tasks whose ids begin so; by its runs, for there is
    an index of each one's tasks.
    """
    behind = f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"
    query = f"{LOG} WHERE run IN {ALL_RUNS} AND task >= ? AND task < ? ORDER BY sequence"
    return query, (prefix, behind)


def last_of(connection: sqlite3.Connection) -> RunRecord | None:
    """The newest run; None if there was none yet."""
    row = connection.execute(f"{RUN} ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else record_of(connection, row)


def found_run(connection: sqlite3.Connection, run: str) -> RunRecord:
    """The run of this id; raises ProvisionerError (PRV7003) if there is none."""
    row = connection.execute(f"{RUN} WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise refusals.no_such_run(run)
    return record_of(connection, row)


def whole(connection: sqlite3.Connection, record: RunRecord) -> Run:
    """A run with its runbook and its log."""
    rows = connection.execute(*log_of(record.id))
    return Run.of(record, runbook_of(connection, record.digest), [entry_of(row) for row in rows])


def is_orphaned(connection: sqlite3.Connection, run: str) -> bool:
    """Whether the process that carries an open run out is proven dead, or has left it."""
    row = connection.execute(
        "SELECT process FROM runs WHERE id = ? AND ended IS NULL", (run,)
    ).fetchone()
    if row is None:
        return False
    if row[0] is None:
        return True
    return ProcessIdentity(*json.loads(row[0])).is_proven_dead(ProcessIdentity.current())


def is_alive(connection: sqlite3.Connection, run: str) -> bool:
    """Whether the process that carries a run out is seen to live, on this machine."""
    row = connection.execute("SELECT process FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None or row[0] is None:
        return False
    return ProcessIdentity(*json.loads(row[0])).is_proven_alive(ProcessIdentity.current())


def record_of(connection: sqlite3.Connection, row: Sequence[Any]) -> RunRecord:
    """What a row of ``runs`` says."""
    run, name, mode, digest, actor, started, ended, outcome, undoes = row
    carried = connection.execute(
        f"{LOG} WHERE run = ? AND task = '' AND what = ? ORDER BY sequence DESC LIMIT 1",
        (run, What.CARRIED),
    ).fetchone()
    return RunRecord(
        id=run,
        name=name,
        mode=mode,
        digest=digest,
        actor=actor,
        started=datetime.fromisoformat(started),
        ended=None if ended is None else datetime.fromisoformat(ended),
        outcome=None if outcome is None else Outcome(outcome),
        undoes=undoes,
        carrier=carrier_of(entry_of(carried)),
    )


def runbook_of(connection: sqlite3.Connection, digest: str) -> Runbook:
    """A runbook by its digest; raises DamagedRowError if it is not what was written."""
    row = connection.execute("SELECT document FROM runbooks WHERE digest = ?", (digest,)).fetchone()
    try:
        runbook = Runbook.of(json.loads(zlib.decompress(row[0])))
    except (TypeError, KeyError, ValueError, zlib.error) as problem:
        raise DamagedRowError(f"The runbook {digest} cannot be read: {problem}.") from problem
    if runbook.digest != digest:
        raise DamagedRowError(f"The runbook {digest} is not what was written.")
    return runbook


def entry_of(row: Sequence[Any]) -> Entry:
    """What a row of ``log`` says; raises DamagedRowError if that cannot be read."""
    sequence, run, what, task, at, actor, seconds, detail = row
    try:
        moment, told = datetime.fromisoformat(at), json.loads(detail)
        return Entry(sequence, run, What(what), task, moment, actor, seconds, told)
    except (TypeError, ValueError) as problem:
        raise DamagedRowError(f"The entry {sequence} cannot be read: {problem}.") from problem
