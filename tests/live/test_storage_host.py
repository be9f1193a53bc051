"""Pools, disks and networks on what most test machines lack: an NFS server, volume groups, an iSCSI
target and Open vSwitch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Absent, Terminal
from tests.lab import storagehost
from tests.lab.bootsector import BootImage
from tests.lab.storagehost import StorageHost

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner_plugins._libvirt.volume import PARTIAL  # noqa: E402

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("storage host"),
]

MIB = 1 << 20
EXTENT = 4 * MIB
NFS = {"host": storagehost.NFS_SERVER, "directory": storagehost.NFS_EXPORTS[0]}
NAS = {"type": "netfs", "path": "/mnt/nas", "source": NFS}
LVM = {"type": "logical", "source": {"volumeGroup": storagehost.VOLUME_GROUP}}
SAN = {
    "type": "iscsi",
    "source": {"host": storagehost.ISCSI_SERVER, "target": storagehost.ISCSI_TARGET},
}


@pytest.fixture
def bench(storage_host: StorageHost) -> Iterator[Any]:
    stack = machinebench.MachineBench(storage_host.uri, Path("/tmp"), insecure=True)
    try:
        yield stack
        for kind in ("VirtualMachine", "Disk", "Image", "Network", "StoragePool"):
            for address in [known for known in stack.recorded if known.kind == kind]:
                stack.delete(kind, address.name)
    finally:
        stack.close()


def sizes(bench: Any, pool: str) -> dict[str, tuple[int, int]]:
    """Capacity and allocation of a pool's volumes, by the names of their resources."""
    return {
        volume.name().partition(".")[0]: tuple(volume.info()[1:]) for volume in bench.volumes(pool)
    }


# --- network file systems ---


def test_an_export_is_mounted_and_holds_disks(bench: Any) -> None:
    assert {"path": "/mnt/nas"} == bench.apply("StoragePool", "nas", NAS).outputs
    assert bench.present("StoragePool", "nas").spec["source"] == {**NFS, "format": "auto"}
    bench.apply("Disk", "data", {"pool": "nas", "size": "4MiB"})
    bench.apply("Disk", "data", {"pool": "nas", "size": "8MiB"})
    assert 8 * MIB == sizes(bench, "nas")["data"][0]
    bench.delete("Disk", "data")
    assert {} == sizes(bench, "nas")


def test_what_is_on_an_export_outlives_its_pool(bench: Any) -> None:
    bench.apply("StoragePool", "nas", NAS)
    bench.apply("Disk", "data", {"pool": "nas", "size": "4MiB"})
    kept = bench.recorded[Address("Disk", "data")]
    bench.delete("StoragePool", "nas")
    # It is no longer mounted: the folder is empty.
    bench.apply("StoragePool", "folder", {"type": "dir", "path": "/mnt/nas"})
    assert {} == sizes(bench, "folder")
    bench.delete("StoragePool", "folder")
    bench.apply("StoragePool", "nas", NAS)
    assert kept.external_id == bench.present("Disk", "data").external_id


def test_another_export_is_another_pool(bench: Any) -> None:
    bench.apply("StoragePool", "nas", NAS)
    source = {**NFS, "directory": storagehost.NFS_EXPORTS[1]}
    assert {"source.directory": "replace"} == (
        bench.plan("StoragePool", "nas", {**NAS, "source": source}).impacts
    )


def test_an_export_that_is_not_there_leaves_nothing(bench: Any) -> None:
    with pytest.raises(Terminal) as caught:
        bench.apply("StoragePool", "nas", {**NAS, "source": {**NFS, "directory": "/none"}})
    assert "127.0.0.1:/none" in caught.value.diagnostic.detail
    assert ["images"] == [found.name for found in bench.discover("StoragePool")]


# --- volume groups ---


def test_a_logical_volume_has_all_its_space(bench: Any) -> None:
    assert {"path": "/dev/vg0"} == bench.apply("StoragePool", "lvm", LVM).outputs
    bench.apply("Disk", "data", {"pool": "lvm", "size": "8MiB", "format": "raw"})
    assert {"data": (8 * MIB, 8 * MIB)} == sizes(bench, "lvm")
    bench.delete("Disk", "data")
    assert {} == sizes(bench, "lvm")


def test_a_size_that_lvm_rounds_up_is_no_difference(bench: Any) -> None:
    bench.apply("StoragePool", "lvm", LVM)
    bench.apply("Disk", "data", {"pool": "lvm", "size": "5MiB", "format": "raw"})
    assert {"data": (2 * EXTENT, 2 * EXTENT)} == sizes(bench, "lvm")
    smaller = {"pool": "lvm", "size": "4MiB", "format": "raw"}
    assert {"size": "data-loss"} == bench.plan("Disk", "data", smaller).impacts


def test_libvirt_cannot_enlarge_a_logical_volume(bench: Any) -> None:
    bench.apply("StoragePool", "lvm", LVM)
    bench.apply("Disk", "data", {"pool": "lvm", "size": "4MiB", "format": "raw"})
    larger = {"pool": "lvm", "size": "12MiB", "format": "raw"}
    assert {"size": "data-loss"} == bench.plan("Disk", "data", larger).impacts


def test_a_logical_volume_starts_from_an_image(bench: Any, boot_image: BootImage) -> None:
    bench.apply("StoragePool", "lvm", LVM)
    source = {"file": str(boot_image.qcow2)}
    bench.apply("Image", "boot", {"pool": "images", "source": source, "format": "qcow2"})
    clone = {"pool": "lvm", "image": "boot", "clone": "full", "format": "raw"}
    bench.apply("Disk", "root", clone)
    content = download(bench, "lvm", bench.present("Disk", "root").external_id, 512)
    assert boot_image.raw.read_bytes()[:512] == content


def test_a_copy_that_was_interrupted_is_made_again(bench: Any) -> None:
    bench.apply("StoragePool", "lvm", LVM)
    spec = {"pool": "lvm", "size": "4MiB", "format": "raw"}
    bench.apply("Disk", "data", spec)
    name = bench.present("Disk", "data").external_id.partition("/")[2]
    marker = f"<volume><name>{name}{PARTIAL}</name><capacity>512</capacity></volume>"
    bench.connection.call(
        "mark", lambda h: h.storagePoolLookupByName("lvm").createXML(marker, 0).name()
    )
    assert Absent() == bench.plan("Disk", "data", spec).observed
    bench.apply("Disk", "data", spec)
    assert [name] == [volume.name() for volume in bench.volumes("lvm")]


def test_a_volume_group_is_made_of_a_free_device_and_stays(bench: Any) -> None:
    source = {"volumeGroup": "vg9", "devices": [storagehost.FREE_DEVICE]}
    pool = {"type": "logical", "source": source}
    bench.apply("StoragePool", "fast", pool)
    bench.apply("Disk", "data", {"pool": "fast", "size": "4MiB", "format": "raw"})
    kept = bench.recorded[Address("Disk", "data")]
    bench.delete("StoragePool", "fast")
    bench.apply("StoragePool", "fast", pool)
    assert kept.external_id == bench.present("Disk", "data").external_id


def test_a_device_that_holds_data_is_refused(bench: Any) -> None:
    source = {"volumeGroup": "vg8", "devices": [storagehost.DEVICE_IN_USE]}
    with pytest.raises(Terminal):
        bench.apply("StoragePool", "fast", {"type": "logical", "source": source})
    bench.apply("StoragePool", "lvm", LVM)


# --- iSCSI ---


def test_the_units_of_a_target_are_volumes(bench: Any) -> None:
    bench.apply("StoragePool", "san", SAN)
    assert {"unit:0:0:1", "unit:0:0:2"} == {volume.name() for volume in bench.volumes("san")}
    assert {storagehost.ISCSI_UNIT_BYTES} == {volume.info()[1] for volume in bench.volumes("san")}


def test_a_disk_starts_from_a_unit(bench: Any) -> None:
    bench.apply("StoragePool", "san", SAN)
    unit = {"pool": "san", "source": {"volume": "unit:0:0:1"}, "format": "raw"}
    bench.apply("Image", "golden", unit)
    disk = {"pool": "images", "image": "golden", "clone": "full", "format": "qcow2"}
    bench.apply("Disk", "root", disk)
    assert storagehost.ISCSI_UNIT_BYTES == sizes(bench, "images")["root"][0]


def test_a_target_that_is_not_there_leaves_nothing(bench: Any) -> None:
    source = {"host": storagehost.ISCSI_SERVER, "target": "iqn.2024-01.example:none"}
    with pytest.raises(Terminal):
        bench.apply("StoragePool", "san", {"type": "iscsi", "source": source})
    assert ["images"] == [found.name for found in bench.discover("StoragePool")]


# --- Open vSwitch ---


def test_a_machine_is_plugged_into_a_vlan_of_open_vswitch(
    bench: Any, boot_image: BootImage
) -> None:
    spec = {
        "mode": "bridge",
        "bridge": storagehost.OPENVSWITCH_BRIDGE,
        "virtualSwitch": "openvswitch",
    }
    bench.apply("Network", "office", {**spec, "vlan": 42})
    bench.boot_disk(boot_image)
    machine = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root"}],
        "nics": [{"name": "lan", "network": "office"}],
        "shutdownTimeout": "0s",
    }
    bench.apply("VirtualMachine", "web", machine)
    live = bench.live("web")
    assert "42" == live.find("devices/interface/vlan/tag").get("id")
    assert "openvswitch" == live.find("devices/interface/virtualport").get("type")


def download(bench: Any, pool: str, volume: str, length: int) -> bytes:
    """The beginning of a volume."""

    def read(handle: Any) -> bytes:
        stream = handle.newStream(0)
        name = volume.partition("/")[2]
        handle.storagePoolLookupByName(pool).storageVolLookupByName(name).download(
            stream, 0, length, 0
        )
        content = b""
        while part := stream.recv(length):
            content += part
        stream.finish()
        return content

    found: bytes = bench.connection.call("read", read)
    return found
