"""``metadata.externalName``: the object's own name, where the resource is called otherwise."""

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from tests.lifecycle.scenario import Scenario, outline

NAMED = "Network/lan\nmetadata.externalName: Lab Net 01\nmode: isolated\n"


def test_the_object_has_the_name_that_was_given(scenario: Scenario) -> None:
    scenario.declare(NAMED)
    scenario.apply()
    assert ["Network/Lab Net 01"] == scenario.objects()
    assert "Lab Net 01" == scenario.state().entries[Address("Network", "lan")].name
    assert [] == outline(scenario.plan())


def test_an_existing_object_is_adopted_by_it(scenario: Scenario) -> None:
    scenario.outside.add("Network", "Lab Net 01", {"mode": "isolated"})
    scenario.declare(NAMED)
    scenario.apply(adopt=["Network/lan"])
    assert ["Network/Lab Net 01"] == scenario.objects()
    assert [] == outline(scenario.plan())


def test_a_taken_name_is_shown_where_it_is_given(scenario: Scenario) -> None:
    scenario.outside.add("Network", "Lab Net 01", {"mode": "isolated"})
    scenario.declare(NAMED)
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    (problem,) = caught.value.diagnostics
    assert problem.source is not None
    assert ("PRV2010", "  externalName: Lab Net 01") == (problem.code, problem.source.text)


def test_it_stays_through_a_replacement(scenario: Scenario) -> None:
    pool = "StoragePool/pool\nmetadata.externalName: Disks 1\ntype: dir\npath: /a\n"
    scenario.declare(pool)
    scenario.apply()
    scenario.declare(pool.replace("/a", "/b"))
    scenario.apply(max_impact="replace")
    assert ["StoragePool/Disks 1"] == scenario.objects()


def test_another_name_would_be_another_object(scenario: Scenario) -> None:
    scenario.declare(NAMED)
    scenario.apply()
    scenario.declare(NAMED.replace("01", "02"))
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    (problem,) = caught.value.diagnostics
    assert ("PRV2013", "Network/lan") == (problem.code, problem.address)
    assert problem.source is not None
    assert problem.source.text.strip().startswith("externalName:")


def test_the_name_that_others_gave_the_object_can_be_written_down(scenario: Scenario) -> None:
    """It is the same object; from then on there is no drift."""
    scenario.declare(NAMED)
    scenario.apply()
    scenario.outside.rename("Network", "Lab Net 01", "Lab Net 02")
    scenario.declare(NAMED.replace("01", "02"))
    plan = scenario.plan()
    assert ([], ["Network/lan"]) == (outline(plan), [str(k.address) for k in plan.refresh])
    scenario.apply(plan)
    assert ((), ()) == (scenario.drift().drifted, scenario.plan().refresh)


def test_without_it_the_recorded_name_stays(scenario: Scenario) -> None:
    scenario.declare(NAMED)
    scenario.apply()
    scenario.declare("Network/lan\nmode: isolated\n")
    assert [] == outline(scenario.plan())


def test_two_resources_are_not_one_object(scenario: Scenario) -> None:
    other = "Network/other\nmetadata.externalName: lan\nmode: isolated\ncidr: 10.1.0.0/24\n"
    scenario.declare("Network/lan\nmode: isolated\n", other)
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    assert [("PRV1314", "Network/lan is the object 'lan' already")] == [
        (item.code, item.summary) for item in caught.value.diagnostics
    ]


def test_volumes_of_two_pools_may_be_called_alike(scenario: Scenario) -> None:
    pools = [f"StoragePool/{name}\ntype: dir\npath: /{name}\n" for name in ("a", "b")]
    disks = [
        f"Disk/root-{pool}\nmetadata.externalName: root\npool: {pool}\nsize: 1GiB\n"
        for pool in ("a", "b")
    ]
    scenario.declare(*pools, *disks)
    assert 4 == len(scenario.plan().steps)


def test_snapshots_of_two_machines_may_be_called_alike(scenario: Scenario) -> None:
    machines = [f"VirtualMachine/{name}\nmemory: {{size: 1GiB}}\n" for name in ("a", "b")]
    snapshots = [
        f"Snapshot/{name}-before\nmetadata.externalName: before\nmachine: {name}\n"
        for name in ("a", "b")
    ]
    scenario.declare(*machines, *snapshots)
    assert 4 == len(scenario.plan().steps)
