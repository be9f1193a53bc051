"""Whether a recovery plan would work now: what both sites, the replicas and the last drill say.

Called by the service layer for ``dr check``. Nothing is changed anywhere. Each function yields what
is wrong, and goes on: one run tells everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from provisioner.core.address import Address
from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, warning
from provisioner.core.units import format_duration
from provisioner.engine.plan import Known
from provisioner.providers.api import Absent, Observation, Present, Resource, Session, Undetermined
from provisioner.providers.capabilities import (
    PREFLIGHT,
    REPLICATION,
    Preflight,
    ReplicaState,
    Replication,
    Undertaking,
    Way,
)
from provisioner.state.model import EndpointRecord
from provisioner.workflows.recovery.actions.estate import Estate, Placed, power_of
from provisioner.workflows.recovery.beside import problem, runs_beside
from provisioner.workflows.recovery.clocks import TOLERATED_OF_DAYS, ahead
from provisioner.workflows.recovery.drillproof import OtherWay
from provisioner.workflows.recovery.model import PlannedMachine
from provisioner.workflows.recovery.outlook import ASSUMED, Outlook

_PREFLIGHT_SECONDS = 60.0
_OF_MACHINES = frozenset({"VirtualMachine", "Disk", "Image"})
"""Kinds of what is a machine's own, or was needed to make it."""
_CLOCKS = (
    "Set the clocks of this machine, and of the one that wrote it, by the same time server; what "
    "is written after that is dated right."
)
_APPLY = (
    "Run 'provisioner plan' to see what has happened to it, and 'provisioner apply' to mend it."
)


class Sites:
    """Both sites of a plan, as they answer now. ``unprotected``: it has turned, and nobody has
    reprotected it since. ``apart``: machines that earlier runs have left out. ``is_known``: whether
    it is known which way the plan leads; else of no machine is said that it has to stay off.
    """

    def __init__(
        self,
        estate: Estate,
        clock: Clock,
        *,
        unprotected: bool = False,
        apart: Collection[Address] = (),
        is_known: bool = True,
    ) -> None:
        self.estate, self.plan, self.clock = estate, estate.plan, clock
        self.unprotected, self.apart, self.is_known = unprotected, apart, is_known
        self.silent: set[str] = set()
        """Endpoints that gave no answer: nothing more is asked of them."""
        self._observed: dict[str, dict[Address, Observation]] = {}
        self._moving = {
            address for item in self.plan.machines for address in (item.address, *item.disks)
        }

    def problems(self) -> Iterator[Diagnostic]:
        """Everything that is wrong at the endpoints."""
        yield from self._objects()
        if self.is_known:
            yield from self._beside()
        yield from self._replicas()
        yield from self._room()

    def _asked(
        self, record: EndpointRecord, question: Callable[[Session], object], doing: str
    ) -> Iterator[Diagnostic]:
        """Ask an endpoint; what it fails with is yielded, and it is asked nothing more."""
        if record.name in self.silent:
            return
        try:
            self.estate.sessions.ask(record, question, doing=doing)
        except ProvisionerError as problem:
            self.silent.add(record.name)
            yield from (item.about(f"Host/{record.name}") for item in problem.diagnostics)

    def _objects(self) -> Iterator[Diagnostic]:
        for site in self.plan.sites:
            for host, placed in self._by_endpoint(site, self.plan.objects[site]).items():
                record = self.plan.endpoints[host]
                resources = [item.resource for item in placed]
                yield from self._asked(
                    record, partial(self._observe, host, resources), f"looking at {host}"
                )
                for address, found in self._observed.get(host, {}).items():
                    known = self.plan.objects[site].get(address)
                    if known is not None:
                        yield from self._object(known, found, record, site)

    def _by_endpoint(self, site: str, addresses: Iterable[Address]) -> dict[str, list[Placed]]:
        found: dict[str, list[Placed]] = {}
        for address in addresses:
            placed = self.estate.placed(address, site)
            found.setdefault(placed.record.name, []).append(placed)
        return found

    def _observe(self, host: str, resources: Sequence[Resource], session: Session) -> None:
        self._observed[host] = dict(session.observe(resources))

    def _is_needed(self, known: Known, site: str) -> bool:
        """Whether it has to be at a site: the machines where they are now, at the other site what
        they will use.
        """
        if site == self.plan.here:
            return known.external_id is not None or known.address in self._moving
        return known.external_id is not None and known.address.kind not in _OF_MACHINES

    def _object(
        self, known: Known, found: Observation, record: EndpointRecord, site: str
    ) -> Iterator[Diagnostic]:
        where = f"Host/{record.name}"
        needed = self._is_needed(known, site)
        if isinstance(found, Undetermined):
            yield found.diagnostic.about(known.address)
        elif isinstance(found, Absent):
            if needed:
                yield _about(known, "PRV7052", f"{known.address} is not on {where}", _APPLY)
        elif found.owner is not None and found.owner.lineage != str(self.plan.lineage):
            yield _about(
                known,
                "PRV7053",
                f"the name {known.name!r} of {known.address} is taken on {where}",
                "Rename or remove what is there; nothing is done to what is not ours.",
                f"What is there carries the stamp of {found.owner.address} of another stack.",
            )
        elif not needed and known.address in self._moving and found.owner is None:
            yield _about(
                known,
                "PRV7053",
                f"the name {known.name!r} of {known.address} is taken on {where}",
                "Rename or remove what is there; nothing is done to what is not ours.",
                "What is there carries no stamp.",
            )
        elif found.spec.get("active") is False:
            yield _about(
                known,
                "PRV7054",
                f"{known.address} is not active on {where}",
                f"Start it there, or apply it with 'active: true'. {_APPLY}",
            )

    def _beside(self) -> Iterator[Diagnostic]:
        """Machines that run where they have to stay off."""
        for machine in self.plan.machines:
            there, here = (
                self._power(machine.address, site) for site in (self.plan.there, self.plan.here)
            )
            found = runs_beside(self.plan, machine.address, there, here, self.apart)
            if found is not None:
                yield problem(self.plan, found)

    def _power(self, machine: Address, site: str) -> str | None:
        """The power of a machine of ours at a site; None if that is not known."""
        host = self.plan.objects[site][machine].endpoint
        found = self._observed.get(host, {}).get(machine)
        if found is None or isinstance(found, Undetermined):
            return None
        foreign = isinstance(found, Present) and (
            found.owner is None or found.owner.lineage != str(self.plan.lineage)
        )
        return "absent" if foreign else power_of(found)

    def _receivers(self) -> dict[str, list[PlannedMachine]]:
        found: dict[str, list[PlannedMachine]] = {}
        for machine in self.plan.machines:
            found.setdefault(self.estate.receiver(machine).name, []).append(machine)
        return found

    def _replicas(self) -> Iterator[Diagnostic]:
        for host, machines in self._receivers().items():
            record = self.plan.endpoints[host]
            if not self.estate.has(record, REPLICATION):
                yield error(
                    "PRV7055",
                    f"Host/{host} cannot receive replicas: the provider {record.provider} has no "
                    "replication",
                    hint="'provisioner providers' lists what each provider can do.",
                    address=f"Host/{host}",
                )
                continue
            states: dict[Address, ReplicaState] = {}
            replicas = [self.estate.replica(machine) for machine in machines]

            def look(session: Session) -> None:
                assert isinstance(session, Replication), "its provider says so"
                states.update(session.replicas(replicas))  # noqa: B023 - asked before it changes

            yield from self._asked(record, look, f"looking for recovery points on {host}")
            if host not in self.silent:
                for machine in machines:
                    state = states.get(machine.address, ReplicaState())
                    yield from replica_problems(
                        machine, state, self.clock.now(), unprotected=self.unprotected
                    )

    def _room(self) -> Iterator[Diagnostic]:
        """What the other site says against making the machines there."""
        for host, machines in self._receivers().items():
            record = self.plan.endpoints[host]
            if not self.estate.has(record, PREFLIGHT):
                continue
            wanted = [
                self.estate.placed(address, self.plan.there).resource
                for machine in machines
                for address in (*machine.disks, machine.address)
            ]
            there = self._observed.get(host, {})
            undertakings = [
                Undertaking(resource)
                for resource in wanted
                if isinstance(there.get(resource.address, Absent()), Absent)
            ]
            deadline = Deadline.after(_PREFLIGHT_SECONDS, self.clock)
            found: list[Diagnostic] = []

            def look(session: Session) -> None:
                assert isinstance(session, Preflight), "its provider says so"
                answer = session.preflight(undertakings, deadline, thorough=False)  # noqa: B023
                found.extend(answer)  # noqa: B023 - both: asked before they change

            yield from self._asked(record, look, f"asking {host} whether it would work")
            yield from (
                replace(item, summary=f"at {self.plan.there}: {item.summary}") for item in found
            )


def replica_problems(
    machine: PlannedMachine, state: ReplicaState, now: datetime, *, unprotected: bool = False
) -> Iterator[Diagnostic]:
    """What is wrong with what the other site has of a machine. ``unprotected``: its plan has turned
    and was not reprotected since, so that no synchronisation may write there.
    """
    address = machine.address
    objective = format_duration(round(machine.point_objective * 1000))
    hint = "See 'provisioner replicate status', and run 'provisioner replicate run'."
    if unprotected:
        hint = "Run 'provisioner dr reprotect': it makes copies of what the machines left there."
    if state.problem:
        yield error(
            "PRV7056",
            f"the replication of {address} does not go on: {state.problem}",
            hint=hint,
            address=str(address),
        )
    if machine.way is Way.CONTINUOUS and state.in_step:
        return
    taken = [point.taken for point in state.points if point.taken is not None]
    if not state.points:
        yield error(
            "PRV7056",
            f"there is no recovery point of {address}",
            detail="A failover now would lose the whole machine.",
            hint=hint,
            address=str(address),
        )
    elif machine.way is Way.CONTINUOUS:
        yield error(
            "PRV7056",
            f"{address} is not in step: what it writes now does not get to the other site",
            hint=hint,
            address=str(address),
        )
    elif not taken:
        yield warning(
            "PRV7057",
            f"nobody knows how old the newest recovery point of {address} is",
            hint="Ask the tool that copies it.",
            address=str(address),
        )
    elif (later := ahead(max(taken), now)) is not None:
        yield error(
            "PRV7123",
            f"the newest recovery point of {address} is dated {rough(later)} in the future",
            detail="So nobody knows how old it is, and it would not be found to be too old.",
            hint=_CLOCKS,
            address=str(address),
        )
    elif (age := (now - max(taken)).total_seconds()) > machine.point_objective:
        yield error(
            "PRV7057",
            f"the newest recovery point of {address} is {rough(age)} old, expected at most "
            f"{objective}",
            hint=hint,
            address=str(address),
        )


def drill_problems(
    plan: Address,
    every: float | None,
    last: datetime | None,
    now: datetime,
    other_way: OtherWay | None = None,
) -> Iterator[Diagnostic]:
    """Whether the last drill that succeeded, if there was one, lies too far back. ``other_way``:
    there was none that led where the plan leads.
    """
    if every is None:
        return
    hint = "Run 'provisioner dr test'."
    to = f" to {other_way.there}" if other_way is not None else ""
    within = format_duration(round(every * 1000))
    if last is not None and (later := ahead(last, now, TOLERATED_OF_DAYS)) is not None:
        yield error(
            "PRV7123",
            f"the last drill of {plan} that succeeded is dated {rough(later)} in the future",
            hint=_CLOCKS,
            address=str(plan),
        )
    elif last is None:
        yield error(
            "PRV7058",
            f"there was no drill of {plan}{to} that succeeded yet, expected one every {within}",
            detail=other_way.detail if other_way is not None else "",
            hint=hint,
            address=str(plan),
        )
    elif (age := (now - last).total_seconds()) > every:
        yield error(
            "PRV7058",
            f"the last drill of {plan} that succeeded was {rough(age)} ago, expected one every "
            f"{within}",
            hint=hint,
            address=str(plan),
        )


def time_problems(plan: Address, seen: Outlook) -> Iterator[Diagnostic]:
    """Whether a failover, as it is foreseen, would take longer than it may."""
    if seen.objective is None:
        return
    objective = format_duration(round(seen.objective * 1000))
    if not seen.is_known:
        yield warning(
            "PRV7121",
            f"nobody knows yet how long a failover of {plan} would take, expected at most "
            f"{objective}",
            detail="No run before tells how long any of its machines takes to start.",
            hint="A drill measures it: 'provisioner dr test'.",
            address=str(plan),
        )
    elif not seen.is_within:
        detail = (
            f"{ASSUMED:g} s is assumed of each of {seen.assumed:,} steps, which were never carried "
            "out yet."
        )
        yield error(
            "PRV7061",
            f"a failover of {plan} would take about {rough(seen.seconds)}, expected at most "
            f"{objective}",
            detail=detail if seen.assumed else "",
            hint="'provisioner dr plan failover' shows what takes longest. Allow for "
            "more parallel starts, or for less waiting between the machines.",
            address=str(plan),
        )


def rough(seconds: float) -> str:
    """A length of time as people say it: in its largest unit, and the next one below."""
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    whole = max(0, round(seconds))
    place = next((place for place, (_, size) in enumerate(units) if whole >= size), len(units) - 1)
    unit, size = units[place]
    text = f"{whole // size}{unit}"
    if place + 1 < len(units):
        smaller, step = units[place + 1]
        rest = whole % size // step
        text += f" {rest}{smaller}" if rest else ""
    return text


def _about(known: Known, code: str, summary: str, hint: str, detail: str = "") -> Diagnostic:
    return error(code, summary, detail=detail, hint=hint, address=str(known.address))
