"""Datacenters, folders, clusters, pools, rules and permissions: hosts, canonical forms, and rules
that go beyond their schemas.
"""

import pytest

from provisioner.core.address import Address
from provisioner.engine.graph import ResourceGraph
from tests.unit.manifest.stacks import check, load_stack, one

HOSTS = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {defaults: {host: one}}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: one}
spec: {provider: memory}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: two}
spec: {provider: memory}
---
"""


def doc(address: str, spec: str, metadata: str = "") -> str:
    kind, _, name = address.partition("/")
    return (
        f"apiVersion: provisioner/v1\nkind: {kind}\nmetadata: {{name: {name}{metadata}}}\n"
        f"spec: {{{spec}}}\n---\n"
    )


CLUSTERS = "".join(
    (
        doc("Datacenter/dc", ""),
        doc("Datacenter/other", ""),
        doc("Folder/shop", "datacenter: dc"),
        doc("Folder/hosts", "datacenter: dc, type: host"),
        doc("Folder/top", "type: datacenter"),
        doc("Cluster/blue", "datacenter: dc"),
        doc("Cluster/green", "datacenter: other"),
        doc("ClusterHost/esx1", "cluster: blue, address: esx1.example"),
        doc("ClusterHost/esx2", "cluster: green, address: esx2.example"),
        doc("ResourcePool/pool", "cluster: blue"),
        doc("VirtualMachine/a", "memory: {size: 1GiB}"),
        doc("VirtualMachine/b", "memory: {size: 1GiB}"),
        doc("Role/operator", "privileges: []"),
    )
)
RULE = "cluster: blue, type: run-on, machines: [{machine: a}]"
PERMISSION = "role: operator, principal: 'LAB\\one'"


@pytest.mark.parametrize(
    ("address", "spec"),
    [
        ("Datacenter/x", "folder: top"),
        ("Folder/x", "parent: shop"),
        ("Folder/x", "parent: shop, datacenter: dc"),
        ("Cluster/x", "folder: hosts, datacenter: dc"),
        ("ClusterHost/x", "folder: hosts, address: '::1'"),
        ("ResourcePool/x", "parent: pool, cluster: blue, cpu: {shares: 7}"),
        ("PlacementRule/x", RULE + ", hosts: [{clusterHost: esx1}]"),
        ("Permission/x", PERMISSION),
        ("Permission/x", "builtinRole: ReadOnly, principal: one, on: {folder: hosts}"),
    ],
)
def test_what_fits_together(tmp_path, address, spec):
    stack = load_stack(tmp_path, {"a.yaml": CLUSTERS + doc(address, spec)})
    assert Address.parse(address) in ResourceGraph.of(stack)


@pytest.mark.parametrize(
    ("address", "spec", "codes", "summary"),
    [
        ("Datacenter/x", "folder: §shop", "PRV1440", "type machine, expected datacenter for a D"),
        ("Cluster/x", "folder: §shop", "PRV1440", "type machine, expected host for a Cluster"),
        ("ClusterHost/x", "address: a, folder: §top", "PRV1440", "datacenter, expected host"),
        (
            "Folder/x",
            "type: network, parent: §shop",
            "PRV1440",
            "Folder/shop has the type machine, expected network for a folder of type network",
        ),
        (
            "Folder/x",
            "parent: §shop, datacenter: other",
            "PRV1441",
            "Folder/shop lies in Datacenter/dc, and Folder/x in Datacenter/other",
        ),
        (
            "ResourcePool/x",
            "parent: §pool, cluster: green",
            "PRV1441",
            "ResourcePool/pool lies in Cluster/blue, and ResourcePool/x in Cluster/green",
        ),
        (
            "PlacementRule/x",
            RULE + ", hosts: [{clusterHost: esx1}, {clusterHost: §esx2}]",
            "PRV1441",
            "ClusterHost/esx2 lies in Cluster/green, and PlacementRule/x in Cluster/blue",
        ),
        ("Folder/x", "type: datacenter, §datacenter: dc", "PRV1418", "has no 'datacenter'"),
        ("ClusterHost/x", "address: a, cluster: blue, §datacenter: dc", "PRV1110", "'cluster'"),
        ("ClusterHost/x", "address: a, cluster: blue, §folder: hosts", "PRV1110", "'cluster'"),
        (
            "Cluster/x",
            "ha: {admissionControl: {hostFailures: 1, §cpuPercent: 9, §memoryPercent: 9}}",
            "PRV1110 PRV1110",
            "the field 'cpuPercent' does not go with 'hostFailures'",
        ),
        (
            "ResourcePool/x",
            "cluster: blue, cpu: {reservationMhz: §200, limitMhz: 100}",
            "PRV1442",
            "a reservation of 200 MHz is more than the limit of 100 MHz",
        ),
        (
            "ResourcePool/x",
            "cluster: blue, memory: {reservation: §2GiB, limit: 1GiB}",
            "PRV1442",
            "a reservation of 2GiB is more than the limit of 1GiB",
        ),
        ("ResourcePool/x", "memory: {limit: §1500KiB}", "PRV1109", "a multiple of 1MiB"),
        ("ResourcePool/x", "cpu: {shares: §much}", "PRV1107", "expected low, normal, high or a"),
        ("PlacementRule/x", "§" + RULE, "PRV1105", "'hosts' is missing in a rule of type run-on"),
        (
            "PlacementRule/x",
            RULE.replace("run-on", "keep-apart").replace("machines", "§machines"),
            "PRV1443",
            "a rule of type keep-apart is about two machines or more, found one",
        ),
        (
            "PlacementRule/x",
            "cluster: blue, type: keep-together, machines: [{machine: a}, {machine: b}], "
            "§hosts: [{clusterHost: esx1}]",
            "PRV1418",
            "a rule of type keep-together has no 'hosts'",
        ),
        ("Permission/x", "§principal: one", "PRV1105", "the field 'role' is missing"),
        (
            "Permission/x",
            PERMISSION + ", §builtinRole: ReadOnly",
            "PRV1110",
            "the field 'builtinRole' does not go with 'role'",
        ),
        ("Role/x", "privileges: [A.b, §A.b]", "PRV1109", "A.b"),
    ],
)
def test_what_does_not_fit_together(tmp_path, address, spec, codes, summary):
    text = doc(address, spec).replace("spec: {§", "§spec: {")
    found = check(tmp_path, CLUSTERS + text, *codes.split())
    assert summary in found[0].summary


def test_two_permissions_of_one_principal_on_one_object(tmp_path):
    on = ", on: {folder: shop}"
    text = CLUSTERS + "".join(
        (
            doc("Permission/a", PERMISSION + on),
            doc("Permission/b", PERMISSION),
            doc("Permission/c", PERMISSION + ", group: true" + on),
            doc("Permission/d", "builtinRole: ReadOnly, principal: §'lab\\ONE'" + on),
        )
    )
    assert "Permission/a gives lab\\ONE a role there" in one(tmp_path, text, "PRV1444").summary


def test_folders_in_a_ring(tmp_path):
    text = doc("Folder/a", "parent: b") + doc("Folder/b", "parent: a, datacenter: dc")
    stack = load_stack(tmp_path, {"a.yaml": text + doc("Datacenter/dc", "")})
    (found,) = ResourceGraph.rings(stack)
    assert "Folder/a -> Folder/b -> Folder/a" in found.summary


def test_the_host_is_that_of_what_is_written(tmp_path):
    text = HOSTS + "".join(
        (
            doc("Datacenter/dc", "host: two"),
            doc("Folder/in-dc", "datacenter: dc"),
            doc("Folder/in-folder", "parent: in-dc"),
            doc("Folder/on-two", "host: two"),
            doc("Folder/of-the-default", ""),
            doc("Cluster/c", "datacenter: dc"),
            doc("ResourcePool/p", "cluster: c"),
            doc("ResourcePool/q", "parent: p"),
        )
    )
    stack = load_stack(tmp_path, {"a.yaml": text})
    hosts = {str(address): item.host for address, item in stack.declarations.items()}
    assert {"Folder/of-the-default": "one"} == {
        address: host for address, host in hosts.items() if host != "two"
    }


def test_a_host_that_contradicts_what_is_written(tmp_path):
    text = doc("Datacenter/dc", "host: two") + doc("Folder/f", "host: one, datacenter: §dc")
    assert "Datacenter/dc lives on two" in one(tmp_path, HOSTS + text, "PRV1313").summary


def test_names_of_objects_count_within_what_they_lie_in(tmp_path):
    text = "".join(
        (
            doc("Folder/web", "parent: shop", ", externalName: Web"),
            doc("Folder/web-b", "parent: shop-b", ", externalName: Web"),
            doc("Folder/shop-b", "datacenter: dc"),
        )
    )
    stack = load_stack(tmp_path, {"main.yaml": CLUSTERS + text})
    assert "Web" == stack.declarations[Address("Folder", "web-b")].object_name
    same = text.replace("parent: shop-b", "parent: shop").replace("Web", "§Web").replace("§", "", 1)
    assert "Folder/web is the object" in one(tmp_path, CLUSTERS + same, "PRV1314").summary


def test_a_list_without_order_is_sorted(tmp_path):
    text = doc("Role/a", "privileges: [B.two, A.one, B.one]")
    stack = load_stack(tmp_path, {"a.yaml": text})
    wanted = {"privileges": ["A.one", "B.one", "B.two"]}
    assert wanted == stack.declarations[Address("Role", "a")].spec
