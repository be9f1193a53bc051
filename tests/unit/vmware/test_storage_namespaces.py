"""Datastores that have no folders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource, Terminal
from provisioner.providers.capabilities import Undertaking

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.storage.disk_handler import DiskHandler
from provisioner_plugins.vmware.storage.image_handler import ImageHandler
from provisioner_plugins.vmware.storage.namespaces import TYPE, require_folders
from provisioner_plugins.vmware.wire.sweep import Row

POOL = Resource(
    Address("StoragePool", "fast"),
    "fast0",
    UUID(int=2),
    Stamp("lineage", "StoragePool/fast", 0),
    {},
    external_id="datastore-1",
)


def wanted(kind: str, **spec: Any) -> Resource:
    address = Address(kind, "data")
    stamp = Stamp("lineage", str(address), 0)
    related = {POOL.address: POOL}
    return Resource(address, "data", UUID(int=1), stamp, {"pool": "fast", **spec}, related=related)


DISK = wanted("Disk")
IMAGE = wanted("Image", format="iso", source={"file": "debian.iso"})


def datastore(kind: str) -> Row:
    return Row("datastore-1", vim.Datastore, {"name": "fast0", TYPE: kind})


@pytest.mark.parametrize("resource", [DISK, IMAGE], ids=lambda item: item.kind)
@pytest.mark.parametrize(("kind", "sort"), [("vsan", "vSAN"), ("VVOL", "vVol")])
def test_no_file_is_planned_where_there_are_namespaces_for_folders(
    resource: Resource, kind: str, sort: str
) -> None:
    row = datastore(kind)
    inventory: Any = SimpleNamespace(
        rows=lambda *_: iter([row]), mark=lambda _: None, row=lambda _: row
    )
    site: Any = SimpleNamespace(client=None, rest=None)
    handler = DiskHandler(site) if resource.kind == "Disk" else ImageHandler(site)
    soon: Any = None
    with pytest.raises(Terminal) as refused:
        [*handler.preflight(inventory, Undertaking(resource), soon, thorough=False)]
    told = refused.value.diagnostic
    assert ("PRV2551", ("pool",)) == (told.code, told.path)
    assert f"{resource.address} cannot be on fast0, a {sort} datastore" == told.summary


@pytest.mark.parametrize("kind", ["VMFS", "NFS", "NFS41", "OTHER"])
def test_other_datastores_take_files(kind: str) -> None:
    require_folders(DISK, datastore(kind))
