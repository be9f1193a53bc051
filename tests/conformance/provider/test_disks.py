"""Law 5: disks outlive machines; deleting data is a step of its own that needs consent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.engine.verify import RefusedPlan
from provisioner.providers.api import Absent
from tests.conformance.provider.conftest import forget, need
from tests.conformance.provider.harness import Harness, actions

MACHINE = {"memory": {"size": "64MiB"}, "power": "stopped"}


@pytest.fixture
def disk(world: Harness) -> Iterator[Address]:
    need(world, "Disk")
    need(world, "VirtualMachine")
    address = world.subject("Disk")
    world.write(address, {"pool": "pool", "size": "4MiB", "retention": "delete"})
    yield address
    forget(world, address)


@pytest.fixture
def machine(world: Harness, disk: Address) -> Iterator[Address]:
    """A machine with the disk plugged in, both applied."""
    address = world.subject("VirtualMachine")
    world.write(address, MACHINE | {"disks": [{"disk": disk.name}]})
    world.converge()
    yield address
    forget(world, address)


def test_taking_a_disk_out_of_a_machine_leaves_it(
    world: Harness, machine: Address, disk: Address
) -> None:
    before = world.under_test.outside.picture(*disk)
    world.write(machine, MACHINE)
    plan = world.converge()
    assert {machine: Action.UPDATE} == actions(plan)
    assert before == world.under_test.outside.picture(*disk)


def test_deleting_a_machine_leaves_its_disks(
    world: Harness, machine: Address, disk: Address
) -> None:
    before = world.under_test.outside.picture(*disk)
    world.erase(machine)
    plan = world.converge()
    assert {machine: Action.DELETE} == actions(plan)
    assert before is not None
    assert before == world.under_test.outside.picture(*disk)


def test_replacing_a_machine_leaves_its_disks(
    world: Harness, machine: Address, disk: Address
) -> None:
    before = world.under_test.outside.picture(*disk)
    session = world.session()
    session.delete(world.resource(machine), world.deadline())
    session.close()
    assert {machine: Action.CREATE} == actions(world.converge())
    assert before == world.under_test.outside.picture(*disk)


def test_a_disk_that_is_kept_is_only_forgotten(world: Harness, disk: Address) -> None:
    world.write(disk, {"pool": "pool", "size": "4MiB", "retention": "keep"})
    world.converge()
    before = world.under_test.outside.picture(*disk)
    world.erase(disk)
    plan = world.converge()
    assert {disk: Action.FORGET} == actions(plan)
    assert before is not None
    assert before == world.under_test.outside.picture(*disk)


def test_deleting_data_needs_consent(world: Harness, disk: Address) -> None:
    world.converge()
    resource = world.resource(disk)
    before = world.under_test.outside.picture(*disk)
    world.erase(disk)
    plan = world.plan(consents=[])
    assert [(Action.DELETE, Impact.DATA_LOSS)] == [
        (step.action, step.impact) for step in plan.steps
    ]
    with pytest.raises(RefusedPlan):
        world.apply(plan)
    assert before == world.under_test.outside.picture(*disk)
    world.carry_out(world.plan(consents=[disk]))
    session = world.session()
    found = session.observe([resource])[disk]
    session.close()
    assert Absent() == found


def test_a_machine_moves_over_to_the_successor_of_its_disk(
    world: Harness, machine: Address, disk: Address
) -> None:
    """One plan makes the new disk, gives it to the machine, and deletes the old one."""
    before = world.resource(disk)
    world.write(disk, {"pool": "pool-b", "size": "4MiB", "retention": "delete"})
    plan = world.converge()
    assert [(Action.REPLACE, disk), (Action.UPDATE, machine), (Action.DELETE, disk)] == [
        (step.action, step.address) for step in plan.steps
    ]
    assert () == world.plan().kept
    session = world.session()
    found = session.observe([before])[disk]
    session.close()
    assert Absent() == found


def test_a_disk_that_would_shrink_is_a_loss_of_data(world: Harness, disk: Address) -> None:
    world.write(disk, {"pool": "pool", "size": "8MiB", "retention": "delete"})
    world.converge()
    world.write(disk, {"pool": "pool", "size": "4MiB", "retention": "delete"})
    plan = world.plan(consents=[])
    with pytest.raises(RefusedPlan):
        world.apply(plan)
    world.write(disk, {"pool": "pool", "size": "8MiB", "retention": "delete"})
    world.expect_nothing_to_do()
