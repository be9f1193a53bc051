"""A rename keeps the object."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB


def test_a_rename_keeps_the_object_and_its_dependents(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    before = scenario.outside.find("Network", "lan")
    scenario.declare(
        LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"),
        POOL,
        DISK,
        WEB.replace("network: lan", "network: inner"),
    )
    plan = scenario.plan()
    assert "rename Network/inner" == outline(plan)[0]
    scenario.apply(plan)
    after = scenario.outside.find("Network", "lan")
    assert before is not None
    assert after is not None
    assert after.owner is not None
    assert (before.id, "Network/inner") == (after.id, after.owner.address)
    assert [] == outline(scenario.plan())
    assert ["Network/inner"] == [str(a) for a in scenario.state().entries if a.kind == "Network"]


def test_renamed_from_may_stay_in_the_manifest(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.declare(LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"))
    scenario.apply()
    assert [] == outline(scenario.plan())


CARD = """
VirtualMachine/{name}
memory: {{size: 64MiB}}
nics: [{{name: lan, network: lan{address}}}]
"""
SERVED = "Network/lan\nmode: isolated\ncidr: 10.0.0.0/24\ndhcp: {}\n"
FIXED = ", address: 10.0.0.6"


def test_a_renamed_machine_keeps_its_mac_address(scenario: Scenario) -> None:
    """Also when nothing tells any more that it was renamed, and when it is renamed again."""
    scenario.declare(SERVED, CARD.format(name="a", address=FIXED))
    scenario.apply()
    name = "VirtualMachine/b\nmetadata.renamedFrom: a"
    renamed = CARD.format(name="b", address=FIXED).replace("VirtualMachine/b", name)
    scenario.declare(SERVED, renamed)
    assert ["rename VirtualMachine/b"] == outline(scenario.plan())
    scenario.apply()
    scenario.declare(SERVED, CARD.format(name="b", address=FIXED))
    assert [] == outline(scenario.plan())
    name = "VirtualMachine/c\nmetadata.renamedFrom: b"
    scenario.declare(SERVED, CARD.format(name="c", address=FIXED).replace("VirtualMachine/c", name))
    assert ["rename VirtualMachine/c"] == outline(scenario.plan())


def test_a_card_that_gets_a_fixed_address_keeps_its_mac_address(scenario: Scenario) -> None:
    scenario.declare(SERVED, CARD.format(name="a", address=""))
    scenario.apply()
    before = scenario.outside.find("VirtualMachine", "a")
    assert before is not None
    scenario.declare(SERVED, CARD.format(name="a", address=FIXED))
    plan = scenario.plan()
    assert ["update Network/lan", "update VirtualMachine/a"] == outline(plan)
    scenario.apply(plan)
    after = scenario.outside.find("VirtualMachine", "a")
    assert after is not None
    assert before.outputs["mac"] == after.outputs["mac"]
    assert [] == outline(scenario.plan())
