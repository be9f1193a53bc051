"""What machines, networks and datastores of vSphere need without referring to it."""

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Endpoint, Resource
from provisioner_plugins.vmware.unwritten import unwritten_needs

LINEAGE = UUID(int=1)
PLACES: dict[str, dict[str, Any]] = {
    "Datacenter/dc": {},
    "Cluster/shop": {"datacenter": "dc"},
    "Cluster/other": {"datacenter": "dc"},
    "ClusterHost/one": {"cluster": "shop"},
    "ClusterHost/two": {"cluster": "other"},
    "ClusterHost/alone": {"datacenter": "dc"},
    "ResourcePool/gold": {"cluster": "shop"},
    "ResourcePool/inner": {"parent": "gold"},
    "StoragePool/nfs": {"datacenter": "dc", "hosts": {"one": {}}},
}
ALL = {"Datacenter/dc", "Cluster/shop", "Cluster/other"} | {
    f"ClusterHost/{name}" for name in ("one", "two", "alone")
}


def needs(address: str, spec: dict[str, Any], **connection: str) -> set[str]:
    resources = {}
    for text, written in {**PLACES, address: spec}.items():
        found = Address.parse(text)
        stamp = Stamp(str(LINEAGE), text, 0)
        resources[found] = Resource(found, found.name, identity(LINEAGE, found), stamp, written)
    answer = unwritten_needs(Endpoint("lab", "vcenter", connection), resources)
    return {str(needed) for needed in answer.get(Address.parse(address), ())}


SHOP = {"Datacenter/dc", "Cluster/shop", "ClusterHost/one"}


@pytest.mark.parametrize(
    ("placement", "connection", "expected"),
    [
        ({"cluster": "shop"}, {}, SHOP),
        ({"clusterHost": "one"}, {}, {"Datacenter/dc"}),
        ({"resourcePool": "inner"}, {}, SHOP | {"ResourcePool/inner"}),
        ({}, {"cluster": "shop"}, SHOP),
        ({}, {"cluster": "/dc/host/shop", "datacenter": "there"}, SHOP - {"Datacenter/dc"}),
        ({}, {"cluster": "192.0.2.9"}, {"Datacenter/dc", "ClusterHost/alone"}),
        ({}, {"resourcePool": "gold"}, SHOP | {"ResourcePool/gold"}),
        ({}, {}, ALL),
    ],
)
def test_a_machine_needs_the_hosts_of_its_cluster(
    placement: dict[str, str], connection: dict[str, str], expected: set[str]
) -> None:
    spec = {"placement": {**placement, "storagePool": "nfs"}}
    assert expected == needs("VirtualMachine/web", spec, **connection)


def test_a_machine_without_disks_needs_the_datastores_that_it_may_get() -> None:
    where = {"placement": {"clusterHost": "one"}}
    assert {"Datacenter/dc", "StoragePool/nfs"} == needs("VirtualMachine/web", where)
    assert {"Datacenter/dc"} == needs("VirtualMachine/web", {**where, "disks": {"root": {}}})


@pytest.mark.parametrize("address", ["StoragePool/more", "Network/lan"])
def test_what_goes_to_all_hosts_needs_them(address: str) -> None:
    hosts = {"ClusterHost/one", "ClusterHost/two", "ClusterHost/alone"}
    assert {"Datacenter/dc", *hosts} == needs(address, {})
    assert hosts == needs(address, {"datacenter": "dc"})
    assert set() == needs(address, {"datacenter": "elsewhere"})
    assert {*SHOP} == needs(address, {}, cluster="shop")
    assert set() == needs(address, {"datacenter": "dc", "hosts": {"one": {}}})


def test_a_stack_without_places_needs_nothing_without_a_word() -> None:
    address = Address("VirtualMachine", "web")
    stamp = Stamp(str(LINEAGE), str(address), 0)
    resources = {address: Resource(address, "web", UUID(int=2), stamp, {})}
    assert {} == unwritten_needs(Endpoint("lab", "vcenter", {}), resources)
