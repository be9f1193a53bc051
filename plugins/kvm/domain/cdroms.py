"""CD drives, and the one that holds the cloud-init seed: ``<disk device='cdrom'>``.

A drive is known by its alias, which libvirt keeps in the configured and in the live definition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, attribute, child, element
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.domain.controllers import is_express
from provisioner_plugins.kvm.domain.disks import place, set_volume
from provisioner_plugins.kvm.domain.tree import devices as devices_of

# No device name begins with an underscore, so that no network card can have the same alias.
_DRIVE_ALIAS = "ua-_cdrom-"
SEED_ALIAS = "ua-_seed"
SEED_BUS = "scsi"
"""Cloud kernels know virtio-scsi, but neither SATA nor IDE."""


def write(
    domain: Element,
    cdroms: Mapping[str, Mapping[str, Any]],
    bindings: Bindings,
    ignored: Collection[Element] = (),
) -> None:
    """Make the domain have exactly these drives; those that are there already are changed in
    place, those ``ignored`` are none of them.
    """
    present = find(domain, ignored)
    devices = child(domain, "devices")
    for name in present.keys() - cdroms.keys():
        devices.remove(present[name])
    for name, cdrom in cdroms.items():
        node = present.get(name)
        bus = cdrom.get("bus")
        if node is None:
            node = _drive(domain, _DRIVE_ALIAS + name, bus or default_bus(domain))
        elif bus is not None and attribute(node, "target", "bus") != bus:
            place(domain, node, bus)
        image = cdrom.get("image")
        if bindings.image_name(node) != image:
            set_volume(node, bindings.image(image) if image is not None else None)


def write_seed(domain: Element, seed: VolumeRef | None) -> None:
    """Put the seed into its drive, which is made where there is none; None: remove the drive."""
    node = find_seed(domain)
    if seed is None:
        if node is not None:
            child(domain, "devices").remove(node)
        return
    if node is None:
        node = _drive(domain, SEED_ALIAS, SEED_BUS)
    set_volume(node, seed)


def _drive(domain: Element, alias: str, bus: str) -> Element:
    node = element(
        "disk",
        {"type": "file", "device": "cdrom"},
        element("driver", {"name": "qemu", "type": "raw"}),
        element("readonly"),
        element("alias", {"name": alias}),
    )
    place(domain, node, bus)
    child(domain, "devices").append(node)
    return node


def default_bus(domain: Element) -> str:
    """The bus that the board has for drives."""
    return "sata" if is_express(domain) else "ide"


def find(domain: Element, ignored: Collection[Element] = ()) -> dict[str, Element]:
    """The drives of a definition by name, without that of the seed.

    A drive that we did not name goes by its device name (``hda``).
    """
    found = {}
    for node in devices_of(domain, "disk"):
        if node.get("device") != "cdrom" or node in ignored:
            continue
        if attribute(node, "alias", "name") != SEED_ALIAS:
            found[name_of(node)] = node
    return found


def name_of(drive: Element) -> str:
    """The name of a drive: the one that we gave it, else its device name."""
    alias = attribute(drive, "alias", "name") or ""
    name = alias.removeprefix(_DRIVE_ALIAS)
    return name if name != alias else attribute(drive, "target", "dev") or alias


def find_seed(domain: Element) -> Element | None:
    """The drive that holds the seed."""
    for node in devices_of(domain, "disk"):
        if attribute(node, "alias", "name") == SEED_ALIAS:
            return node
    return None


def seed_volume(domain: Element) -> VolumeRef | None:
    """The volume in the seed's drive."""
    node = find_seed(domain)
    source = node.find("source") if node is not None else None
    if source is None or source.get("volume") is None:
        return None
    return VolumeRef(source.get("pool", ""), source.get("volume", ""), "raw")


def read(
    domain: Element, bindings: Bindings, ignored: Collection[Element] = ()
) -> dict[str, dict[str, Any]]:
    """The drives of a definition by name."""
    drives = {}
    for name, node in find(domain, ignored).items():
        drive: dict[str, Any] = {"bus": attribute(node, "target", "bus") or "ide"}
        image = bindings.image_name(node)
        if image is not None:
            drive["image"] = image
        order = attribute(node, "boot", "order")
        if order is not None:
            drive["bootOrder"] = int(order)
        drives[name] = drive
    return drives
