"""The runbooks of a drill and of clearing it away, which migrations and failovers begin with, too:
a drill may stand when a disaster happens, and its disks need the replicas.

The site where the machines run is only asked
which of their cards have which address; nothing there is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.workflows.recovery.drills import bubble_networks, drill_machine
from provisioner.workflows.recovery.model import Mode, Moment, RecoveryPlan
from provisioner.workflows.recovery.modes.rising import Rise, rise
from provisioner.workflows.recovery.modes.tasks import (
    FINISH,
    PREPARE,
    Draft,
    about,
    begin,
    give_back,
    make_room,
    of_machine,
    of_plan,
    own_steps,
    run_steps,
)
from provisioner.workflows.runbook import OnFailure, Runbook, Task

CLEARING = 120.0
"""Seconds that removing one thing of a drill may hold up a disaster."""
FORMER_DRILL = "former drill"


def drill_runbook(plan: RecoveryPlan, points: Mapping[Address, str] | None = None) -> Runbook:
    """Start the plan's machines from their newest recovery points (or those in ``points``), beside
    the running ones and cut off from everything.

    Raises ProvisionerError (PRV7070) if a machine's network has no isolated one in its place.
    """
    draft = Draft(plan, str(Mode.TEST))
    began = begin(draft, [plan.there])
    before = own_steps(plan, Mode.TEST, Moment.BEFORE)
    steps = run_steps(draft, before, [began], site=plan.there, drill=True, stage=PREPARE)
    prepared = [*(steps[-1:] or [began]), *make_room(draft, plan.there, steps[-1:] or [began])]
    isolated: dict[Address, str] = {}
    for network, bubble in bubble_networks(plan).items():
        needs = prepared
        if bubble.made:
            needs = [draft.add(_of_network("bubble", network, "make an isolated network", needs))]
        # By the network that a machine is connected to.
        isolated[bubble.known.address] = draft.add(
            _of_network("isolation", network, "prove the isolation", needs, lasting=False)
        )
    ready: dict[Address, list[str]] = {}
    for machine in plan.machines:
        nics = drill_machine(plan, machine).spec.get("nics", {})
        networks = {Address("Network", str(nic["network"])) for nic in nics.values()}
        proofs = [isolated[network] for network in sorted(networks)]
        name = machine.address.name
        chosen = (points or {}).get(machine.address)
        stage = draft.add(
            of_machine(
                "stage",
                machine,
                f"throw-away disks of {name} from {chosen or 'the newest point'}",
                prepared,
                on_failure=OnFailure.HOLD,
                point=chosen,
            )
        )
        define = draft.add(
            of_machine(
                "define",
                machine,
                f"make the drill's {name}, stopped",
                [stage, *proofs],
                on_failure=OnFailure.HOLD,
            )
        )
        ready[machine.address] = [define, *proofs]
    rise(draft, Rise(Mode.TEST, plan.there, prepared, ready, "power-on", drill=True))
    return draft.finished()


def cleanup_runbook(plan: RecoveryPlan) -> Runbook:
    """Remove whatever a drill has made, however far it came, and prove that nothing is left."""
    draft = Draft(plan, str(Mode.CLEANUP))
    began = begin(draft, [plan.there])
    cleared = _clear(draft, [began])
    ended = [*cleared.machines, *cleared.disks.values(), *cleared.networks]
    ended += give_back(draft, plan.there, [began], cleared.machines)
    draft.add(
        of_plan(
            "left",
            "count what is left of the drill",
            [began],
            action="drill-left",
            after=ended,
            stage=FINISH,
        )
    )
    return draft.finished()


def clear_drill(draft: Draft, needs: Sequence[str], behind: str = "") -> Mapping[Address, str]:
    """Remove what a drill of the plan has left, so that it is not in the way of the real thing.
    Returns by machine the task after whose end, in whatever way, its replica may become its disks.
    ``behind``: the task of each machine after whose end nobody else works on its replica.

    Where no drill stands this costs one look at each endpoint. Nothing that fails here holds
    anything but the rest of the removal; the provider refuses what a drill still stands on.
    """
    stands = draft.add(
        of_plan(
            "drill-stands",
            "look whether a drill stands",
            needs,
            action="drill-stands",
            seconds=CLEARING,
            on_failure=OnFailure.GO_ON,
            stage=FORMER_DRILL,
        )
    )
    return _clear(draft, [stands], former=True, behind=behind).disks


class _Cleared(NamedTuple):
    """The ids of the tasks that remove a drill; of the disks by machine."""

    machines: Sequence[str]
    disks: Mapping[Address, str]
    networks: Sequence[str]


def _clear(
    draft: Draft, needs: Sequence[str], *, former: bool = False, behind: str = ""
) -> _Cleared:
    """``former``: the drill is not what this is about, and most often there is none. ``behind``: as
    for :func:`clear_drill`.
    """
    plan = draft.plan
    seconds = CLEARING if former else 600.0
    perhaps = ", if a drill stands" if former else ""
    machines = [
        draft.add(
            of_machine(
                "remove",
                machine,
                f"remove the drill's {machine.address.name}{perhaps}",
                needs,
                seconds=seconds,
                on_failure=OnFailure.HOLD,
                stage=FORMER_DRILL if former else "machines",
            )
        )
        for machine in plan.machines
    ]
    disks = {
        machine.address: draft.add(
            of_machine(
                "unstage",
                machine,
                f"remove the throw-away disks of {machine.address.name}{perhaps}",
                [about("remove", machine)],
                after=[about(behind, machine)]
                if behind and machine.address not in draft.without
                else [],
                seconds=seconds,
                on_failure=OnFailure.HOLD,
                stage=FORMER_DRILL if former else "disks",
            )
        )
        for machine in plan.machines
    }
    networks = []
    for network, bubble in bubble_networks(plan).items():
        if bubble.made:
            task = _of_network("remove-bubble", network, "remove the isolated network", machines)
            if former:
                title = f"{task.title}{perhaps}"
                task = replace(task, title=title, seconds=seconds, stage=FORMER_DRILL)
            networks.append(draft.add(task))
    return _Cleared(machines, disks, networks)


def _of_network(
    what: str, network: Address, title: str, needs: list[str], *, lasting: bool = True
) -> Task:
    return Task(
        f"{what}/{network.name}",
        f"{title} for {network.name}",
        what,
        {"network": str(network)},
        tuple(needs),
        on_failure=OnFailure.HOLD if what == "remove-bubble" else OnFailure.STOP,
        subject=str(network),
        stage="networks",
        lasting=lasting,
    )
