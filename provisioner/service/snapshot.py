"""Going back to a snapshot. Making and deleting snapshots are plan steps; going back is not, since
it undoes time."""

from __future__ import annotations

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.plan import intent_detail
from provisioner.engine.sessions import provider_failure
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import SNAPSHOT_REVERT, SnapshotRevert
from provisioner.service.model import Entry, EventSink, Noticed
from provisioner.service.recorded import recorded_resource
from provisioner.service.workspace import Workspace
from provisioner.state.store import LEASE, Store

REVERT_SECONDS = 1800.0


def revert(workspace: Workspace, address: Address, sink: EventSink) -> None:
    """Bring the snapshot's machine back to it: what was written since is lost.

    Journaled under the lock like a step. Raises ProvisionerError if it fails, or is refused
    (PRV6030) because the machine is protected or its host in maintenance.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        lock = store.lock(workspace.actor, f"snapshot revert {address.name}", LEASE)
        try:
            if lock.note is not None:
                sink(Noticed(lock.note))
            with recorded_resource(workspace, address, SNAPSHOT_REVERT, sink) as found:
                entry, resource, session = found
                _require_permission(store, entry)
                assert isinstance(session, SnapshotRevert), "its provider says so"
                _revert(workspace, store, entry, resource, session)
        finally:
            lock.release()


def _require_permission(store: Store, entry: Entry) -> None:
    state = store.read()
    endpoint = state.endpoints.get(entry.endpoint)
    for machine in entry.dependencies:
        recorded = state.entries.get(machine)
        if recorded is not None and recorded.protect:
            raise ProvisionerError(
                error(
                    "PRV6030",
                    f"{machine} is protected",
                    detail="Going back would lose what it has written since the snapshot.",
                    hint="Set 'protect: false' in its metadata and apply that first.",
                    address=str(machine),
                )
            )
    if endpoint is not None and endpoint.spec.get("maintenance") is True:
        raise ProvisionerError(
            error(
                "PRV6030",
                f"Host/{endpoint.name} is in maintenance",
                hint="Set 'maintenance: false' in its manifest and apply that first.",
                address=f"Host/{endpoint.name}",
            )
        )


def _revert(
    workspace: Workspace, store: Store, entry: Entry, resource: Resource, session: SnapshotRevert
) -> None:
    operation = store.begin("revert", workspace.actor, None)
    outcome = "failed"
    try:
        address = entry.address
        intent = store.intend(operation, str(address), "revert", address, intent_detail(entry))
        try:
            session.revert(resource, Deadline.after(REVERT_SECONDS, workspace.clock))
        except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
            failure = provider_failure(problem, f"reverting to {address}")
            store.settle(intent, failure=failure.diagnostics[0].as_json())
            raise failure from problem
        store.settle(intent)
        outcome = "done"
    finally:
        store.finish(operation, outcome, {"to": str(address)})
