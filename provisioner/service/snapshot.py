"""Going back to a snapshot. Making and deleting snapshots are plan steps; going back is not, since
it undoes time."""

from __future__ import annotations

from datetime import timedelta

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.sessions import provider_failure
from provisioner.providers.api import ProviderError
from provisioner.providers.capabilities import SNAPSHOT_REVERT, SnapshotRevert
from provisioner.service.model import EventSink
from provisioner.service.recorded import intent_detail, recorded_resource
from provisioner.service.workspace import Workspace

LEASE = timedelta(seconds=60)
REVERT_SECONDS = 1800.0


def revert(workspace: Workspace, address: Address, sink: EventSink) -> None:
    """Bring the snapshot's machine back to it: what was written since is lost.

    Journaled under the lock like a step. Raises ProvisionerError if it fails.
    """
    with recorded_resource(workspace, address, SNAPSHOT_REVERT, sink) as (entry, resource, session):
        assert isinstance(session, SnapshotRevert), "its provider says so"
        with workspace.recorded_store() as store:
            lock = store.lock(workspace.actor, f"snapshot revert {address.name}", LEASE)
            try:
                operation = store.begin("revert", workspace.actor, None)
                outcome = "failed"
                try:
                    intent = store.intend(
                        operation, str(address), "revert", address, intent_detail(entry)
                    )
                    failure: ProvisionerError | None = None
                    try:
                        session.revert(resource, Deadline.after(REVERT_SECONDS, workspace.clock))
                        outcome = "done"
                    except (ProviderError, ProvisionerError) as problem:
                        failure = provider_failure(problem, f"going back to {address}")
                    store.settle(
                        intent, failure=failure.diagnostics[0].as_json() if failure else None
                    )
                    if failure is not None:
                        raise failure
                finally:
                    store.finish(operation, outcome, {})
            finally:
                lock.release()
