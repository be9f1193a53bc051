"""A recorded resource with an open session to its endpoint: what console and snapshot work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.subjects import collect
from provisioner.providers.api import Resource, Session
from provisioner.service.model import Entry, EventSink
from provisioner.service.workspace import Workspace

_MOST_NAMED = 10


@contextmanager
def recorded_resource(
    workspace: Workspace, address: Address, capability: str, sink: EventSink
) -> Iterator[tuple[Entry, Resource, Session]]:
    """The resource as recorded, and a session that has the capability.

    Raises ProvisionerError: PRV6007 if it is not recorded, PRV5006 if its provider lacks the
    capability.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        state = workspace.with_declared_hosts(store.read())
    entry = state.entries.get(address)
    if entry is None:
        raise ProvisionerError(_not_recorded(address, sorted(state.entries)))
    provider = workspace.registry.get(entry.provider)
    if capability not in provider.describe().capabilities:
        raise ProvisionerError(
            error(
                "PRV5006",
                f"the provider {entry.provider} lacks the capability {capability}",
                hint="'provisioner providers' lists what each provider can do.",
                address=str(address),
            )
        )
    related = {
        other: subject.resource
        for other, subject in collect(None, state, workspace.catalog).items()
        if subject.endpoint == entry.endpoint
    }
    resource = replace(related[address], related=related)
    with workspace.sessions(sink) as sessions:
        yield entry, resource, sessions.get(state.endpoints[entry.endpoint])


def _not_recorded(address: Address, recorded: list[Address]) -> Diagnostic:
    same_kind = [str(other) for other in recorded if other.kind == address.kind]
    near = get_close_matches(str(address), same_kind, n=1)
    if len(same_kind) > _MOST_NAMED:
        same_kind[_MOST_NAMED:] = ["..."]
    return error(
        "PRV6007",
        f"{address} has not been applied",
        detail="Applied so far of this kind: " + (", ".join(same_kind) or "none") + ".",
        hint=f"Did you mean {near[0]}?"
        if near
        else "Run 'provisioner apply' first, or name another one.",
    )
