"""What a drill makes, as values: machines, staged disks and isolated networks with names,
identities and stamps of their own, so that nothing of a drill is ever taken for the real thing.

Used by the builders (:mod:`provisioner.workflows.recovery.modes`) and by the actions of drills.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.identity import identity
from provisioner.engine.plan import Known
from provisioner.workflows.recovery.model import PlannedMachine, RecoveryPlan

LONGEST_NAME = 63
NETWORK = "Network"


def drill_address(plan: RecoveryPlan, address: Address) -> Address:
    """The address that a drill's counterpart of a resource has: ``drill-PLAN-NAME``; where that is
    too long for a name, its end is a part of its digest.
    """
    name = f"drill-{plan.name}-{address.name}"
    if len(name) > LONGEST_NAME:
        mark = hashlib.sha256(name.encode()).hexdigest()[:10]
        name = f"{name[: LONGEST_NAME - 11].rstrip('.-')}-{mark}"
    return Address(address.kind, name)


def drilled(plan: RecoveryPlan, known: Known, spec: Mapping[str, Any]) -> Known:
    """The drill's counterpart of a resource, which nothing was made of yet."""
    address = drill_address(plan, known.address)
    return replace(
        known,
        address=address,
        name=address.name,
        uid=str(identity(plan.lineage, address)),
        generation=0,
        spec=spec,
        external_id=None,
        outputs={},
    )


@dataclass(frozen=True, slots=True)
class BubbleNetwork:
    """What takes the place of one network in a drill. ``made``: the drill makes and removes it;
    else it is one that stays.
    """

    stands_for: Address
    known: Known
    made: bool


def bubble_networks(plan: RecoveryPlan) -> dict[Address, BubbleNetwork]:
    """Those at the site of the drill, by the networks that they stand for."""
    site = plan.there
    found = {}
    for network, known in plan.bubble.get(site, {}).items():
        made = known.external_id is None and known.address not in plan.objects[site]
        # Named after what it stands for, whatever name the plan gives: a run has to find it again.
        drill = drilled(plan, replace(known, address=network), known.spec) if made else known
        found[network] = BubbleNetwork(network, drill, made)
    return found


def drill_machine(
    plan: RecoveryPlan,
    machine: PlannedMachine,
    bubble: Mapping[Address, BubbleNetwork] | None = None,
) -> Known:
    """The machine of a drill, stopped and connected to isolated networks only. Its ``disks`` keep
    their names; the staged ones are found under them. ``bubble`` is what :func:`bubble_networks`
    says, for whoever asks about many machines.

    Raises ProvisionerError (PRV7070) if one of its networks has nothing that takes its place.
    """
    inside = bubble if bubble is not None else bubble_networks(plan)
    found, outside = _drill_machine(plan, machine, inside)
    for name, network in outside.items():
        raise ProvisionerError(
            error(
                "PRV7070",
                f"{machine.address}: no isolated network takes the place of {network} in a drill",
                detail=f"Its card {name} would be connected to {network} at {plan.there}.",
                hint="Name the network in the plan's bubble, and compile the plan again.",
                address=str(machine.address),
            )
        )
    return found


def drill_remnant(
    plan: RecoveryPlan, machine: PlannedMachine, bubble: Mapping[Address, BubbleNetwork]
) -> Known:
    """The machine that a drill may have left, to be looked for and removed: also where the plan
    could not make one now. It lacks the cards that nothing isolated takes the place of.
    """
    return _drill_machine(plan, machine, bubble)[0]


def _drill_machine(
    plan: RecoveryPlan, machine: PlannedMachine, bubble: Mapping[Address, BubbleNetwork]
) -> tuple[Known, Mapping[str, Address]]:
    """The machine, and the networks outside of the drill by those of its cards that it lacks."""
    known = plan.objects[plan.there][machine.address]
    spec = laid_over(known.spec, machine.test.get(plan.there, {}))
    recorded = _macs(plan.objects[plan.here].get(machine.address))
    drills_own = {item.known.address for item in bubble.values()}
    nics, outside = {}, {}
    for name, nic in spec.get("nics", {}).items():
        network = Address(NETWORK, str(nic.get("network", "")))
        isolated = bubble.get(network)
        if isolated is None and network not in drills_own:
            outside[name] = network
            continue
        inside = {**nic, "network": isolated.known.address.name} if isolated is not None else nic
        # The guest shall find its cards as it knows them.
        nics[name] = {"mac": recorded[name], **inside} if name in recorded else inside
    whole = {
        **with_disks_of(spec, machine),
        **({"nics": nics} if spec.get("nics") else {}),
        "power": "stopped",
        "autostart": False,
    }
    return drilled(plan, known, whole), outside


def real_machine(plan: RecoveryPlan, machine: PlannedMachine, site: str) -> Known:
    """The machine as it is made in earnest at a site, running. Disks that are not replicated it has
    where the plan says so: at the site that it comes from.
    """
    known = plan.objects[site][machine.address]
    spec = laid_over(known.spec, machine.real.get(site, {}))
    return replace(known, spec={**spec, "power": "running"})


def with_disks_of(spec: Mapping[str, Any], machine: PlannedMachine) -> Mapping[str, Any]:
    """A machine's spec with those disks alone that get to the other site."""
    names = {disk.name for disk in machine.disks}
    disks = spec.get("disks")
    if not disks:
        return spec
    return {**spec, "disks": {name: disk for name, disk in disks.items() if name in names}}


def laid_over(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with changes: mappings are laid over one another, everything else is replaced."""
    result = dict(spec)
    for key, value in changes.items():
        before = result.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[key] = laid_over(before, value) if both and before is not None else value
    return result


def _macs(known: Known | None) -> Mapping[str, Any]:
    macs = known.outputs.get("mac") if known is not None else None
    return macs if isinstance(macs, Mapping) else {}
