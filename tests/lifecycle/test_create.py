"""What is declared is created, dependencies first, and then there is nothing left to do."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL


def test_create(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    plan = scenario.plan()
    assert [
        "create Network/lan",
        "create StoragePool/pool",
        "create Disk/web-root",
        "create VirtualMachine/web",
    ] == outline(plan)
    assert [] == scenario.objects()

    report = scenario.apply(plan)

    assert "done" == report.outcome
    assert [
        "Disk/web-root",
        "Network/lan",
        "StoragePool/pool",
        "VirtualMachine/web",
    ] == scenario.objects()
    again = scenario.plan()
    assert ([], 4) == (outline(again), again.unchanged)


def test_applying_a_plan_without_steps_writes_nothing(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    serial = scenario.state().serial
    report = scenario.apply()
    assert (None, "done") == (report.operation, report.outcome)
    assert serial == scenario.state().serial
