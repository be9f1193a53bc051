"""The datacenters, folders and clusters that a spec of an inventory's kind refers to; else the
Host's own, else the only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row

ROOTS: Mapping[str, str] = {
    "machine": "vmFolder",
    "host": "hostFolder",
    "storage": "datastoreFolder",
    "network": "networkFolder",
}
"""The property of a datacenter that holds its own folder, by the type of folder."""


def folder_above(
    site: Site, inventory: Inventory, target: Resource, kind: str, field: str
) -> str | None:
    """The folder of a type (``machine``, ``host``) in which something goes: what ``field`` refers
    to, else the datacenter's own; None while that is still to be made. ``datacenter`` is the type
    of folders that datacenters are in.
    """
    names = References(target.related)
    if field in target.spec:
        return names.moid("Folder", target.spec[field])
    if kind == "datacenter":
        return str(site.client.content.rootFolder._GetMoId())
    if "datacenter" in target.spec:
        moid = names.moid("Datacenter", target.spec["datacenter"])
        row = inventory.row(moid)
    else:
        row = site.datacenter(target)
    if row is None:
        return None
    own: Any = row.get(ROOTS[kind])
    return None if own is None else str(own._GetMoId())


def is_root(row: Row, inventory: Inventory) -> bool:
    """Whether a folder is one that a datacenter has by itself."""
    parent = inventory.parent(row)
    return parent is not None and issubclass(parent.kind, vim.Datacenter)
