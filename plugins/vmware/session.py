"""The half of the plugin that speaks to an endpoint: passes each call of the contract to the
handler of its kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Absent,
    Change,
    Context,
    Discovered,
    Endpoint,
    Observation,
    Outcome,
    Present,
    Resource,
    Session,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Undertaking
from provisioner_plugins.vmware.flavour import Flavour
from provisioner_plugins.vmware.handler import KindHandler, LooksAhead
from provisioner_plugins.vmware.handlers import handlers_of
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.labels.projection import Projection
from provisioner_plugins.vmware.machine.power import bring_to
from provisioner_plugins.vmware.machine.standing import StandbyMarks
from provisioner_plugins.vmware.near import near_to
from provisioner_plugins.vmware.ownership import is_stamped_by
from provisioner_plugins.vmware.replication import refusals
from provisioner_plugins.vmware.replication.handler import Replications
from provisioner_plugins.vmware.site import PLACES, Site
from provisioner_plugins.vmware.snapshot.handler import SnapshotHandler
from provisioner_plugins.vmware.specs import touches
from provisioner_plugins.vmware.unseen import unseen
from provisioner_plugins.vmware.wire.client import Client

_LOOKED_FOR = 20
"""Objects that are not there for which nearly the same names are looked for in one observation."""
_NESTED = frozenset({"Folder", "ResourcePool", "StoragePool"})
"""Kinds whose objects lie in others of their kind."""


class VmwareSession:
    """See :class:`provisioner.providers.api.Session`; with the capabilities power, preflight,
    replication, snapshot-revert and standby."""

    def __init__(self, endpoint: Endpoint, context: Context, flavour: Flavour) -> None:
        """Log in; raises Terminal or Retryable."""
        self._client = Client(endpoint, context, flavour)
        self._site = Site(self._client, flavour)
        self._handlers = handlers_of(self._site)
        self._labels = Projection(self._site)
        self._replications = Replications(self._site)

    # --- the contract ---

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """See :class:`provisioner.providers.api.Session`."""
        groups: dict[str, list[Resource]] = {}
        for target in targets:
            groups.setdefault(target.kind, []).append(target)
        with collector_paused():
            inventory = self._inventory(groups)
            result: dict[Address, Observation] = {}
            for kind in sorted(groups, key=[*self._handlers].index):
                result |= self._observe(inventory, kind, groups[kind], result)
            absent = [item for item in targets if isinstance(result[item.address], Absent)]
            for address, problem in unseen(self._client, absent).items():
                result[address] = Undetermined(problem)
            patience = _LOOKED_FOR
            for target in targets:
                answer = result[target.address]
                if isinstance(answer, Absent) and target.exact and patience > 0:
                    patience -= 1
                    result[target.address] = Absent(near_to(inventory, target))
                else:
                    result[target.address] = _called_as_asked(target, answer)
            return self._labels.observed(inventory, result)

    def _observe(
        self,
        inventory: Inventory,
        kind: str,
        targets: Sequence[Resource],
        others: Mapping[Address, Observation],
    ) -> Mapping[Address, Observation]:
        """The answers for one kind. What is found of ``others`` is known to those that refer to it,
        recorded or not: a name counts in the place that it is in.
        """
        answers: Mapping[Address, Observation] = {}
        found: Mapping[Address, str] = {}
        while True:
            before, found = found, {**_found({**others, **answers}, targets), **found}
            if answers and (kind not in _NESTED or found.keys() == before.keys()):
                return answers
            answers = self._handler(kind).observe(inventory, _informed(targets, found))

    def discover(self, kinds: Collection[str]) -> Iterator[Discovered]:
        """See :class:`provisioner.providers.api.Session`."""
        served = sorted(set(kinds) & self._handlers.keys())
        inventory = self._inventory(served)
        for kind in served:
            found = [*self._handlers[kind].discover(inventory)]
            yield from self._labels.discovered(inventory, kind, found)

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        outcome = self._handler(resource.kind).create(resource, deadline)
        self._labels.write(resource, outcome.external_id)
        return outcome

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        handler = self._handler(resource.kind)
        is_ours = is_stamped_by(resource, observed.owner, observed.external_id)
        if touches(changes)(("labels",)) and is_ours and not deadline.passed:
            # Before the mark says so: after a run that was interrupted it still tells what was.
            self._labels.write(resource, observed.external_id, observed.spec.get("labels"))
        return handler.update(resource, observed, changes, restart, deadline)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        return self._handler(resource.kind).adopt(resource, observed, deadline)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.api.Session`."""
        self._handler(resource.kind).delete(resource, deadline)

    def close(self) -> None:
        """See :class:`provisioner.providers.api.Session`."""
        self._client.close()

    def _inventory(self, kinds: Collection[str]) -> Inventory:
        wanted: dict[type, set[str]] = {type_: {*paths} for type_, paths in PLACES.items()}
        for reads in (*(self._handler(kind).reads for kind in kinds), self._labels.reads):
            for type_, paths in reads.items():
                wanted.setdefault(type_, set()).update(paths)
        return self._site.seen(
            Inventory(self._client, {type_: sorted(paths) for type_, paths in wanted.items()})
        )

    def _handler(self, kind: str) -> KindHandler:
        handler = self._handlers.get(kind)
        if handler is None:
            name = self._client.endpoint.provider
            raise Terminal(error("PRV2550", f"the provider {name} has no {kind}"))
        return handler

    # --- capabilities ---

    def preflight(
        self, undertakings: Sequence[Undertaking], deadline: Deadline, *, thorough: bool
    ) -> Sequence[Diagnostic]:
        """See :class:`provisioner.providers.capabilities.Preflight`."""
        inventory = self._inventory({item.resource.kind for item in undertakings})
        found: list[Diagnostic] = []
        for item in undertakings:
            handler = self._handler(item.resource.kind)
            if not isinstance(handler, LooksAhead):
                continue
            try:
                problems = [*handler.preflight(inventory, item, deadline, thorough=thorough)]
            except Terminal as problem:
                problems = [problem.diagnostic]
            found += [problem.about(item.resource.address) for problem in problems]
        # What is wrong with the connection is found by all that go where it says.
        return list(dict.fromkeys(found))

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.SnapshotRevert`."""
        SnapshotHandler(self._site).revert(snapshot, deadline)

    def power(self, machine: Resource, state: str, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Power`."""
        bring_to(self._site, machine, state, deadline)

    def stand_by(self, machine: Resource, reason: str, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        StandbyMarks(self._site).stand_by(machine, reason, deadline)

    def take_over(self, machine: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        StandbyMarks(self._site).take_over(machine, deadline)

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        inventory = self._inventory({machine.kind for machine in machines})
        return StandbyMarks(self._site).standing_by(inventory, machines)

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.replicas(replicas)

    def synchronise(self, replica: Replica, source: Session, deadline: Deadline) -> Point:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        if not isinstance(source, VmwareSession):
            raise Terminal(refusals.no_vsphere(replica))
        return self._replications.synchronise(replica, source._site, deadline)

    def suspend(self, replica: Replica, source: Session | None, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`: what another tool does is
        its to end.
        """

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.stage(replica, point, deadline)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        self._replications.unstage(replica, deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.promote(replica, point, deadline)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`: what another tool has copied
        is its to remove.
        """


def _called_as_asked(target: Resource, answer: Observation) -> Observation:
    """An answer about a target that the author names by its inventory path: it is called that as
    long as its name is the last of the path, wherever it is moved.
    """
    if not isinstance(answer, Present) or not target.name.startswith("/"):
        return answer
    if answer.name is None or not target.name.endswith(f"/{answer.name}"):
        return answer
    return replace(answer, name=target.name)


def _found(
    answers: Mapping[Address, Observation], targets: Sequence[Resource]
) -> Mapping[Address, str]:
    """The external ids of what is there and not recorded among what targets refer to."""
    return {
        address: answer.external_id
        for address, answer in answers.items()
        if isinstance(answer, Present)
        and address in targets[0].related
        and targets[0].related[address].external_id is None
    }


def _informed(targets: Sequence[Resource], found: Mapping[Address, str]) -> Sequence[Resource]:
    """Targets that know these objects; most share one mapping of what they are related to."""
    if not found:
        return targets
    mappings: dict[int, Mapping[Address, Resource]] = {}
    for target in targets:
        if id(target.related) not in mappings:
            mappings[id(target.related)] = {
                address: replace(resource, external_id=resource.external_id or found.get(address))
                for address, resource in target.related.items()
            }
    return [replace(target, related=mappings[id(target.related)]) for target in targets]
