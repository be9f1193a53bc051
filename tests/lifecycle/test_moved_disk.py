"""A disk that moves from one machine to another is let go of before it is taken."""

import pytest

from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import LAN, POOL

MEMORY = "memory: {size: 64MiB}\n"
FAULT = "connection: {faults: [{call: delete, effect: terminal}]}"
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


def test_what_many_may_have_is_not_waited_for(scenario: Scenario) -> None:
    """A network is no disk: a new machine on it does not care whether an old one goes."""
    scenario.write("host.yaml", HOST.replace("provider: memory", f"provider: memory, {FAULT}"))
    scenario.declare(LAN, "VirtualMachine/old\nnics: [{name: a, network: lan}]\n" + MEMORY)
    scenario.apply()
    scenario.declare(LAN, "VirtualMachine/new\nnics: [{name: a, network: lan}]\n" + MEMORY)
    report = scenario.apply(max_impact="replace")
    assert (("VirtualMachine/old",), ("VirtualMachine/new",)) == (report.failed, report.done)


def test_disks_that_change_places_wait_for_nobody(scenario: Scenario) -> None:
    scenario.declare(POOL, *DISKS, machine("a", "x"), machine("b", "y"))
    scenario.apply()
    scenario.declare(POOL, *DISKS, machine("a", "y"), machine("b", "x"))
    assert 2 == len(scenario.plan().steps)
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())
