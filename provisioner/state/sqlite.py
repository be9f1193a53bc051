"""The SQLite store: state of one stack in one file, one row for each resource, one transaction for
each transition.

Made by the service layer for stacks that keep their state locally. The database runs in WAL mode
with ``synchronous=FULL``: when a method returns, what it wrote survives a power failure. Threads
that wait for a commit at the same time share one. See docs/decisions for why it is not a JSON file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from provisioner.core.address import Address
from provisioner.core.clock import Clock, SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.state import backup, faults, lock
from provisioner.state.codec import (
    decode_endpoint,
    decode_entries,
    encode,
    encode_endpoint,
    encode_entry,
)
from provisioner.state.database import Identity, Opened, check_mark, open_database
from provisioner.state.integrity import all_problems, damaged_rows, row_problems
from provisioner.state.journal import UNSUCCESSFUL, attempts_of, record_of
from provisioner.state.ledger import DamagedLedgerError, Ledger, Transaction
from provisioner.state.mark import Mark, MarkValue
from provisioner.state.model import (
    EndpointRecord,
    Entry,
    FailedAttempt,
    JournalPhase,
    JournalRecord,
    LockHolder,
    OperationRecord,
    State,
)
from provisioner.state.process import ProcessIdentity
from provisioner.state.store import LEASE

T = TypeVar("T")

JOURNAL_LENGTH = 100_000
"""Journal records kept; older ones go when an operation begins."""

_OPEN_INTENTS = (
    "SELECT * FROM journal WHERE sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence"
)


class _Ticket(Generic[T]):
    """One piece of work on its way into a transaction, which another thread may carry out."""

    def __init__(self, work: Callable[[Transaction], T]) -> None:
        self.work = work
        self.settled = False
        self.value: T | None = None
        self.error: Exception | None = None


class SqliteStore:
    """Implements :class:`provisioner.state.store.Store` in a file. Nothing is opened before the
    first use.
    """

    def __init__(
        self,
        path: Path,
        *,
        stack: str,
        environment: str | None = None,
        clock: Clock | None = None,
        new_lineage: Callable[[], UUID] = uuid4,
        patience: float = 10.0,
    ) -> None:
        """``patience``: seconds to wait for another process that is in the middle of a write."""
        self._path = path
        self._identity = Identity(stack, environment)
        self._clock = clock or SystemClock()
        self._new_lineage = new_lineage
        self._patience = patience
        self._mutex = threading.RLock()
        self._waiting: deque[_Ticket[Any]] = deque()
        self._mark = Mark.of(path)
        self._opened: Opened | None = None
        self._ledger: Ledger | None = None
        self._lock: lock.HeldLock | None = None

    # Reading

    def read(self) -> State:
        """Everything recorded; raises ProvisionerError (PRV4001) if it is not what was written."""
        with self._mutex:
            connection, lineage, _ = self._open()
            try:
                connection.execute("BEGIN")
                try:
                    ledger = Ledger.load(connection)
                    entries = connection.execute("SELECT * FROM entries").fetchall()
                    endpoints = connection.execute("SELECT * FROM endpoints").fetchall()
                    intents = connection.execute(
                        _OPEN_INTENTS, (json.dumps(ledger.open_intents),)
                    ).fetchall()
                finally:
                    connection.execute("COMMIT")
            except faults.DATABASE_ERRORS as problem:
                raise faults.translate(self._path, problem) from problem
            except DamagedLedgerError as problem:
                raise faults.damaged(self._path, [str(problem)]) from problem
        problems = [
            *row_problems("entries", entries, ledger.seals["entries"]),
            *row_problems("endpoints", endpoints, ledger.seals["endpoints"]),
        ]
        if len(intents) != len(ledger.open_intents):
            problems.append("An open intent is missing in the journal.")
        problems += damaged_rows("journal", intents)
        if problems:
            raise faults.damaged(self._path, problems)
        try:
            return State(
                lineage=lineage,
                serial=ledger.serial,
                entries=decode_entries([row[:3] for row in entries]),
                endpoints={row[0]: decode_endpoint(row[0], row[1]) for row in endpoints},
                open_intents=tuple(record_of(row) for row in intents),
            )
        except (ValueError, KeyError) as problem:
            raise faults.damaged(self._path, [str(problem)]) from problem

    def history(self, limit: int = 50) -> list[OperationRecord]:
        """Operations, newest first."""
        rows = self._rows(
            "operations", "SELECT * FROM operations ORDER BY number DESC LIMIT ?", limit
        )
        return [
            OperationRecord(
                operation=row[1],
                kind=row[2],
                actor=row[3],
                started_at=row[4],
                ended_at=row[5],
                outcome=row[6],
                summary=json.loads(row[7]),
                plan_digest=row[8],
            )
            for row in rows
        ]

    def journal(self, operation: str | None = None) -> list[JournalRecord]:
        """Journal records in order; of one operation or of all that are kept."""
        rows = self._rows(
            "journal",
            "SELECT * FROM journal WHERE ?1 IS NULL OR operation = ?1 ORDER BY sequence",
            operation,
        )
        return [record_of(row) for row in rows]

    def failed_attempts(self) -> dict[str, FailedAttempt]:
        """Steps that did not succeed when they were last tried, by their ids."""
        return attempts_of(record_of(row) for row in self._rows("journal", UNSUCCESSFUL))

    # Writing

    def begin(self, kind: str, actor: str, plan_digest: str | None) -> str:
        """Note durably that an operation begins; old journal records go now."""
        at = self._clock.now()

        def work(transaction: Transaction) -> str:
            execute = transaction.connection.execute
            number = execute("SELECT coalesce(max(number), 0) + 1 FROM operations").fetchone()[0]
            transaction.prune_journal(JOURNAL_LENGTH)
            name = f"{at:%Y%m%dT%H%M%SZ}-{number}"
            transaction.insert(
                "operations",
                number,
                name,
                kind,
                actor,
                at.isoformat(),
                None,
                None,
                "{}",
                plan_digest,
            )
            return name

        return self._write(work)

    def finish(self, operation: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """Note how the operation ended."""
        ended = self._clock.now().isoformat()
        text = encode(summary, "the summary of an operation")

        def work(transaction: Transaction) -> None:
            row = transaction.connection.execute(
                "SELECT number, id, kind, actor, started_at, plan_digest FROM operations"
                " WHERE number = ? AND id = ?",
                (operation.rpartition("-")[2], operation),
            ).fetchone()
            if row is None:
                raise _unknown(f"an operation {operation}")
            transaction.put("operations", *row[:5], ended, outcome, text, row[5])

        self._write(work)

    def intend(
        self, operation: str, step: str, action: str, address: Address, detail: Mapping[str, Any]
    ) -> int:
        """Write an intent durably; raises PRV4005 if this process had the lock and lost it."""
        text = encode(detail, f"the intent to {action} {address}") if detail else "{}"
        at = self._clock.now().isoformat()

        def work(transaction: Transaction) -> int:
            self._require_lock(transaction)
            return transaction.append(
                operation, step, "intent", action, str(address), at, text, opens=True
            )

        return self._write(work)

    def settle(
        self,
        intent: int,
        *,
        put: Sequence[Entry] = (),
        remove: Sequence[Address] = (),
        failure: Mapping[str, Any] | None = None,
    ) -> None:
        """Close an intent and write the entries in the same transaction.

        Does not ask for the lock: what was done has to be recorded, whoever holds it by now. Raises
        PRV4005 if somebody who took the lock has closed the intent, PRV4014 if there is none.
        """
        text = encode(failure, "the outcome of an intent") if failure else "{}"
        at = self._clock.now().isoformat()
        rows = [(str(entry.address), encode_entry(entry, at)) for entry in put]
        gone = [str(address) for address in remove]
        phase = JournalPhase.DONE if failure is None else JournalPhase.FAILED

        def work(transaction: Transaction) -> None:
            if not transaction.close_intent(intent):
                self._require_lock(transaction)
                raise _unknown(f"an open intent {intent}")
            record = transaction.connection.execute(
                "SELECT operation, step, action, address FROM journal WHERE sequence = ?", (intent,)
            ).fetchone()
            operation, step, action, address = record
            transaction.append(operation, step, phase.value, action, address, at, text)
            for name in gone:
                transaction.drop("entries", name)
            for name, body in rows:
                transaction.put("entries", name, transaction.serial, body)

        self._write(work)

    def record_endpoints(self, endpoints: Sequence[EndpointRecord]) -> None:
        """Remember the endpoints that an operation is about to use; writes only what is new."""
        rows = {record.name: encode_endpoint(record) for record in endpoints}

        def work(transaction: Transaction) -> None:
            known = dict(transaction.connection.execute("SELECT name, body FROM endpoints"))
            for name, body in rows.items():
                if known.get(name) != body:
                    transaction.put("endpoints", name, body)

        self._write(work)

    # Lock

    def lock(self, owner: str, purpose: str, lease: timedelta) -> lock.HeldLock:
        """Take the lock; raises ProvisionerError (PRV4004) that names who else holds it."""
        now = self._clock.now()
        holder, note = self._write(
            lambda transaction: lock.take(transaction.connection, now, owner, purpose, lease)
        )
        self._lock = lock.HeldLock(self._run, self._clock, holder, lease, note)
        return self._lock

    def lock_holder(self) -> LockHolder | None:
        """Who holds the lock now, if anybody."""
        with self._mutex:
            try:
                found = lock.find(self._open().connection)
            except faults.DATABASE_ERRORS as problem:
                raise faults.translate(self._path, problem) from problem
        if found is None:
            return None
        holder, process = found
        return replace(holder, has_ended=process.is_proven_dead(ProcessIdentity.current()))

    def break_lock(self, token: str) -> None:
        """Remove the lock that has this token; raises ProvisionerError (PRV4006) without one."""
        if not self._run(lambda connection: lock.drop(connection, token)):
            raise lock.no_such_lock(token, self.lock_holder())

    # Safety

    def verify(self) -> list[str]:
        """Check every page, row and seal, and the mark beside the file."""
        with self._mutex:
            try:
                connection = self._open().connection
                problems = all_problems(connection)
                if not problems:
                    check_mark(self._path, connection, self._mark)
            except faults.DATABASE_ERRORS as problem:
                return faults.findings(faults.translate(self._path, problem))
            except ProvisionerError as problem:
                return faults.findings(problem)
        return problems

    def backup(self, target: Path) -> None:
        """Write a verified copy to ``target``, a file that does not exist yet."""
        with self._mutex:
            backup.write(self._open().connection, self._path, target)

    def restore(self, source: Path, actor: str = "") -> str | None:
        """Put a verified backup in the place of this store; what was there is kept beside it.

        Works on a damaged store, too. Returns what a person should know of the lock that was in the
        way. Raises ProvisionerError: PRV4013 if the backup is none, PRV4010 if it belongs to
        another stack, PRV4004 if somebody works on the state.
        """
        with self._mutex:
            taken = self._lock_out(actor)
            self._disconnect()
            try:
                backup.restore(source, self._path, self._identity, self._clock.now(), actor)
            except BaseException:
                if taken is not None:
                    token = taken[0].token
                    with suppress(ProvisionerError):
                        self._run(lambda connection: lock.drop(connection, token))
                raise
        return taken[1] if taken is not None else None

    def _lock_out(self, actor: str) -> tuple[LockHolder, str | None] | None:
        """Lock what is about to be replaced, for good: who has it open finds the lock in the file
        that is kept. None: there is nothing that anybody could work on.
        """
        if not self._path.exists():
            return None
        now = self._clock.now()
        try:
            return self._write(
                lambda transaction: lock.take(
                    transaction.connection, now, actor, "state restore", LEASE
                )
            )
        except ProvisionerError as problem:
            if any(item.code in faults.UNTRUSTED for item in problem.diagnostics):
                return None
            raise

    def close(self) -> None:
        """Free files and connections and give the lock back; may be called twice."""
        if self._lock is not None and self._opened is not None:
            with suppress(ProvisionerError):
                self._lock.release()
        with self._mutex:
            self._disconnect()

    # Transactions

    def _open(self) -> Opened:
        """The open database; the caller holds the mutex."""
        if self._opened is None:
            self._opened = open_database(
                self._path, self._identity, self._mark, self._new_lineage, self._patience
            )
        return self._opened

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None
            self._ledger = None
        self._mark.close()

    def _rows(self, table: str, statement: str, *arguments: object) -> list[Any]:
        """Whole rows of a sealed table, each held against its digest."""
        with self._mutex:
            try:
                rows = self._open().connection.execute(statement, arguments).fetchall()
            except faults.DATABASE_ERRORS as problem:
                raise faults.translate(self._path, problem) from problem
        if problems := damaged_rows(table, rows):
            raise faults.damaged(self._path, problems)
        return rows

    def _run(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        return self._write(lambda transaction: work(transaction.connection))

    def _require_lock(self, transaction: Transaction) -> None:
        """Raise PRV4005 if this process had the lock and lost it."""
        if self._lock is not None and not self._lock.is_released:
            lock.require(transaction.connection, self._lock.holder)

    def _write(self, work: Callable[[Transaction], T]) -> T:
        """Carry out one piece of work durably, with what other threads brought meanwhile."""
        ticket = _Ticket(work)
        self._waiting.append(ticket)
        with self._mutex:
            if not ticket.settled:
                batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
                # Not among them if a leader was interrupted after it had taken this ticket.
                self._commit(batch if ticket in batch else [*batch, ticket])
        if ticket.error is not None:
            raise ticket.error
        return ticket.value  # type: ignore[return-value]

    def _commit(self, batch: list[_Ticket[Any]]) -> None:
        try:
            self._transact(batch)
        except Exception as problem:  # noqa: BLE001 - handed to the thread that brought the work
            if len(batch) == 1:
                batch[0].error = problem
                batch[0].settled = True
                return
            # Whose work it was that failed is found out by giving each a transaction of its own.
            for ticket in batch:
                self._commit([ticket])

    def _transact(self, batch: list[_Ticket[Any]]) -> None:
        connection, lineage, read_only = self._open()
        if read_only:
            raise faults.read_only(self._path)
        transaction = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            if self._ledger is None or not self._ledger.is_current(connection):
                self._ledger = Ledger.load(connection)
            transaction = Transaction(connection, self._ledger)
            for ticket in batch:
                ticket.value = ticket.work(transaction)
            serial = transaction.seal()
            connection.execute("COMMIT")
        except Exception as problem:
            self._ledger = None
            _roll_back(connection)
            if isinstance(problem, faults.DATABASE_ERRORS):
                raise faults.translate(self._path, problem) from problem
            if isinstance(problem, DamagedLedgerError):
                raise faults.damaged(self._path, [str(problem)]) from problem
            raise
        except BaseException:
            self._ledger = None
            # An interrupt right after the commit: what is written must not be done again.
            if not _roll_back(connection) and transaction is not None:
                _settle(batch)
            raise
        _settle(batch)
        if transaction.dirty:
            # The write is durable already; a mark that cannot follow only guards less.
            with suppress(OSError):
                self._mark.write(MarkValue(lineage, serial))


def _roll_back(connection: sqlite3.Connection) -> bool:
    """End the transaction without a trace; whether there was one."""
    if not connection.in_transaction:
        return False
    connection.execute("ROLLBACK")
    return True


def _settle(batch: Sequence[_Ticket[Any]]) -> None:
    for ticket in batch:
        ticket.settled = True


def _unknown(what: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV4014",
            f"the state knows of no such thing as {what}",
            hint="It may have been restored or reset meanwhile. Nothing was changed.",
        )
    )
