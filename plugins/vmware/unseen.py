"""What is recorded and not among what the user sees is no proof that it is gone: an object on which
the user has no rights is left out of every view. Asked for by its id, the endpoint says that he may
not read it. Called by the session for its observations.

Source: vSphere Web Services API, PropertyCollector (``missingSet``: NoPermission) and ViewManager
(a view has what the user may see).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.errors import FORBIDDEN
from provisioner_plugins.vmware.wire.sweep import look

_TYPES: Mapping[str, Sequence[type]] = {
    "Cluster": (vim.ClusterComputeResource,),
    "ClusterHost": (vim.HostSystem,),
    "Datacenter": (vim.Datacenter,),
    "Folder": (vim.Folder,),
    "Network": (vim.Network, vim.dvs.DistributedVirtualPortgroup),
    "ResourcePool": (vim.ResourcePool,),
    "StoragePool": (vim.Datastore, vim.StoragePod),
}
"""Kinds whose external id is that of a managed object."""
_FILES = frozenset({"Disk", "Image"})
"""Kinds whose external id begins with that of a datastore."""


def unseen(client: Client, absent: Sequence[Resource]) -> Mapping[Address, Diagnostic]:
    """Why nobody can tell whether these resources, which were not found, are there: of those that
    are recorded, and that the user may not see. One request for all, and none for none.
    """
    by_id: dict[str, list[Resource]] = {}
    asked: dict[str, Any] = {}
    for target in absent:
        for kind, moid in _recorded(target):
            by_id.setdefault(moid, []).append(target)
            asked[f"{kind} {moid}"] = client.managed(kind, moid)
    what = "look for what is recorded and was not found"
    try:
        rows = look(client, what, asked.values(), {vim.ManagedEntity: ("name",)})
        hidden = {row.moid for row in rows if row.denied}
    except Terminal as problem:
        if problem.diagnostic.code != FORBIDDEN.code:
            raise
        hidden = {*by_id}
    return {
        target.address: _hidden(target, moid) for moid in sorted(hidden) for target in by_id[moid]
    }


def _recorded(target: Resource) -> Iterator[tuple[type, str]]:
    if target.external_id is None:
        return
    if target.kind in _FILES:
        file = FileId.parse(target.external_id)
        yield vim.Datastore, file.datastore
    for kind in _TYPES.get(target.kind, ()):
        yield kind, target.external_id


def _hidden(target: Resource, moid: str) -> Diagnostic:
    where = "it lies on" if target.kind in _FILES else "it was recorded as"
    return error(
        FORBIDDEN.code,
        f"{target.address}: the user may not see whether it is there",
        detail=f"The endpoint has the object that {where} ({moid}), and tells this user nothing "
        "of it.",
        hint="Give the user of the connection a role with System.View and System.Read (Read-only) "
        "on the object, or on one above it with propagation.",
        address=str(target.address),
    )
