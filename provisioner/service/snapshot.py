"""Going back to a snapshot. Making and deleting snapshots are plan steps; going back is not, since
it undoes time."""

from __future__ import annotations

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.patience import GRACE_SECONDS, NoAnswer, answer_of, seconds_for_step
from provisioner.engine.plan import intent_detail
from provisioner.engine.sessions import provider_failure
from provisioner.providers.capabilities import SNAPSHOT_REVERT, SnapshotRevert
from provisioner.service.model import Entry, EventSink, Noticed
from provisioner.service.recorded import Recorded, recorded_resource
from provisioner.service.workspace import Workspace
from provisioner.state.store import LEASE, Store


def revert(workspace: Workspace, address: Address, sink: EventSink) -> None:
    """Bring the snapshot's machine back to it: what was written since is lost.

    Journaled under the lock like a step, and given up like one. Raises ProvisionerError if it
    fails, has not ended in time (PRV3003), or is refused (PRV6030) because the machine is protected
    or its host in maintenance.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        lock = store.lock(workspace.actor, f"snapshot revert {address.name}", LEASE)
        try:
            if lock.note is not None:
                sink(Noticed(lock.note))
            with recorded_resource(workspace, address, SNAPSHOT_REVERT, sink) as found:
                _require_permission(store, found.entry)
                _revert(workspace, store, found)
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


def _revert(workspace: Workspace, store: Store, found: Recorded) -> None:
    address = found.entry.address
    session = found.ask(lambda session: session, f"connecting to {found.endpoint.name}")
    assert isinstance(session, SnapshotRevert), "its provider says so"
    seconds = seconds_for_step(found.endpoint)
    operation = store.begin("revert", workspace.actor, None)
    outcome = "failed"
    try:
        detail = intent_detail(found.entry)
        intent = store.intend(operation, str(address), "revert", address, detail)
        deadline = Deadline.after(seconds, workspace.clock)
        try:
            answer_of(
                lambda: session.revert(found.resource, deadline),
                seconds + GRACE_SECONDS,
                f"revert-{address.name}",
            )
        except NoAnswer as problem:
            raise ProvisionerError(
                _no_answer(address, found.endpoint.name, seconds + GRACE_SECONDS)
            ) from problem
        except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
            failure = provider_failure(problem, f"reverting to {address}")
            store.settle(intent, failure=failure.diagnostics[0].as_json())
            raise failure from problem
        store.settle(intent)
        outcome = "done"
    finally:
        store.finish(operation, outcome, {"to": str(address)})


def _no_answer(address: Address, host: str, seconds: float) -> Diagnostic:
    return error(
        "PRV3003",
        f"reverting to {address}: no answer after {seconds:g} s",
        detail="The call may still be under way, and may still bring the machine back. Its intent "
        "stays open: the next run looks first.",
        hint=f"Look at Host/{host}, then run plan. If it only takes longer, raise "
        "limits.stepTimeout in its manifest.",
        address=str(address),
    )
