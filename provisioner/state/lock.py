"""The lock of a state database: one row that says who works on the stack, renewed while the work
goes on.

Called by the SQLite store, inside its transactions. A lock that a dead process of this machine left
is taken over; one whose lease has run out is reported with the command that breaks it, because a
machine that sleeps may wake up again.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from provisioner.core.clock import Clock
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.state.model import LockHolder
from provisioner.state.process import ProcessIdentity

Run = Callable[[Callable[[sqlite3.Connection], bool]], bool]
"""Carries out one piece of work in a transaction of the store."""


def find(connection: sqlite3.Connection) -> tuple[LockHolder, ProcessIdentity] | None:
    """The lock as it stands in the database, and the process that took it."""
    row = connection.execute(
        "SELECT owner, purpose, since, expires, token, process FROM lock"
    ).fetchone()
    if row is None:
        return None
    owner, purpose, since, expires, token, process = row
    holder = LockHolder(
        owner, purpose, datetime.fromisoformat(since), datetime.fromisoformat(expires), token
    )
    return holder, ProcessIdentity(*json.loads(process))


def take(
    connection: sqlite3.Connection, now: datetime, owner: str, purpose: str, lease: timedelta
) -> tuple[LockHolder, str | None]:
    """Write the lock; returns it with a note if it was taken over from a process that has ended.

    Raises ProvisionerError (PRV4004) if somebody else has it.
    """
    here = ProcessIdentity.current()
    note = None
    found = find(connection)
    if found is not None:
        holder, process = found
        if not process.is_proven_dead(here):
            raise ProvisionerError(held(holder, now))
        note = (
            f"Took over the lock of {holder.owner}, held since {_moment(holder.since)}"
            f" for {holder.purpose}: that process has ended without giving it back."
        )
        connection.execute("DELETE FROM lock")
    mine = LockHolder(owner, purpose, now, now + lease, secrets.token_hex(6))
    connection.execute(
        "INSERT INTO lock VALUES (1, ?, ?, ?, ?, ?, ?)",
        (
            mine.owner,
            mine.purpose,
            mine.since.isoformat(),
            mine.expires.isoformat(),
            mine.token,
            json.dumps(here),
        ),
    )
    return mine, note


def renew(connection: sqlite3.Connection, token: str, expires: datetime) -> bool:
    """Push the end of the lease out; False if the lock is not ours any more."""
    changed = connection.execute(
        "UPDATE lock SET expires = ? WHERE token = ?", (expires.isoformat(), token)
    )
    return changed.rowcount == 1


def require(connection: sqlite3.Connection, holder: LockHolder) -> None:
    """Raise ProvisionerError (PRV4005) if somebody broke this lock."""
    found = find(connection)
    if found is None or found[0].token != holder.token:
        raise lost(holder, found[0] if found is not None else None)


def drop(connection: sqlite3.Connection, token: str) -> bool:
    """Remove the lock with this token; False if there is none."""
    return connection.execute("DELETE FROM lock WHERE token = ?", (token,)).rowcount == 1


def held(holder: LockHolder, now: datetime) -> Diagnostic:
    """PRV4004: who has the lock, since when, doing what, and what can be done about it."""
    detail = f"Held since {_moment(holder.since)} for {holder.purpose}."
    hint = "Wait until it has finished."
    if now > holder.expires:
        detail += (
            f" Its lease ran out at {_moment(holder.expires)} without being renewed:"
            " its process was suspended, or its machine is asleep or gone."
        )
        hint = "Make sure that it is no longer running."
    return error(
        "PRV4004",
        f"the state is locked by {holder.owner}",
        detail=detail,
        hint=f"{hint} To break the lock: provisioner state unlock {holder.token}",
    )


def lost(holder: LockHolder, other: LockHolder | None) -> ProvisionerError:
    """PRV4005: the lock is not ours any more."""
    now_with = f"It is now held by {other.owner} for {other.purpose}." if other else ""
    return ProvisionerError(
        error(
            "PRV4005",
            "the lock on the state was lost during the run",
            detail=f"Taken at {_moment(holder.since)} for {holder.purpose};"
            f" somebody broke it. {now_with}".rstrip(),
            hint="No further step begins. Run the command again when the other one has finished.",
        )
    )


def no_such_lock(token: str, holder: LockHolder | None) -> ProvisionerError:
    """PRV4006: asked to break a lock that is not there."""
    return ProvisionerError(
        error(
            "PRV4006",
            f"there is no lock with the token {token}",
            detail=f"The lock of {holder.owner} has the token {holder.token}."
            if holder
            else "The state is not locked.",
            hint="Nothing was changed.",
        )
    )


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} (UTC)"


class HeldLock:
    """A lock of this process. A daemon thread renews it three times in each lease until it is
    released.
    """

    def __init__(
        self, run: Run, clock: Clock, holder: LockHolder, lease: timedelta, note: str | None
    ) -> None:
        self._run = run
        self._clock = clock
        self._holder = holder
        self._lease = lease
        self._note = note
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="state-lock", daemon=True)
        self._thread.start()

    @property
    def holder(self) -> LockHolder:
        """Who holds it: this process."""
        return self._holder

    @property
    def note(self) -> str | None:
        """What a person should know of how it was taken; None if there is nothing."""
        return self._note

    @property
    def is_released(self) -> bool:
        """Whether it was given back."""
        return self._ended.is_set()

    def release(self) -> None:
        """Give it back; may be called twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._run(lambda c: drop(c, self._holder.token))

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.total_seconds() / 3):
            try:
                expires = self._clock.now() + self._lease
                if not self._run(lambda c, e=expires: renew(c, self._holder.token, e)):  # type: ignore[misc]
                    return
            except ProvisionerError:
                # A full disk, say: the next turn tries again. A lease that runs out takes the
                # lock from nobody; the next intent finds out if somebody broke it.
                continue
