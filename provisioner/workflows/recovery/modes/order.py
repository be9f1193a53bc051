"""In which order the machines of a plan come up: by tiers, and by what each needs."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.core.address import Address
from provisioner.engine.graph import DependencyGraph
from provisioner.workflows.recovery.model import PlannedMachine, RecoveryPlan


def tiers(plan: RecoveryPlan) -> dict[int, list[PlannedMachine]]:
    """The machines by tier, lowest first, each tier in an order in which a machine stands after
    those that it needs. What a machine needs is in its tier at the latest, whatever its own says.
    """
    by_address = {machine.address: machine for machine in plan.machines}
    graph = DependencyGraph({machine.address: machine.needs for machine in plan.machines})
    order = graph.order()
    tier = {address: machine.tier for address, machine in by_address.items()}
    named = set(tier.values())  # also one that all leave has its steps
    for address in reversed(order):
        for needed in by_address[address].needs:
            if needed in tier:
                tier[needed] = min(tier[needed], tier[address])
    result: dict[int, list[PlannedMachine]] = {number: [] for number in sorted(named)}
    for address in order:
        result[tier[address]].append(by_address[address])
    return result


def needing(plan: RecoveryPlan) -> Mapping[Address, list[Address]]:
    """By machine, those that need it."""
    found: dict[Address, list[Address]] = {machine.address: [] for machine in plan.machines}
    for machine in plan.machines:
        for needed in machine.needs:
            if needed in found:
                found[needed].append(machine.address)
    return found
