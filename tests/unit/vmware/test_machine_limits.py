"""What a real vSphere refuses of a machine is refused with the limit and where it is written."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins.vmware import vcenter
from provisioner_plugins.vmware.machine.limits import (
    HARDWARE,
    HARDWARE_SOURCE,
    hardware_version,
    newest_hardware,
    unsupported,
)

GIB = 2**30
OK: dict[str, Any] = {"memory": {"size": GIB}}


def found(spec: dict[str, Any], kind: str = "VirtualMachine", name: str = "it") -> list[Diagnostic]:
    """What is said of a resource."""
    address = Address(kind, "it")
    wanted = Resource(address, name, UUID(int=1), Stamp("lineage", str(address), 0), spec)
    try:
        vcenter().normalise(wanted)
    except ProvisionerError as problem:
        return list(problem.diagnostics)
    return []


def said(spec: dict[str, Any]) -> tuple[str, str]:
    """The one thing said of a machine, and the detail."""
    [diagnostic] = found({**OK, **spec})
    assert "PRV2552" == diagnostic.code
    return diagnostic.summary, diagnostic.detail


def devices(count: int, **fields: Any) -> dict[str, Any]:
    """So many devices alike."""
    return {f"it-{number}": dict(fields) for number in range(count)}


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda item: f"vmx-{item.since}")
def test_processors_and_memory_by_hardware_version(hardware: Any) -> None:
    machine_type = f"vmx-{hardware.since}"
    most = {
        "machineType": machine_type,
        "cpu": {"count": hardware.processors},
        "memory": {"size": hardware.memory},
    }
    assert [] == found(most)
    version = f"with hardware version {hardware.since} takes"
    for section in (
        {"cpu": {"count": hardware.processors + 1}},
        {"cpu": {"count": 1, "max": hardware.processors + 1}},
        {"memory": {"size": hardware.memory + GIB}},
    ):
        _, detail = said({"machineType": machine_type, **section})
        assert version in detail
        assert HARDWARE_SOURCE in detail


def test_without_a_hardware_version_the_newest_counts() -> None:
    assert [] == found({**OK, "cpu": {"count": 512}})
    summary, detail = said({"cpu": {"count": 961}})
    assert "cpu.count is 961, which vSphere does not take" == summary
    assert detail.startswith("A machine takes 1 to 960 virtual processors (")


def test_512_processors_of_an_older_machine() -> None:
    _, detail = said({"machineType": "vmx-17", "cpu": {"count": 512}})
    assert detail.startswith("A machine with hardware version 17 takes 1 to 256 virtual processors")


def test_memory_comes_in_steps() -> None:
    assert (
        "memory.size is 1026MiB, which vSphere does not take",
        "It takes steps of 4MiB (vSphere Web Services API, VirtualMachineConfigSpec.memoryMB).",
    ) == said({"memory": {"size": GIB + 2 * 2**20}})


@pytest.mark.parametrize("size", [0, -64 * 2**20])
def test_memory_that_is_none(size: int) -> None:
    _, detail = said({"memory": {"size": size}})
    assert detail.startswith("A machine takes 4MiB to 24560GiB")


def test_cores_of_a_socket() -> None:
    topology = {"sockets": 1, "cores": 128, "threads": 1}
    assert [] == found({**OK, "machineType": "vmx-20", "cpu": {"count": 128, "topology": topology}})
    _, detail = said({"machineType": "vmx-19", "cpu": {"count": 128, "topology": topology}})
    assert detail.startswith("A machine with hardware version 19 takes 1 to 64 cores in a socket")


def test_processors_are_whole_sockets() -> None:
    topology = {"sockets": 2, "cores": 4, "threads": 1}
    [diagnostic] = found({**OK, "cpu": {"count": 6, "max": 8, "topology": topology}})
    assert (("cpu", "topology", "cores"), "PRV2551") == (diagnostic.path, diagnostic.code)


def test_network_cards() -> None:
    assert [] == found({**OK, "nics": devices(10, network="lan")})
    summary, _ = said({"nics": devices(11, network="lan")})
    assert "nics is 11 cards, which vSphere does not take" == summary


@pytest.mark.parametrize(
    ("bus", "machine_type", "most"),
    [
        ("pvscsi", None, 256),
        ("virtio", None, 256),
        ("pvscsi", "vmx-13", 60),
        ("scsi", None, 60),
        ("sata", None, 120),
        ("ide", None, 4),
        ("nvme", "vmx-20", 60),
        ("nvme", "vmx-21", 256),
    ],
)
def test_disks_of_a_bus(bus: str, machine_type: str | None, most: int) -> None:
    machine = {**OK} if machine_type is None else {**OK, "machineType": machine_type}
    assert [] == found({**machine, "disks": devices(most, bus=bus)})
    [diagnostic] = found({**machine, "disks": devices(most + 1, bus=bus)})
    assert "PRV2552" == diagnostic.code
    assert "controllers of the bus" in diagnostic.detail


def test_drives_count_as_disks_do() -> None:
    disks = {"disks": devices(119, bus="sata")}
    assert [] == found({**OK, **disks, "cdroms": devices(1)})
    assert "devices on sata" in said({**disks, "cdroms": devices(2)})[0]


def test_buses_of_scsi_share_four_controllers() -> None:
    both = {**devices(64, bus="pvscsi"), "old": {"bus": "scsi"}}
    assert [] == found({**OK, "disks": both})
    full = {**both, **{f"more-{number}": {"bus": "scsi"} for number in range(45)}}
    _, detail = said({"disks": full})
    assert "at most 4 controllers of the buses pvscsi, scsi" in detail


@pytest.mark.parametrize(
    ("machine_type", "spec", "since"),
    [
        ("vmx-11", {"disks": devices(1, bus="nvme")}, 13),
        ("vmx-9", {"disks": devices(1, bus="sata")}, 10),
        ("vmx-9", {"cdroms": devices(1)}, 10),
        ("vmx-7", {"nics": {"lan": {"network": "lan", "model": "e1000e"}}}, 8),
        ("vmx-7", {"firmware": {"type": "uefi"}}, 8),
        ("vmx-11", {"firmware": {"type": "uefi-secure"}}, 13),
        ("vmx-13", {"firmware": {"type": "uefi", "tpm": True}}, 14),
    ],
)
def test_what_came_later_than_the_hardware_version(
    machine_type: str, spec: dict[str, Any], since: int
) -> None:
    _, detail = said({"machineType": machine_type, **spec})
    assert detail.startswith(f"It came with hardware version {since}, ")
    assert [] == found({**OK, "machineType": f"vmx-{since}", **spec})


@pytest.mark.parametrize("name", ["q35", "vmx", "vmx-new", "pc-19"])
def test_what_is_no_hardware_version(name: str) -> None:
    assert said({"machineType": name})[0].startswith(f"machineType is {name}, which")


@pytest.mark.parametrize(
    ("api", "newest"),
    [
        ("7.0", 17),
        ("7.0.1.0", 18),
        ("7.0.3.0", 19),
        ("8.0.1.0", 20),
        ("8.0.2.0", 21),
        ("8.0.3.0", 21),
        ("9.0.0.0", 22),
        ("9.1.0.0", None),
    ],
)
def test_the_newest_hardware_version_of_an_endpoint(api: str, newest: int | None) -> None:
    assert newest == newest_hardware(api)


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("vmx-6", "ESXi 7 and later make machines of vmx-7 and later"),
        ("vmx-7", None),
        ("vmx-21", None),
        ("vmx-22", "An endpoint with the API 8.0.3.0 takes vmx-7 to vmx-21"),
    ],
)
def test_hardware_versions_that_an_endpoint_does_not_make(name: str, detail: str | None) -> None:
    said = [item.detail for item in unsupported({"machineType": name}, "8.0.3.0")]
    source = "VMware KB 1003746, Virtual machine hardware versions"
    assert ([] if detail is None else [f"{detail} ({source})."]) == said


def test_the_number_of_a_hardware_version() -> None:
    assert [19, 7, 0, 0] == [hardware_version(name) for name in ("vmx-19", "vmx-07", "pc-19", None)]


@pytest.mark.parametrize(
    ("kind", "spec", "most"),
    [
        ("VirtualMachine", OK, 80),
        ("Network", {"mode": "isolated"}, 80),
        ("Folder", {}, 80),
        ("StoragePool", {"type": "netfs", "source": {"host": "nas", "directory": "/a"}}, 42),
    ],
)
def test_names(kind: str, spec: dict[str, Any], most: int) -> None:
    assert [] == found(spec, kind, "n" * most)
    assert [] == found(spec, kind, "/DC0/" + "n" * most)
    [diagnostic] = found(spec, kind, "n" * (most + 1))
    assert ("PRV2552", f"{kind}/it") == (diagnostic.code, diagnostic.address)
    assert f"A name has at most {most} characters, and this one {most + 1} (" in diagnostic.detail


def test_files_have_longer_names() -> None:
    assert [] == found({"pool": "disks", "size": GIB}, "Disk", "n" * 200)


# Keys of the extra configuration


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("numvcpus", "cpu.count"),
        ("memSize", "memory.size"),
        ("ethernet0.present", "nics"),
        ("ethernet12.virtualDev", "nics"),
        ("scsi0.virtualDev", "the bus of disks and cdroms"),
        ("sata0:1.fileName", "disks and cdroms"),
        ("uefi.secureBoot.enabled", "firmware.type"),
        ("guestOS", "guestOs"),
    ],
)
def test_keys_that_a_common_field_writes(key: str, field: str) -> None:
    [diagnostic] = found({**OK, "native": {"vcenter": {"extraConfig": {key: "1"}}}})
    path = ("native", "vcenter", "extraConfig", key)
    assert ("PRV2551", path) == (diagnostic.code, diagnostic.path)
    assert f"It is what {field} says." == diagnostic.detail


@pytest.mark.parametrize(
    "key",
    ["disk.EnableUUID", "svga.present", "ethernet0.ctxPerDev", "scsi0:0.ctkEnabled", "numvcpusX"],
)
def test_other_keys_are_taken(key: str) -> None:
    assert [] == found({**OK, "native": {"vcenter": {"extraConfig": {key: "1"}}}})
