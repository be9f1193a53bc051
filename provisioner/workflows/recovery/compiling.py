"""Compiles a recovery plan: a stack's policies and its state become plain values that need neither.

Called by the service layer. The machines are taken as they were applied last, and where the state
says that they are decides which site is ``here``. What they shall be at the other site is brought
into canonical form by its provider, so that nothing that it cannot carry turns up only when it is
needed. Nobody is connected to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provisioner.core.address import Address, near
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.identity import identity
from provisioner.core.values import digest, is_marker
from provisioner.engine.plan import Known
from provisioner.engine.rules import Rules
from provisioner.engine.subjects import endpoints_of
from provisioner.manifest import protection
from provisioner.manifest.model import Declaration, Stack
from provisioner.manifest.protection import GROUP, HOST, MACHINE, PLAN, SITE, SITE_PAIR, Use
from provisioner.providers.capabilities import Way
from provisioner.providers.registry import Registry
from provisioner.state.model import Entry, State
from provisioner.workflows.recovery import policy
from provisioner.workflows.recovery.drills import laid_over
from provisioner.workflows.recovery.fitting import Fitting, known_of_entry
from provisioner.workflows.recovery.mapping import (
    mapped_disk,
    mapped_machine,
    without_strange_addresses,
)
from provisioner.workflows.recovery.model import PlannedMachine, RecoveryPlan

_STARTS = 8
_DAY = 86400.0
_LONGEST = 63
"""Of a resource's name."""


def compile_plan(
    name: str,
    stack: Stack,
    state: State,
    *,
    rules: Rules,
    registry: Registry,
    now: datetime,
    actor: str = "",
) -> RecoveryPlan:
    """The plan called ``name``, from the site where its machines are now to the other one.

    ``actor`` is whoever compiles it, at ``now``. Raises ProvisionerError with every problem found
    (PRV7030 to PRV7036, and what the provider of the other site says against a spec).
    """
    return _Compiler(name, stack, state, rules=rules, registry=registry).run(now, actor)


@dataclass(slots=True)
class _Member:
    """A machine of the plan, and the group that it is in."""

    entry: Entry
    group: Declaration
    excluded: frozenset[Address]
    uses: list[Use] = field(default_factory=list)


class _Compiler:
    """Compiles one plan once."""

    def __init__(
        self, name: str, stack: Stack, state: State, *, rules: Rules, registry: Registry
    ) -> None:
        self.stack, self.state, self.rules, self.registry = stack, state, rules, registry
        self.problems: list[Diagnostic] = []
        self.plan = self._policy(PLAN, name)
        self.groups = [self._policy(GROUP, group.name) for group in self._groups()]
        self.pair = self._policy(SITE_PAIR, self.groups[0].spec["sitePair"])
        self.site_names = (str(self.pair.spec["first"]), str(self.pair.spec["second"]))
        self.site_of = {
            host: site
            for site in self.site_names
            for host in sorted(protection.hosts_of(self._policy(SITE, site).spec))
        }
        everywhere = endpoints_of(stack, state)
        self.endpoints = {host: everywhere[host] for host in self.site_of}
        self.specs = {address: entry.spec for address, entry in state.entries.items()}
        self.fitting = Fitting(state, self.endpoints, rules, registry)

    def _groups(self) -> tuple[Address, ...]:
        return protection.groups_of(self.plan.spec)

    def _policy(self, kind: str, name: str) -> Declaration:
        address = Address(kind, name)
        found = self.stack.policies.get(address)
        if found is not None:
            return found
        others = [item for item in self.stack.policies if item.kind == kind]
        meant = near(kind, name, others)
        raise ProvisionerError(
            error(
                "PRV7030",
                f"there is no {address} in the stack",
                detail=f"It has: {', '.join(sorted(item.name for item in others)) or 'none'}.",
                hint=f"Did you mean {meant[0]}?" if meant else "Add a manifest of that kind.",
            )
        )

    def run(self, now: datetime, actor: str) -> RecoveryPlan:
        members = self._members()
        here = self._here(members)
        self._stop_at_problems()
        there = next(site for site in self.site_names if site != here)
        way = protection.counterparts(self.pair.spec, from_first=here == self.site_names[0])
        mapped = self._mapped(members, way, there)
        self._stop_at_problems()
        objects = {
            here: self._recorded_objects(members),
            there: self._objects_there(mapped),
        }
        machines = self._planned(members)
        for machine in machines:
            for site, found in objects.items():
                self._try_changes(machine, site, found[machine.address])
        bubble = self._bubble(members, way, here, there)
        suspend = self._suspended()
        self._without_markers()
        self._stop_at_problems()
        spec = self.plan.spec
        starts = int(spec.get("parallelStarts", _STARTS))
        return RecoveryPlan(
            name=self.plan.address.name,
            stack=self.stack.name,
            lineage=self.state.lineage,
            sites=(here, there),
            endpoints=self.endpoints,
            site_of=self.site_of,
            objects=objects,
            machines=machines,
            compiled=now,
            compiled_by=actor,
            steps=policy.steps(spec),
            bubble=bubble,
            starts=dict.fromkeys(self.endpoints, starts),
            suspend=suspend,
            fencing=policy.fencing(spec),
            time_objective=policy.optional_seconds(spec.get("recoveryTimeObjective")),
            approvals=policy.approvals(spec),
            drill_every=policy.optional_seconds(spec.get("drillEvery")),
            max_age=policy.seconds(spec.get("maxAge"), 30 * _DAY),
        )

    def _stop_at_problems(self) -> None:
        found = [*self.problems, *self.fitting.problems]
        if found:
            raise ProvisionerError(found)

    def _complain(self, code: str, summary: str, hint: str, **more: Any) -> None:
        self.problems.append(error(code, summary, hint=hint, **more).at(self.plan.source))

    def _members(self) -> dict[Address, _Member]:
        """The machines by address, in order; those that were not applied are reported."""
        declared = {
            address: item.spec
            for address, item in self.stack.declarations.items()
            if address.kind == MACHINE
        }
        found: dict[Address, _Member] = {}
        for group in self.groups:
            excluded = protection.excluded_disks(group.spec)
            for address in protection.members(group.spec, declared):
                entry = self._applied(address)
                if entry is not None:
                    found[address] = _Member(entry, group, excluded)
        return dict(sorted(found.items()))

    def _applied(self, address: Address) -> Entry | None:
        entry = self.state.entries.get(address)
        if entry is None:
            self._complain(
                "PRV7031",
                f"{address} has not been applied",
                "Run 'provisioner apply' first: a plan is about what is there.",
                address=str(address),
            )
        return entry

    def _here(self, members: Mapping[Address, _Member]) -> str:
        """The site where all machines are."""
        found: dict[str, Address] = {}
        for address, member in members.items():
            site = self.site_of.get(member.entry.endpoint)
            if site is None:
                self._complain(
                    "PRV7032",
                    f"{address} is on {member.entry.endpoint}, which is at neither site of "
                    f"{self.pair.address}",
                    "Add the host to its Site, and apply what is to move.",
                    address=str(address),
                )
            else:
                found.setdefault(site, address)
        if len(found) > 1:
            (one, first), (other, second) = found.items()
            self._complain(
                "PRV7032",
                f"{first} is at Site/{one}, and {second} at Site/{other}",
                "All machines of a plan have to be at one site: finish what moved only some of "
                "them, which 'provisioner dr status' shows, or split the plan.",
            )
        return next(iter(found), self.site_names[0])

    def _mapped(
        self, members: Mapping[Address, _Member], way: Mapping[Address, Address], there: str
    ) -> dict[Address, Known]:
        """The machines and their disks as they shall be at the other site."""
        unmapped: dict[Address, Address] = {}
        unapplied: set[Address] = set()
        mapped: dict[Address, Known] = {}
        for address, member in members.items():
            spec = member.entry.spec
            member.uses = list(protection.uses(address, spec, self.specs, member.excluded))
            for disk in protection.disks_of(spec, member.excluded):
                if disk not in self.state.entries:
                    unapplied.add(disk)
            for use in member.uses:
                target = way.get(use.target)
                if target is None:
                    unmapped.setdefault(use.target, address)
                elif target not in self.state.entries:
                    unapplied.add(target)
        for target, user in sorted(unmapped.items()):
            self._complain(
                "PRV7033",
                f"nothing takes the place of {target} at Site/{there}",
                f"Add it to {self.pair.address}.",
                detail=f"{user} uses it, as it was applied last.",
                address=str(user),
            )
        for target in sorted(unapplied):
            self._applied(target)
        self._stop_at_problems()
        for address, member in members.items():
            endpoint = self._endpoint_there(address, member, way, there)
            if endpoint is not None:
                for known in self._mapped_one(address, member, way, endpoint):
                    mapped[known.address] = known
        return mapped

    def _endpoint_there(
        self, address: Address, member: _Member, way: Mapping[Address, Address], there: str
    ) -> str | None:
        """The host that a machine comes up on, where all is that takes the place of what it
        uses.
        """
        found = {
            self.state.entries[way[use.target]].endpoint: way[use.target] for use in member.uses
        }
        wanted = way.get(Address(HOST, member.entry.endpoint))
        if wanted is not None:
            found[wanted.name] = wanted
        alone = [host for host, site in self.site_of.items() if site == there]
        if not found and len(alone) == 1:
            return alone[0]
        if len(found) == 1:
            return self._same_provider(address, member, next(iter(found)))
        where = ", ".join(f"{target} to {host}" for host, target in sorted(found.items()))
        self._complain(
            "PRV7034",
            f"it cannot be told on which host {address} comes up at Site/{there}",
            "Map the hosts, and what each of them has, so that all leads to one host.",
            detail=f"It would come with {where}." if where else "It uses nothing that says it.",
            address=str(address),
        )
        return None

    def _same_provider(self, address: Address, member: _Member, host: str) -> str | None:
        before, after = (self.endpoints[item].provider for item in (member.entry.endpoint, host))
        if before == after:
            return host
        self._complain(
            "PRV7035",
            f"{address} is on a host of the provider {before}, and would come to {host}, which is "
            f"one of {after}",
            "Machines are recovered between hosts of one provider: map them to such a host.",
            address=str(address),
        )
        return None

    def _mapped_one(
        self, address: Address, member: _Member, way: Mapping[Address, Address], endpoint: str
    ) -> Iterator[Known]:
        """The disks of a machine and then itself: a provider looks at the disks of a machine."""
        shared = self.fitting.related(endpoint)
        excluded = member.excluded
        for disk in protection.disks_of(member.entry.spec, excluded):
            entry = self.state.entries[disk]
            spec = mapped_disk(entry.spec, [u for u in member.uses if u.holder == disk], way)
            yield self.fitting.canonical(known_of_entry(entry), spec, endpoint)
        own = [use for use in member.uses if use.holder == address]
        spec = mapped_machine(member.entry.spec, own, way, excluded)
        spec = without_strange_addresses(spec, shared)
        yield self.fitting.canonical(known_of_entry(member.entry), spec, endpoint)

    def _try_changes(self, machine: PlannedMachine, site: str, known: Known) -> None:
        """See what is said against the machine as the plan changes it at a site."""
        for what, changes in (("a drill", machine.test), ("earnest", machine.real)):
            if site in changes:
                why = f"As {self.plan.address} changes it at Site/{site} in {what}"
                self.fitting.try_out(known, laid_over(known.spec, changes[site]), why)

    def _recorded_objects(self, members: Iterable[Address]) -> dict[Address, Known]:
        """The machines here with everything that they need, as recorded."""
        return self._with_needs({}, members)

    def _objects_there(self, mapped: Mapping[Address, Known]) -> dict[Address, Known]:
        needed = [target for known in mapped.values() for target in known.dependencies]
        return self._with_needs(dict(mapped), needed)

    def _with_needs(
        self, found: dict[Address, Known], needed: Iterable[Address]
    ) -> dict[Address, Known]:
        """``found`` and what was recorded that is ``needed``, however far."""
        waiting = [*needed]
        while waiting:
            address = waiting.pop()
            entry = self.state.entries.get(address)
            if entry is not None and address not in found:
                found[address] = known_of_entry(entry)
                waiting += entry.dependencies
        return dict(sorted(found.items()))

    def _planned(self, members: Mapping[Address, _Member]) -> tuple[PlannedMachine, ...]:
        references = {
            address: [reference.target for reference in item.references]
            for address, item in self.stack.declarations.items()
        }
        found = [self._machine(member, members, references) for member in members.values()]
        return tuple(sorted(found, key=lambda machine: (machine.tier, machine.address)))

    def _machine(
        self,
        member: _Member,
        members: Mapping[Address, _Member],
        references: Mapping[Address, list[Address]],
    ) -> PlannedMachine:
        address = member.entry.address
        plan, group = self.plan.spec, member.group.spec
        own = protection.section(plan, "machines").get(address.name, {})
        behind = protection.machines_behind(address, references, members.keys())
        needs = {*protection.waits_for(plan, address), *behind}
        replication = protection.section(group, "replication")
        return PlannedMachine(
            address=address,
            group=member.group.address.name,
            disks=protection.disks_of(member.entry.spec, member.excluded),
            tier=protection.tier_of(plan, address),
            needs=tuple(sorted(needs)),
            gates=policy.gates(protection.section(own, "health")),
            way=Way(replication.get("type", Way.INCREMENTAL)),
            interval=policy.seconds(replication.get("interval"), 300.0),
            keep=int(replication.get("keep", 3)),
            quiesce=replication.get("quiesce") is True,
            point_objective=policy.seconds(group.get("recoveryPointObjective"), 900.0),
            test=protection.section(own, "test"),
            real=protection.section(own, "real"),
            edges=policy.edges(protection.section(own, "after")),
        )

    def _bubble(
        self,
        members: Mapping[Address, _Member],
        way: Mapping[Address, Address],
        here: str,
        there: str,
    ) -> dict[str, dict[Address, Known]]:
        """What takes the place of each network in drills, at both sites."""
        used = {use.target for item in members.values() for use in item.uses}
        networks = sorted(target for target in used if target.kind == "Network")
        found: dict[str, dict[Address, Known]] = {here: {}, there: {}}
        for network in networks:
            for site, target in ((here, network), (there, way[network])):
                isolated = self._isolated(target)
                if isolated is not None:
                    found[site][target] = isolated
        return found

    def _isolated(self, network: Address) -> Known | None:
        chosen = protection.section(self.plan.spec, "bubble").get(network.name, {}).get("isolated")
        if isinstance(chosen, str):
            entry = self._applied(Address("Network", chosen))
            return None if entry is None else known_of_entry(entry)
        entry = self._applied(network)
        if entry is None:
            return None
        address = Address("Network", _drill_name(self.plan.address.name, network.name))
        uid = str(identity(self.state.lineage, address))
        made = Known(address, entry.endpoint, address.name, uid, 0, {})
        return self.fitting.canonical(made, {"mode": "isolated"}, entry.endpoint)

    def _suspended(self) -> dict[str, tuple[Known, ...]]:
        found: dict[str, list[Known]] = {}
        for name in sorted(protection.section(self.plan.spec, "suspend")):
            entry = self._applied(Address(MACHINE, name))
            site = self.site_of.get(entry.endpoint) if entry is not None else None
            if entry is not None and site is None:
                self._complain(
                    "PRV7032",
                    f"{entry.address} is on {entry.endpoint}, which is at neither site of "
                    f"{self.pair.address}",
                    "It could make no room there: take it out of 'suspend'.",
                    address=str(entry.address),
                )
            elif entry is not None and site is not None:
                found.setdefault(site, []).append(known_of_entry(entry))
        return {site: tuple(known) for site, known in found.items()}

    def _without_markers(self) -> None:
        """Nothing in the plan's manifest may wait for an output: nobody can give it then."""
        if any(map(is_marker, _values(self.plan.spec))):
            self._complain(
                "PRV7036",
                f"{self.plan.address} waits for an output of another resource",
                "Write the value itself: when the plan is carried out, nobody can tell it.",
                address=str(self.plan.address),
            )


def _drill_name(plan: str, network: str) -> str:
    """What the network of a drill is called; a name that would be too long is told apart by a
    digest.
    """
    name = f"drill-{plan}-{network}"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{digest(name)[:8]}"


def _values(value: Any) -> Iterator[Any]:
    """Every value within a value, itself included."""
    yield value
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _values(child)
    elif isinstance(value, list):
        for child in value:
            yield from _values(child)
