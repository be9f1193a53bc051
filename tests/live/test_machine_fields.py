"""Every field of a machine goes there and back again on a running guest: made, changed, removed.

The bench plans after each step and accepts nothing that is left to do, so each case also proves
that what was written is read back as it was meant.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.lab import requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

VM = "VirtualMachine"
BASE: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}
UEFI = {"memory": {"size": "64MiB"}, "cpu": {"model": "qemu64"}}
ROOT = {"disk": "root"}
LAN = {"name": "lan", "network": "lan"}


def native(*fragments: str) -> dict[str, Any]:
    return {"native": {"kvm": {"domain": list(fragments)}}}


class Case(NamedTuple):
    """Two states of a machine; ``impacts`` are those of going from the first to the second."""

    first: dict[str, Any]
    second: dict[str, Any]
    impacts: dict[str, str]


CASES = {
    "description": Case({}, {"description": "Shop"}, {"description": "none"}),
    "description-changed": Case(
        {"description": "One\nTwo"}, {"description": "<&>"}, {"description": "none"}
    ),
    "cpu.count": Case(
        {"cpu": {"count": 1, "max": 4}}, {"cpu": {"count": 3, "max": 4}}, {"cpu.count": "live"}
    ),
    "cpu.count-beyond": Case(
        {"cpu": {"count": 1}}, {"cpu": {"count": 2}}, {"cpu.count": "restart"}
    ),
    "cpu.max": Case(
        {"cpu": {"count": 1, "max": 2}}, {"cpu": {"count": 1, "max": 4}}, {"cpu.max": "restart"}
    ),
    "cpu.topology": Case(
        {"cpu": {"count": 4}},
        {"cpu": {"count": 4, "topology": {"sockets": 1, "cores": 2, "threads": 2}}},
        {
            "cpu.topology.sockets": "restart",
            "cpu.topology.cores": "restart",
            "cpu.topology.threads": "restart",
        },
    ),
    "cpu.model": Case(
        {"cpu": {"model": "qemu64"}}, {"cpu": {"model": "Nehalem"}}, {"cpu.model": "restart"}
    ),
    "cpu.model-of-host": Case(
        {"cpu": {"model": "host-model"}},
        {"cpu": {"model": "host-passthrough"}},
        {"cpu.model": "restart"},
    ),
    "cpu.nested": Case(
        {"cpu": {"model": "qemu64", "nested": False}},
        {"cpu": {"model": "qemu64", "nested": True}},
        {"cpu.nested": "restart"},
    ),
    "cpu.nested-alone": Case({}, {"cpu": {"nested": True}}, {"cpu.nested": "restart"}),
    "memory.size": Case(
        {"memory": {"size": "16MiB", "max": "32MiB"}},
        {"memory": {"size": "24MiB", "max": "32MiB"}},
        {"memory.size": "live"},
    ),
    "memory.size-beyond": Case({}, {"memory": {"size": "24MiB"}}, {"memory.size": "restart"}),
    "memory.max": Case(
        {"memory": {"size": "16MiB", "max": "24MiB"}},
        {"memory": {"size": "16MiB", "max": "32MiB"}},
        {"memory.max": "restart"},
    ),
    "firmware.type": Case(
        UEFI, {**UEFI, "firmware": {"type": "uefi"}}, {"firmware.type": "restart"}
    ),
    "firmware.secure": Case(
        {**UEFI, "firmware": {"type": "uefi"}},
        {**UEFI, "firmware": {"type": "uefi-secure"}},
        {"firmware.type": "restart"},
    ),
    "firmware.tpm": Case({}, {"firmware": {"tpm": True}}, {"firmware.tpm": "restart"}),
    "machineType": Case({}, {"machineType": "pc"}, {"machineType": "restart"}),
    "machineType-removed": Case({"machineType": "pc"}, {}, {"machineType": "none"}),
    "machineType-version": Case(
        {"machineType": "q35"}, {"machineType": "pc-q35-6.2"}, {"machineType": "restart"}
    ),
    "disks": Case({}, {"disks": [ROOT, {"disk": "data"}]}, {"disks.data": "live"}),
    "disks-scsi": Case(
        {}, {"disks": [ROOT, {"disk": "data", "bus": "scsi"}]}, {"disks.data": "live"}
    ),
    "disks-sata": Case(
        {}, {"disks": [ROOT, {"disk": "data", "bus": "sata"}]}, {"disks.data": "restart"}
    ),
    "disks.bus": Case(
        {"disks": [ROOT, {"disk": "data"}]},
        {"disks": [ROOT, {"disk": "data", "bus": "scsi"}]},
        {"disks.data.bus": "restart"},
    ),
    "disks.cache": Case(
        {}, {"disks": [{"disk": "root", "cache": "writethrough"}]}, {"disks.root.cache": "restart"}
    ),
    "disks.serial": Case(
        {}, {"disks": [{"disk": "root", "serial": "ROOT-1"}]}, {"disks.root.serial": "restart"}
    ),
    "disks.readOnly": Case(
        {"disks": [ROOT, {"disk": "data"}]},
        {"disks": [ROOT, {"disk": "data", "readOnly": True}]},
        {"disks.data.readOnly": "restart"},
    ),
    "disks.bootOrder": Case(
        {"disks": [{"disk": "root", "bootOrder": 2}, {"disk": "data", "bootOrder": 1}]},
        {"disks": [{"disk": "root", "bootOrder": 1}, {"disk": "data", "bootOrder": 2}]},
        {"disks.data.bootOrder": "restart", "disks.root.bootOrder": "restart"},
    ),
    "disks.ide": Case(
        {"machineType": "pc"},
        {"machineType": "pc", "disks": [ROOT, {"disk": "data", "bus": "ide"}]},
        {"disks.data": "restart"},
    ),
    "nics": Case({}, {"nics": [LAN]}, {"nics.lan": "live"}),
    "nics.mac": Case(
        {"nics": [{**LAN, "mac": "52:54:00:00:00:01"}]},
        {"nics": [{**LAN, "mac": "52:54:00:00:00:02"}]},
        {"nics.lan.mac": "restart"},
    ),
    "nics.model": Case(
        {"nics": [LAN]}, {"nics": [{**LAN, "model": "e1000"}]}, {"nics.lan.model": "restart"}
    ),
    "nics.link": Case(
        {"nics": [LAN]}, {"nics": [{**LAN, "link": "down"}]}, {"nics.lan.link": "live"}
    ),
    "nics.bootOrder": Case(
        {"nics": [LAN], "disks": [{"disk": "root", "bootOrder": 1}]},
        {"nics": [{**LAN, "bootOrder": 2}], "disks": [{"disk": "root", "bootOrder": 1}]},
        {"nics.lan.bootOrder": "restart"},
    ),
    "cdroms": Case({}, {"cdroms": [{"name": "setup"}]}, {"cdroms.setup": "restart"}),
    "cdroms.image": Case(
        {"cdroms": [{"name": "setup"}]},
        {"cdroms": [{"name": "setup", "image": "boot"}]},
        {"cdroms.setup.image": "live"},
    ),
    "cdroms.bus": Case(
        {"cdroms": [{"name": "setup", "bus": "sata"}]},
        {"cdroms": [{"name": "setup", "bus": "scsi"}]},
        {"cdroms.setup.bus": "restart"},
    ),
    "cdroms.ide": Case(
        {"machineType": "pc", "cdroms": [{"name": "setup"}]},
        {"machineType": "pc", "cdroms": [{"name": "setup", "image": "boot"}]},
        {"cdroms.setup.image": "live"},
    ),
    "cloudInit": Case({}, {"cloudInit": {"userData": "#cloud-config\n"}}, {"cloudInit": "restart"}),
    "cloudInit.userData": Case(
        {"cloudInit": {"userData": "#cloud-config\n"}},
        {"cloudInit": {"userData": "#cloud-config\nhostname: a\n"}},
        {"cloudInit.userData": "live"},
    ),
    "console.serial": Case({}, {"console": {"serial": False}}, {"console.serial": "restart"}),
    "console.graphics": Case(
        {"console": {"graphics": "none"}},
        {"console": {"graphics": "vnc", "listen": "127.0.0.2"}},
        {"console.graphics": "restart", "console.listen": "restart"},
    ),
    "console.spice": Case(
        {"console": {"graphics": "vnc"}},
        {"console": {"graphics": "spice"}},
        {"console.graphics": "restart"},
    ),
    "guestAgent": Case({}, {"guestAgent": True}, {"guestAgent": "restart"}),
    "power": Case({}, {"power": "stopped"}, {"power": "restart"}),
    "power-suspended": Case({"power": "stopped"}, {"power": "suspended"}, {"power": "live"}),
    "autostart": Case({}, {"autostart": True}, {"autostart": "live"}),
    "shutdownTimeout": Case({}, {"shutdownTimeout": "100ms"}, {"shutdownTimeout": "none"}),
    "native": Case(
        {},
        {
            "native": {
                "kvm": {"domain": ["<features><hyperv><relaxed state='on'/></hyperv></features>"]}
            }
        },
        {"native": "restart"},
    ),
    "native-changed": Case(
        native("<clock offset='localtime'/>"),
        native(
            "<devices><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
            "</devices>"
        ),
        {"native.kvm.domain": "restart"},
    ),
    "native-in-other-words": Case(
        native(
            "<devices><rng model='virtio'><backend model='random'>/dev/urandom</backend>"
            "<address type='pci' slot='7'/></rng></devices>",
        ),
        native(
            "<devices><rng model='virtio'><backend model='random'>/dev/urandom</backend>"
            "<address type='pci' slot='8'/></rng></devices>",
        ),
        {"native.kvm.domain": "restart"},
    ),
}


@pytest.fixture(scope="module")
def stack(boot_image: BootImage) -> Iterator[Any]:
    """A stack on a daemon of this module's own: the shared one is emptied after each test."""
    reason = requirements.daemon_unavailable(Flavour.SESSION)
    if reason is not None:
        pytest.skip(reason)
    with LibvirtDaemon(Flavour.SESSION) as daemon:
        bench = machinebench.MachineBench(daemon.uri, daemon.directory)
        bench.boot_disk(boot_image)
        bench.disk("data")
        bench.network("lan")
        yield bench
        bench.close()


@pytest.fixture
def bench(stack: Any) -> Iterator[Any]:
    yield stack
    for address in list(stack.recorded):
        if address.kind == VM:
            stack.delete(VM, address.name)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_field_is_made_changed_and_taken_back(bench: Any, case: Case) -> None:
    first, second = {**BASE, **case.first}, {**BASE, **case.second}
    bench.apply(VM, "web", first)
    assert case.impacts == bench.plan(VM, "web", second).impacts
    bench.apply(VM, "web", second, restart=True)
    bench.apply(VM, "web", first, restart=True)
