"""Objects that outlived their record: ours by their stamp while the lineage is known, somebody's
when it is not.
"""

import shutil

import pytest

from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import ProvisionerError
from provisioner.service.state import forget
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, LAN


def test_what_was_forgotten_is_found_by_its_stamp(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    before = scenario.outside.objects()
    forget(scenario.workspace(), AddressPattern.parse("*/*"))
    plan = scenario.plan()
    assert [
        "adopt Network/lan",
        "adopt StoragePool/pool",
        "adopt Disk/web-root",
        "adopt VirtualMachine/web",
    ] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert before == scenario.outside.objects()
    assert [] == outline(scenario.plan())


def test_what_was_forgotten_and_edited_is_changed(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    forget(scenario.workspace(), AddressPattern.parse("Network/lan"))
    scenario.declare(LAN + "mtu: 9000\n")
    plan = scenario.plan(max_impact="restart")
    assert ["update Network/lan"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert [] == outline(scenario.plan())


def test_with_another_lineage_they_are_another_stack_s(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    before = scenario.outside.objects()
    shutil.rmtree(scenario.root / ".provisioner")
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    # Images and disks are told apart by identity: theirs are in nobody's way.
    assert ["PRV2011"] * 3 == [problem.code for problem in caught.value.diagnostics]
    assert before == scenario.outside.objects()
