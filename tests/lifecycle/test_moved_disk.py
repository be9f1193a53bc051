"""A disk that moves from one machine to another is let go of before it is taken."""

import pytest

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import POOL

DISKS = tuple(f"Disk/{name}\npool: pool\nsize: 1GiB\n" for name in ("x", "y"))


def machine(name: str, *disks: str) -> str:
    attached = ", ".join(f"{{disk: {disk}}}" for disk in disks)
    return f"VirtualMachine/{name}\nmemory: {{size: 64MiB}}\ndisks: [{attached}]\n"


@pytest.mark.parametrize(("giver", "taker"), [("a", "b"), ("b", "a")])
def test_a_disk_moves(scenario: Scenario, giver: str, taker: str) -> None:
    scenario.declare(POOL, *DISKS, machine(giver, "x"), machine(taker))
    scenario.apply()
    scenario.declare(POOL, *DISKS, machine(giver), machine(taker, "x"))
    plan = scenario.plan()
    assert [f"update VirtualMachine/{giver}", f"update VirtualMachine/{taker}"] == outline(plan)
    assert (f"VirtualMachine/{giver}",) == plan.steps[1].depends_on
    assert "done" == scenario.apply(plan).outcome


def test_disks_that_change_places_wait_for_nobody(scenario: Scenario) -> None:
    scenario.declare(POOL, *DISKS, machine("a", "x"), machine("b", "y"))
    scenario.apply()
    scenario.declare(POOL, *DISKS, machine("a", "y"), machine("b", "x"))
    assert 2 == len(scenario.plan().steps)
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())
