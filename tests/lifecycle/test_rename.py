"""A rename keeps the object."""

from typing import Any

import pytest

from provisioner.core.address import Address
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


IMAGE = "Image/base\npool: pool\nsource: {file: one.raw}\nformat: raw\n"
CLONE = "Disk/root\npool: pool\nimage: base\n"
RENAMED_IMAGE = IMAGE.replace("Image/base", "Image/fresh\nmetadata.renamedFrom: base")
RENAMED_CLONE = CLONE.replace("image: base", "image: fresh")


@pytest.fixture
def cloned(scenario: Scenario) -> Scenario:
    """An image with a disk made from it: what no endpoint tells."""
    (scenario.root / "one.raw").write_bytes(b"one")
    scenario.declare(POOL, IMAGE, CLONE)
    scenario.apply()
    return scenario


def image_of_the_disk(scenario: Scenario) -> tuple[str, list[str]]:
    entry = scenario.state().entries[Address("Disk", "root")]
    return entry.spec["image"], [str(target) for target in entry.dependencies]


def test_a_renamed_image_keeps_the_disks_made_from_it(cloned: Scenario) -> None:
    cloned.declare(POOL, RENAMED_IMAGE, RENAMED_CLONE)
    assert ["rename Image/fresh"] == outline(cloned.plan())
    cloned.apply()
    assert ("fresh", ["Image/fresh", "StoragePool/pool"]) == image_of_the_disk(cloned)
    assert [] == outline(cloned.plan())


def test_references_follow_a_rename_that_was_applied_alone(cloned: Scenario) -> None:
    cloned.declare(POOL, RENAMED_IMAGE, RENAMED_CLONE)
    assert "done" == cloned.apply(target=("Image/fresh",)).outcome
    forgotten = RENAMED_IMAGE.replace("metadata.renamedFrom: base\n", "")
    cloned.declare(POOL, forgotten, RENAMED_CLONE)
    assert [] == outline(cloned.plan())


def test_a_rename_that_is_taken_back_changes_nothing(cloned: Scenario) -> None:
    cloned.declare(POOL, RENAMED_IMAGE, RENAMED_CLONE)
    cloned.apply()
    back = IMAGE.replace("Image/base", "Image/base\nmetadata.renamedFrom: fresh")
    cloned.declare(POOL, back, CLONE)
    assert ["rename Image/base"] == outline(cloned.plan())
    cloned.apply()
    assert ("base", ["Image/base", "StoragePool/pool"]) == image_of_the_disk(cloned)


def test_a_disk_that_is_edited_with_its_image_renamed_stays(cloned: Scenario) -> None:
    cloned.declare(POOL, RENAMED_IMAGE, RENAMED_CLONE + "size: 2GiB\n")
    plan = cloned.plan()
    assert ["rename Image/fresh", "update Disk/root"] == outline(plan)
    assert "done" == cloned.apply(plan).outcome
    assert ("fresh", ["Image/fresh", "StoragePool/pool"]) == image_of_the_disk(cloned)
    assert [] == outline(cloned.plan())


def test_what_is_declared_under_an_old_name_is_an_object_of_its_own(scenario: Scenario) -> None:
    """The one that was renamed keeps its identity, also when both are made anew."""
    size, raw = "pool: pool\nsize: 1GiB\nretention: delete\n", "format: raw\n"
    scenario.declare(POOL, f"Disk/a\n{size}")
    scenario.apply()
    scenario.declare(POOL, f"Disk/b\nmetadata.renamedFrom: a\n{size}")
    scenario.apply()
    scenario.declare(POOL, f"Disk/b\n{size}", f"Disk/a\n{size}")
    assert ["create Disk/a"] == outline(scenario.plan())
    scenario.apply()
    scenario.declare(POOL, f"Disk/b\n{size}{raw}", f"Disk/a\n{size}{raw}")
    lose: dict[str, Any] = {"max_impact": "replace", "consents": ("Disk/a", "Disk/b")}
    assert "done" == scenario.apply(**lose).outcome
    assert 3 == len({entry.uid for entry in scenario.state().entries.values()})
    assert 3 == len(scenario.objects())
    assert [] == outline(scenario.plan())
