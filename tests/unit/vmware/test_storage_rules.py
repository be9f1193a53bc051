"""Canonical forms, refusals and impacts of pools, disks and images of vSphere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.handler import KindRules
from provisioner_plugins.vmware.storage.disk import DiskRules
from provisioner_plugins.vmware.storage.image import ImageRules
from provisioner_plugins.vmware.storage.pool import PoolRules

ITEM = {"libraryItem": {"library": "images", "item": "web"}}
NFS: dict[str, Any] = {"type": "netfs", "source": {"host": "nas", "directory": "/a"}}
RULES: dict[str, KindRules] = {
    "StoragePool": PoolRules(),
    "Disk": DiskRules(),
    "Image": ImageRules(),
}


def resource(kind: str, spec: dict[str, Any], *related: Resource) -> Resource:
    address = Address(kind, "it")
    return Resource(
        address,
        "it",
        UUID(int=1),
        Stamp("lineage", str(address), 0),
        spec,
        related={item.address: item for item in related},
    )


def refused(kind: str, spec: dict[str, Any], flavour: Flavour = VCENTER, *related: Resource) -> Any:
    with pytest.raises(ProvisionerError) as caught:
        RULES[kind].normalise(resource(kind, spec, *related), flavour)
    return [item.path for item in caught.value.diagnostics]


def canonical(kind: str, spec: dict[str, Any], flavour: Flavour = VCENTER) -> Any:
    return RULES[kind].normalise(resource(kind, spec), flavour)


def impact(kind: str, before: dict[str, Any], change: Change) -> Impact:
    observed = Present("id", None, before, "")
    [found] = RULES[kind].impact(resource(kind, before), observed, [change])
    return found.impact


@pytest.mark.parametrize("preallocation", ["lazy", "full"])
def test_only_an_esxi_host_takes_a_wish_for_the_copy_of_an_image(preallocation: str) -> None:
    copy = {"pool": "a", "image": "b", "preallocation": preallocation}
    assert [("preallocation",)] == refused("Disk", copy)
    assert copy == canonical("Disk", copy, ESXI)
    empty = {"pool": "a", "size": 1024, "preallocation": preallocation}
    assert empty == canonical("Disk", empty)


def test_a_share_has_no_path_of_its_own() -> None:
    assert canonical("StoragePool", {**NFS, "path": "/mnt"}) == NFS


def test_the_protocol_of_a_share_is_the_only_one_there_is() -> None:
    source = {**NFS["source"], "format": "auto"}
    wanted = {**NFS, "source": {**source, "format": "nfs"}}
    assert wanted == canonical("StoragePool", {**NFS, "source": source})


def test_only_a_vcenter_has_room_for_labels_of_pools() -> None:
    labelled = {**NFS, "labels": {"a": "b"}}
    assert labelled == canonical("StoragePool", labelled)
    assert canonical("StoragePool", labelled, ESXI) == NFS


@pytest.mark.parametrize(
    ("spec", "flavour", "path"),
    [
        ({"type": "logical", "source": {"volumeGroup": "vg"}}, VCENTER, ("type",)),
        ({"type": "iscsi", "source": {"host": "a", "target": "b"}}, VCENTER, ("type",)),
        ({"type": "cluster", "members": {}}, ESXI, ("type",)),
        ({**NFS, "active": False}, VCENTER, ("active",)),
        ({**NFS, "autostart": False}, VCENTER, ("autostart",)),
        (
            {**NFS, "source": {**NFS["source"], "format": "cifs"}},
            VCENTER,
            ("source", "format"),
        ),
        ({"type": "vmfs", "source": {"devices": ["naa.1"]}, "hosts": {}}, VCENTER, ("hosts",)),
    ],
)
def test_pools_that_vsphere_has_not(
    spec: dict[str, Any], flavour: Flavour, path: tuple[str, ...]
) -> None:
    assert [path] == refused("StoragePool", spec, flavour)


def test_what_is_in_a_pool_decides_whether_it_can_change_in_place() -> None:
    members = Change(("members", "a"), None, {})
    place = Change(("source", "directory"), "/a", "/b")
    assert Impact.LIVE is impact("StoragePool", NFS, members)
    assert Impact.REPLACE is impact("StoragePool", NFS, place)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"size": 4096, "format": "qcow2"}, ("format",)),
        ({"size": 4096, "clone": "linked", "image": "i"}, ("clone",)),
        ({"size": 4097}, ("size",)),
        ({"size": 63 * 2**40}, ("size",)),
        ({"size": 4096, "native": {"vcenter": {"extraConfig": {}}}}, ("native", "vcenter")),
    ],
)
def test_disks_that_vsphere_has_not(spec: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [path] == refused("Disk", {"pool": "p", **spec})


@pytest.mark.parametrize("form", ["iso", "template"])
def test_a_disk_starts_from_a_disk(form: str) -> None:
    image = Resource(
        Address("Image", "i"), "i", UUID(int=2), Stamp("lineage", "Image/i", 0), {"format": form}
    )
    assert [("image",)] == refused("Disk", {"pool": "p", "image": "i"}, VCENTER, image)


def test_settings_of_other_providers_and_labels_are_left_out() -> None:
    spec = {"pool": "p", "size": 4096, "native": {"kvm": {"volume": []}}, "labels": {"a": "b"}}
    assert canonical("Disk", spec) == {"pool": "p", "size": 4096}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (Change(("size",), 4096, 8192), Impact.LIVE),
        (Change(("size",), 4096, None), Impact.NONE),
        (Change(("size",), 4096, 2048), Impact.DATA_LOSS),
        (Change(("pool",), "a", "b"), Impact.DATA_LOSS),
        (Change(("image",), "a", "b"), Impact.DATA_LOSS),
        (Change(("clone",), None, "full"), Impact.NONE),
        (Change(("preallocation",), None, "full"), Impact.NONE),
    ],
)
def test_a_disk_grows_and_never_shrinks(change: Change, wanted: Impact) -> None:
    assert wanted is impact("Disk", {"size": 4096}, change)


def test_why_a_disk_does_not_shrink_is_said_with_the_source() -> None:
    observed = Present("id", None, {"size": 4096}, "")
    smaller = Change(("size",), 4096, 2048)
    [found] = RULES["Disk"].impact(resource("Disk", {"size": 2048}), observed, [smaller])
    assert "it cannot shrink (vSphere Web Services API, ExtendVirtualDisk_Task)" in found.reason


@pytest.mark.parametrize(
    ("spec", "flavour", "path"),
    [
        ({"source": {"file": "a"}, "format": "qcow2"}, VCENTER, ("format",)),
        ({"source": {"template": "a"}, "format": "template"}, ESXI, ("format",)),
        ({"source": {"file": "a"}, "format": "ova"}, ESXI, ("format",)),
        ({"source": {"volume": "a"}, "format": "ova"}, VCENTER, ("source", "volume")),
        (
            {"source": {"template": "a"}, "format": "template", "checksum": "sha256:0"},
            VCENTER,
            ("checksum",),
        ),
        ({"source": ITEM, "format": "template"}, ESXI, ("source", "libraryItem")),
        ({"source": ITEM, "format": "iso"}, ESXI, ("source", "libraryItem")),
        ({"source": ITEM, "format": "ova"}, VCENTER, ("format",)),
        ({"source": ITEM, "format": "iso", "checksum": "sha256:0"}, VCENTER, ("checksum",)),
        (
            {"source": {"volume": "a"}, "format": "vmdk", "checksum": "sha256:0"},
            VCENTER,
            ("checksum",),
        ),
    ],
)
def test_images_that_vsphere_has_not(
    spec: dict[str, Any], flavour: Flavour, path: tuple[str, ...]
) -> None:
    assert [path] == refused("Image", {"pool": "p", **spec}, flavour)
