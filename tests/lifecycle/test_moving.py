"""A resource that is declared on another host is made there before it goes here."""

from pathlib import Path

import pytest

from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.outside import Outside
from tests.lifecycle.scenario import HOST, STACK, Scenario, outline
from tests.lifecycle.stacks import POOL

MACHINE = "VirtualMachine/web\nmemory: {size: 256MiB}\nplacement: {host: here}\n"
MOVED = MACHINE.replace("host: here", "host: there")


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A stack with two hosts."""
    scenario = Scenario(tmp_path)
    scenario.write("stack.yaml", STACK.replace("spec: {}", "spec: {defaults: {host: here}}"))
    scenario.write("there.yaml", HOST.replace("name: here", "name: there"))
    return scenario


def on(scenario: Scenario, host: str) -> list[str]:
    inventory = scenario.provider.inventory(Endpoint(host, "memory", {}), scenario.root)
    return sorted(f"{item.kind}/{item.name}" for item in Outside(inventory).objects())


def test_it_is_made_there_and_removed_here(scenario: Scenario) -> None:
    scenario.declare(MACHINE)
    scenario.apply()
    scenario.declare(MOVED)
    plan = scenario.plan(max_impact="replace")
    assert ["replace VirtualMachine/web", "delete VirtualMachine/web#old"] == outline(plan)
    assert [(("placement", "host"), "here", "there")] == [
        (change.path, change.before, change.after) for change in plan.steps[0].changes
    ]
    assert "done" == scenario.apply(plan).outcome
    assert ([], ["VirtualMachine/web"]) == (on(scenario, "here"), on(scenario, "there"))
    assert [] == outline(scenario.plan())


def test_it_takes_along_what_it_holds(scenario: Scenario) -> None:
    disk = "Disk/data\npool: pool\nsize: 1GiB\n"
    pool = POOL.replace("type:", "host: here\ntype:")
    plugged = "disks: [{disk: data}]\n"
    scenario.declare(pool, disk, MACHINE + plugged)
    scenario.apply()
    scenario.declare(pool.replace("host: here", "host: there"), disk, MOVED + plugged)
    plan = scenario.plan(max_impact="replace", consents=["Disk/data"])
    assert "done" == scenario.apply(plan).outcome
    assert [] == on(scenario, "here")
    assert ["Disk/data", "StoragePool/pool", "VirtualMachine/web"] == on(scenario, "there")
    assert [] == outline(scenario.plan())
