"""Replicas come and go by their numbers; those that stay are not touched."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import POOL

NUMBERED = """
Disk/data-${replica.index}
metadata.replicas: {count: COUNT}
pool: pool
size: 1GiB
retention: delete
"""
MACHINES = """
VirtualMachine/web-${replica.index}
metadata.replicas: {count: COUNT}
memory: {size: 256MiB}
disks: [{disk: "data-${replica.index}"}]
"""


def declare(scenario: Scenario, count: int) -> None:
    scenario.declare(*(text.replace("COUNT", str(count)) for text in (POOL, NUMBERED, MACHINES)))


def test_more_and_fewer(scenario: Scenario) -> None:
    declare(scenario, 2)
    scenario.apply()
    first = {item.id for item in scenario.outside.objects()}
    declare(scenario, 3)
    plan = scenario.plan()
    assert ["create Disk/data-3", "create VirtualMachine/web-3"] == outline(plan)
    scenario.apply(plan)
    declare(scenario, 2)
    plan = scenario.plan(max_impact="replace", consents=["Disk/data-3"])
    assert ["delete VirtualMachine/web-3", "delete Disk/data-3"] == outline(plan)
    scenario.apply(plan)
    assert first == {item.id for item in scenario.outside.objects()}
    assert [] == outline(scenario.plan())


def test_none(scenario: Scenario) -> None:
    declare(scenario, 0)
    scenario.apply()
    assert ["StoragePool/pool"] == scenario.objects()
