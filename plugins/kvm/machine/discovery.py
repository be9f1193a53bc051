"""A domain as a manifest: what the common model says of it, what fragments carry, what is left.

Called by the handler of VirtualMachine. What it gives keeps the law of discovery: taken over as it
is written, the machine has nothing that differs. docs/kvm-discovery.md tells it for people.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Present, Resource
from provisioner_plugins._libvirt.beyond import beyond, rest_of, stripped
from provisioner_plugins._libvirt.estate import DISK, IMAGE, Estate
from provisioner_plugins._libvirt.inventory import DomainRecord
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    copied,
    element,
    remove_all,
    serialize,
    text_of,
)
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import (
    cdroms,
    consoles,
    defaults,
    disks,
    document,
    firmware,
    memory,
    native,
    nics,
    processor,
)
from provisioner_plugins.kvm.domain.choices import asked_for
from provisioner_plugins.kvm.domain.tree import all_devices, at
from provisioner_plugins.kvm.domain.tree import devices as devices_of
from provisioner_plugins.kvm.machine.host import HostFacts

_DISK_BUSES = frozenset({"virtio", "scsi", "sata", "ide"})
_DRIVE_BUSES = frozenset({"sata", "ide", "scsi"})
_CARDS = frozenset({"virtio", "e1000", "e1000e", "rtl8139"})
_SCREENS = frozenset({"vnc", "spice"})
_CACHES = frozenset({"none", "writeback", "writethrough", "directsync", "unsafe"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")
_SERIAL = re.compile(r"[A-Za-z0-9_.+-]{1,36}")
_BOARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_WITHOUT_PCI = frozenset({"microvm", "isapc", "none"})
_LONGEST_DESCRIPTION = 4096
_MOST_VCPUS = 4096
_LAST_PLACE = 100
_DEFAULT_CPU = "qemu64"
"""What QEMU has where no model is named; libvirt writes it down."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What discovery knows beside the domain: the endpoint's volumes and networks, the host, and
    how many cards of the endpoint have each MAC address.
    """

    estate: Estate
    facts: HostFacts
    macs: Mapping[str, int]


def macs_of(records: Iterable[DomainRecord]) -> Counter[str]:
    """How often each MAC address stands in the configured cards of all domains."""
    return Counter(
        mac
        for record in records
        for node in devices_of(record.configured, "interface")
        if (mac := nics.mac_of(node)) is not None
    )


def describe(record: DomainRecord, around: Surroundings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The spec that a manifest of the domain has, without labels and tenant, and notes. References
    are external ids.
    """
    found = _Found(record.configured, around)
    found.sort_devices()
    spec = found.spec()
    if record.autostart:
        spec["autostart"] = True
    fragments, notes = found.remainder(record.uuid, spec)
    if fragments:
        spec["native"] = {PROVIDER: {native.SECTION: list(fragments)}}
    return spec, notes


def remarks_on(record: DomainRecord, observed: Present, *, checkpoints: bool) -> tuple[str, ...]:
    """What is true of it now, and not of what a manifest says."""
    found: list[str] = []
    if not record.persistent:
        found.append("it has no definition and goes when it stops: an apply defines it")
    elif observed.running:
        waiting = ", ".join(sorted(".".join(path) for path in observed.running))
        found.append(f"it runs with another value than is configured: {waiting}")
    if checkpoints:
        found.append("it has checkpoints, which have no counterpart: they are left alone")
    return tuple(found)


@dataclass
class _Found:
    """One domain on its way."""

    domain: Element
    around: Surroundings
    disks: dict[str, Element] = field(default_factory=dict)
    cdroms: dict[str, Element] = field(default_factory=dict)
    nics: dict[str, Element] = field(default_factory=dict)
    whole: list[Element] = field(default_factory=list)
    """Disks and cards that the common model has no place for."""
    related: dict[Address, Resource] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def bindings(self) -> Bindings:
        return Bindings(self.related)

    # --- which devices are the model's ---

    def sort_devices(self) -> None:
        """Tell the disks, drives and cards that fields say from the others."""
        for node in devices_of(self.domain, "disk"):
            kind = node.get("device", "disk")
            if kind == "cdrom" and attribute(node, "alias", "name") == cdroms.SEED_ALIAS:
                self.notes.append(
                    "it has a cloud-init medium, whose content is not read: write cloudInit if it "
                    "is to have one again"
                )
            elif not (
                (kind == "disk" and self._take_disk(node))
                or (kind == "cdrom" and self._take_drive(node))
            ):
                self.whole.append(node)
        for node in devices_of(self.domain, "interface"):
            if not self._take_card(node):
                self.whole.append(node)

    def _take_disk(self, node: Element) -> bool:
        volume = self.around.estate.of_disk(node)
        bus = attribute(node, "target", "bus")
        if volume is None or volume.kind != DISK or volume.is_shared or bus not in _DISK_BUSES:
            return False
        name = str(volume.id)
        if name in self.disks or (node.find("readonly") is not None and bus in ("sata", "ide")):
            return False
        spec = {"pool": volume.id.pool, "format": volume.form}
        self._relate(DISK, name, volume.id.volume, spec, volume.facts.path)
        self.disks[name] = node
        return True

    def _take_drive(self, node: Element) -> bool:
        name = cdroms.name_of(node)
        if attribute(node, "target", "bus") not in _DRIVE_BUSES or not _NAME.fullmatch(name):
            return False
        if _has_source(node):
            volume = self.around.estate.of_disk(node)
            if volume is None or volume.kind != IMAGE or volume.form != "iso":
                return False
            source = {"volume": volume.id.volume}
            spec = {"pool": volume.id.pool, "source": source, "format": "iso"}
            self._relate(IMAGE, str(volume.id), volume.id.volume, spec, volume.facts.path)
        self.cdroms[name] = node
        return True

    def _take_card(self, node: Element) -> bool:
        network = attribute(node, "source", "network")
        uuid = self.around.estate.network(network) if node.get("type") == "network" else None
        mac = nics.mac_of(node) or ""
        if uuid is None or network is None or self.around.macs[mac] != 1:
            return False
        if not _MAC.fullmatch(mac) or attribute(node, "model", "type") not in _CARDS:
            return False
        name = nics.alias_name(node)
        if name is not None and (not _NAME.fullmatch(name) or name in self.nics):
            return False
        if name is None:
            numbers = range(len(self.nics) + 1000)
            taken = {*self.nics, *map(nics.alias_name, devices_of(self.domain, "interface"))}
            name = next(f"nic{number}" for number in numbers if f"nic{number}" not in taken)
        self._relate("Network", uuid, network, {"mode": "any"}, None)
        self.nics[name] = node
        return True

    def _relate(
        self, kind: str, external_id: str, name: str, spec: dict[str, Any], path: str | None
    ) -> None:
        address = Address(kind, external_id)
        outputs = {"path": path} if path else {}
        uid, stamp = UUID(int=0), Stamp("", str(address))
        self.related[address] = Resource(address, name, uid, stamp, spec, external_id, outputs)

    # --- what the common model says ---

    def spec(self) -> dict[str, Any]:
        """The common fields. What has the default of the schema may stand there, too."""
        spec: dict[str, Any] = {}
        description = text_of(self.domain, "description")
        if description is not None and len(description) <= _LONGEST_DESCRIPTION:
            spec["description"] = description
        cpu = self._cpu()
        if cpu:
            spec["cpu"] = cpu
        size = memory.read(self.domain)
        spec["memory"] = size if size["max"] > size["size"] else {"size": size["size"]}
        self._add_system(spec)
        for kind, devices in (("disks", self._disks()), ("cdroms", self._drives())):
            if devices:
                spec[kind] = devices
        cards = self._cards()
        if cards:
            spec["nics"] = cards
        console = self._console()
        if console:
            spec["console"] = console
        if consoles.has_agent(self.domain):
            spec["guestAgent"] = True
        return spec

    def _cpu(self) -> dict[str, Any]:
        found = processor.read(self.domain, {})
        cpu: dict[str, Any] = {"count": found["count"]}
        if found["max"] > _MOST_VCPUS:
            return {}
        if found["max"] != found["count"]:
            cpu["max"] = found["max"]
        topology = at(self.domain, "cpu", "topology")
        if topology is not None and not _has_more_levels(topology):
            cpu["topology"] = found["topology"]
        node = self.domain.find("cpu")
        if "model" in found and node is not None and not _is_default_model(node):
            if _BOARD.fullmatch(found["model"]):
                cpu["model"] = found["model"]
        if "nested" in found and "model" in cpu:
            cpu["nested"] = found["nested"]
        return cpu

    def _add_system(self, spec: dict[str, Any]) -> None:
        found = firmware.read(self.domain, {})
        board = found["machineType"]
        if board not in _WITHOUT_PCI and _BOARD.fullmatch(board):
            spec["machineType"] = board
        system = self.domain.find("os")
        is_left_to_libvirt = system is not None and (
            system.get("firmware") == "efi" or system.find("loader") is None
        )
        said: dict[str, Any] = {}
        if is_left_to_libvirt:
            said["type"] = found["firmware"]["type"]
        if found["firmware"]["tpm"] and self._is_plain_tpm(found["firmware"]["type"]):
            said["tpm"] = True
        if said and said != {"type": "bios"}:
            spec["firmware"] = said
        boot = found.get("boot", {})
        if boot and all(boot.get(tag, "/").startswith("/") for tag in ("kernel", "initrd")):
            if "kernel" in boot:
                spec["boot"] = boot

    def _is_plain_tpm(self, kind: str) -> bool:
        modules = devices_of(self.domain, "tpm")
        if len(modules) != 1:
            return False
        usual = firmware.tpm(kind)
        found = stripped(modules[0])
        defaults.drop_layout(found)
        return serialize(found) == serialize(usual)

    def _disks(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, node in self.disks.items():
            disk = disks.read_one(node)
            if disk.get("cache") not in _CACHES:
                disk.pop("cache", None)
            if not _SERIAL.fullmatch(disk.get("serial", "")):
                disk.pop("serial", None)
            found[name] = _with_place(disk)
        return found

    def _drives(self) -> dict[str, dict[str, Any]]:
        found = cdroms.read(self.domain, self.bindings, self.whole)
        return {name: _with_place(found[name]) for name in self.cdroms}

    def _cards(self) -> dict[str, dict[str, Any]]:
        return {
            name: _with_place(nics.read_one(node, self.bindings, {}))
            for name, node in self.nics.items()
        }

    def _console(self) -> dict[str, Any]:
        found = consoles.read(self.domain)
        console: dict[str, Any] = {"serial": found["serial"]}
        screens = devices_of(self.domain, "graphics")
        if not screens:
            console["graphics"] = "none"
        elif screens[0].get("type") in _SCREENS and _listens_on_address(screens[0]):
            console["graphics"] = found["graphics"]
            console["listen"] = found["listen"]
        return console

    # --- what it says beyond ---

    def remainder(
        self, uuid: UUID, spec: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Fragments and notes."""
        additions = [element("devices", _tidied(node)) for node in self.whole]
        taking = {PROVIDER: {native.SECTION: [serialize(piece) for piece in additions]}}
        around = document.Surroundings(
            self.bindings,
            emulated=processor.is_emulated(self.domain),
            nested_feature=self._nested_feature(),
        )
        made = asked_for("found", uuid, {**spec, "native": taking}, around)
        wanted = {"nics": spec.get("nics", {})}
        pairs = document.devices_by_name(made, wanted, self.bindings)
        for (kind, name), node in self._modelled():
            piece = self._completing(kind, node, pairs[kind, name], spec[kind][name])
            if piece is not None:
                additions.append(element("devices", piece))
        rest, plain = copied(self.domain), copied(made)
        self._drop_expressed(rest, plain, spec)
        left = beyond(rest, plain, native.IDENTIFY, additions=additions, whole=(self.domain, made))
        return left.fragments, (*self.notes, *left.notes)

    def _nested_feature(self) -> str:
        names = {feature.get("name") for feature in self.domain.findall("cpu/feature")} & set(
            processor.NESTED_FEATURES
        )
        return next(iter(sorted(name for name in names if name)), "svm")

    def _modelled(self) -> Iterator[tuple[tuple[str, str], Element]]:
        for kind in ("disks", "cdroms", "nics"):
            for name, node in getattr(self, kind).items():
                yield (kind, name), node

    def _completing(
        self, kind: str, node: Element, made: Element, said: Mapping[str, Any]
    ) -> Element | None:
        """What a device of the model says beyond its fields, with what it is known by."""
        known = "mac" if kind == "nics" else "target"
        found, plain = stripped(node), stripped(made)
        for device in (found, plain):
            for tag in ("alias", known):
                remove_all(device, tag)
            defaults.drop_layout(device)
            for name in ("type", "device"):
                device.attrib.pop(name, None)
            if "bootOrder" in said:
                remove_all(device, "boot")
        (_drop_card if kind == "nics" else _drop_disk)(found, plain, node, said)
        left = rest_of(found, plain, native.IDENTIFY, self.notes)
        extra = _extra_of_target(node) if known == "target" else None
        if left is None and extra is None:
            return None
        piece = left if left is not None else element(node.tag)
        identity = child(copied(node), known)
        attributes = (
            {"address": identity.get("address")}
            if known == "mac"
            else {
                "dev": identity.get("dev"),
                **(extra or {}),
            }
        )
        piece.insert(0, element(known, attributes))
        return piece

    def _drop_expressed(self, rest: Element, made: Element, spec: Mapping[str, Any]) -> None:
        """Take out of the definitions what fields or other fragments say."""
        originals = all_devices(self.domain)
        where = child(rest, "devices")
        gone = {*self.whole, *(node for _, node in self._modelled())}
        gone |= {node for node in (cdroms.find_seed(self.domain),) if node is not None}
        for original, node in zip(originals, list(where), strict=True):
            if original in gone:
                where.remove(node)
        for tag in ("disk", "interface", "serial"):
            remove_all(child(made, "devices"), tag)
        facts = self.around.facts
        defaults.drop(rest, arch=facts.arch, emulators=facts.emulators)
        for tag in ("name", "uuid"):
            remove_all(made, tag)
        made.attrib.clear()
        if "description" in spec:
            remove_all(rest, "description")
            remove_all(made, "description")
        for definition in (rest, made):
            board = at(definition, "os", "type")
            if board is not None and "machineType" in spec:
                board.attrib.pop("machine", None)
            if spec.get("firmware", {}).get("tpm"):
                remove_all(child(definition, "devices"), "tpm")
            if "graphics" in spec.get("console", {}):
                for node in devices_of(definition, "graphics")[:1]:
                    node.attrib.pop("listen", None)
                    remove_all(node, "listen")
        _drop_screen(rest)
        vcpus = rest.find("vcpus")
        if vcpus is not None:
            self.notes.append("kept, but not expressed: which single vCPUs are there (<vcpus>)")
            rest.remove(vcpus)
        model = at(rest, "cpu", "model")
        if model is not None and "model" not in spec.get("cpu", {}):
            node = child(rest, "cpu")
            if _is_default_model(child(self.domain, "cpu")):
                node.remove(model)
                for name in ("mode", "match", "check"):
                    node.attrib.pop(name, None)
                if not node.attrib and not len(node):
                    rest.remove(node)


# --- single questions ----------------------------------------------------------------------------


def _has_source(node: Element) -> bool:
    source = node.find("source")
    names = ("file", "dev", "pool", "volume", "protocol", "dir", "name")
    return source is not None and any(source.get(name) is not None for name in names)


def _has_more_levels(topology: Element) -> bool:
    return any(
        int(value) != 1
        for name, value in topology.attrib.items()
        if name not in ("sockets", "cores", "threads") and value.isdecimal()
    )


def _is_default_model(cpu: Element) -> bool:
    """Whether it is the processor that libvirt writes down where none is named."""
    return (
        cpu.get("mode") == "custom"
        and text_of(cpu, "model") == _DEFAULT_CPU
        and cpu.get("check", "none") == "none"
        and cpu.find("feature") is None
    )


def _with_place(device: dict[str, Any]) -> dict[str, Any]:
    if not 1 <= device.get("bootOrder", 1) <= _LAST_PLACE:
        del device["bootOrder"]
    return device


def _listens_on_address(graphics: Element) -> bool:
    listens = graphics.findall("listen")
    return graphics.get("socket") is None and (
        len(listens) == 1
        and listens[0].get("type", "address") == "address"
        and re.fullmatch(r"[0-9A-Fa-f:.]+", listens[0].get("address", "127.0.0.1")) is not None
    )


def _drop_screen(rest: Element) -> None:
    """The port that libvirt chooses at each start."""
    for node in devices_of(rest, "graphics"):
        if node.get("autoport") == "yes":
            for name in ("autoport", "port"):
                node.attrib.pop(name, None)


def _tidied(node: Element) -> Element:
    """A device as a fragment has it."""
    result = stripped(node)
    defaults.drop_layout(result)
    return result


def _drop_disk(found: Element, made: Element, node: Element, said: Mapping[str, Any]) -> None:
    for device in (found, made):
        remove_all(device, "readonly")
        if "serial" in said:
            remove_all(device, "serial")
        driver = child(device, "driver")
        for name in ("name", "type"):
            driver.attrib.pop(name, None)
        if "cache" in said or driver.get("cache") == "default":
            driver.attrib.pop("cache", None)
        if driver.get("discard") == "unmap":
            del driver.attrib["discard"]
        if not driver.attrib and not len(driver):
            device.remove(driver)
        for source in device.findall("source"):
            for name in ("file", "dev", "pool", "volume", "index"):
                source.attrib.pop(name, None)
            if not source.attrib and not len(source):
                device.remove(source)


def _drop_card(found: Element, made: Element, node: Element, said: Mapping[str, Any]) -> None:
    for device in (found, made):
        for source in device.findall("source"):
            for name in ("network", "portid", "bridge"):
                source.attrib.pop(name, None)
            if not source.attrib and not len(source):
                device.remove(source)
        for model in device.findall("model"):
            model.attrib.pop("type", None)
            if not model.attrib and not len(model):
                device.remove(model)
        remove_all(device, "link")


def _extra_of_target(node: Element) -> dict[str, str] | None:
    target = child(copied(node), "target")
    extra = {name: value for name, value in target.attrib.items() if name not in ("dev", "bus")}
    if extra.get("tray") == "closed":
        del extra["tray"]
    return extra or None
