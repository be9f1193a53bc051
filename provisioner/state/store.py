"""The store protocol: where state lives and what every implementation promises.

tests/conformance/test_store.py proves the promises for each implementation. All methods may be
called from several threads. Failures are ProvisionerError with a ``PRV4xxx`` diagnostic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from provisioner.core.address import Address
from provisioner.state.model import (
    EndpointRecord,
    Entry,
    FailedAttempt,
    JournalRecord,
    LockHolder,
    OperationRecord,
    State,
)

LEASE = timedelta(seconds=60)
"""How long a lock outlives a process that no longer renews it."""


class Lock(Protocol):
    """A held lock; renewed until it is released."""

    @property
    def holder(self) -> LockHolder:
        """Who holds it: this process."""
        ...

    @property
    def note(self) -> str | None:
        """What a person should know of how it was taken (from a dead process); else None."""
        ...

    def release(self) -> None:
        """Give it back; may be called twice."""
        ...


class Store(Protocol):
    """State of one stack in one environment."""

    def read(self) -> State:
        """Everything recorded, in one consistent view. An empty state is made (with its lineage) at
        the first call.
        """
        ...

    def begin(self, kind: str, actor: str, plan_digest: str | None) -> str:
        """Note durably that an operation begins; returns its id."""
        ...

    def finish(self, operation: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """Note how the operation ended."""
        ...

    def intend(
        self, operation: str, step: str, action: str, address: Address, detail: Mapping[str, Any]
    ) -> int:
        """Write an intent durably before the provider is called; returns its sequence number.

        Raises ProvisionerError (PRV4005) if this process took the lock and lost it.
        """
        ...

    def settle(
        self,
        intent: int,
        *,
        put: Sequence[Entry] = (),
        remove: Sequence[Address] = (),
        failure: Mapping[str, Any] | None = None,
    ) -> None:
        """Close an intent with its outcome and write the entries in the same transaction, durably.

        ``failure`` set means that the call failed (the entries are written all the same). An entry
        without ``applied_at`` gets the time of the write.
        """
        ...

    def record_endpoints(self, endpoints: Sequence[EndpointRecord]) -> None:
        """Remember the endpoints that an operation is about to use."""
        ...

    def history(self, limit: int = 50) -> list[OperationRecord]:
        """Operations, newest first."""
        ...

    def journal(self, operation: str | None = None) -> list[JournalRecord]:
        """Journal records in order; of one operation or of all that are kept."""
        ...

    def failed_attempts(self) -> Mapping[str, FailedAttempt]:
        """Steps that did not succeed when they were last tried, by their ids, with all attempts
        since they succeeded last, as far back as the journal goes.
        """
        ...

    def lock(self, owner: str, purpose: str, lease: timedelta) -> Lock:
        """Take the lock; raises ProvisionerError (PRV4004) that names the holder if somebody else
        has it.
        """
        ...

    def lock_holder(self) -> LockHolder | None:
        """Who holds the lock now, if anybody."""
        ...

    def break_lock(self, token: str) -> None:
        """Remove the lock that has this token."""
        ...

    def verify(self) -> list[str]:
        """Check the whole store; returns what is wrong, in sentences; empty if nothing is."""
        ...

    def backup(self, target: Path) -> None:
        """Write a verified copy to ``target`` (a file that does not exist yet), also while the
        store is in use.
        """
        ...

    def restore(self, source: Path, actor: str = "") -> str | None:
        """Put a verified backup in the place of this store; what was there is kept beside it.

        Holds the lock meanwhile; returns what a person should know of how it was taken, if there is
        anything. ``actor`` names who does it, for the lock and the history.
        """
        ...

    def close(self) -> None:
        """Free files and connections; may be called twice."""
        ...
