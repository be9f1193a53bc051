"""A change that needs a restart: written when no restart is allowed, in force after one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from tests.conformance.provider.conftest import forget, need
from tests.conformance.provider.harness import Harness, actions

PLAIN = {"memory": {"size": "64MiB"}, "shutdownTimeout": "0s"}
RUNNING = PLAIN | {"power": "running"}
AGENT = ("guestAgent",)


@pytest.fixture
def machine(world: Harness) -> Iterator[Address]:
    """A running machine; its guest agent's channel is what cannot be changed under it."""
    need(world, "VirtualMachine", "power", "guestAgent")
    if not world.under_test.defers:
        pytest.skip("its machines keep no change for their next restart")
    address = world.subject("VirtualMachine")
    world.write(address, RUNNING | {"guestAgent": False})
    world.converge()
    yield address
    forget(world, address)


def test_without_a_restart_it_is_written_and_waits(world: Harness, machine: Address) -> None:
    before = world.present(machine)
    world.write(machine, RUNNING | {"guestAgent": True})
    plan = world.plan(max_impact=Impact.LIVE)
    assert {machine: Action.UPDATE} == actions(plan)
    assert [(AGENT,)] == [step.deferred for step in plan.steps]
    world.carry_out(plan)
    after = world.present(machine)
    assert before.external_id == after.external_id
    assert {AGENT: False} == after.running
    assert after.spec["guestAgent"] is True
    assert ("guestAgent",) == world.entry(machine).pending
    again = world.plan(max_impact=Impact.LIVE)
    assert {} == actions(again)
    assert [(machine, AGENT, False, True)] == [
        (item.address, item.path, item.running, item.configured) for item in again.pending
    ]


def test_with_a_restart_it_comes_into_force(world: Harness, machine: Address) -> None:
    world.write(machine, RUNNING | {"guestAgent": True})
    world.carry_out(world.plan(max_impact=Impact.LIVE))
    plan = world.plan(max_impact=Impact.RESTART)
    assert [(Action.UPDATE, Impact.RESTART)] == [(step.action, step.impact) for step in plan.steps]
    world.carry_out(plan)
    assert {} == world.present(machine).running
    assert () == world.entry(machine).pending
    world.expect_nothing_to_do()


def test_taking_it_back_leaves_nothing_waiting(world: Harness, machine: Address) -> None:
    world.write(machine, RUNNING | {"guestAgent": True})
    world.carry_out(world.plan(max_impact=Impact.LIVE))
    world.write(machine, RUNNING | {"guestAgent": False})
    world.carry_out(world.plan(max_impact=Impact.LIVE))
    assert {} == world.present(machine).running
    world.expect_nothing_to_do()


def test_a_stopped_machine_has_nothing_to_restart(world: Harness, machine: Address) -> None:
    world.write(machine, PLAIN | {"power": "stopped"})
    world.converge()
    world.write(machine, PLAIN | {"power": "stopped", "guestAgent": True})
    plan = world.plan(max_impact=Impact.LIVE)
    assert [()] == [step.deferred for step in plan.steps]
    world.carry_out(plan)
    assert {} == world.present(machine).running
