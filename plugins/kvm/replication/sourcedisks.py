"""What a disk in a machine's definition is on its host. Called by :mod:`source` and
:mod:`checkpoints`.
"""

from __future__ import annotations

from typing import NamedTuple

from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.storage import Volumes
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import Element, attribute


class SourceDisk(NamedTuple):
    """libvirt's name of the device, its file and QEMU's format."""

    device: str
    path: str
    format: str


def source_disk(connection: Connection, node: Element) -> SourceDisk:
    """Of a ``<disk>``; one of a pool is looked up there."""
    device = attribute(node, "target", "dev") or ""
    form = attribute(node, "driver", "type") or "raw"
    path = attribute(node, "source", "file") or attribute(node, "source", "dev")
    if path is None:
        pool, volume = (attribute(node, "source", key) or "" for key in ("pool", "volume"))
        facts = Volumes(connection).facts(VolumeId(pool, volume))
        path = facts.path if facts is not None else ""
    return SourceDisk(device, path, form)
