"""A recovery plan is compiled from what was applied, for the site where the machines are not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.manifest.protection import MACHINE
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Way
from provisioner.providers.registry import Registry
from provisioner.workflows.recovery.compiling import compile_plan
from provisioner.workflows.recovery.model import Check, Fencing, Mode, RecoveryPlan
from provisioner.workflows.runbook import OnFailure
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.recovery import POLICIES, RESOURCES, declare, two_sites
from tests.lifecycle.scenario import CATALOG, Scenario

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
DB, WEB = Address(MACHINE, "db"), Address(MACHINE, "web")


def compiled(scenario: Scenario) -> RecoveryPlan:
    workspace = scenario.workspace()
    registry = Registry({"memory": scenario.provider})
    stack, state = workspace.load(), scenario.state()
    return compile_plan(
        "shop", stack, state, rules=CATALOG, registry=registry, now=NOW, actor="ada"
    )


def refused(scenario: Scenario) -> list[tuple[str, str]]:
    with pytest.raises(ProvisionerError) as problem:
        compiled(scenario)
    return [(item.code, item.summary) for item in problem.value.diagnostics]


@pytest.fixture
def applied(tmp_path: Path) -> Scenario:
    scenario = two_sites(tmp_path)
    scenario.apply()
    return scenario


def test_a_machine_is_the_same_at_the_other_site_with_what_is_there(applied: Scenario) -> None:
    plan = compiled(applied)
    assert ("east", "west") == plan.sites
    assert {"east-1": "east", "west-1": "west"} == plan.site_of
    before, after = plan.objects["east"][DB], plan.objects["west"][DB]
    assert (before.uid, before.name, "west-1", None) == (
        after.uid,
        after.name,
        after.endpoint,
        after.external_id,
    )
    assert before.external_id is not None
    assert {"lan": {"network": "lan-west", "mac": before.spec["nics"]["lan"]["mac"]}} == (
        after.spec["nics"]
    )
    assert (["db-data"], {"userData": "#cloud-config"}) == (
        list(after.spec["disks"]),
        after.spec["cloudInit"],
    )
    assert (Address("Disk", "db-data"), Address("Network", "lan-west")) == after.dependencies


def test_data_come_by_replication_and_not_from_images(applied: Scenario) -> None:
    there = compiled(applied).objects["west"]
    disk = there[Address("Disk", "db-data")]
    assert {"pool": "pool-west", "size": 2 * 1024**3} == disk.spec
    assert {"setup": {}} == there[WEB].spec["cdroms"]
    assert {"Disk", "Network", "StoragePool", MACHINE} == {item.kind for item in there}


def test_everything_of_a_site_is_there_with_what_it_was_applied_as(applied: Scenario) -> None:
    plan, entries = compiled(applied), applied.state().entries
    network = Address("Network", "lan-west")
    assert entries[network].external_id == plan.objects["west"][network].external_id
    assert {"Image/base", "Image/setup", "StoragePool/pool-east"} <= {
        str(address) for address in plan.objects["east"]
    }


def test_what_the_manifests_say_of_the_machines(applied: Scenario) -> None:
    first, second = compiled(applied).machines
    assert ((DB, 1, ()), (WEB, 2, (DB,))) == (
        (first.address, first.tier, first.needs),
        (second.address, second.tier, second.needs),
    )
    assert (Check("serial", {"text": "up"}, 120.0, OnFailure.HOLD),) == first.gates
    assert ((Address("Disk", "db-data"),), "shop", Way.INCREMENTAL, 60.0, 5, True, 600.0) == (
        first.disks,
        first.group,
        first.way,
        first.interval,
        first.keep,
        first.quiesce,
        first.point_objective,
    )
    assert {"west": {"nics": {"lan": {"address": "10.2.0.20"}}}} == second.real


def test_what_the_manifests_say_of_the_plan(applied: Scenario) -> None:
    plan = compiled(applied)
    assert (NOW, "ada", "shop", "test") == (
        plan.compiled,
        plan.compiled_by,
        plan.name,
        plan.stack,
    )
    (step,) = plan.steps
    assert ("tell", frozenset({Mode.FAILOVER}), {"argv": ["echo", "go"]}) == (
        step.name,
        step.modes,
        step.check.arguments,
    )
    question = Check("prompt", {"text": "Is the old site off?"}, 60.0, OnFailure.STOP)
    assert Fencing((question,)) == plan.fencing
    assert ({"operations": 2}, {"east-1": 3, "west-1": 3}) == (plan.approvals, plan.starts)
    assert ["batch"] == [known.name for known in plan.suspend["west"]]
    week = timedelta(days=7).total_seconds()
    assert (1800.0, 30 * 86400.0, week) == (plan.time_objective, plan.drill_every, plan.max_age)


def test_a_drill_gets_a_network_of_its_own(applied: Scenario) -> None:
    bubble = compiled(applied).bubble
    network = bubble["west"][Address("Network", "lan-west")]
    assert ("drill-shop-lan-west", {"mode": "isolated"}, "west-1", None) == (
        network.name,
        network.spec,
        network.endpoint,
        network.external_id,
    )
    assert {Address("Network", "lan-east")} == bubble["east"].keys()


def test_a_network_that_the_author_has_for_drills(tmp_path: Path) -> None:
    changes = {
        "Network/quiet": "host: west-1\nmode: isolated",
        "RecoveryPlan/shop": POLICIES["RecoveryPlan/shop"]
        + "\nbubble: [{network: lan-west, isolated: quiet}]",
    }
    scenario = two_sites(tmp_path, changes)
    scenario.apply()
    network = compiled(scenario).bubble["west"][Address("Network", "lan-west")]
    quiet = scenario.state().entries[Address("Network", "quiet")]
    assert (quiet.name, quiet.external_id) == (network.name, network.external_id)


def test_a_machine_needs_the_one_whose_output_it_uses(tmp_path: Path) -> None:
    plan = POLICIES["RecoveryPlan/shop"].replace("after: [{machine: db}]", "health: {agent: {}}")
    web = RESOURCES["VirtualMachine/web"] + "\ndescription: '${VirtualMachine/db.uuid}'"
    scenario = two_sites(tmp_path, {"RecoveryPlan/shop": plan, "VirtualMachine/web": web})
    scenario.apply()
    assert (DB,) == compiled(scenario).machines[1].needs


def test_what_a_machine_asks_of_another_counts_for_it_alone(tmp_path: Path) -> None:
    edge = "{machine: db, health: {tcp: {port: 5432}, agent: {}, timeout: 1m, onFailure: go-on}}"
    plan = POLICIES["RecoveryPlan/shop"].replace("after: [{machine: db}]", f"after: [{edge}]")
    scenario = two_sites(tmp_path, {"RecoveryPlan/shop": plan})
    scenario.apply()
    db, web = compiled(scenario).machines
    expected = (
        Check("tcp", {"port": 5432}, 60.0, OnFailure.GO_ON),
        Check("agent", {}, 60.0, OnFailure.GO_ON),
    )
    assert ({}, (DB,), {DB: expected}) == (db.edges, web.needs, web.edges)


def test_policies_are_no_part_of_plans_and_state(applied: Scenario) -> None:
    assert () == applied.plan().steps
    kinds = {address.kind for address in applied.state().entries}
    assert set() == kinds & CATALOG.policy_kinds


def test_what_was_not_applied_yet(tmp_path: Path) -> None:
    scenario = two_sites(tmp_path)
    assert [
        ("PRV7031", "VirtualMachine/db has not been applied"),
        ("PRV7031", "VirtualMachine/web has not been applied"),
    ] == refused(scenario)


def test_a_plan_that_is_not_there(applied: Scenario) -> None:
    declare(applied, {"RecoveryPlan/shop": "", "RecoveryPlan/shops": POLICIES["RecoveryPlan/shop"]})
    assert [("PRV7030", "there is no RecoveryPlan/shop in the stack")] == refused(applied)


def test_what_was_applied_otherwise_than_it_is_declared_now(applied: Scenario) -> None:
    """The machine still has the network that nothing maps."""
    lone = {"Network/lone": "host: east-1\nmode: nat\ncidr: 10.3.0.0/24"}
    web = RESOURCES["VirtualMachine/web"]
    group = "sitePair: both\nmachines: [{machine: db}]\nexcludeDisks: [{disk: db-scratch}]"
    declare(
        applied,
        {
            **lone,
            "VirtualMachine/web": web.replace("lan-east", "lone"),
            "ProtectionGroup/shop": group,
            "RecoveryPlan/shop": "groups: [{group: shop}]",
        },
    )
    applied.apply()
    declare(applied, lone)
    assert [("PRV7033", "nothing takes the place of Network/lone at Site/west")] == refused(applied)


class Picky(MemoryProvider):
    """Refuses machines whose cards have fixed addresses."""

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        for card in resource.spec.get("nics", {}).values():
            if "address" in card and resource.kind == MACHINE:
                raise ProvisionerError(error("PRV2999", "no fixed addresses here"))
        return super().normalise(resource)


def test_what_the_provider_says_against_a_change_is_known_beforehand(applied: Scenario) -> None:
    workspace, state = applied.workspace(), applied.state()
    registry = Registry({"memory": Picky()})
    with pytest.raises(ProvisionerError) as problem:
        compile_plan("shop", workspace.load(), state, rules=CATALOG, registry=registry, now=NOW)
    (found,) = problem.value.diagnostics
    assert ("VirtualMachine/web", "As RecoveryPlan/shop changes it at Site/west in earnest") == (
        found.address,
        found.detail,
    )


def test_two_hosts_at_the_other_site(tmp_path: Path) -> None:
    changes = {
        "StoragePool/pool-west": "host: west-2\ntype: dir\npath: /west",
        "Site/west": "hosts: [{host: west-1}, {host: west-2}]",
    }
    scenario = two_sites(tmp_path, changes)
    host = "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: west-2}\n"
    scenario.write("more.yaml", host + "spec: {provider: memory}\n")
    scenario.apply()
    assert {
        ("PRV7034", f"it cannot be told on which host {machine} comes up at Site/west")
        for machine in (DB, WEB)
    } == set(refused(scenario))
