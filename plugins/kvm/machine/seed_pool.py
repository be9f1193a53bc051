"""In which pool the cloud-init seed of a machine lies. Pure.

Called by the rules, to refuse a machine without one while a plan is made, and by
:mod:`~provisioner_plugins.kvm.machine.files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.providers.api import Resource

_NO_FILES = frozenset({"iscsi", "iscsi-direct", "scsi", "mpath", "rbd"})
"""Types of pools in which libvirt makes no volumes."""


def seed_pool(resource: Resource) -> str | None:
    """libvirt's name of the pool: the one that the author chose, else the first that holds a disk
    of the machine and can hold a seed as well. None: there is none.

    Either is a reference of the machine, so that the pool is there before it and goes after it.
    """
    section: Mapping[str, Any] = resource.spec.get("cloudInit", {})
    if "pool" in section:
        return _suitable(resource, section["pool"])
    for name in sorted(resource.spec.get("disks", {})):
        disk = resource.related.get(Address("Disk", name))
        pool = _suitable(resource, disk.spec.get("pool")) if disk is not None else None
        if pool is not None:
            return pool
    return None


def _suitable(resource: Resource, name: object) -> str | None:
    pool = resource.related.get(Address("StoragePool", str(name)))
    if pool is None or pool.spec.get("type") in _NO_FILES:
        return None
    return pool.name
