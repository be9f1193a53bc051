"""What the connection to a vCenter names and is not there, or is there twice: said with the plan,
at the field in the Host's manifest, with the names that there are. And what a vCenter refuses for
want of a right or a licence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import Diagnostic
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.wire.whereabouts import bearer_of_rights
from tests.faults.vspherestack import Outsider, VsphereStack, without_waiting

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-bad-input")]

WEB = "VirtualMachine/web"
SPEC: dict[str, Any] = {"memory": {"size": "64MiB"}}


@pytest.fixture(scope="module")
def large() -> Iterator[Vcsim]:
    """Two datacenters with two clusters and two datastores each, and a pool in each cluster."""
    options = Options(machines=0, datacenters=2, clusters=2, cluster_hosts=1, datastores=2, pools=1)
    with simulated(options) as simulator:
        outsider = Outsider(simulator)
        for folder in ("front/shop", "back/shop"):
            outsider.make_folder(folder)
        with outsider.logged_in() as content:
            _make_twins(content.rootFolder)
        yield simulator


def _make_twins(root: Any) -> None:
    """Clusters, pools of resources and datacenters of one name, as people make them."""
    first = next(item for item in root.childEntity if item.name == "DC0")
    share = vim.ResourceAllocationInfo(
        reservation=0,
        expandableReservation=True,
        limit=-1,
        shares=vim.SharesInfo(level=vim.SharesInfo.Level.normal, shares=4000),
    )
    for cluster in [*first.hostFolder.childEntity]:
        if isinstance(cluster, vim.ClusterComputeResource) and cluster.resourcePool is not None:
            spec = vim.ResourceConfigSpec(cpuAllocation=share, memoryAllocation=share)
            cluster.resourcePool.CreateResourcePool("shop", spec)
    for name in ("east", "west"):
        place = first.hostFolder.CreateFolder(name)
        place.CreateClusterEx("twin", vim.cluster.ConfigSpecEx())
        root.CreateFolder(name).CreateDatacenter("Twin")


@pytest.fixture
def stack(large: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VsphereStack:
    """A stack with a machine, whose connection says where in the first cluster it goes."""
    without_waiting(monkeypatch)
    made = VsphereStack(large, tmp_path)
    made.configure(datacenter="DC0", storagePool="LocalDS_0")
    made.declare({WEB: SPEC})
    return made


def refusal(stack: VsphereStack, **connection: Any) -> Diagnostic:
    """The one diagnostic of a plan, which changes nothing."""
    stack.configure(**connection)
    ended = stack.apply()
    assert "refused" == ended.outcome
    assert [] == Outsider(stack.vcsim).machines()
    [found] = ended.problems
    return found


@pytest.mark.parametrize(
    ("field", "wrong", "near"),
    [
        ("datacenter", "DC9", ("DC0", "DC1")),
        ("datacenter", "dc0", ("DC0", "DC1")),
        ("cluster", "DC0_C8", ("DC0_C0", "DC0_C1")),
        ("folder", "shpo", ("shop",)),
        ("resourcePool", "DC0_C0_RP8", ("DC0_C0_RP1",)),
        ("storagePool", "LocalDS_7", ("LocalDS_0", "LocalDS_1")),
        ("folder", "/DC0/vm/fornt/shop", ("/DC0/vm/front/shop",)),
    ],
)
def test_what_is_not_there_is_said_with_the_nearest_names(
    stack: VsphereStack, field: str, wrong: str, near: tuple[str, ...]
) -> None:
    found = refusal(stack, **{field: wrong})
    assert ("PRV5323", "Host/here") == (found.code, found.address)
    assert wrong in found.summary
    assert [] == [name for name in near if name not in found.hint]
    assert found.source is not None
    assert "host.yaml" == Path(found.source.file).name


def test_a_certificate_that_is_not_the_pinned_one_is_said_at_the_pin(stack: VsphereStack) -> None:
    found = refusal(stack, tls={"fingerprint": "00" * 32})
    assert "PRV5305" == found.code
    assert found.source is not None
    assert found.source.text[found.source.column - 1 :].startswith('"00')


def test_it_is_said_once_for_all_machines(stack: VsphereStack) -> None:
    stack.declare({WEB: SPEC, "VirtualMachine/db": SPEC})
    assert "PRV5323" == refusal(stack, datacenter="DC9").code


@pytest.mark.parametrize(
    ("field", "name", "paths"),
    [
        ("folder", "shop", ("/DC0/vm/back/shop", "/DC0/vm/front/shop")),
        (
            "resourcePool",
            "shop",
            ("/DC0/host/DC0_C0/Resources/shop", "/DC0/host/DC0_C1/Resources/shop"),
        ),
        ("cluster", "twin", ("/DC0/host/east/twin", "/DC0/host/west/twin")),
        ("datacenter", "Twin", ("/east/Twin", "/west/Twin")),
    ],
)
def test_what_is_there_twice_is_said_with_the_paths(
    stack: VsphereStack, field: str, name: str, paths: tuple[str, ...]
) -> None:
    found = refusal(stack, **{field: name})
    assert ("PRV5324", "Host/here") == (found.code, found.address)
    assert f"Their paths: {', '.join(paths)}." == found.detail
    assert f"connection.{field}" in found.hint
    if field in ("folder", "resourcePool"):
        stack.configure(**{field: paths[0]})
        assert ["create VirtualMachine/web"] == stack.steps()


@pytest.mark.parametrize(
    ("kind", "name", "paths"),
    [
        ("Network", "VM Network", ("/DC0/network/VM Network", "/DC1/network/VM Network")),
        ("StoragePool", "LocalDS_0", ("/DC0/datastore/LocalDS_0", "/DC1/datastore/LocalDS_0")),
        ("Cluster", "twin", ("/DC0/host/east/twin", "/DC0/host/west/twin")),
        ("Datacenter", "Twin", ("/east/Twin", "/west/Twin")),
        ("Folder", "shop", ("/DC0/vm/back/shop", "/DC0/vm/front/shop")),
        ("ResourcePool", "shop", ("/DC0/host/DC0_C0/Resources/shop",)),
    ],
)
def test_an_object_that_a_manifest_means_is_there_twice(
    stack: VsphereStack, kind: str, name: str, paths: tuple[str, ...]
) -> None:
    """Where neither the manifest nor the connection says in which datacenter."""
    stack.configure(datacenter=None, cluster=None)
    declare_observed(stack, kind, name)
    ended = stack.apply()
    assert "PRV5324" in ended.codes
    told = next(item for item in ended.problems if item.code == "PRV5324")
    assert f"{kind}/it" == told.address
    assert [] == [path for path in paths if path not in told.detail]
    declare_observed(stack, kind, paths[0])
    assert [] == [step for step in stack.steps() if "create" in step or "PRV" in step]


@pytest.mark.parametrize(
    ("kind", "wrong", "near"),
    [
        ("Network", "VM Netwrok", "VM Network"),
        ("StoragePool", "LocalDS_8", "LocalDS_0"),
        ("Cluster", "DC0_C8", "DC0_C0"),
        ("Datacenter", "DC8", "DC0"),
        ("Folder", "fornt", "front"),
        ("ResourcePool", "DC0_C0_RP8", "DC0_C0_RP1"),
        ("Folder", "/DC0/vm/fornt/shop", "/DC0/vm/front/shop"),
    ],
)
def test_an_object_that_a_manifest_means_is_not_there(
    stack: VsphereStack, kind: str, wrong: str, near: str
) -> None:
    declare_observed(stack, kind, wrong)
    [held] = stack.plan().held
    assert held.held is not None
    assert held.held.startswith("it is only observed (metadata.manage), and it is not there")
    assert near in held.held


SPECS: dict[str, dict[str, Any]] = {
    "Network": {"mode": "bridge", "bridge": "vSwitch0"},
    "StoragePool": {"type": "dir", "path": "/any"},
}


def declare_observed(stack: VsphereStack, kind: str, name: str) -> None:
    """A manifest for an object of others."""
    stack.declare({f"{kind}/it": SPECS.get(kind, {})})
    path = stack.root / "resources.yaml"
    more = f"{{name: it, manage: [observe], externalName: {json.dumps(name)}}}"
    path.write_text(path.read_text().replace("{name: it}", more))


def test_a_template_that_is_not_there_is_said_with_the_plan(stack: VsphereStack) -> None:
    source = {"template": "golden imgae"}
    stack.declare(
        {
            "StoragePool/pool": {"type": "dir", "path": str(stack.root)},
            "Image/it": {"pool": "pool", "source": source, "format": "template"},
        }
    )
    template = Outsider(stack.vcsim).make("golden image")
    try:
        with Outsider(stack.vcsim).logged_in() as content:
            vim.VirtualMachine(template, content.rootFolder._stub).MarkAsTemplate()
        ended = stack.apply()
    finally:
        Outsider(stack.vcsim).clear()
    assert ("refused", ["PRV5323"]) == (ended.outcome, ended.codes)
    assert "Did you mean golden image?" == ended.problems[0].hint
    assert ("source", "template") == ended.problems[0].path[-2:]


@pytest.mark.parametrize("sort", ["standard", "distributed"])
def test_a_switch_that_is_not_there_is_said_with_the_plan(stack: VsphereStack, sort: str) -> None:
    bridge = {"mode": "bridge", "virtualSwitch": sort}
    stack.declare({"Network/lan": {**bridge, "bridge": "vSwitch9"}})
    ended = stack.apply()
    assert ("refused", ["PRV5323"]) == (ended.outcome, ended.codes)
    assert ("vSwitch0" if sort == "standard" else "DVS0") in ended.problems[0].detail


def test_a_switch_that_another_network_makes_is_awaited(stack: VsphereStack) -> None:
    lan = {"mode": "bridge", "bridge": "vSwitch9"}
    stack.declare({"Network/lan": {**lan, "uplinks": ["vmnic1"]}, "Network/more": lan})
    assert {"create Network/lan", "create Network/more"} == {*stack.steps()}


@pytest.mark.parametrize(("field", "word"), [("cluster", "DC0_C1"), ("storagePool", "LocalDS_1")])
def test_one_of_several_has_to_be_chosen(stack: VsphereStack, field: str, word: str) -> None:
    found = refusal(stack, **{field: None})
    assert ("PRV5324", WEB) == (found.code, found.address)
    assert word in found.detail
    assert f"connection.{field}" in found.hint


def test_machines_of_one_name_in_several_folders(stack: VsphereStack) -> None:
    outsider = Outsider(stack.vcsim)
    outsider.make("twin", folder="front")
    outsider.make("twin", folder="back")
    try:
        path = stack.root / "resources.yaml"
        path.write_text(path.read_text().replace("{name: web}", "{name: web, externalName: twin}"))
        [told] = stack.apply().problems
    finally:
        outsider.clear()
    assert "PRV5324" == told.code
    assert "Their paths: /DC0/vm/back/twin, /DC0/vm/front/twin." == told.detail
    assert "metadata.externalName" in told.hint


@pytest.mark.parametrize("act", [Act.FAULT, Act.FAIL], ids=["at once", "by the task"])
@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        ("NotEnoughLicenses", {}, "NotEnoughLicenses"),
        ("LicenseExpired", {"licenseKey": "00000-00000"}, "LicenseExpired"),
        ("RestrictedVersion", {}, "RestrictedVersion"),
        ("InvalidEditionLicense", {"feature": "DRS"}, "InvalidEditionLicense"),
        ("InvalidLicense", {"licenseContent": "00000"}, "InvalidLicense"),
        ("LicenseAssignmentFailed", {"reason": "keyEntityMismatch"}, "LicenseAssignmentFailed"),
    ],
)
def test_a_licence_that_does_not_allow_it(
    stack: VsphereStack, act: Act, kind: str, details: dict[str, Any], words: str
) -> None:
    with stack.vcsim.fault("CreateVM_Task", act, fault=kind, details=details):
        ended = stack.apply()
    [found] = ended.problems
    assert "PRV5321" == found.code
    assert words in found.detail
    assert [] == Outsider(stack.vcsim).machines()


def test_a_right_that_is_lacking_where_a_machine_shall_go(stack: VsphereStack) -> None:
    needed = {"privilegeId": "VirtualMachine.Inventory.Create"}
    stack.configure(folder="/DC0/vm/front")
    with stack.vcsim.fault("CreateVM_Task", Act.FAULT, fault="NoPermission", details=needed):
        [found] = stack.apply().problems
    assert "PRV5304" == found.code
    assert found.detail.startswith(
        "The user lacks VirtualMachine.Inventory.Create on Folder /DC0/vm/front ("
    )
    assert "role" in found.hint


def test_a_right_on_what_no_role_can_be_given_on(large: Vcsim) -> None:
    """It is told with the object of the inventory on which one can."""
    with Outsider(large).logged_in() as content:
        datacenter = next(item for item in content.rootFolder.childEntity if item.name == "DC0")
        [store] = [item for item in datacenter.datastore if item.name == "LocalDS_0"]
        root = f"the root folder of the inventory ({content.rootFolder._GetMoId()})"
        told = f"Datastore /DC0/datastore/LocalDS_0 ({store._GetMoId()})"
        assert root == bearer_of_rights(content, content.customFieldsManager)
        assert root == bearer_of_rights(content, content.rootFolder)
        assert [told, told] == [bearer_of_rights(content, each) for each in (store, store.browser)]
        assert bearer_of_rights(content, vim.Task("task-0", content.rootFolder._stub)) is None


def test_a_right_on_what_nobody_tells_the_name_of(
    stack: VsphereStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its id is all that can be said."""

    def broken(*_: Any) -> None:
        raise OSError("the connection is gone")

    monkeypatch.setattr("provisioner_plugins.vmware.wire.client.bearer_of_rights", broken)
    needed = {"privilegeId": "VirtualMachine.Inventory.Create"}
    with stack.vcsim.fault("CreateVM_Task", Act.FAULT, fault="NoPermission", details=needed):
        [found] = stack.apply().problems
    assert "PRV5304" == found.code
    assert re.fullmatch(
        r"The user lacks VirtualMachine\.Inventory\.Create on Folder group-\d+\.", found.detail
    )


def test_a_guest_that_vsphere_has_no_name_for(stack: VsphereStack) -> None:
    stack.declare({WEB: {**SPEC, "guestOs": "debian12_64Gest"}})
    found = refusal(stack)
    assert ("PRV2552", WEB) == (found.code, found.address)
    assert "VirtualMachineGuestOsIdentifier" in found.detail
    assert "debian12_64Guest" in found.hint
    assert found.source is not None


@pytest.mark.parametrize("field", ["memory", "quiesce"])
def test_what_a_snapshot_of_a_stopped_machine_cannot_have(stack: VsphereStack, field: str) -> None:
    before = {"machine": "web", field: True}
    stack.declare({WEB: {**SPEC, "power": "stopped"}, "Snapshot/before": before})
    found = refusal(stack)
    assert ("PRV5327", "Snapshot/before") == (found.code, found.address)
    assert found.path[-1] == field


def test_an_address_that_only_vsphere_gives(stack: VsphereStack) -> None:
    card = {"name": "lan", "network": "lan", "mac": "00:50:56:9a:00:01"}
    lan = {"mode": "bridge", "bridge": "vSwitch0"}
    stack.declare({"Network/lan": lan, WEB: {**SPEC, "nics": [card]}})
    found = refusal(stack)
    assert ("PRV2552", WEB, "mac") == (found.code, found.address, found.path[-1])


def test_a_guest_that_vsphere_has_no_name_for_in_a_change(stack: VsphereStack) -> None:
    stack.declare({WEB: {**SPEC, "power": "stopped"}})
    try:
        assert "done" == stack.apply().outcome
        stack.declare({WEB: {**SPEC, "power": "stopped", "guestOs": "debian12"}})
        ended = stack.apply()
        assert ("refused", ["PRV2552"]) == (ended.outcome, ended.codes)
    finally:
        Outsider(stack.vcsim).clear()


def test_what_the_hardware_of_a_machine_that_is_there_does_not_take(stack: VsphereStack) -> None:
    old = {**SPEC, "power": "stopped", "machineType": "vmx-13"}
    stack.declare({WEB: old})
    try:
        assert "done" == stack.apply().outcome
        del old["machineType"]
        stack.declare({WEB: {**old, "cpu": {"count": 200}}})
        ended = stack.apply()
        assert ("refused", ["PRV2552"]) == (ended.outcome, ended.codes)
        assert "with hardware version 13 takes 1 to 128" in ended.problems[0].detail
        stack.declare({WEB: {**old, "cpu": {"count": 128}}})
        assert ["update VirtualMachine/web"] == stack.steps()
    finally:
        Outsider(stack.vcsim).clear()


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"machineType": "vmx-22"}, "An endpoint with the API 8.0.3.0 takes vmx-7 to vmx-21"),
        ({"machineType": "vmx-6"}, "ESXi 7 and later make machines of vmx-7 and later"),
        ({"cpu": {"count": 900}}, "A machine with hardware version 21 takes 1 to 768"),
    ],
)
def test_hardware_that_the_endpoint_does_not_make(
    stack: VsphereStack, more: dict[str, Any], detail: str
) -> None:
    stack.declare({WEB: {**SPEC, **more}})
    found = refusal(stack)
    assert ("PRV2552", WEB) == (found.code, found.address)
    assert found.detail.startswith(detail)
