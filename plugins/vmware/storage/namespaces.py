"""Datastores that have no folders for files of ours: vSAN and vVols. Asked by the handlers of disks
and images before they make a file.

A top-level folder there is a namespace with an id of its own, which DatastoreNamespaceManager makes
and by which searches call it, so a path that carries our identity is not found again. Source:
vSphere Web Services API, DatastoreNamespaceManager and DatastoreSummary.type.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.wire.sweep import Row

TYPE = "summary.type"
_WITHOUT_FOLDERS: Mapping[str, str] = MappingProxyType({"vsan": "vSAN", "VVOL": "vVol"})


def require_folders(resource: Resource, datastore: Row | None) -> None:
    """Raise Terminal (PRV2551) if the pool of a Disk or Image is a datastore on which no file of
    ours can be; None: it is not there yet.
    """
    sort = None if datastore is None else _WITHOUT_FOLDERS.get(str(datastore.get(TYPE)))
    if datastore is None or sort is None:
        return
    raise Terminal(
        error(
            "PRV2551",
            f"{resource.address} cannot be on {name_of(datastore)}, a {sort} datastore",
            detail=f"A {sort} datastore keeps objects in namespaces, not files in folders; "
            "expected a VMFS, NFS or local datastore.",
            hint="Name such a pool. The own files of machines (placement.storagePool) and "
            f"templates (source.libraryItem, format: ova) may be on a {sort} datastore.",
            path=("pool",),
            address=str(resource.address),
        )
    )
