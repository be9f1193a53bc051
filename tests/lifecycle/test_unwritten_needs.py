"""What needs others to which it does not refer: made after them, and gone before them."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Endpoint, Resource
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.scenario import Scenario, outline

CLUSTER = "Cluster/shop"
HOST = "ClusterHost/first\ncluster: shop\naddress: 192.0.2.1\n"
WEB = "VirtualMachine/a-web\nmemory: {size: 64MiB}\nplacement: {cluster: shop}\n"


class Needing(MemoryProvider):
    """Its machines need all hosts; and hosts all machines, which would be a ring."""

    def __init__(self, *, rings: bool = False) -> None:
        super().__init__()
        self._rings = rings

    def needs_of(
        self, _endpoint: Endpoint, resources: Mapping[Address, Resource]
    ) -> Mapping[Address, Collection[Address]]:
        hosts = {address for address in resources if address.kind == "ClusterHost"}
        machines = {address for address in resources if address.kind == "VirtualMachine"}
        found = dict.fromkeys(machines, hosts)
        return found | dict.fromkeys(hosts, machines) if self._rings else found


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    made = Scenario(tmp_path)
    made.provider = Needing()
    made.declare(CLUSTER, HOST, WEB)
    return made


def test_made_after_what_it_needs(scenario: Scenario) -> None:
    plan = scenario.plan()
    assert [
        "create Cluster/shop",
        "create ClusterHost/first",
        "create VirtualMachine/a-web",
    ] == outline(plan)
    assert ("Cluster/shop", "ClusterHost/first") == plan.steps[-1].depends_on


def test_gone_before_what_it_needed(scenario: Scenario) -> None:
    assert "done" == scenario.apply().outcome
    assert [
        "delete VirtualMachine/a-web",
        "delete ClusterHost/first",
        "delete Cluster/shop",
    ] == outline(scenario.plan_destroy())
    scenario.declare(CLUSTER)
    assert ["delete VirtualMachine/a-web", "delete ClusterHost/first"] == outline(scenario.plan())


def test_it_is_about_order_alone(scenario: Scenario) -> None:
    scenario.declare(CLUSTER, WEB)
    assert "done" == scenario.apply().outcome
    scenario.declare(CLUSTER, HOST, WEB)
    assert ["create ClusterHost/first"] == outline(scenario.plan())
    assert ["create ClusterHost/first"] == outline(scenario.plan(target=["ClusterHost/*"]))


def test_a_ring_is_left_open(scenario: Scenario) -> None:
    scenario.provider = Needing(rings=True)
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())
