"""The two sites of a plan as its actions see them: resources, sessions and what is there now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, TypeVar

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine import protected
from provisioner.engine.plan import Known
from provisioner.engine.sessions import Sessions
from provisioner.engine.verify import resource_of
from provisioner.providers.api import (
    Absent,
    Observation,
    Present,
    Resource,
    Retryable,
    Session,
    Undetermined,
)
from provisioner.providers.capabilities import REPLICATION, Replica, ReplicaState, Replication
from provisioner.state.model import EndpointRecord
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.recovery.model import PlannedMachine, RecoveryPlan

Answer = TypeVar("Answer")
Admit: TypeAlias = Callable[[EndpointRecord, Session], None]
"""Called before anything is changed at an endpoint; raises, as a provider or a use-case does, where
nothing may be."""


def admit_all(_record: EndpointRecord, _session: Session) -> None:
    """For what changes nothing, or is no run of a plan."""


OFF = frozenset({"absent", "stopped"})
NOT_OURS = "PRV7072"


class Placed(NamedTuple):
    """A resource and the endpoint that it is, or shall be, on."""

    record: EndpointRecord
    resource: Resource


@dataclass(frozen=True, slots=True)
class Acting:
    """An action of two functions."""

    look: Callable[[Work], Done | NotDone]
    act: Callable[[Work], Done]

    def observe(self, work: Work) -> Done | NotDone:
        """See :class:`provisioner.workflows.actions.Action`."""
        return self.look(work)

    def perform(self, work: Work) -> Done:
        """See :class:`provisioner.workflows.actions.Action`."""
        return self.act(work)


def repeated(act: Callable[[Work], Done]) -> Action:
    """An action that cannot be seen to be done, and bears repetition."""
    return Acting(lambda _: NotDone(), act)


class Estate:
    """What a plan is about. Safe to use from several threads."""

    def __init__(self, plan: RecoveryPlan, sessions: Sessions, admit: Admit = admit_all) -> None:
        self.plan = plan
        self.sessions = sessions
        self._admit = admit
        self._machines = {machine.address: machine for machine in plan.machines}
        self._suspended = {
            site: {known.address: known for known in machines}
            for site, machines in plan.suspend.items()
        }
        self._related: dict[tuple[str, str], Mapping[Address, Resource]] = {}
        self._lock = threading.Lock()

    # What is meant

    def machine(self, work: Work) -> PlannedMachine:
        """The machine that a task is about."""
        return self._machines[Address.of(str(work.task.arguments["machine"]))]

    def machines(self, work: Work) -> list[PlannedMachine]:
        """The machines that a task about the plan as a whole is about: all but what it names as
        left out (``without``).
        """
        left_out = work.task.arguments.get("without", [])
        assert isinstance(left_out, list)
        return [item for item in self.plan.machines if str(item.address) not in left_out]

    def site(self, work: Work) -> str:
        """The site that a task is about."""
        return str(work.task.arguments["site"])

    def other(self, site: str) -> str:
        """The other one."""
        return self.plan.there if site == self.plan.here else self.plan.here

    def placed(self, address: Address, site: str) -> Placed:
        """A resource of a site as the plan has it."""
        known = self.plan.objects[site].get(address) or self._suspended[site][address]
        return self.place(known, self.related(site, known.endpoint))

    def place(self, known: Known, related: Mapping[Address, Resource]) -> Placed:
        """A resource, with what it refers to among ``related``."""
        record = self.plan.endpoints[known.endpoint]
        return Placed(record, resource_of(known, str(self.plan.lineage), related))

    def related(self, site: str, endpoint: str) -> Mapping[Address, Resource]:
        """All resources of an endpoint, by address: one mapping that all of them share."""
        with self._lock:
            if (site, endpoint) not in self._related:
                shared: dict[Address, Resource] = {}
                for address, known in self.plan.objects[site].items():
                    if known.endpoint == endpoint:
                        shared[address] = resource_of(known, str(self.plan.lineage), shared)
                self._related[site, endpoint] = shared
            return self._related[site, endpoint]

    def as_there(
        self,
        known: Known,
        site: str,
        others: Mapping[Address, Resource] | None = None,
    ) -> Placed:
        """A machine as it is about to be made: what it refers to has the ids and outputs that the
        endpoint tells now. ``others`` take the place of resources, and are not asked about.
        """
        shared = dict(self.related(site, known.endpoint))
        needed = self._needed(known, site) - (others or {}).keys()
        found = self.see([self.placed(address, site) for address in sorted(needed)])
        for address, present in found.items():
            if isinstance(present, Present):
                shared[address] = replace(
                    shared[address], external_id=present.external_id, outputs=present.outputs
                )
        for address, resource in (others or {}).items():
            shared[address] = replace(resource, related=shared)
        return self.place(known, shared)

    def _needed(self, known: Known, site: str) -> set[Address]:
        """All that a machine needs at a site, also by way of others."""
        objects = self.plan.objects[site]
        machine = self._machines.get(known.address)
        left = [*known.dependencies, *(machine.disks if machine is not None else ())]
        found: set[Address] = set()
        while left:
            address = left.pop()
            if address in objects and address not in found:
                found.add(address)
                left += objects[address].dependencies
        return {item for item in found if objects[item].endpoint == known.endpoint}

    # What is there

    def ask(
        self,
        record: EndpointRecord,
        question: Callable[[Session], Answer],
        doing: str,
        seconds: float | None = None,
    ) -> Answer:
        """Ask something that changes nothing, and wait for ``seconds`` (None: those of its Host).
        Raises ProvisionerError, or Retryable where the endpoint may answer later.
        """
        with _retryable():
            return self.sessions.ask(record, question, doing=doing, seconds=seconds)

    def session(self, record: EndpointRecord) -> Session:
        """The session to an endpoint, to change something there. Raises like :meth:`ask`, and where
        that may not be.
        """
        with _retryable():
            session = self.sessions.get(record)
        self._admit(record, session)
        return session

    def see(
        self, targets: Iterable[Placed], seconds: float | None = None
    ) -> Mapping[Address, Present | Absent]:
        """What is there of each, with one call for each endpoint; ``seconds`` as in :meth:`ask`.
        Raises ProvisionerError if an endpoint cannot be asked, or cannot tell.
        """
        by_endpoint: dict[str, tuple[EndpointRecord, list[Resource]]] = {}
        for record, resource in targets:
            by_endpoint.setdefault(record.name, (record, []))[1].append(resource)
        found: dict[Address, Present | Absent] = {}
        for record, resources in by_endpoint.values():
            answers = self.ask(record, _observing(resources), f"looking at {record.name}", seconds)
            for address, answer in answers.items():
                if isinstance(answer, Undetermined):
                    raise ProvisionerError(answer.diagnostic.about(address))
                found[address] = answer
        return found

    def see_one(self, target: Placed, seconds: float | None = None) -> Present | Absent:
        """What is there of one. Raises like :meth:`see`."""
        return self.see([target], seconds)[target.resource.address]

    def power_of(self, target: Placed, seconds: float | None = None) -> str:
        """``running``, ``stopped``, ``suspended``, or ``absent``. Raises like :meth:`see`."""
        return power_of(self.see_one(target, seconds))

    def own(self, target: Placed, seconds: float | None = None) -> Present | None:
        """The object, if there is one and it is ours; None if there is none. Raises
        ProvisionerError (PRV7072) if it is somebody else's, and like :meth:`see`.
        """
        found = self.see_one(target, seconds)
        if isinstance(found, Absent):
            return None
        if found.owner is None or found.owner.lineage != str(self.plan.lineage):
            raise ProvisionerError(
                error(
                    NOT_OURS,
                    f"{target.resource.address}: what is on {target.record.name} under this name "
                    "is not ours",
                    detail="It carries no stamp of this stack, so nothing is done to it.",
                    hint="Rename or remove it there, or adopt it with 'provisioner adopt'.",
                    address=str(target.resource.address),
                )
            )
        return found

    # Capabilities

    def capable(self, record: EndpointRecord, capability: str) -> Session:
        """The session to an endpoint that has a capability. Raises ProvisionerError (PRV7073) if
        its provider has not.
        """
        self.require(record, capability)
        return self.session(record)

    def has(self, record: EndpointRecord, capability: str) -> bool:
        """Whether the endpoint's provider has a capability."""
        provider = self.sessions.registry.get(record.provider)
        return capability in provider.describe().capabilities

    def require(self, record: EndpointRecord, capability: str) -> None:
        """Raise ProvisionerError (PRV7073) if an endpoint has not a capability."""
        if not self.has(record, capability):
            raise ProvisionerError(
                error(
                    "PRV7073",
                    f"Host/{record.name}: the provider {record.provider} has no {capability}",
                    detail="What is to be done needs it.",
                    hint="Take the machine out of the plan, or put it on a host whose provider "
                    "has it ('provisioner providers' lists what each can).",
                    address=f"Host/{record.name}",
                )
            )

    # Replicas

    def replica(self, machine: PlannedMachine, *, seeded: bool = False) -> Replica:
        """The replica of a machine, from where it runs to the other site."""
        plan = self.plan
        return Replica(
            machine=self.placed(machine.address, plan.here).resource,
            disks={disk: self.placed(disk, plan.there).resource for disk in machine.disks},
            way=machine.way,
            keep=machine.keep,
            quiesce=machine.quiesce,
            seeded=seeded,
        )

    def receiver(self, machine: PlannedMachine) -> EndpointRecord:
        """The endpoint that a machine's replica is on."""
        return self.plan.endpoints[self.plan.objects[self.plan.there][machine.address].endpoint]

    def replication(self, machine: PlannedMachine) -> Replication:
        """The session to the endpoint that a machine's replica is on. Raises ProvisionerError."""
        session = self.capable(self.receiver(machine), REPLICATION)
        assert isinstance(session, Replication), "its provider says so"
        return session

    def replica_states(
        self, machines: Iterable[PlannedMachine], seconds: float | None = None
    ) -> Mapping[Address, ReplicaState]:
        """What is there of replicas, with one call for each endpoint; ``seconds`` as in
        :meth:`ask`. Raises like that.
        """
        by_endpoint: dict[str, tuple[EndpointRecord, list[Replica]]] = {}
        for machine in machines:
            record = self.receiver(machine)
            self.require(record, REPLICATION)
            by_endpoint.setdefault(record.name, (record, []))[1].append(self.replica(machine))
        found: dict[Address, ReplicaState] = {}
        for record, replicas in by_endpoint.values():
            doing = f"looking for recovery points on {record.name}"
            found.update(self.ask(record, _replicas(replicas), doing, seconds))
        return found


@contextmanager
def _retryable() -> Iterator[None]:
    """Sessions give up after a few attempts; a task has until its deadline."""
    try:
        yield
    except ProvisionerError as problem:
        if isinstance(problem.__cause__, Retryable):
            raise Retryable(problem.diagnostics[0], problem.__cause__.after) from problem
        raise


def diagnostic_of(problem: ProvisionerError | Retryable) -> Diagnostic:
    """The first thing that it says."""
    if isinstance(problem, Retryable):
        return problem.diagnostic
    return problem.diagnostics[0]


def power_of(found: Present | Absent) -> str:
    """``running``, ``stopped``, ``suspended``, or ``absent``."""
    if isinstance(found, Absent):
        return "absent"
    return protected.power_of(found)


def _observing(resources: list[Resource]) -> Callable[[Session], Mapping[Address, Observation]]:
    return lambda session: session.observe(resources)


def _replicas(replicas: list[Replica]) -> Callable[[Session], Mapping[Address, ReplicaState]]:
    def question(session: Session) -> Mapping[Address, ReplicaState]:
        assert isinstance(session, Replication), "its provider says so"
        return session.replicas(replicas)

    return question
