"""Optional capabilities, for the providers that promise them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.providers.capabilities import POWER, SNAPSHOT_REVERT, Power, SnapshotRevert
from tests.conformance.provider.conftest import forget, need
from tests.conformance.provider.harness import Harness, actions

RUNNING = {"memory": {"size": "64MiB"}, "power": "running", "shutdownTimeout": "0s"}


def promised(world: Harness, capability: str) -> None:
    if capability not in world.provider.describe().capabilities:
        pytest.skip(f"{world.provider.describe().name} does not promise {capability}")


@pytest.fixture
def machine(world: Harness) -> Iterator[Address]:
    promised(world, POWER)
    need(world, "VirtualMachine", "power", "guestAgent")
    address = world.subject("VirtualMachine")
    world.write(address, RUNNING)
    world.converge()
    yield address
    forget(world, address)


@pytest.mark.parametrize("state", ["stopped", "suspended"])
def test_power_is_seen_and_mended_without_a_restart(
    world: Harness, machine: Address, state: str
) -> None:
    session = world.session()
    assert isinstance(session, Power)
    session.power(world.resource(machine), state, world.deadline())
    session.close()
    assert state == world.present(machine).spec["power"]
    plan = world.plan(max_impact=Impact.LIVE)
    assert {machine: Action.UPDATE} == actions(plan)
    assert [[("power",)]] == [[change.path for change in step.changes] for step in plan.steps]
    world.carry_out(plan)
    assert "running" == world.present(machine).spec["power"]
    world.expect_nothing_to_do()


def test_stopping_and_starting_brings_into_force_what_waits(
    world: Harness, machine: Address
) -> None:
    world.write(machine, RUNNING | {"guestAgent": True})
    world.carry_out(world.plan(max_impact=Impact.LIVE))
    assert {("guestAgent",)} == set(world.present(machine).running)
    session = world.session()
    assert isinstance(session, Power)
    for state in ("stopped", "running"):
        session.power(world.resource(machine), state, world.deadline())
    session.close()
    assert {} == world.present(machine).running
    world.expect_nothing_to_do()


def test_reverting_brings_the_machine_back(world: Harness) -> None:
    promised(world, SNAPSHOT_REVERT)
    need(world, "Snapshot", "revert")
    need(world, "Disk")
    disk, machine, snapshot = (
        world.subject(kind) for kind in ("Disk", "VirtualMachine", "Snapshot")
    )
    stopped = {**RUNNING, "power": "stopped", "disks": [{"disk": disk.name}]}
    world.write(disk, {"pool": "pool", "size": "4MiB", "retention": "delete"})
    world.write(machine, stopped)
    world.converge()
    world.write(snapshot, {"machine": machine.name})
    world.converge()
    before = world.present(machine)
    world.write(machine, stopped | {"description": "changed since"})
    world.converge()
    assert before.spec != world.present(machine).spec
    session = world.session()
    assert isinstance(session, SnapshotRevert)
    session.revert(world.resource(snapshot), world.deadline())
    session.close()
    after = world.present(machine)
    assert (before.external_id, before.spec) == (after.external_id, after.spec)
    assert {machine: Action.UPDATE} == actions(world.converge())
    for address in (snapshot, machine, disk):
        forget(world, address)
