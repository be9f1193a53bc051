"""Looking after recorded state: reading, checking, backup, restore, forgetting, breaking a lock.
Needs no valid manifests."""

from __future__ import annotations

from pathlib import Path

from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.plan import intent_detail
from provisioner.service.model import Entry, JournalRecord, LockHolder, OperationRecord, State
from provisioner.service.workspace import Workspace
from provisioner.state.store import LEASE


def read_state(workspace: Workspace) -> State:
    """Everything recorded; raises ProvisionerError if there is no state or it is damaged."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        return store.read()


def history(workspace: Workspace, limit: int) -> list[OperationRecord]:
    """Operations, newest first."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        return store.history(limit)


def journal(workspace: Workspace, operation: str) -> list[JournalRecord]:
    """What one operation intended and did, in order; raises ProvisionerError (PRV6006) if there is
    none of that name."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        records = store.journal(operation)
        if not records and operation not in {item.operation for item in store.history(1_000_000)}:
            raise ProvisionerError(
                error(
                    "PRV6006",
                    f"there is no operation {operation!r} in the history",
                    hint="'provisioner state history' lists them.",
                )
            )
        return records


def verify(workspace: Workspace) -> list[str]:
    """What is wrong with the state, in sentences; empty if nothing is."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        return store.verify()


def backup(workspace: Workspace, target: Path) -> None:
    """Write a verified copy to a file that does not exist yet."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        store.backup(target)


def restore(workspace: Workspace, source: Path) -> str | None:
    """Put a verified backup in the place of the state; what was there is kept beside it. Returns
    what a person should know of a lock that was left in the way."""
    with workspace.recorded_store() as store:
        return store.restore(source, workspace.actor)


def matching_entries(state: State, pattern: AddressPattern) -> list[Entry]:
    """The entries that a pattern means, sorted; raises ProvisionerError (PRV6007) if there is
    none."""
    found = [
        state.entries[address] for address in sorted(state.entries) if pattern.matches(address)
    ]
    if not found:
        raise ProvisionerError(
            error(
                "PRV6007",
                f"nothing recorded matches {pattern}",
                hint="'provisioner state list' lists what is recorded.",
            )
        )
    return found


def forget(workspace: Workspace, pattern: AddressPattern) -> list[Entry]:
    """Remove entries from state and touch nothing on the endpoints; returns what was forgotten.

    Raises ProvisionerError if nothing matches or somebody else works on the state.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        lock = store.lock(workspace.actor, "state forget", LEASE)
        try:
            entries = matching_entries(store.read(), pattern)
            operation = store.begin("forget", workspace.actor, None)
            outcome = "failed"
            try:
                for entry in entries:
                    intent = store.intend(
                        operation, str(entry.address), "forget", entry.address, intent_detail(entry)
                    )
                    store.settle(intent, remove=[entry.address])
                outcome = "done"
            finally:
                store.finish(operation, outcome, {"forgotten": [str(e.address) for e in entries]})
        finally:
            lock.release()
    return entries


def lock_holder(workspace: Workspace) -> LockHolder | None:
    """Who works on the state now, if anybody."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        return store.lock_holder()


def unlock(workspace: Workspace, token: str) -> None:
    """Break the lock that has this token; raises ProvisionerError (PRV4006) if there is none."""
    workspace.require_state()
    with workspace.recorded_store() as store:
        store.break_lock(token)
