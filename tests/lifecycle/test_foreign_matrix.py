"""What lacks our stamp is never touched: objects of every kind with our name, and even with our
identity, against everything that could be done to them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.objects import StoredObject
from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import POOL

OTHER_STACK = "11111111-2222-3333-4444-555555555555"
OWNERS = {"nobody's": None, "another stack's": OTHER_STACK}


class Trial(NamedTuple):
    """A resource ``x`` with what it needs, and as it is after edits that change and replace it."""

    needs: tuple[str, ...]
    first: str
    changed: str | None
    replaced: str


NETWORK = "Network/x\nmode: isolated\n"
DISK = "Disk/x\npool: pool\nsize: 1GiB\nretention: delete\n"
MACHINE = "VirtualMachine/x\ncpu: {count: 1}\nmemory: {size: 256MiB}\n"
IMAGE = "Image/x\npool: pool\nsource: {file: base.qcow2}\nformat: qcow2\n"
SNAPSHOT = "Snapshot/x\nmachine: m\n"
TRIALS = {
    "Network": Trial((), NETWORK, NETWORK + "mtu: 1400\n", NETWORK + "host: there\n"),
    "StoragePool": Trial(
        (),
        POOL.replace("/pool\n", "/x\n", 1),
        POOL.replace("/pool\n", "/x\n", 1) + "autostart: false\n",
        POOL.replace("/pool\n", "/x\n", 1).replace("/srv/pool", "/srv/other"),
    ),
    "Image": Trial((POOL,), IMAGE, None, IMAGE.replace("format: qcow2", "format: raw")),
    "Disk": Trial((POOL,), DISK, DISK.replace("1GiB", "2GiB"), DISK + "format: raw\n"),
    "VirtualMachine": Trial(
        (),
        MACHINE,
        MACHINE.replace("count: 1", "count: 2"),
        MACHINE + "placement: {host: there}\n",
    ),
    "Snapshot": Trial(
        (MACHINE.replace("/x", "/m"), MACHINE.replace("/x", "/n")),
        SNAPSHOT,
        SNAPSHOT + "description: another\n",
        SNAPSHOT.replace("machine: m", "machine: n"),
    ),
}
CASES = [
    (kind, action)
    for kind, trial in TRIALS.items()
    for action in ("create", "update", "replace", "delete", "destroy")
    if action != "update" or trial.changed is not None
]


@pytest.fixture
def applied(scenario: Scenario) -> Scenario:
    """A stack on two hosts; what says nothing of it lives on the first."""
    scenario.write(
        "stack.yaml",
        (scenario.root / "stack.yaml")
        .read_text()
        .replace("spec: {}", "spec: {defaults: {host: here}}"),
    )
    scenario.write("there.yaml", HOST.replace("name: here", "name: there"))
    return scenario


def declare(scenario: Scenario, kind: str, action: str) -> None:
    trial = TRIALS[kind]
    wanted = {
        "update": trial.changed,
        "replace": trial.replaced,
        "delete": None,
    }.get(action, trial.first)
    scenario.declare(*trial.needs, *([wanted] if wanted is not None else []))


def attempt(scenario: Scenario, kind: str, action: str, **options: object) -> list[str]:
    """Plan and apply with every consent; returns the steps, or the codes of the refusal."""
    make = scenario.plan_destroy if action == "destroy" else scenario.plan
    try:
        plan = make(max_impact="replace", consents=[f"{kind}/x"], **options)
        scenario.apply(plan)
    except ProvisionerError as refused:
        return [problem.code for problem in refused.diagnostics]
    return outline(plan)


def found(scenario: Scenario, kind: str) -> StoredObject:
    (item,) = (
        item
        for item in scenario.outside.objects()
        if (item.kind, item.name) == (kind, "x") and "by hand" in item.outputs
    )
    return item


def take_over(scenario: Scenario, kind: str, lineage: str | None) -> StoredObject:
    """Have the object belong to somebody else from now on, identity and all."""
    inventory = scenario.provider.inventory(Endpoint("here", "memory", {}), scenario.root)
    before = scenario.outside.find(kind, "x")
    assert before is not None
    owner = Stamp(lineage, f"{kind}/x") if lineage is not None else None
    with inventory.changing():
        return inventory.put(replace(before, owner=owner, outputs={"by hand": True}))


@pytest.mark.parametrize(("kind", "action"), CASES)
def test_it_would_be_done_to_our_own(applied: Scenario, kind: str, action: str) -> None:
    if action != "create":
        declare(applied, kind, "create")
        applied.apply()
    declare(applied, kind, action)
    expected = "delete" if action == "destroy" else action
    assert f"{expected} {kind}/x" in attempt(applied, kind, action)


@pytest.mark.parametrize("whose", OWNERS)
@pytest.mark.parametrize(("kind", "action"), CASES)
def test_what_has_our_name_and_identity(
    applied: Scenario, kind: str, action: str, whose: str
) -> None:
    declare(applied, kind, "create")
    applied.apply()
    foreign = take_over(applied, kind, OWNERS[whose])
    if action == "create":
        applied.forget(f"{kind}/x")
    declare(applied, kind, action)
    steps = attempt(applied, kind, action)
    if action in ("delete", "destroy"):
        assert f"forget {kind}/x" in steps
    else:
        assert steps == ["PRV2010" if OWNERS[whose] is None else "PRV2011"]
    assert foreign == found(applied, kind)


@pytest.mark.parametrize("whose", OWNERS)
@pytest.mark.parametrize("kind", TRIALS)
def test_what_has_our_name(applied: Scenario, kind: str, whose: str) -> None:
    """Where names are free, ours is made beside it; else it is in the way."""
    declare(applied, kind, "delete")
    applied.apply()
    lineage = OWNERS[whose]
    foreign = applied.outside.add(
        kind, "x", {"note": "by hand"}, Stamp(lineage, f"{kind}/x") if lineage else None
    )
    declare(applied, kind, "create")
    refused = "PRV2010" if lineage is None else "PRV2011"
    expected = [f"create {kind}/x"] if kind in ("Disk", "Image") else [refused]
    assert expected == attempt(applied, kind, "create")
    assert foreign in applied.outside.objects()
    assert f"forget {kind}/x" not in attempt(applied, kind, "destroy")
    assert foreign in applied.outside.objects()


@pytest.mark.parametrize("kind", TRIALS)
def test_only_what_nobody_owns_is_adopted_and_only_when_asked(applied: Scenario, kind: str) -> None:
    declare(applied, kind, "create")
    applied.apply()
    applied.forget(f"{kind}/x")
    foreign = take_over(applied, kind, OTHER_STACK)
    assert ["PRV2011"] == attempt(applied, kind, "create", adopt=["*/*"])
    assert foreign == found(applied, kind)
    take_over(applied, kind, None)
    assert ["PRV2010"] == attempt(applied, kind, "create", adopt=["Host/*", f"{kind}/y"])
    assert [f"adopt {kind}/x"] == attempt(applied, kind, "create", adopt=[f"{kind}/x"])
