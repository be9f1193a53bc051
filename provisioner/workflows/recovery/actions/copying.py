"""Actions that move data: synchronise, choose a recovery point, and make disks of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Json
from provisioner.providers.api import Present
from provisioner.providers.capabilities import Point, ReplicaState, Way
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.recovery.actions.estate import OFF, Acting, Estate, repeated
from provisioner.workflows.recovery.actions.sighting import check_gives_way, marks
from provisioner.workflows.recovery.clocks import ahead
from provisioner.workflows.recovery.model import PlannedMachine

NAMED = 5
"""Machines that a hint names at most."""


class Copying:
    """The actions of one run."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def actions(self) -> Mapping[str, Action]:
        """By their names."""
        return {
            "synchronise": repeated(self._synchronise),
            "last-synchronise": repeated(self._last_synchronise),
            "seed": repeated(self._seed),
            "protected": repeated(self._protected),
            "points": repeated(self._have_points),
            "mirrors": repeated(self._mirrors),
            "release": repeated(self._release),
            "choose": repeated(self._choose),
            "promote": Acting(self._is_promoted, self._promote),
        }

    def _synchronise(self, work: Work) -> Done:
        machine = self._estate.machine(work)
        return self._result(machine, synchronise(self._estate, machine, work.deadline))

    def _seed(self, work: Work) -> Done:
        """The first synchronisation back, onto the disks that the machine has had there."""
        machine = self._estate.machine(work)
        point = synchronise(self._estate, machine, work.deadline, takes_over=True)
        return self._result(machine, point)

    def _last_synchronise(self, work: Work) -> Done:
        """Of a stopped machine: what it has written is all there is."""
        machine, plan = self._estate.machine(work), self._estate.plan
        source = self._estate.placed(machine.address, plan.here)
        power = self._estate.power_of(source)
        if power not in OFF:
            raise ProvisionerError(
                error(
                    "PRV7074",
                    f"{machine.address} on {source.record.name} is {power}: somebody started it",
                    detail="The last synchronisation has to see it off, or something is lost.",
                    hint="Shut it down, and resume.",
                    address=str(machine.address),
                )
            )
        # A run that is gone on with comes here again, after it has marked the machine itself.
        point = synchronise(self._estate, machine, work.deadline, marked=True)
        session = self._estate.session(source.record)
        replica = self._estate.replica(machine)
        self._estate.replication(machine).suspend(replica, session, work.deadline)
        return self._result(machine, point)

    def _result(self, machine: PlannedMachine, point: Point) -> Done:
        state = self._estate.replica_states([machine])[machine.address]
        return Done({**_told(point), "moved": state.moved, "objective": machine.point_objective})

    def _protected(self, work: Work) -> Done:
        states = self._estate.replica_states(self._estate.machines(work))
        without = sorted(str(address) for address, state in states.items() if not state.points)
        if without:
            raise ProvisionerError(
                error(
                    "PRV7079",
                    f"{', '.join(without)}: no recovery point at {self._estate.plan.there}",
                    hint="Run 'provisioner replicate run', and look at what it says.",
                    address=without[0],
                )
            )
        points: dict[str, Json] = {
            str(address): state.points[-1].id for address, state in states.items()
        }
        return Done({"points": points})

    def _have_points(self, work: Work) -> Done:
        """Before anything is fenced: each machine can be recovered at all."""
        states = self._estate.replica_states(self._estate.machines(work))
        without = sorted(str(address) for address, state in states.items() if not state.points)
        if without:
            options = " ".join(f"--without {Address.of(item).name}" for item in without[:NAMED])
            more = ", and --without for the others" if len(without) > NAMED else ""
            raise ProvisionerError(
                error(
                    "PRV7079",
                    f"{', '.join(without)}: no recovery point at {self._estate.plan.there}",
                    detail="Nothing can be started of it there. Nothing was fenced, stopped or "
                    "suspended.",
                    hint="Look at 'provisioner replicate status'. To recover the others without "
                    f"{'it' if len(without) == 1 else 'them'}: 'provisioner dr failover {options}'"
                    f"{more}.",
                    address=without[0],
                )
            )
        return Done({"machines": len(states)})

    def _mirrors(self, work: Work) -> Done:
        """Before anything is fenced: which mirrors get every write."""
        machines = [item for item in self._estate.machines(work) if item.way is Way.CONTINUOUS]
        states = self._estate.replica_states(machines)
        told: list[Json] = [str(at) for at, state in sorted(states.items()) if is_in_step(state)]
        return Done({"inStep": told})

    def _release(self, work: Work) -> Done:
        machine = self._estate.machine(work)
        replica = self._estate.replica(machine)
        self._estate.replication(machine).suspend(replica, None, work.deadline)
        return Done()

    def _choose(self, work: Work) -> Done:
        """The newest point, and what is lost with it: what was written between it and the moment
        of the fencing. Where the point is dated behind that, nobody can tell; nor of a mirror,
        which has every write if it was in step before the fencing.
        """
        machine = self._estate.machine(work)
        state = self._estate.replica_states([machine])[machine.address]
        if not state.points:
            raise ProvisionerError(_no_point(machine, self._estate.plan.there))
        point = state.points[-1]
        loss = later = None
        mirrored = machine.way is Way.CONTINUOUS
        if point.taken is not None and not mirrored:
            fenced = datetime.fromisoformat(str(work.results["fenced"]["at"]))
            later = ahead(point.taken, fenced)
            if later is None:
                loss = max(0.0, (fenced - point.taken).total_seconds())
        return Done(
            {
                **_told(point),
                "loss": loss,
                "ahead": later,
                "objective": machine.point_objective,
                "continuous": mirrored,
                "inStep": mirrored and str(machine.address) in _seen_in_step(work),
                "problem": state.problem,
            }
        )

    def _is_promoted(self, work: Work) -> Done | NotDone:
        """There was a point earlier in this run; now there is none, but the disks are."""
        machine, plan = self._estate.machine(work), self._estate.plan
        state = self._estate.replica_states([machine])[machine.address]
        if state.points:
            return NotDone()
        targets = [self._estate.placed(disk, plan.there) for disk in machine.disks]
        found = self._estate.see(targets)
        lineage = str(plan.lineage)
        disks: dict[str, Json] = {
            str(address): item.external_id
            for address, item in found.items()
            if isinstance(item, Present) and item.owner in (None, *_ours(item, lineage))
        }
        return Done({"disks": disks}) if len(disks) == len(machine.disks) else NotDone()

    def _promote(self, work: Work) -> Done:
        machine = self._estate.machine(work)
        chosen = str(work.results[str(work.task.arguments["point"])]["point"])
        points = [p.id for p in self._estate.replica_states([machine])[machine.address].points]
        if points and chosen not in points and points[-1] > chosen:
            # The newest was chosen, and a replication that goes on elsewhere has taken newer ones.
            chosen = points[-1]
        replica = self._estate.replica(machine)
        session = self._estate.replication(machine)
        made = session.promote(replica, chosen, work.deadline)
        disks: dict[str, Json] = {
            str(address): outcome.external_id for address, outcome in made.items()
        }
        return Done({"disks": disks, "point": chosen})


def is_in_step(state: ReplicaState) -> bool:
    """Whether a continuous replica gets every write now, and is whole."""
    return state.in_step and not state.problem


def _seen_in_step(work: Work) -> Collection[object]:
    """The machines whose mirrors were in step before the fencing; none where nobody has looked."""
    found = work.results.get("mirrors", {}).get("inStep")
    return found if isinstance(found, list) else ()


def synchronise(
    estate: Estate,
    machine: PlannedMachine,
    deadline: Deadline,
    *,
    marked: bool = False,
    takes_over: bool = False,
) -> Point:
    """Take one more recovery point of a machine. ``marked``: it may stand by where it ran, for that
    is the work of the same run. ``takes_over``: disks of its own that lie at the receiving site are
    what the replica begins with, and are no disks any more; only a run that has seen their machine
    off and marked may ask for that.

    Raises ProvisionerError if newer data could be lost: PRV7080 if the machine does not run where
    the plan says, but at the other site, or has disks of its own there; PRV7076 if they would be
    taken over, and which of the two holds the newest data cannot be told.
    """
    plan = estate.plan
    source = estate.placed(machine.address, plan.here)
    disks = estate.see([estate.placed(disk, plan.there) for disk in machine.disks])
    found = sorted(address for address, item in disks.items() if isinstance(item, Present))
    if found:
        _check_direction(estate, machine, marked=marked)
    if found and takes_over:
        check_gives_way(estate, machine)
    if found and not takes_over and machine.way is not Way.EXTERNAL:
        # Which ones, is left out: the same is said of several machines, and then shown once.
        raise ProvisionerError(_not_this_way(estate, machine, "it has disks of its own there"))
    replica = estate.replica(machine, seeded=takes_over)
    session = estate.session(source.record)
    return estate.replication(machine).synchronise(replica, session, deadline)


def _check_direction(estate: Estate, machine: PlannedMachine, *, marked: bool) -> None:
    plan = estate.plan
    here = estate.placed(machine.address, plan.here)
    there = estate.placed(machine.address, plan.there)
    why = ""
    power = estate.power_of(there)
    if power not in OFF:
        why = f"it is {power} on {there.record.name}"
    elif not marked:
        resources, doing = [here.resource], "looking for marked machines"
        standing = marks(estate, here.record, resources, doing)
        if machine.address in standing:
            why = f"it stands by on {here.record.name} ({standing[machine.address]})"
    if why:
        raise ProvisionerError(_not_this_way(estate, machine, why))


def _not_this_way(estate: Estate, machine: PlannedMachine, why: str) -> Diagnostic:
    plan = estate.plan
    return error(
        "PRV7080",
        f"{machine.address} is not replicated from {plan.here} to {plan.there}: {why}",
        detail=f"Its disks at {plan.there} may be newer, and would be overwritten. Nothing was "
        "written.",
        hint=f"If it runs at {plan.here}: 'provisioner dr reprotect' makes a replica "
        "of what is left at the other site. If it does not, use the journal of the last migration "
        "or failover (--journal), which knows where it runs.",
        address=str(machine.address),
    )


def _ours(item: Present, lineage: str) -> tuple[object, ...]:
    return (item.owner,) if item.owner is not None and item.owner.lineage == lineage else ()


def _told(point: Point) -> dict[str, Json]:
    return {
        "point": point.id,
        "taken": point.taken.isoformat() if point.taken is not None else None,
        "quiesced": point.quiesced,
    }


def _no_point(machine: PlannedMachine, site: str) -> Diagnostic:
    return error(
        "PRV7079",
        f"{machine.address}: no recovery point at {site}",
        detail="It was never replicated, or its first synchronisation did not end.",
        hint="Nothing can be started of it there. Take it out of the plan, or restore a backup.",
        address=str(machine.address),
    )
