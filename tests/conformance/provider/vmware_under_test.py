"""The vSphere providers under test, on govmomi's simulator: a vCenter and an ESXi host.

Needs pyvmomi and the simulator; providers.py names it only where both are there.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner_plugins.vmware import esxi, vcenter
from tests.conformance.provider.cases import surroundings
from tests.conformance.provider.harness import SECRETS
from tests.conformance.provider.interference import Lossy
from tests.conformance.provider.vmware_copies import data_of, deliver, write_in
from tests.conformance.provider.vmware_networks import BRIDGES, give_switches
from tests.conformance.provider.vmware_outside import VsphereOutside, connected
from tests.conformance.provider.vmware_storage import ITEMS, LIBRARY, POOL, fill_library, write_disk
from tests.conformance.provider.vmware_templates import TEMPLATES, make_template
from tests.lab.vcsim import Options, Vcsim, unavailable
from tests.lab.vcsim_rules import Act

_PASSWORD = "VSPHERE_PASSWORD"
_AT_HOME: Mapping[str, Mapping[str, Any]] = {
    "folder-machine": {},
    "folder-net": {"type": "network"},
    "folder-pool": {"type": "storage"},
    "resources": {},
}


class VmwareUnderTest:
    """Implements :class:`tests.conformance.provider.under_test.ProviderUnderTest`."""

    drift: Mapping[str, Mapping[str, Any]] = {
        "Network": {"mtu": 1400},
        "VirtualMachine": {"description": "as the author wants it"},
        "Disk": {"size": "8MiB"},
        "Snapshot": {"description": "as the author wants it"},
        "Cluster": {"drs": {"migrationThreshold": 2}},
        "ResourcePool": {"cpu": {"shares": "low"}},
        "PlacementRule": {"enabled": True},
        "ClusterHost": {"maintenance": False},
        "Role": {"privileges": ["VirtualMachine.Interact.PowerOn"]},
        "Permission": {"propagate": True},
    }

    defers = False

    def __init__(self, folder: Path, *, esx: bool) -> None:
        reason = unavailable()
        if reason is not None:
            pytest.skip(reason)
        self._vcsim = Vcsim(Options(esx=esx, machines=1))
        self._vcsim.start()
        self._esx = esx
        SECRETS[_PASSWORD] = self._vcsim.password
        self._folder = folder
        self._elsewhere: VmwareUnderTest | None = None
        self.provider = Lossy((esxi if esx else vcenter)())
        name = self.provider.describe().name
        self.outside = VsphereOutside(self._vcsim)
        connection = {
            "server": self._vcsim.host,
            "port": self._vcsim.port,
            "username": self._vcsim.user,
            "password": {"secretRef": f"env://{_PASSWORD}"},
            "tls": {"caFile": str(self._vcsim.ca)},
            # A request that finds nobody is answered by nobody.
            "timeouts": {"read": "5s"},
            "storagePool": "LocalDS_0",
        }
        if not esx:
            connection |= {"datacenter": "DC0", "cluster": "DC0_C0"}
        self.host: Mapping[str, Any] = {"connection": connection}
        pool = folder / POOL
        pool.mkdir()
        for file, letter in (("ready-a.vmdk", b"a"), ("ready-b.vmdk", b"b")):
            write_disk(pool / file, letter)
        with connected(self._vcsim) as there:
            give_switches(there)
            if not esx:
                fill_library(self._vcsim, there)
            for name in () if esx else TEMPLATES:
                make_template(there, name)
        own = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._vcsim.certificate.read_text()))
        fingerprint = own.digest().hex(":").upper()
        self.values: Mapping[str, Json] = {
            # Where something is that has a certificate.
            "hostAddress": self._vcsim.host,
            "hostPort": self._vcsim.port,
            "hostFingerprint": fingerprint,
            "sameHostFingerprint": fingerprint.lower(),
            "otherHostAddress": "10.90.0.4",
            "licence": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
            "otherLicence": "FFFFF-GGGGG-HHHHH-JJJJJ-KKKKK",
            "bridge": BRIDGES[0],
            "otherBridge": BRIDGES[1],
            "hostSwitch": "standard",
            **({} if esx else _OF_VCENTER),
            "uplink": "vmnic1",
            "otherUplink": "vmnic2",
            "folder": str(folder),
            "nfsServer": "nas.example",
            "nfsExport": "/export/one",
            "otherNfsExport": "/export/two",
            "volume": "ready-a.vmdk",
            "otherVolume": "ready-b.vmdk",
            "user": "one@lab.example",
            "otherUser": "LAB\\two",
            "group": "LAB\\operators",
            "guestOs": "debian12_64Guest",
            "otherGuestOs": "ubuntu64Guest",
            "machineType": "vmx-19",
            "otherMachineType": "vmx-20",
            "cardModel": "e1000",
            "otherCardModel": "e1000e",
            "nestedCpu": {"nested": True},
            "otherNestedCpu": {"nested": False},
            "plainCpu": {},
            "machineNative": {name: {"extraConfig": {"disk.EnableUUID": "TRUE"}}},
            "otherMachineNative": {name: {"extraConfig": {"svga.present": "FALSE"}}},
        }

    @classmethod
    def vcenter(cls, folder: Path) -> VmwareUnderTest:
        return cls(folder, esx=False)

    @classmethod
    def esxi(cls, folder: Path) -> VmwareUnderTest:
        return cls(folder, esx=True)

    @property
    def surroundings(self) -> Mapping[Address, Mapping[str, Any] | None]:
        served = self.provider.describe().kinds
        given: dict[Address, Mapping[str, Any] | None] = {
            address: None for address in surroundings() if address.kind not in served
        }
        # What the tables have there are networks that give addresses, or none of the endpoint.
        given |= {a: {"mode": "isolated"} for a in surroundings() if a.kind == "Network"}
        # What tests make goes into the simulator's first datacenter, which has hosts.
        given |= {
            address: _AT_HOME[address.name.removesuffix("-b")]
            for address in surroundings()
            if address.name.removesuffix("-b") in _AT_HOME and address.kind in served
        }
        return given

    @property
    def unstamped(self) -> frozenset[str]:
        return self.journaled | {"Disk", "Image"}

    @property
    def journaled(self) -> frozenset[str]:
        """What an ESXi host has beside machines has no room for a mark; nor has what is no managed
        entity.
        """
        rest = {"Network", "StoragePool", "ResourcePool"} if self._esx else {"PlacementRule"}
        return frozenset({"Role", "Permission"} | rest)

    def refuses(self, kind: str, field: str) -> str | None:
        alone = _REFUSED_BY_ESXI.get((kind, field)) if self._esx else None
        return alone or _REFUSED.get((kind, field))

    def lose_answer(self, call: str) -> None:
        self.provider.lose(call)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        with self._vcsim.fault(".*", Act.REFUSE, times=0):
            yield

    def calls(self) -> int:
        return sum(self._vcsim.counts().values())

    def elsewhere(self) -> VmwareUnderTest:
        if self._elsewhere is None:
            folder = self._folder / "elsewhere"
            folder.mkdir()
            self._elsewhere = VmwareUnderTest(folder, esx=self._esx)
        return self._elsewhere

    def write(self, machine: str, disk: str, number: int) -> None:
        """Into the file with the data, as the simulator's machines run nothing."""
        write_in(self._vcsim, machine, disk, number)

    def content(self, external_id: str) -> object:
        return data_of(self._vcsim, external_id).read_bytes()

    def deliver(self, external_id: str) -> None:
        deliver(self._vcsim, self.elsewhere()._vcsim, external_id)

    def close(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.close()
        # What one that died has said is lost with it.
        last_words = "" if self._vcsim.runs() else self._vcsim.log_tail(200)
        self._vcsim.stop()
        assert not last_words


_OF_VCENTER: Mapping[str, Json] = {
    "clusterSwitch": "distributed",
    "template": TEMPLATES[0],
    "otherTemplate": TEMPLATES[1],
    "appliance": "files/appliance.ova",
    "library": LIBRARY,
    "item": ITEMS[0],
    "otherItem": ITEMS[1],
}
_OF_DHCP = ("enabled", "start", "leaseTime", "reservations.mac", "reservations.name")
_OF_DNS = ("enabled", "domain", "forwarders", "hosts.address")
_REFUSED_BY_ESXI: Mapping[tuple[str, str], str] = {
    ("VirtualMachine", "firmware.tpm"): "a virtual TPM needs a key provider of a vCenter",
    **{
        ("VirtualMachine", f"customization.{field}"): "only a vCenter customises guests"
        for field in ("hostName", "timeZone", "dnsServers", "nics.name")
    },
    ("VirtualMachine", "clone.image"): "only a vCenter clones machines",
    ("ResourcePool", "cluster"): "an ESXi host knows of no cluster",
    ("StoragePool", "members.pool"): "only a vCenter makes a cluster of datastores",
    ("StoragePool", "drs"): "only a vCenter makes a cluster of datastores",
}
_REFUSED: Mapping[tuple[str, str], str] = {
    ("Network", "mode"): "vSphere's switches do not route, and run no services",
    ("Network", "forwardDevice"): "a port group does not forward",
    ("Network", "gateway"): "hosts have no address in a port group",
    **{("Network", f"dhcp.{field}"): "vSphere has no DHCP service" for field in _OF_DHCP},
    **{("Network", f"dns.{field}"): "vSphere has no DNS service" for field in _OF_DNS},
    ("Network", "active"): "a port group is always there",
    ("Network", "autostart"): "a port group is always there",
    ("StoragePool", "source.volumeGroup"): "vSphere knows no volume groups",
    ("StoragePool", "source.devices"): "vcsim 0.56.0 makes no VMFS of them (2026-11-29)",
    ("StoragePool", "source.target"): "vSphere makes no disks of the units of a target themselves",
    ("StoragePool", "source.initiator"): "vSphere makes no disks of the units of a target",
    ("StoragePool", "active"): "datastores are there as long as their hosts run",
    ("StoragePool", "autostart"): "datastores are there as long as their hosts run",
    (
        "Permission",
        "recreation",
    ): "a permission has no number: one of the same principal on the same object is the same",
    ("Snapshot", "revert"): "vcsim 0.56.0 brings back no configuration (2026-11-29)",
    (
        "Snapshot",
        "memory",
    ): "the machine of the surroundings is stopped; tests/live/test_vsphere_placement.py",
    (
        "Snapshot",
        "quiesce",
    ): "the machine of the surroundings is stopped; tests/live/test_vsphere_bad_input.py",
    ("Disk", "format"): "the disks of vSphere are VMDK files",
    ("Disk", "clone"): "vSphere has no disk by itself that holds only differences",
    (
        "VirtualMachine",
        "placement.cluster",
    ): "those of the surroundings have no datastore; tests/live/test_vsphere_placement.py",
    (
        "VirtualMachine",
        "placement.storagePool",
    ): "vcsim 0.56.0 leaves the path of a relocated machine as it was (2026-11-29)",
    ("VirtualMachine", "placement.clusterHost"): "a cluster moves its machines as it needs",
    ("VirtualMachine", "cpu.model"): "a machine sees the processor of its host",
    ("VirtualMachine", "cpu.topology.threads"): "a virtual processor of vSphere has one thread",
    **{
        ("VirtualMachine", f"boot.{field}"): "a machine starts from its firmware"
        for field in ("kernel", "initrd", "cmdline")
    },
    ("VirtualMachine", "console.serial"): "a serial port needs something that it leads to",
    ("VirtualMachine", "console.graphics"): "ESXi has no VNC and no SPICE",
    ("VirtualMachine", "console.listen"): "its console is that of vCenter",
    ("VirtualMachine", "guestAgent"): "the channel to VMware Tools is part of every machine",
    ("VirtualMachine", "autostart"): "the order in which hosts start machines is not managed",
    ("VirtualMachine", "disks.cache"): "ESXi does not cache disks",
    ("VirtualMachine", "disks.serial"): "a disk's serial number is vSphere's",
    ("VirtualMachine", "disks.readOnly"): "vSphere's disks can be written",
    ("VirtualMachine", "nics.address"): "vSphere's networks have no DHCP service",
}
