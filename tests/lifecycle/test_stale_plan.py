"""A plan applies only to what it saw; what it does not touch may move."""

import pytest

from provisioner.engine.verify import StalePlan
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

EDITED = (LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"))


def test_the_object_changed(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*EDITED)
    plan = scenario.plan()
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), 1024**3)
    with pytest.raises(StalePlan) as caught:
        scenario.apply(plan)
    assert ["the plan is stale: VirtualMachine/web: the object has changed"] == [
        problem.summary for problem in caught.value.diagnostics
    ]


def test_the_object_was_removed(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*EDITED)
    plan = scenario.plan()
    scenario.outside.remove("VirtualMachine", "web")
    with pytest.raises(StalePlan):
        scenario.apply(plan)


def test_another_object_has_its_name(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*EDITED)
    plan = scenario.plan()
    before = scenario.outside.find("VirtualMachine", "web")
    assert before is not None
    scenario.outside.remove("VirtualMachine", "web")
    scenario.outside.add("VirtualMachine", "web", before.spec)
    with pytest.raises(StalePlan):
        scenario.apply(plan)


def test_the_object_appeared(scenario: Scenario) -> None:
    scenario.declare(LAN)
    plan = scenario.plan()
    scenario.outside.add("Network", "lan", {"mode": "nat"})
    with pytest.raises(StalePlan):
        scenario.apply(plan)


def test_the_record_changed(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*EDITED)
    plan = scenario.plan()
    scenario.apply(plan)
    with pytest.raises(StalePlan):
        scenario.apply(plan)


def test_something_else_changed(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*EDITED)
    plan = scenario.plan()
    scenario.outside.change("Network", "lan", ("mtu",), 9000)
    scenario.outside.add("Network", "foreign", {"mode": "nat"})
    assert "done" == scenario.apply(plan).outcome
    assert [] == outline(scenario.plan())
