"""Rules for the order in which a recovery plan starts its machines.

Called by :mod:`provisioner.manifest.recovery`. A machine waits for those that its plan names, for
those whose outputs it uses, and for all of the tiers before its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from provisioner.core.address import Address
from provisioner.manifest import protection
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft

_MOST_NAMED = 8


def check_order(
    plan: Draft, machines: Collection[Address], drafts: Mapping[Address, Draft]
) -> Iterator[Problem]:
    """What no order of the plan's machines can satisfy."""
    wanted = frozenset(machines)
    references = {
        address: [reference.target for reference in draft.references]
        for address, draft in drafts.items()
    }
    tiers = {machine: protection.tier_of(plan.spec, machine) for machine in machines}
    graph: dict[Address, list[Address]] = {}
    for machine in machines:
        named = [item for item in protection.waits_for(plan.spec, machine) if item in wanted]
        used = protection.machines_behind(machine, references, wanted)
        needed = [*dict.fromkeys([*named, *used])]
        late = [item for item in needed if tiers[item] > tiers[machine]]
        for other in late:
            yield _too_late(machine, other, tiers, named=other in named)
        graph[machine] = [item for item in needed if item not in late]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        ring: list[Address] = problem.args[1]
        # Reported from what comes first to what waits for it.
        names = [str(address) for address in reversed(ring)]
        if len(names) > _MOST_NAMED:
            names[_MOST_NAMED - 1 : -1] = ["..."]
        yield Problem(
            ("spec", "machines", ring[-1].name, "after"),
            "PRV1447",
            f"machines wait for each other in a ring: {' -> '.join(names)}",
            "Remove one of these dependencies; no order of starts can satisfy all of them.",
            "Each waits for the next, because the plan says so or because it uses an output of it.",
        )


def _too_late(
    machine: Address, other: Address, tiers: Mapping[Address, int], *, named: bool
) -> Problem:
    path = ("spec", "machines", machine.name)
    return Problem(
        (*path, "after", other.name) if named else (*path, "tier"),
        "PRV1447",
        f"{machine} of tier {tiers[machine]} cannot wait for {other} of tier {tiers[other]}",
        "A tier starts when those before it are up: put the two into one tier, or the other way "
        "round.",
        "" if named else f"It uses an output of {other}, or of something that does.",
    )
