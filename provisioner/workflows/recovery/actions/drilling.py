"""Actions of drills: isolated networks and their proof, throw-away disks, machines on both, and the
removal of it all, counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.identity import identity
from provisioner.core.values import Json
from provisioner.providers.api import Absent, Present, Resource
from provisioner.providers.capabilities import POWER, Power, ReplicaState, Way
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.recovery.actions.copying import is_in_step
from provisioner.workflows.recovery.actions.estate import (
    Acting,
    Estate,
    Placed,
    power_of,
    repeated,
)
from provisioner.workflows.recovery.drills import (
    BubbleNetwork,
    bubble_networks,
    drill_address,
    drill_machine,
    drill_remnant,
)
from provisioner.workflows.recovery.model import PlannedMachine

WAYS_OUT = ("forwardDevice", "uplinks", "native")
"""Fields of a network that lead out of its host, or whose meaning nobody here can judge."""

_NOTHING = Done({"removed": False})


class Drilling:
    """The actions of one run, at the site of the drill."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._bubble = bubble_networks(estate.plan)
        self._shared: dict[str, Mapping[Address, Resource]] = {}
        self._inside: dict[str, Mapping[Address, Resource]] = {}

    def actions(self) -> Mapping[str, Action]:
        """By their names."""
        return {
            "bubble": Acting(self._has_network, self._make_network),
            "isolation": repeated(self._prove_isolation),
            "stage": repeated(self._stage),
            "define": Acting(self._is_defined, self._define),
            "power-on": Acting(self._runs, self._power_on),
            "drill-stands": repeated(self._look),
            "remove": Acting(self._is_removed, self._remove),
            "unstage": Acting(self._is_unstaged, self._unstage),
            "remove-bubble": Acting(self._has_no_network, self._remove_network),
            "drill-left": repeated(self._count_left),
        }

    def drilled(self, machine: PlannedMachine) -> Placed:
        """The machine of the drill, for calls about it."""
        estate = self._estate
        known = drill_machine(estate.plan, machine, self._bubble)
        return estate.place(known, self._around(known.endpoint))

    def _remnant(self, machine: PlannedMachine) -> Placed:
        known = drill_remnant(self._estate.plan, machine, self._bubble)
        return self._estate.place(known, self._around(known.endpoint))

    # Networks

    def _has_network(self, work: Work) -> Done | NotDone:
        found = self._estate.own(self._network(work))
        # One that a run left half made, stopped for instance, is completed by being made again.
        if found is None or _way_out(found):
            return NotDone()
        return Done({"externalId": found.external_id})

    def _make_network(self, work: Work) -> Done:
        target = self._network(work)
        made = self._estate.session(target.record).create(target.resource, work.deadline)
        return Done({"externalId": made.external_id})

    def _prove_isolation(self, work: Work) -> Done:
        bubble = self._bubble[Address.of(str(work.task.arguments["network"]))]
        return Done(self._isolated(bubble))

    def _isolated(self, bubble: BubbleNetwork) -> dict[str, Json]:
        """What the endpoint says that proves it. Raises ProvisionerError (PRV7081)."""
        target = self._placed_network(bubble)
        found = self._estate.see_one(target)
        problem = "it is not there" if isinstance(found, Absent) else _way_out(found)
        if problem:
            raise ProvisionerError(
                error(
                    "PRV7081",
                    f"{target.resource.address} on {target.record.name} is not proven isolated: "
                    f"{problem}",
                    detail="Machines of a drill have the names and addresses of real ones; nothing "
                    "is powered on while they could reach them.",
                    hint="Give the drill a network of mode isolated, without uplinks, or none at "
                    "all: then it makes one.",
                    address=str(bubble.stands_for),
                )
            )
        return {"network": target.resource.name, "mode": "isolated"}

    def _has_no_network(self, work: Work) -> Done | NotDone:
        if self._is_missing(work):
            return NotDone()
        absent = self._estate.own(self._network(work)) is None
        return Done({"removed": True}) if absent else NotDone()

    def _remove_network(self, work: Work) -> Done:
        if self._is_missing(work):
            return _NOTHING
        target = self._network(work)
        self._estate.session(target.record).delete(target.resource, work.deadline)
        return Done({"removed": True})

    def _network(self, work: Work) -> Placed:
        return self._placed_network(self._bubble[Address.of(str(work.task.arguments["network"]))])

    def _placed_network(self, bubble: BubbleNetwork) -> Placed:
        return self._estate.place(bubble.known, self._around(bubble.known.endpoint))

    # Machines

    def _stage(self, work: Work) -> Done:
        machine = self._estate.machine(work)
        point = work.task.arguments.get("point")
        before = self._estate.replica_states([machine])[machine.address]
        made = self._estate.replication(machine).stage(
            self._estate.replica(machine), str(point) if point is not None else None, work.deadline
        )
        disks: dict[str, Json] = {
            str(address): outcome.external_id for address, outcome in made.items()
        }
        after = self._estate.replica_states([machine])[machine.address]
        told = _stands_on(before, after)
        mirrored = machine.way is Way.CONTINUOUS
        return Done(
            {
                "disks": disks,
                **told,
                "objective": machine.point_objective,
                "continuous": mirrored,
                # Of disks that an earlier attempt made nobody knows how it was then.
                "inStep": mirrored and is_in_step(before) and not before.staged,
            }
        )

    def _is_defined(self, work: Work) -> Done | NotDone:
        found = self._estate.own(self.drilled(self._estate.machine(work)))
        return Done({"externalId": found.external_id}) if found is not None else NotDone()

    def _define(self, work: Work) -> Done:
        machine = self._estate.machine(work)
        staged = work.results[f"stage/{machine.address.name}"]["disks"]
        assert isinstance(staged, Mapping)
        target = self._made_of(machine, {str(key): str(value) for key, value in staged.items()})
        made = self._estate.session(target.record).create(target.resource, work.deadline)
        return Done({"externalId": made.external_id})

    def _made_of(self, machine: PlannedMachine, staged: Mapping[str, str]) -> Placed:
        """The drill's machine, on disks with these ids by address."""
        estate = self._estate
        plan = estate.plan
        known = drill_machine(plan, machine, self._bubble)
        others = dict(self._networks(known.endpoint))
        for address in machine.disks:
            disk = estate.placed(address, plan.there).resource
            # An identity of its own: the real Disk, if there is one, must not be found for it.
            uid = identity(plan.lineage, drill_address(plan, address))
            others[address] = replace(disk, uid=uid, external_id=staged[str(address)])
        needs = replace(known, dependencies=plan.objects[plan.there][machine.address].dependencies)
        return estate.as_there(needs, plan.there, others)

    def _runs(self, work: Work) -> Done | NotDone:
        found = self._estate.own(self._connected(self._estate.machine(work)))
        if found is None or power_of(found) != "running":
            return NotDone()
        return self._powered_on(found, work)

    def _power_on(self, work: Work) -> Done:
        """Only after one more look at what the machine is connected to."""
        machine = self._estate.machine(work)
        target = self._connected(machine)
        found = self._estate.own(target)
        if found is None:
            raise ProvisionerError(
                error(
                    "PRV7082",
                    f"{target.resource.name} is not on {target.record.name}: somebody removed it",
                    hint="Run 'provisioner dr cleanup', and the drill again.",
                    address=str(machine.address),
                )
            )
        self._check_cards(machine, target, found)
        session = self._estate.capable(target.record, POWER)
        assert isinstance(session, Power), "its provider says so"
        session.power(target.resource, "running", work.deadline)
        found = self._estate.own(target)
        if found is None or power_of(found) != "running":
            raise ProvisionerError(
                error(
                    "PRV7078",
                    f"{target.resource.name} was started on {target.record.name} and does not run",
                    hint="Look at its console there; cleanup removes it.",
                    address=str(machine.address),
                )
            )
        return self._powered_on(found, work)

    def _check_cards(self, machine: PlannedMachine, target: Placed, found: Present) -> None:
        by_name = {item.known.address.name: item for item in self._bubble.values()}
        for name, card in found.spec.get("nics", {}).items():
            network = str(card.get("network", ""))
            if network not in by_name:
                raise ProvisionerError(
                    error(
                        "PRV7081",
                        f"card {name} of {target.resource.name} is connected to "
                        f"{network or 'something unknown'}, which is no network of the drill",
                        detail="It is not powered on.",
                        hint="Run 'provisioner dr cleanup', and the drill again.",
                        address=str(machine.address),
                    )
                )
            self._isolated(by_name[network])

    def _powered_on(self, found: Present, work: Work) -> Done:
        return Done(
            {
                "externalId": found.external_id,
                "seenRunning": work.clock.now().isoformat(),
                "networks": sorted(
                    {str(card.get("network")) for card in found.spec.get("nics", {}).values()}
                ),
            }
        )

    # Clearing away

    def _look(self, work: Work) -> Done:
        """What stands of a drill, for the removals that come behind: with few calls, as somebody
        waits for a failover.
        """
        estate = self._estate
        machines = {item.address.name: self._remnant(item) for item in estate.plan.machines}
        networks = {
            network.name: self._placed_network(item)
            for network, item in self._bubble.items()
            if item.made
        }
        seen = estate.see([*machines.values(), *networks.values()])
        states = estate.replica_states(estate.plan.machines)
        found: dict[str, Json] = {
            what: [name for name, at in targets.items() if _is_there(seen[at.resource.address])]
            for what, targets in (("remove", machines), ("remove-bubble", networks))
        }
        staged = [address.name for address, state in states.items() if _may_be_staged(state)]
        return Done({**found, "unstage": staged, "at": work.clock.now().isoformat()})

    def _is_missing(self, work: Work) -> bool:
        """Whether a look before has not found what a task would remove. That is told when the task
        is carried out, and not before: only so history learns that it takes no time.
        """
        what, _, name = work.task.id.partition("/")
        looked = work.results.get("drill-stands")
        found = looked[what] if looked is not None else [name]
        return isinstance(found, list) and name not in found

    def _is_removed(self, work: Work) -> Done | NotDone:
        if self._is_missing(work):
            return NotDone()
        absent = self._estate.own(self._remnant(self._estate.machine(work))) is None
        return Done({"removed": True}) if absent else NotDone()

    def _remove(self, work: Work) -> Done:
        if self._is_missing(work):
            return _NOTHING
        target = self._remnant(self._estate.machine(work))
        self._estate.session(target.record).delete(target.resource, work.deadline)
        return Done({"removed": True})

    def _is_unstaged(self, work: Work) -> Done | NotDone:
        if self._is_missing(work):
            return NotDone()
        machine = self._estate.machine(work)
        state = self._estate.replica_states([machine])[machine.address]
        return NotDone() if _may_be_staged(state) else Done({"removed": True})

    def _unstage(self, work: Work) -> Done:
        if self._is_missing(work):
            return _NOTHING
        machine = self._estate.machine(work)
        replica = self._estate.replica(machine)
        self._estate.replication(machine).unstage(replica, work.deadline)
        return Done({"removed": True})

    def _count_left(self, work: Work) -> Done:
        """Look at everything that a drill makes."""
        estate = self._estate
        machines = [self._remnant(machine) for machine in estate.plan.machines]
        networks = [self._placed_network(item) for item in self._bubble.values() if item.made]
        seen = estate.see([*machines, *networks])
        left = [
            f"{target.resource.address} on {target.record.name}"
            for target in (*machines, *networks)
            if isinstance(seen[target.resource.address], Present)
        ]
        states = estate.replica_states(estate.plan.machines)
        left += [f"throw-away disks of {item}" for item, state in states.items() if state.staged]
        if left:
            raise ProvisionerError(
                error(
                    "PRV7083",
                    f"{len(left)} {'thing' if len(left) == 1 else 'things'} of the drill "
                    f"{'is' if len(left) == 1 else 'are'} left",
                    detail="\n".join(sorted(left)),
                    hint="Run cleanup again; what failed before says why.",
                )
            )
        count = len(machines) + len(networks) + len(states)
        return Done({"left": 0, "looked": count, "at": work.clock.now().isoformat()})

    def _connected(self, machine: PlannedMachine) -> Placed:
        """The machine of the drill, which knows the objects of its networks: a provider may tell
        by them alone what a card is connected to.
        """
        record, resource = self.drilled(machine)
        related = {**resource.related, **self._networks(record.name)}
        return Placed(record, replace(resource, related=related))

    def _networks(self, endpoint: str) -> Mapping[Address, Resource]:
        """The networks of the drill at an endpoint, as they are there."""
        if endpoint in self._inside:
            return self._inside[endpoint]
        targets = [
            self._placed_network(bubble)
            for bubble in self._bubble.values()
            if bubble.known.endpoint == endpoint
        ]
        seen = self._estate.see(targets)
        found: dict[Address, Resource] = {}
        for _, resource in targets:
            there = seen[resource.address]
            if isinstance(there, Present):
                resource = replace(  # noqa: PLW2901
                    resource, external_id=there.external_id, outputs=there.outputs
                )
            found[resource.address] = resource
        if all(isinstance(there, Present) for there in seen.values()):
            # Machines are made once their networks are.
            self._inside[endpoint] = found
        return found

    def _around(self, endpoint: str) -> Mapping[Address, Resource]:
        """All resources of an endpoint, with the networks of the drill: one mapping that all of
        them share.
        """
        if endpoint in self._shared:
            return self._shared[endpoint]
        shared = dict(self._estate.related(self._estate.plan.there, endpoint))
        for bubble in self._bubble.values():
            if bubble.known.endpoint == endpoint:
                network = self._estate.place(bubble.known, shared).resource
                shared[bubble.known.address] = network
        return self._shared.setdefault(endpoint, shared)


def _stands_on(before: ReplicaState, after: ReplicaState) -> dict[str, Json]:
    """Which point throw-away disks stand on, and when that was taken; of disks that an earlier
    attempt made, that may not be the newest by now.
    """
    found = after.staged_on
    taken = found.taken if found is not None else None
    if found is not None and taken is None and not before.staged:
        taken = next((item.taken for item in before.points if item.id == found.id), None)
    return {
        "point": found.id if found is not None else None,
        "taken": taken.isoformat() if taken is not None else None,
    }


def _is_there(found: Present | Absent) -> bool:
    return isinstance(found, Present)


def _may_be_staged(state: ReplicaState) -> bool:
    # A replica that is gone may have left throw-away disks, of which nothing is told.
    return state.staged or (not state.points and not state.problem)


def _way_out(found: Present) -> str:
    """What could lead out of a network, in words; empty if nothing does."""
    mode = found.running.get(("mode",), found.spec.get("mode"))
    if mode != "isolated" or found.spec.get("mode") != "isolated":
        return f"its mode is {found.spec.get('mode')}" + (
            f" (now: {mode})" if mode != found.spec.get("mode") else ""
        )
    for field in WAYS_OUT:
        value = found.running.get((field,), found.spec.get(field))
        if value or found.spec.get(field):
            return f"it has {field}"
    if found.facts.get("uplinks"):
        return f"its switch has the uplinks {found.facts['uplinks']}"
    return ""
