"""What is no longer declared is removed, dependents first, if the gate lets it."""

import pytest

from provisioner.engine.verify import RefusedPlan
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, THROWAWAY_DISK, WEB


def test_a_deletion_needs_permission(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK)
    with pytest.raises(RefusedPlan) as caught:
        scenario.apply()
    assert ["Allow it with --max-impact replace."] == [p.hint for p in caught.value.diagnostics]
    assert "VirtualMachine/web" in scenario.objects()

    scenario.apply(max_impact="replace")
    assert ["Disk/web-root", "Network/lan", "StoragePool/pool"] == scenario.objects()
    assert [] == outline(scenario.plan())


def test_dependents_go_first(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, THROWAWAY_DISK, WEB)
    scenario.apply()
    scenario.declare()
    steps = outline(scenario.plan())
    assert steps.index("delete VirtualMachine/web") < steps.index("delete Disk/web-root")
    assert steps.index("delete Disk/web-root") < steps.index("delete StoragePool/pool")
    assert steps.index("delete VirtualMachine/web") < steps.index("delete Network/lan")


def test_a_detached_disk_goes_after_the_machine_let_go_of_it(scenario: Scenario) -> None:
    data = "Disk/data\npool: pool\nsize: 1GiB\nretention: delete\n"
    scenario.declare(
        LAN, POOL, DISK, data, WEB.replace("[{disk: web-root}]", "[{disk: web-root}, {disk: data}]")
    )
    scenario.apply()
    scenario.declare(*ALL)
    plan = scenario.plan(consents=["Disk/data"])
    assert ["update VirtualMachine/web", "delete Disk/data"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert "Disk/data" not in scenario.objects()
