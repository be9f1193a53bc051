"""A recorded resource and a way to ask its endpoint: what console and snapshot work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

from provisioner.core.address import Address, near
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import collect
from provisioner.providers.api import Resource, Session
from provisioner.service.model import Entry, EventSink
from provisioner.service.workspace import Workspace
from provisioner.state.model import EndpointRecord

Answer = TypeVar("Answer")

_MOST_NAMED = 10


class Recorded(NamedTuple):
    """A resource as recorded, and its endpoint, which has the capability that was asked for."""

    entry: Entry
    resource: Resource
    endpoint: EndpointRecord
    sessions: Sessions

    def ask(self, question: Callable[[Session], Answer], doing: str) -> Answer:
        """See :meth:`provisioner.engine.sessions.Sessions.ask`."""
        return self.sessions.ask(self.endpoint, question, doing=doing)


@contextmanager
def recorded_resource(
    workspace: Workspace, address: Address, capability: str, sink: EventSink
) -> Iterator[Recorded]:
    """The resource as recorded, with sessions that are closed at the end.

    Raises ProvisionerError: PRV6007 if it is not recorded, PRV5006 if its provider lacks the
    capability.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        state = workspace.with_declared_hosts(store.read())
    entry = state.entries.get(address)
    if entry is None:
        declared = _declared(workspace)
        if declared is None or address in declared:
            raise ProvisionerError(_not_applied(address, sorted(state.entries)))
        raise ProvisionerError(_unknown(address, [*declared, *state.entries]))
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
        yield Recorded(entry, resource, state.endpoints[entry.endpoint], sessions)


def _declared(workspace: Workspace) -> list[Address] | None:
    """What the manifests declare; None where they have errors, which keep nobody from a console."""
    try:
        return list(workspace.load().declarations)
    except ProvisionerError:
        return None


def _not_applied(address: Address, recorded: list[Address]) -> Diagnostic:
    return error(
        "PRV6007",
        f"{address} has not been applied",
        detail=f"Applied so far of this kind: {_names(address.kind, recorded)}.",
        hint="Run 'provisioner apply' first, or name another one.",
    )


def _unknown(address: Address, known: list[Address]) -> Diagnostic:
    meant = near(address.kind, address.name, known)
    return error(
        "PRV6007",
        f"there is no {address} in the stack",
        detail=f"There are of this kind: {_names(address.kind, known)}.",
        hint=f"Did you mean {meant[0]}?" if meant else "'provisioner show' lists what there is.",
    )


def _names(kind: str, addresses: list[Address]) -> str:
    found = sorted({str(address) for address in addresses if address.kind == kind})
    if len(found) > _MOST_NAMED:
        found[_MOST_NAMED:] = ["..."]
    return ", ".join(found) or "none"
