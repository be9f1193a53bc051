"""What lacks our stamp is never touched, unless its adoption is asked for."""

import pytest

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB


def test_a_name_taken_by_others_is_an_error(scenario: Scenario) -> None:
    foreign = scenario.outside.add("Network", "lan", {"mode": "nat", "cidr": "10.9.0.0/24"})
    scenario.declare(LAN)
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    (problem,) = caught.value.diagnostics
    assert ("PRV2010", "Network/lan") == (problem.code, problem.address)
    assert foreign == scenario.outside.find("Network", "lan")


def test_a_name_taken_by_another_stack_is_an_error(scenario: Scenario) -> None:
    owner = Stamp("11111111-2222-3333-4444-555555555555", "Network/lan")
    scenario.outside.add("Network", "lan", {"mode": "isolated"}, owner)
    scenario.declare(LAN)
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan(adopt=["Network/lan"])
    assert ["PRV2011"] == [problem.code for problem in caught.value.diagnostics]


def test_adoption_stamps_and_changes_nothing_else(scenario: Scenario) -> None:
    spec = {"mode": "isolated", "cidr": "10.0.0.0/24", "mtu": 9000}
    foreign = scenario.outside.add("Network", "lan", spec)
    scenario.declare(LAN)
    plan = scenario.plan(adopt=["Network/*"])
    assert ["adopt Network/lan"] == outline(plan)
    scenario.apply(plan)
    adopted = scenario.outside.find("Network", "lan")
    assert adopted is not None
    assert adopted.owner is not None
    assert (foreign.id, "Network/lan", spec) == (
        adopted.id,
        adopted.owner.address,
        dict(adopted.spec),
    )
    assert [] == outline(scenario.plan())


def test_what_was_removed_before_an_adoption_goes_with_the_next_plan(scenario: Scenario) -> None:
    """What was recorded tells that it was ours to remove."""
    scenario.declare(LAN + "mtu: 9000\n")
    scenario.apply()
    lan = scenario.outside.find("Network", "lan")
    assert lan is not None
    scenario.outside.remove("Network", "lan")
    scenario.outside.add("Network", "lan", lan.spec)
    scenario.declare(LAN)
    plan = scenario.plan(adopt=["Network/lan"])
    assert ["adopt Network/lan"] == outline(plan)
    scenario.apply(plan)
    assert ["update Network/lan"] == outline(scenario.plan())


def test_what_an_adopted_one_still_has_is_deleted_with_the_next_plan(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    scenario.outside.remove("VirtualMachine", "web")
    scenario.outside.add("VirtualMachine", "web", web.spec, holds=web.holds)
    scenario.declare(POOL, DISK, WEB.replace("nics: [{name: lan, network: lan}]\n", ""))
    plan = scenario.plan(adopt=["VirtualMachine/web"])
    why = "VirtualMachine/web, which is adopted first, has it until the next plan"
    assert ["adopt VirtualMachine/web", f"(delete Network/lan: {why})"] == outline(plan)
    scenario.apply(plan)
    plan = scenario.plan(max_impact=Impact.RESTART)
    assert ["update VirtualMachine/web", "delete Network/lan"] == outline(plan)
    scenario.apply(plan)
    assert [] == outline(scenario.plan())


def test_what_lost_our_stamp_is_no_longer_ours(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    foreign = scenario.outside.add("Network", "lan", {"mode": "nat"})
    scenario.declare()
    assert ["forget Network/lan"] == outline(scenario.plan())
    scenario.apply()
    assert foreign == scenario.outside.find("Network", "lan")
