"""Recovery plans for tests: two sites with a memory host each, made by hand and at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from provisioner.core.address import Address
from provisioner.core.identity import identity
from provisioner.engine.plan import Known
from provisioner.state.model import EndpointRecord
from provisioner.workflows.recovery.model import (
    Check,
    Fencing,
    Mode,
    Moment,
    OwnStep,
    PlannedMachine,
    RecoveryPlan,
)
from provisioner.workflows.runbook import OnFailure, Runbook

LINEAGE = UUID("5d3c9f0e-7d4f-4ed8-9f53-0a4f0e0d1c11")
A, B = "site-a", "site-b"
WEB, DB = Address("VirtualMachine", "web"), Address("VirtualMachine", "db")


def machine_address(name: str) -> Address:
    """The address of a machine."""
    return Address("VirtualMachine", name)


def known(kind: str, name: str, host: str, spec: Mapping[str, Any], *needs: Address) -> Known:
    """A resource on a host."""
    address = Address(kind, name)
    return Known(
        address=address,
        endpoint=host,
        name=name,
        uid=str(identity(LINEAGE, address)),
        generation=0,
        spec=spec,
        dependencies=needs,
    )


def objects_of(site: str, host: str, names: Sequence[str]) -> dict[Address, Known]:
    """Machines with a disk each, in one pool and one network of the site."""
    end = site[-1]
    pool, lan = f"pool-{end}", f"lan-{end}"
    found = [
        known("StoragePool", pool, host, {"type": "dir", "path": f"/{pool}"}),
        known("Network", lan, host, {"mode": "bridge", "bridge": "br0"}),
    ]
    for name in names:
        disk = known(
            "Disk",
            f"{name}-disk",
            host,
            {"pool": pool, "size": 1 << 30},
            Address("StoragePool", pool),
        )
        found += [
            disk,
            known(
                "VirtualMachine",
                name,
                host,
                {
                    "memory": 1 << 28,
                    "power": "running",
                    "disks": {disk.name: {}},
                    "nics": {"lan": {"network": lan}},
                },
                disk.address,
                Address("Network", lan),
            ),
        ]
    return {item.address: item for item in found}


def bubble_of(site: str, host: str) -> dict[Address, Known]:
    """One isolated network in the place of the site's."""
    lan = f"lan-{site[-1]}"
    return {Address("Network", lan): known("Network", f"bubble-{lan}", host, {"mode": "isolated"})}


def plan_of(machines: Sequence[PlannedMachine], **rest: Any) -> RecoveryPlan:
    """A plan of machines that run at A, with all that both sites need for them."""
    names = [machine.address.name for machine in machines]
    hosts = {A: "host-a", B: "host-b"}
    values: dict[str, Any] = {
        "name": "shop",
        "stack": "test",
        "lineage": LINEAGE,
        "sites": (A, B),
        "endpoints": {
            host: EndpointRecord(host, "memory", {"provider": "memory"}) for host in hosts.values()
        },
        "site_of": {host: site for site, host in hosts.items()},
        "objects": {site: objects_of(site, host, names) for site, host in hosts.items()},
        "machines": tuple(machines),
        "compiled": datetime(2026, 1, 2, tzinfo=UTC),
        "bubble": {site: bubble_of(site, host) for site, host in hosts.items()},
        "starts": dict.fromkeys(hosts.values(), 2),
        "fencing": Fencing((Check("command", {"argv": ["true"]}),)),
    }
    return RecoveryPlan(**{**values, **rest})


def planned(name: str, **rest: Any) -> PlannedMachine:
    """A machine with its one disk."""
    return PlannedMachine(
        machine_address(name), "group", (Address("Disk", f"{name}-disk"),), **rest
    )


@st.composite
def plans(draw: DrawFn) -> RecoveryPlan:
    """Plans of up to six machines with tiers, needs, gates, edges and steps at random."""
    names = [f"m{number}" for number in range(draw(st.integers(1, 6)))]
    policies = st.sampled_from(OnFailure)
    gates = st.lists(
        st.builds(Check, st.sampled_from(["serial", "tcp", "agent"]), on_failure=policies),
        max_size=2,
    )
    machines = []
    for number, name in enumerate(names):
        needed = draw(st.sets(st.sampled_from(names[:number]), max_size=2)) if number else set()
        asked = draw(st.sets(st.sampled_from(sorted(needed)))) if needed else set()
        machines.append(
            planned(
                name,
                tier=draw(st.integers(1, 3)),
                needs=tuple(map(machine_address, sorted(needed))),
                gates=tuple(draw(gates)),
                edges={machine_address(item): tuple(draw(gates)) for item in sorted(asked)},
            )
        )
    steps = []
    for number in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from(["plan", "tier", "machine"]))
        steps.append(
            OwnStep(
                f"step{number}",
                draw(st.sampled_from(Moment)),
                Check("command", {"argv": ["true"]}, on_failure=draw(policies)),
                frozenset(draw(st.sets(st.sampled_from([Mode.TEST, Mode.MIGRATE, Mode.FAILOVER])))),
                tier=draw(st.integers(1, 3)) if place == "tier" else None,
                machine=machine_address(draw(st.sampled_from(names)))
                if place == "machine"
                else None,
            )
        )
    policy = draw(policies)
    fencing = Fencing((Check("command", {"argv": ["true"]}, on_failure=policy), Check("prompt")))
    approvals = draw(st.sampled_from([{}, {"owner": 2}]))
    spare = known("VirtualMachine", "spare", "host-b", {"power": "running"})
    suspend = draw(st.sampled_from([{}, {B: (spare,)}]))
    return plan_of(
        machines, steps=tuple(steps), fencing=fencing, approvals=approvals, suspend=suspend
    )


def before(runbook: Runbook, task_id: str) -> set[str]:
    """All that has to have succeeded before a task, unless its own policy lets others go on."""
    found: set[str] = set()
    left = list(runbook.by_id[task_id].needs)
    while left:
        item = left.pop()
        if item not in found:
            found.add(item)
            left += runbook.by_id[item].needs
    return found


def awaited(runbook: Runbook, task_id: str) -> set[str]:
    """All that has to have ended before a task."""
    found: set[str] = set()
    left = list(runbook.by_id[task_id].awaits)
    while left:
        item = left.pop()
        if item not in found:
            found.add(item)
            left += runbook.by_id[item].awaits
    return found
