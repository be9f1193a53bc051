"""The journal of the runs of a plan: what was begun, done and said, durable before anything
follows.

One file for each plan, and in it one run that has not ended at most. The process that carries a run
out writes with :class:`Journal`; others read the same file meanwhile, answer questions, or ask the
run to end. Called by the runner and by whoever shows runs. See docs/decisions for why a journal is
believed about what was found out, and never about the world.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from provisioner.core.clock import Clock, SystemClock
from provisioner.core.values import canonical_json
from provisioner.state.process import ProcessIdentity
from provisioner.workflows import refusals
from provisioner.workflows.journalfile import (
    SAID,
    open_writing,
    opened_reading,
    transaction,
    translated,
)
from provisioner.workflows.journalrows import (
    LOG,
    RUN,
    entry_of,
    found_run,
    is_alive,
    is_orphaned,
    last_of,
    log_about,
    log_of,
    record_of,
    runbook_of,
    whole,
)
from provisioner.workflows.refusals import Ways
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import (
    Entry,
    Outcome,
    Run,
    RunRecord,
    What,
    states,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Note:
    """An entry that is to be written; see :class:`~provisioner.workflows.runs.Entry`. ``action``
    is that of the task.
    """

    what: What
    task: str = ""
    action: str = ""
    seconds: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""


class Journal:
    """The journal in a file. Nothing is opened before the first use, and nothing is made by
    reading. Every method raises ProvisionerError (PRV7007 to PRV7009) for a file that cannot be
    used. Safe to use from several threads.
    """

    def __init__(
        self,
        path: Path,
        *,
        ways: Ways | None = None,
        clock: Clock | None = None,
        patience: float = 10.0,
        notices: Sequence[str] = (),
    ) -> None:
        """``ways``: the commands that messages name. ``patience``: seconds to wait for another
        process that is in the middle of a write. ``notices``: what is noted with each run that is
        begun or gone on with through this object, see :class:`Carrier`.
        """
        self._path = path
        self._ways = ways or Ways()
        self._clock = clock or SystemClock()
        self._patience = patience
        self._notices = tuple(notices)
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._tokens: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    @property
    def ways(self) -> Ways:
        """The commands that messages name."""
        return self._ways

    def noting(self, notice: str) -> Journal:
        """The same journal, with one more of its ``notices``."""
        notices = (*self._notices, notice)
        return Journal(
            self._path, ways=self._ways, clock=self._clock, patience=self._patience, notices=notices
        )

    # Reading

    def runs(self, limit: int = 50) -> list[RunRecord]:
        """The newest runs, the newest first."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"{RUN} ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
            return [record_of(connection, row) for row in rows]

    def last(self) -> RunRecord | None:
        """The newest run; None if there was none yet."""
        return next(iter(self.runs(1)), None)

    def run(self, run: str) -> Run:
        """A run by its id, with all its tasks. Raises ProvisionerError (PRV7003)."""
        with self._reading() as connection:
            if connection is None:
                raise refusals.no_such_run(run)
            connection.execute("BEGIN")
            try:
                record = found_run(connection, run)
                runbook = runbook_of(connection, record.digest)
                rows = connection.execute(*log_of(run)).fetchall()
            finally:
                # Before the work: whoever writes waits for those who read.
                connection.execute("COMMIT")
            return Run.of(record, runbook, [entry_of(row) for row in rows])

    def entries(self, run: str, after: int = 0) -> list[Entry]:
        """The log of a run behind the entry with this number, in order: what has happened since
        somebody looked last.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            return [entry_of(row) for row in connection.execute(*log_of(run, after)).fetchall()]

    def entries_about(self, prefix: str) -> list[Entry]:
        """The log of all runs about tasks whose ids begin so, in order."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(*log_about(prefix)).fetchall()
            return [entry_of(row) for row in rows]

    def said(self, run: str, after: int = 0) -> list[Entry]:
        """What others have said and done about a run behind the entry with this number: answers,
        cancellations, that somebody goes on with it or has ended it.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                f"{LOG} WHERE run = ? AND sequence > ? AND {SAID} ORDER BY sequence", (run, after)
            ).fetchall()
            return [entry_of(row) for row in rows]

    def is_orphaned(self, run: str) -> bool:
        """Whether the process that carried an open run out is proven dead, or has given it up."""
        with self._reading() as connection:
            return connection is not None and is_orphaned(connection, run)

    def is_out_of_sight(self, run: str) -> bool:
        """Whether an open run is carried out by a process of which it cannot be seen from here
        whether it lives: one of another machine.
        """
        with self._reading() as connection:
            if connection is None or not found_run(connection, run).is_open:
                return False
            return not (is_orphaned(connection, run) or is_alive(connection, run))

    def samples(self, mode: str, runs: int) -> list[tuple[str, str, float]]:
        """Task id, action and seconds of what the last so many ended runs of a mode carried out
        whole: neither found done already, nor begun twice.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            return connection.execute(
                "SELECT task, CASE WHEN EXISTS (SELECT 1 FROM log AS asked WHERE asked.what = ?"
                " AND asked.run = log.run AND asked.task = log.task) THEN '' ELSE action END,"
                " seconds FROM log WHERE what = ? AND run IN (SELECT id FROM"
                " runs WHERE mode = ? AND ended IS NOT NULL ORDER BY number DESC LIMIT ?)"
                " AND NOT json_extract(detail, '$.observed')"
                " AND NOT json_extract(detail, '$.again') ORDER BY sequence",
                (What.WAITING, What.DONE, mode, runs),
            ).fetchall()

    def check_begin(
        self,
        *,
        undoes: str | None = None,
        instead_of: str | None = None,
        consent: bool = False,
    ) -> None:
        """Raise what :meth:`begin` would, and note nothing."""
        with self._reading() as connection:
            if connection is not None:
                self._ended_before(connection, undoes, instead_of, consent=consent)

    def check_resume(self, *, consent: bool = False) -> None:
        """Raise what :meth:`resume` would, and note nothing."""
        with self._reading() as connection:
            if connection is None:
                raise refusals.nothing_to_resume(None)
            self._interrupted(connection, consent=consent)

    # What the process does that carries a run out

    def begin(
        self,
        runbook: Runbook,
        actor: str,
        *,
        undoes: str | None = None,
        instead_of: str | None = None,
        consent: bool = False,
    ) -> RunRecord:
        """Note that a run begins, which this process carries out. ``undoes``: the id of the run
        that it rolls back; ``instead_of``: that of one which it makes needless. If that was
        interrupted, it ends now; also with the ``consent`` of somebody who has made sure of that,
        where it cannot be proven from here.

        Raises ProvisionerError: PRV7001 while another run has not ended, PRV7003 if there is no run
        ``undoes``.
        """
        document = zlib.compress(canonical_json(runbook.as_json()).encode())

        def work(connection: sqlite3.Connection) -> RunRecord:
            last = self._ended_before(connection, undoes, instead_of, consent=consent)
            if last is not None and last.is_open:
                # A token that nobody has: if the process is alive after all, it finds out.
                connection.execute("UPDATE runs SET token = '' WHERE id = ?", (last.id,))
                self._end(connection, last.id, Outcome.CANCELLED, actor)
            number = (
                1 + connection.execute("SELECT coalesce(max(number), 0) FROM runs").fetchone()[0]
            )
            run = f"{self._clock.now():%Y%m%dT%H%M%SZ}-{number}"
            connection.execute(
                "INSERT INTO runbooks VALUES (?, ?) ON CONFLICT DO NOTHING",
                (runbook.digest, document),
            )
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, '', NULL)",
                (
                    number,
                    run,
                    runbook.name,
                    runbook.mode,
                    runbook.digest,
                    actor,
                    self._clock.now().isoformat(),
                    undoes,
                ),
            )
            return self._carry(connection, run, actor)

        return self._write(work)

    def resume(
        self,
        actor: str,
        *,
        consent: bool = False,
        adding: Callable[[Run], Iterable[Note]] | None = None,
    ) -> RunRecord:
        """Note that this process goes on with the last run. ``consent``: somebody has made sure
        that no other process carries it out, where that cannot be proven from here. ``adding``:
        what is noted with it, or refused, for the run as it is then.

        Raises ProvisionerError: PRV7002 if another process may carry it out, or is seen to, with
        whatever consent; PRV7003 if there is nothing to go on with.
        """

        def work(connection: sqlite3.Connection) -> RunRecord:
            last = self._interrupted(connection, consent=consent)
            notes = [] if adding is None else list(adding(whole(connection, last)))
            carried = self._carry(connection, last.id, actor)
            self._add(connection, last.id, notes)
            return carried

        return self._write(work)

    def write(self, run: str, notes: Sequence[Note]) -> None:
        """Add to the log of a run, all or nothing. Raises ProvisionerError (PRV7006) if this
        process does not carry it out any more.
        """

        def work(connection: sqlite3.Connection) -> None:
            self._require(connection, run)
            self._add(connection, run, notes)

        self._write(work)

    def end(self, run: str, outcome: Outcome, notes: Sequence[Note] = ()) -> None:
        """Note that a run has ended. Raises like :meth:`write`."""

        def work(connection: sqlite3.Connection) -> None:
            self._require(connection, run)
            self._add(connection, run, notes)
            self._end(connection, run, outcome, "")

        self._write(work)

    def leave(self, run: str) -> None:
        """Note that nobody carries a run out now, though it has not ended: whoever wants to may go
        on. Nothing is noted where another process does.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET process = NULL WHERE id = ? AND token = ?",
                (run, self._tokens.get(run)),
            )

        self._write(work)

    # What others say

    def answer(self, run: str, task: str, text: str, actor: str) -> None:
        """Answer the question of a task. Raises ProvisionerError (PRV7005) if it does not wait for
        an answer (any more).
        """

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute(
                f"{LOG} WHERE run = ? AND task = ? ORDER BY sequence", (run, task)
            )
            known = [entry_of(row) for row in rows]
            if not states([task], known)[task].asks:
                raise refusals.not_asked(task, known[-1] if known else None)
            told = Note(What.ANSWERED, task, detail={"text": text}, actor=actor)
            self._add(connection, run, [told])

        self._write(work)

    def cancel(self, actor: str, *, consent: bool = False) -> RunRecord:
        """Ask the open run to end; returns it as it is then. One whose process has ended, or may be
        taken for ended by ``consent`` because it cannot be seen from here, ends here and now. One
        that has ended and did not succeed is given up: nothing waits any more for somebody to go on
        with it. Raises ProvisionerError (PRV7004) if there is neither.
        """

        def work(connection: sqlite3.Connection) -> RunRecord:
            last = last_of(connection)
            if last is None or last.outcome is Outcome.SUCCEEDED:
                raise refusals.nothing_to_cancel(last)
            if not last.is_open:
                if whole(connection, last).given_up:
                    raise refusals.nothing_to_cancel(last)
                self._add(connection, last.id, [Note(What.CANCEL, actor=actor)])
                return last
            self._add(connection, last.id, [Note(What.CANCEL, actor=actor)])
            given_up = consent and not is_alive(connection, last.id)
            if given_up or is_orphaned(connection, last.id):
                # A token that nobody has: if the process is alive after all, it finds out.
                connection.execute("UPDATE runs SET token = '' WHERE id = ?", (last.id,))
                self._end(connection, last.id, Outcome.CANCELLED, actor)
            return last_of(connection) or last

        return self._write(work)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # Within a transaction

    def _ended_before(
        self,
        connection: sqlite3.Connection,
        undoes: str | None,
        instead_of: str | None,
        *,
        consent: bool = False,
    ) -> RunRecord | None:
        """The last run, if another one may begin; it is open where that ends it."""
        last = last_of(connection)
        if undoes is not None:
            found_run(connection, undoes)
        if last is not None and last.is_open:
            orphaned = is_orphaned(connection, last.id)
            unseen = not orphaned and not is_alive(connection, last.id)
            gone = orphaned or (consent and unseen)
            if last.id not in (undoes, instead_of) or not gone:
                raise refusals.another_run(last, self._ways, orphaned=orphaned, out_of_sight=unseen)
        return last

    def _interrupted(self, connection: sqlite3.Connection, *, consent: bool) -> RunRecord:
        """The last run, if it may be gone on with."""
        last = last_of(connection)
        if last is None or last.outcome is Outcome.SUCCEEDED:
            raise refusals.nothing_to_resume(last)
        if last.is_open and not is_orphaned(connection, last.id):
            if is_alive(connection, last.id):
                raise refusals.alive(last, self._ways)
            if not consent:
                raise refusals.under_way(last, self._ways, self._path)
        return last

    def _carry(self, connection: sqlite3.Connection, run: str, actor: str) -> RunRecord:
        process, token = ProcessIdentity.current(), secrets.token_hex(8)
        connection.execute(
            "UPDATE runs SET token = ?, process = ?, ended = NULL, outcome = NULL WHERE id = ?",
            (token, json.dumps(process), run),
        )
        detail: dict[str, Any] = {"host": process.host, "pid": process.pid}
        if self._notices:
            detail["notices"] = list(self._notices)
        self._add(connection, run, [Note(What.CARRIED, detail=detail, actor=actor)])
        self._tokens[run] = token
        return found_run(connection, run)

    def _require(self, connection: sqlite3.Connection, run: str) -> None:
        found = connection.execute("SELECT token FROM runs WHERE id = ?", (run,)).fetchone()
        if found != (self._tokens.get(run),):
            raise refusals.taken_over(found_run(connection, run))

    def _add(self, connection: sqlite3.Connection, run: str, notes: Iterable[Note]) -> None:
        at = self._clock.now().isoformat()
        connection.executemany(
            "INSERT INTO log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    run,
                    note.what,
                    note.task,
                    note.action,
                    at,
                    note.actor,
                    note.seconds,
                    canonical_json(dict(note.detail)),
                )
                for note in notes
            ],
        )

    def _end(self, connection: sqlite3.Connection, run: str, outcome: Outcome, actor: str) -> None:
        ended = Note(What.ENDED, detail={"outcome": outcome}, actor=actor)
        self._add(connection, run, [ended])
        connection.execute(
            "UPDATE runs SET ended = ?, outcome = ?, process = NULL WHERE id = ?",
            (self._clock.now().isoformat(), outcome, run),
        )

    # Connections

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out one transaction; when it returns, it is on the disk."""
        with self._mutex:
            if self._connection is None:
                self._connection = open_writing(self._path, self._patience)
            with translated(self._path), transaction(self._connection):
                return work(self._connection)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._mutex, translated(self._path):
            if self._connection is not None:
                yield self._connection
                return
            with opened_reading(self._path, self._patience) as connection:
                yield connection
