"""Disks: ``<disk device='disk'>`` whose source is a volume."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, child, copied, element, remove_all
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.domain.controllers import ensure_scsi
from provisioner_plugins.kvm.domain.tree import devices as devices_of

_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write(
    domain: Element,
    disks: Mapping[str, Mapping[str, Any]],
    bindings: Bindings,
    ignored: Collection[Element] = (),
) -> None:
    """Make the domain have exactly these disks; those that are there already are changed in
    place, those ``ignored`` are none of them.

    New ones take device names in the order of ``disks``.
    """
    present = find(domain, bindings, ignored)
    devices = child(domain, "devices")
    for name in present.keys() - disks.keys():
        devices.remove(present[name])
    for name, disk in disks.items():
        node = present.get(name)
        if node is None:
            node = element("disk", {"type": "volume", "device": "disk"})
            place(domain, node, disk.get("bus", "virtio"))
            devices.append(node)
        _write_one(domain, node, disk, bindings.disk(name))


def _write_one(
    domain: Element, node: Element, disk: Mapping[str, Any], volume: VolumeRef | None
) -> None:
    bus = disk.get("bus", "virtio")
    if child(node, "target").get("bus") != bus:
        place(domain, node, bus)
    if volume is not None and node.find("source") is None:
        set_volume(node, volume)
        # Blocks that the guest frees are given back to the pool.
        child(node, "driver").set("discard", "unmap")
    driver = child(node, "driver")
    if "cache" in disk:
        driver.set("cache", disk["cache"])
    else:
        driver.attrib.pop("cache", None)
    remove_all(node, "serial")
    if "serial" in disk:
        node.append(element("serial", disk["serial"]))
    remove_all(node, "readonly")
    if disk.get("readOnly", False):
        node.append(element("readonly"))


def set_volume(node: Element, volume: VolumeRef | None) -> None:
    """Put a volume into a disk or drive; None: nothing."""
    remove_all(node, "source")
    remove_all(node, "backingStore")
    driver = child(node, "driver")
    driver.set("name", "qemu")
    if volume is None:
        node.set("type", "file")
        driver.set("type", "raw")
        return
    node.set("type", "volume")
    driver.set("type", volume.format)
    node.append(element("source", {"pool": volume.pool, "volume": volume.volume}))


def place(domain: Element, node: Element, bus: str) -> None:
    """Give a disk or drive a free device name on a bus; libvirt chooses its address."""
    remove_all(node, "address")
    target = child(node, "target")
    others = [other.find("target") for other in devices_of(domain, "disk") if other is not node]
    taken = {other.get("dev", "") for other in others if other is not None}
    prefix = _PREFIXES[bus]
    target.set("dev", next(name for name in _names(prefix) if name not in taken))
    target.set("bus", bus)
    if bus == "scsi":
        ensure_scsi(domain)


def clashes(node: Element, domain: Element) -> bool:
    """Whether a disk cannot be plugged into a domain as it is: another device has its name or its
    place in the boot order.
    """
    target, boot = node.find("target"), node.find("boot")
    names = {other.get("dev") for other in domain.findall("devices/*/target")}
    places = {other.get("order") for other in domain.findall("devices/*/boot")}
    taken_name = target is not None and target.get("dev") in names
    return taken_name or (boot is not None and boot.get("order") in places)


def fitted(node: Element, domain: Element) -> Element:
    """A disk as it can be plugged into a domain: with a free name, and without a place in the boot
    order if another device has it until the next start.
    """
    if not clashes(node, domain):
        return node
    result = copied(node)
    place(domain, result, child(result, "target").get("bus", "virtio"))
    if clashes(result, domain):
        remove_all(result, "boot")
    return result


def _names(prefix: str) -> Iterable[str]:
    for letter in _LETTERS:
        yield prefix + letter
    for first in _LETTERS:
        for letter in _LETTERS:
            yield prefix + first + letter


def find(
    domain: Element, bindings: Bindings, ignored: Collection[Element] = ()
) -> dict[str, Element]:
    """The disks of a definition by the name of their Disk resource.

    A disk that is no resource's goes by what it is: pool and volume, or its path.
    """
    found = {}
    for node in devices_of(domain, "disk"):
        if node.get("device", "disk") != "disk" or node in ignored:
            continue
        found[bindings.disk_name(node)] = node
    return found


def read(
    domain: Element, bindings: Bindings, ignored: Collection[Element] = ()
) -> dict[str, dict[str, Any]]:
    """The disks of a definition by name."""
    return {name: read_one(node) for name, node in find(domain, bindings, ignored).items()}


def read_one(node: Element) -> dict[str, Any]:
    """One disk of a definition."""
    disk: dict[str, Any] = {"readOnly": False}
    for part in node:
        match part.tag:
            case "target":
                disk["bus"] = part.get("bus", "virtio")
            case "driver" if (cache := part.get("cache", "default")) != "default":
                disk["cache"] = cache
            case "serial":
                disk["serial"] = (part.text or "").strip()
            case "readonly":
                disk["readOnly"] = True
            case "boot":
                disk["bootOrder"] = int(part.get("order", "0"))
    return disk
