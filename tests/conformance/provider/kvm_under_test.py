"""The kvm provider under test, on a real libvirtd of the lab with QEMU behind it.

Needs libvirt-python; providers.py names it only where that is installed.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import libvirt
import libvirt_qemu
import pytest

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.core.values import Path as FieldPath
from provisioner_plugins._libvirt import image, network
from provisioner_plugins._libvirt import pool as storage
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.machine import refused, unplug
from provisioner_plugins.kvm.replication.mirror import Mirror
from provisioner_plugins.kvm.replication.points import Points
from provisioner_plugins.kvm.replication.store import Store
from tests.conformance.provider.cases import surroundings
from tests.conformance.provider.interference import Lossy
from tests.conformance.provider.sites import lost
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.requirements import daemon_unavailable

POOL = "pool"
MACHINE = "machine"
_PLAIN_DOMAIN = """<domain type='qemu'><name/><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os></domain>"""
_PLAIN_NETWORK = "<network><name/></network>"
_PLAIN_POOL = "<pool type='dir'><name/><target><path/></target></pool>"
_PLAIN_VOLUME = "<volume><name/><capacity>1048576</capacity><target><format/></target></volume>"
_PLAIN_SNAPSHOT = "<domainsnapshot><name/></domainsnapshot>"
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
)
# What asks no daemon, and what happens at any time by itself, is not counted.
_LOCAL = ("Free", "Event", "LastError", "GetName", "GetUUID", "IsAlive", "GetConnect")
_MOVING = ("timestamps", "allocation", "physical", "available")
"""What libvirt tells of storage that moves by itself."""


class CallCounter:
    """Stands before libvirt's own module and counts what is asked of a daemon."""

    def __init__(self, module: Any) -> None:
        self._module = module
        # Looked up here and not in a call: between a call that fails and the question why, nothing
        # may be made that wakes the garbage collector, which frees handles and so clears the error.
        self._counted = frozenset(
            name for name in dir(module) if not any(part in name for part in _LOCAL)
        )
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        if name in self._counted:
            self.count += 1
        return getattr(self._module, name)


class LibvirtOutside:
    """Implements Outside with libvirt's own calls."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._uri = uri
        self._folder = folder

    def add(self, kind: str, name: str) -> str:
        with self._connected() as handle:
            if kind == "VirtualMachine":
                return str(handle.defineXML(_named(_PLAIN_DOMAIN, name)).UUIDString())
            if kind == "Network":
                return str(handle.networkDefineXML(_named(_PLAIN_NETWORK, name)).UUIDString())
            if kind == "StoragePool":
                path = str(self._folder / f"foreign-{name}")
                Path(path).mkdir(exist_ok=True)
                text = _named(_PLAIN_POOL, name, path=path)
                return str(handle.storagePoolDefineXML(text).UUIDString())
            if kind == "Snapshot":
                machine = handle.lookupByName(MACHINE)
                machine.snapshotCreateXML(_named(_PLAIN_SNAPSHOT, name))
                return f"{machine.UUIDString()}/{name}"
            if kind == "Image":
                pytest.skip("a volume that is no image of ours is taken for a disk")
            text = _named(_PLAIN_VOLUME, name, format="qcow2")
            handle.storagePoolLookupByName(POOL).createXML(text)
            return f"{POOL}/{name}"

    def change(self, kind: str, name: str) -> FieldPath:
        with self._connected() as handle:
            if kind == "VirtualMachine":
                machine = handle.lookupByName(name)
                machine.setMetadata(
                    libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, "changed outside", None, None
                )
                return ("description",)
            thing = (
                handle.networkLookupByName(name)
                if kind == "Network"
                else handle.storagePoolLookupByName(name)
            )
            thing.setAutostart(0)
            return ("autostart",)

    def remove(self, kind: str, name: str) -> None:
        with self._connected() as handle:
            if kind == "VirtualMachine":
                machine = handle.lookupByName(name)
                if machine.isActive():
                    machine.destroy()
                machine.undefineFlags(_UNDEFINE)
            elif kind == "Network":
                _end(handle.networkLookupByName(name))
            elif kind == "StoragePool":
                _end(handle.storagePoolLookupByName(name))
            elif kind == "Snapshot":
                for snapshot in self._snapshots(handle, name):
                    snapshot.delete()
            else:
                for volume in self._volumes(handle, name):
                    volume.delete()

    def picture(self, kind: str, name: str) -> object:
        with self._connected() as handle:
            if kind == "VirtualMachine":
                found = [item for item in handle.listAllDomains() if item.name() == name]
                flags = libvirt.VIR_DOMAIN_XML_INACTIVE
                return [(item.XMLDesc(flags), item.state()[0]) for item in found] or None
            if kind == "Network":
                networks = [item for item in handle.listAllNetworks() if item.name() == name]
                inactive = libvirt.VIR_NETWORK_XML_INACTIVE
                return [(item.XMLDesc(inactive), item.isActive()) for item in networks] or None
            if kind == "StoragePool":
                pools = [item for item in handle.listAllStoragePools() if item.name() == name]
                return [(_still(item.XMLDesc()), item.isActive()) for item in pools] or None
            if kind == "Snapshot":
                return [_still(item.getXMLDesc()) for item in self._snapshots(handle, name)] or None
            return [
                (
                    item.name(),
                    _still(item.XMLDesc()),
                    hashlib.sha256(Path(item.path()).read_bytes()).hexdigest(),
                )
                for item in self._volumes(handle, name)
            ] or None

    def write(self, machine: str, disk: str, number: int) -> None:
        """Write 64 KiB of the number to a disk of a running machine, by its QEMU."""
        with self._connected() as handle:
            domain = handle.lookupByName(machine)
            definition = ElementTree.fromstring(domain.XMLDesc())
            sources = {
                source.get("file", source.get("volume", "")): alias.get("name", "")
                for device in definition.iterfind("devices/disk")
                for source, alias in [(device.find("source"), device.find("alias"))]
                if source is not None and alias is not None
            }
            [alias] = [name for path, name in sources.items() if disk in Path(path).name]
            # Flushed, so that whoever reads the file sees it.
            for command in (f"write -P {number % 256} {number % 16 * 64}k 64k", "flush"):
                said = libvirt_qemu.qemuMonitorCommand(
                    domain,
                    f'qemu-io -d /machine/peripheral/{alias}/virtio-backend "{command}"',
                    libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP,
                )
                # What qemu-io says goes to the log of the machine.
                assert "" == said.strip(), said

    def content(self, external_id: str) -> str:
        """A digest of what is on a disk."""
        with self._connected() as handle:
            pool, _, name = external_id.partition("/")
            storage_pool = handle.storagePoolLookupByName(pool)
            storage_pool.refresh()
            path = storage_pool.storageVolLookupByName(name).path()
        with NamedTemporaryFile() as raw:
            subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, raw.name], check=True)
            return hashlib.sha256(Path(raw.name).read_bytes()).hexdigest()

    def _volumes(self, handle: Any, name: str) -> list[Any]:
        """Volumes of this name, and those whose name begins with it and a dot: a resource's own."""
        found = []
        for pool in handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            pool.refresh()
            found += [
                item
                for item in pool.listAllVolumes()
                if item.name() == name or item.name().startswith(f"{name}.")
            ]
        return sorted(found, key=lambda item: str(item.key()))

    def _snapshots(self, handle: Any, name: str) -> list[Any]:
        return [
            snapshot
            for machine in handle.listAllDomains()
            for snapshot in machine.listAllSnapshots()
            if snapshot.getName() == name
        ]

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        handle = libvirt.open(self._uri)
        try:
            yield handle
        finally:
            handle.close()


class KvmUnderTest:
    """Implements ProviderUnderTest on a daemon of its own."""

    unstamped = frozenset({"Disk", "Image", "StoragePool"})
    journaled: frozenset[str] = frozenset()
    defers = True
    drift: Mapping[str, Mapping[str, Any]] = {
        "VirtualMachine": {"description": "as the author wants it"},
        "Network": {"autostart": True},
        "StoragePool": {"autostart": True},
    }

    def __init__(self, flavour: Flavour) -> None:
        reason = daemon_unavailable(flavour)
        if reason is not None:
            pytest.skip(reason)
        self._flavour = flavour
        self._stack = ExitStack()
        self._daemon = self._stack.enter_context(LibvirtDaemon(flavour))
        folder = self._daemon.directory / "conformance"
        (folder / "pool").mkdir(parents=True)
        for path in (folder, folder / "pool"):
            # An unprivileged daemon is another user.
            path.chmod(0o777)
        for name in ("ready-a.raw", "ready-b.raw"):
            (folder / "pool" / name).write_bytes(name.encode() * 4096)
            (folder / "pool" / name).chmod(0o666)
        self.provider = Lossy(provider())
        self.host: Mapping[str, Any] = {
            "connection": {"uri": self._daemon.uri},
            "accelerator": "tcg",
        }
        self.outside = LibvirtOutside(self._daemon.uri, folder)
        self._elsewhere: KvmUnderTest | None = None
        self.values = _values(folder)
        self._counter = CallCounter(libvirt.libvirtmod)
        libvirt.libvirtmod = self._counter
        self._stack.callback(setattr, libvirt, "libvirtmod", self._counter._module)
        # No guest of the suite has an operating system that could let go of a device.
        patience = self._stack.enter_context(pytest.MonkeyPatch.context())
        patience.setattr(unplug, "LONGEST_SECONDS", 0.5)

    @classmethod
    def system(cls, folder: Path) -> KvmUnderTest:  # noqa: ARG003 - the daemon has its own
        return cls(Flavour.SYSTEM)

    @classmethod
    def session(cls, folder: Path) -> KvmUnderTest:  # noqa: ARG003 - the daemon has its own
        return cls(Flavour.SESSION)

    @property
    def surroundings(self) -> Mapping[Address, Mapping[str, Any] | None]:
        """An unprivileged daemon cannot make bridges."""
        if self._flavour is Flavour.SYSTEM:
            return {}
        return {address: None for address in surroundings() if address.name == "net-dhcp"}

    def refuses(self, kind: str, field: str) -> str | None:
        if self._flavour is Flavour.SESSION and (kind == "Network" or field == "nics.address"):
            return "an unprivileged daemon cannot make bridges"
        parts = field.split(".")
        places = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((_REFUSED[kind, at] for at in places if (kind, at) in _REFUSED), None)

    def lose_answer(self, call: str) -> None:
        self.provider.lose(call)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        self._daemon.kill()
        try:
            yield
        finally:
            self._daemon.start()

    def calls(self) -> int:
        return self._counter.count

    def elsewhere(self) -> KvmUnderTest:
        if self._elsewhere is None:
            self._elsewhere = KvmUnderTest(self._flavour)
        return self._elsewhere

    def write(self, machine: str, disk: str, number: int) -> None:
        """By the machine's own QEMU, through the device: on the way that writes of a guest take."""
        self.outside.write(machine, disk, number)

    def content(self, external_id: str) -> object:
        return self.outside.content(external_id)

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        with (
            mock.patch.object(Store, "forget", side_effect=lost()),
            mock.patch.object(Points, "_fill", side_effect=lost()),
            mock.patch.object(Mirror, "_in_step", side_effect=lost()),
        ):
            yield

    def close(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._stack.close()


_REFUSED = {
    **{
        (kind, ".".join(entry.path)): entry.found
        for kind, entries in {
            "Image": image.REFUSED,
            "Network": network.REFUSED,
            "StoragePool": storage.REFUSED,
            "VirtualMachine": refused.REFUSED,
        }.items()
        for entry in entries
        if entry.values is None
    },
    ("StoragePool", "members"): "libvirt does not put pools together",
    ("StoragePool", "drs"): "libvirt does not put pools together",
    ("Snapshot", "quiesce"): "the internal snapshots of QEMU do not ask the guest",
    ("Snapshot", "memory"): "the machine of the surroundings is stopped and has no memory to keep",
}


def _values(folder: Path) -> Mapping[str, Json]:
    relaxed = "<features><hyperv><relaxed state='on'/></hyperv></features>"
    vapic = "<features><hyperv><vapic state='on'/></hyperv></features>"
    mode = "<target><permissions><mode>{}</mode></permissions></target>"
    fragments: Mapping[str, tuple[str, str, str]] = {
        "network": ("network", "<portgroup name='fast'/>", "<portgroup name='slow'/>"),
        "pool": ("pool", mode.format("0750"), mode.format("0755")),
        "disk": ("volume", mode.format("0640"), mode.format("0644")),
        "machine": ("domain", relaxed, vapic),
    }
    natives: dict[str, Json] = {}
    for name, (section, one, two) in fragments.items():
        natives[f"{name}Native"] = {"kvm": {section: [one]}}
        natives[f"other{name.title()}Native"] = {"kvm": {section: [two]}}
    return {
        "folder": str(folder),
        "machineType": "q35",
        "otherMachineType": "pc",
        "cardModel": "e1000",
        "otherCardModel": "rtl8139",
        "nestedCpu": {"model": "qemu64", "nested": True},
        "otherNestedCpu": {"model": "qemu64", "nested": False},
        "plainCpu": {"model": "qemu64"},
        "bridge": "cnf-one",
        "otherBridge": "cnf-two",
        "device": "cnf-out",
        "otherDevice": "cnf-way",
        "qcow2Image": "files/image.qcow2",
        "volume": "ready-a.raw",
        "otherVolume": "ready-b.raw",
        **natives,
    }


def _named(template: str, name: str, path: str | None = None, format: str | None = None) -> str:  # noqa: A002
    """A definition with its open places filled in."""
    document = ElementTree.fromstring(template)
    _text(document, "name", name)
    if path is not None:
        _text(document, "target/path", path)
    if format is not None:
        place = document.find("target/format")
        assert place is not None
        place.set("type", format)
    return ElementTree.tostring(document, encoding="unicode")


def _text(document: ElementTree.Element, where: str, text: str) -> None:
    place = document.find(where)
    assert place is not None
    place.text = text


def _end(thing: Any) -> None:
    if thing.isActive():
        thing.destroy()
    with suppress(libvirt.libvirtError):
        thing.undefine()


def _still(text: str) -> str:
    """A definition without what moves by itself."""
    document = ElementTree.fromstring(text)
    for parent in list(document.iter()):
        for child in list(parent):
            if child.tag in _MOVING:
                parent.remove(child)
    return ElementTree.tostring(document, encoding="unicode")
