"""``metadata.manage``: what may be done to a resource's object, and that to look at it needs no
mark on it.
"""

import pytest

from provisioner.core.actions import Permission
from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

OBSERVED = "metadata.manage: [observe]\n"
FOUND = {"mode": "isolated", "cidr": "10.0.0.0/24"}
OTHERS = Stamp("11111111-2222-3333-4444-555555555555", "Network/lan")


def managed(resource: str, *permissions: str) -> str:
    """The resource with ``manage`` in its metadata."""
    return f"{resource}metadata.manage: [{', '.join(permissions)}]\n"


def without(resource: str, permission: Permission) -> str:
    return managed(resource, *(other for other in Permission if other is not permission))


@pytest.mark.parametrize("owner", [None, OTHERS], ids=["nobody's", "another stack's"])
def test_what_is_only_observed_is_recorded_and_never_touched(
    scenario: Scenario, owner: Stamp | None
) -> None:
    found = scenario.outside.add("Network", "lan", FOUND, owner)
    scenario.declare(managed(LAN, "observe"))
    plan = scenario.plan()
    assert ([], ["Network/lan"]) == (outline(plan), [str(k.address) for k in plan.observed])
    scenario.apply(plan)
    entry = scenario.state().entries[Address("Network", "lan")]
    assert (found.id, frozenset({Permission.OBSERVE})) == (entry.external_id, entry.manage)
    assert found == scenario.outside.find("Network", "lan")
    plan = scenario.plan()
    assert ([], (), ()) == (outline(plan), plan.observed, plan.refresh)


def test_its_differences_are_held(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", {**FOUND, "cidr": "10.9.0.0/24"})
    scenario.declare(managed(LAN, "observe"))
    plan = scenario.plan(max_impact="restart")
    assert ["(update Network/lan: it is only observed (metadata.manage))"] == outline(plan)
    assert [("cidr",)] == [change.path for change in plan.held[0].changes]


def test_what_differs_is_recorded_as_it_was_seen(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", {**FOUND, "cidr": "10.9.0.0/24"})
    scenario.declare(managed(LAN, "observe"))
    scenario.apply()
    entry = scenario.state().entries[Address("Network", "lan")]
    assert "10.9.0.0/24" == entry.spec["cidr"]
    assert ["(update Network/lan: it is only observed (metadata.manage))"] == outline(
        scenario.plan()
    )


def test_it_is_not_made(scenario: Scenario) -> None:
    scenario.declare(managed(LAN, "observe"))
    assert ["(create Network/lan: it is only observed (metadata.manage))"] == outline(
        scenario.plan()
    )


def test_others_may_use_it(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", FOUND)
    scenario.declare(managed(LAN, "observe"), POOL, DISK, WEB)
    scenario.apply()
    assert [] == outline(scenario.plan())
    assert "VirtualMachine/web" in scenario.objects()


def test_it_is_forgotten_with_its_manifest(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", FOUND)
    scenario.declare(managed(LAN, "observe"))
    scenario.apply()
    destroyed = scenario.plan_destroy()
    scenario.declare()
    for plan in (destroyed, scenario.plan()):
        assert [("forget", "it was only observed")] == [(s.action, s.reason) for s in plan.steps]
    scenario.apply()
    assert (["Network/lan"], {}) == (scenario.objects(), dict(scenario.state().entries))


def test_it_can_be_managed_later_by_adopting_it(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", FOUND)
    scenario.declare(managed(LAN, "observe"))
    scenario.apply()
    scenario.declare(LAN)
    scenario.apply(adopt=["Network/lan"])
    adopted = scenario.outside.find("Network", "lan")
    assert adopted is not None
    assert adopted.owner is not None
    assert [] == outline(scenario.plan())


def test_what_is_ours_can_be_left_to_observation(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.declare(managed(LAN, "observe"))
    plan = scenario.plan()
    assert ([], ["Network/lan"]) == (outline(plan), [str(k.address) for k in plan.refresh])
    scenario.apply(plan)
    assert ["forget Network/lan"] == outline(scenario.plan_destroy())


def test_a_plan_says_that_permissions_are_still_to_be_recorded(cli: CommandLine) -> None:
    """Until they are, they would not count when the manifest goes."""
    said = "Still to be recorded: Network/lan."
    cli.declare(LAN)
    cli("apply", "--yes")
    assert said not in cli("plan").out
    cli.declare(without(LAN, Permission.DELETE))
    assert said in cli("plan").out
    cli("apply", "--yes")
    assert said not in cli("plan").out
    cli.declare()
    assert ["forget"] == [step["action"] for step in cli("plan", "--json").json["steps"]]


def test_a_rename_of_what_is_only_observed_is_held(scenario: Scenario) -> None:
    """Its new name could only be written on it."""
    scenario.outside.add("Network", "lan", FOUND)
    scenario.declare(managed(LAN, "observe"))
    scenario.apply()
    scenario.declare(
        managed(LAN.replace("Network/lan", "Network/net\nmetadata.renamedFrom: lan"), "observe")
    )
    assert ["(rename Network/net: it is only observed (metadata.manage))"] == outline(
        scenario.plan()
    )


def test_without_create_nothing_is_made(scenario: Scenario) -> None:
    scenario.declare(without(LAN, Permission.CREATE))
    assert ["(create Network/lan: metadata.manage has no create)"] == outline(scenario.plan())


def test_without_update_changes_are_held(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.declare(without(LAN.replace("10.0.0", "10.9.0"), Permission.UPDATE))
    assert ["(update Network/lan: metadata.manage has no update)"] == outline(
        scenario.plan(max_impact="restart")
    )


@pytest.mark.parametrize("missing", [Permission.CREATE, Permission.DELETE])
def test_a_replacement_takes_create_and_delete(scenario: Scenario, missing: Permission) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, without(DISK + "format: raw\n", missing), WEB)
    plan = scenario.plan(consents=["Disk/web-root"])
    assert f"(replace Disk/web-root: metadata.manage has no {missing.value})" in outline(plan)


def test_without_delete_the_object_is_left_alone(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, without(WEB, Permission.DELETE))
    scenario.apply()
    before = scenario.objects()
    scenario.declare()
    assert [
        "forget VirtualMachine/web",
        "forget Disk/web-root",
        "forget Network/lan",
        "forget StoragePool/pool",
    ] == sorted(outline(scenario.plan()), key=lambda step: ("Virtual" not in step, step))
    scenario.apply()
    assert (before, {}) == (scenario.objects(), dict(scenario.state().entries))


def test_permissions_that_were_not_applied_yet_count(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.declare(without(LAN, Permission.DELETE))
    assert ["forget Network/lan"] == outline(scenario.plan_destroy())


def test_the_order_of_permissions_means_nothing(scenario: Scenario) -> None:
    scenario.declare(managed(LAN, "update", "create"))
    scenario.apply()
    scenario.declare(managed(LAN, "observe", "create", "update"))
    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.refresh)


def test_a_stale_plan_records_no_observation(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", FOUND)
    scenario.declare(managed(LAN, "observe"))
    plan = scenario.plan()
    scenario.apply(plan)
    with pytest.raises(Exception, match="the plan is stale: Network/lan: it was recorded since"):
        scenario.apply(plan)


def test_all_permissions_are_no_permissions_at_all(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(*(managed(resource, *Permission) for resource in ALL))
    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.refresh)
