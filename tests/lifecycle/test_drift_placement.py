"""Where in a cluster an object is, and what it tells of itself, is no drift: only its spec is held
against the record."""

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Present
from provisioner.service.drift import Condition
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB


@pytest.fixture
def applied(scenario: Scenario) -> Scenario:
    scenario.declare(*ALL)
    scenario.apply()
    return scenario


def facts(scenario: Scenario) -> dict[str, object]:
    stored = scenario.outside.find("VirtualMachine", "web")
    assert stored is not None
    inventory = scenario.outside._inventory  # what a session would tell
    with inventory.reading():
        told: Present = inventory.present(stored)
    return dict(told.facts)


def test_a_machine_that_moved_within_its_endpoint_has_not_drifted(applied: Scenario) -> None:
    applied.outside.move("VirtualMachine", "web", "node-2")
    assert "node-2" == facts(applied)["node"]
    report = applied.drift()
    assert {Condition.CONVERGED} == {item.condition for item in report.resources}
    assert [] == outline(applied.plan())


def test_nor_has_one_that_tells_other_outputs(applied: Scenario) -> None:
    applied.outside.tell("VirtualMachine", "web", "addresses", ["10.0.0.99"])
    assert {Condition.CONVERGED} == {item.condition for item in applied.drift().resources}


def test_nor_is_a_plan_stale_for_that(applied: Scenario) -> None:
    applied.declare(LAN, POOL, DISK, WEB.replace("256MiB", "128MiB"))
    plan = applied.plan()
    applied.outside.move("VirtualMachine", "web", "node-2")
    assert "done" == applied.apply(plan).outcome


def test_what_was_changed_on_the_way_has(applied: Scenario) -> None:
    applied.outside.move("VirtualMachine", "web", "node-2")
    applied.outside.change("VirtualMachine", "web", ("cpu", "count"), 2)
    assert [Address("VirtualMachine", "web")] == [item.address for item in applied.drift().drifted]
    applied.apply()
    found = applied.outside.find("VirtualMachine", "web")
    assert found is not None
    assert ("node-2", 1) == (found.node, found.spec["cpu"]["count"])
