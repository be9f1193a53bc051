"""Makes a volume larger: through the machine that has it open, else directly. Called by the Disk
handler.
"""

from __future__ import annotations

from typing import Any

import libvirt

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.usage import uses
from provisioner_plugins._libvirt.volume import VolumeFacts, VolumeId
from provisioner_plugins._libvirt.xml import Element, attribute, parse


def grow(connection: Connection, volume: VolumeId, kind_of_file: str, size: int) -> None:
    """Grow a volume to ``size`` bytes; done already if it is as large.

    Raises Terminal (PRV5136) where the content or a snapshot above the volume forbids it.
    """

    def read(handle: Any) -> VolumeFacts:
        pool = handle.storagePoolLookupByName(volume.pool)
        return VolumeFacts.read(parse(pool.storageVolLookupByName(volume.volume).XMLDesc(0)))

    facts = connection.read(f"read volume {volume}", read)
    holder = _holder(Inventory(connection), volume, facts.path)
    if holder is not None:
        domain, target = holder

        def resize(handle: Any) -> None:
            flags = libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES
            handle.lookupByName(domain).blockResize(target, size, flags)

        connection.call(f"grow disk {target} of domain {domain}", resize)
        return
    if facts.size(kind_of_file) >= size:
        return
    if facts.format("qcow2") != kind_of_file:
        # libvirt would edit it as what it looks like: a guest can make a raw disk look like qcow2.
        raise Terminal(
            _refused(volume, f"its content looks like {facts.probed}, but it is {kind_of_file}")
        )

    def enlarge(handle: Any) -> None:
        pool = handle.storagePoolLookupByName(volume.pool)
        pool.storageVolLookupByName(volume.volume).resize(size, 0)

    connection.call(f"grow volume {volume}", enlarge)


def _holder(inventory: Inventory, volume: VolumeId, path: str) -> tuple[str, str] | None:
    """Running domain and target device of a disk that is the volume; None if no running domain
    uses it.
    """
    for name, live in inventory.running():
        for disk in live.findall("devices/disk"):
            target = attribute(disk, "target", "dev")
            if target is not None and _is_top(disk, volume, path):
                return name, target
        if uses(live, volume, path):
            raise Terminal(_refused(volume, f"domain {name} has a snapshot above it"))
    return None


def _is_top(disk: Element, volume: VolumeId, path: str) -> bool:
    source = disk.find("source")
    if source is None:
        return False
    return path in (source.get("file"), source.get("dev")) or (
        (source.get("pool"), source.get("volume")) == volume
    )


def _refused(volume: VolumeId, found: str) -> Any:
    return error(
        "PRV5136",
        f"volume {volume} cannot grow now",
        detail=f"{found[0].upper()}{found[1:]}.",
        hint="Delete the snapshot, or grow it while a machine has it open.",
    )
