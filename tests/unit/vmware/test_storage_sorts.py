"""What the datastores of an endpoint are told as."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.storage.pool_reading import Names, sort_of, spec_of
from provisioner_plugins.vmware.wire.sweep import Row

RUNNING = {"autostart": True, "active": True}


def share(**nas: Any) -> Row:
    volume = vim.host.NasVolume(remoteHost="nas1", remotePath="/export/a", **nas)
    info = vim.host.NasDatastoreInfo(nas=volume)
    return Row("datastore-1", vim.Datastore, {"name": "fast", "info": info})


def told(row: Row) -> dict[str, Any]:
    inventory: Any = SimpleNamespace()
    return spec_of(inventory, row, Names({}), of_vcenter=False)


def test_a_share_is_a_network_file_system() -> None:
    source = {"host": "nas1", "directory": "/export/a", "format": "nfs"}
    assert {"type": "netfs", "source": source, **RUNNING} == told(share(type="NFS"))


def test_a_share_of_nfs_4_1_is_told_with_all_its_servers_and_is_none_of_nfs_3() -> None:
    row = share(type="NFS41", remoteHostNames=["nas1", "nas2"])
    assert RUNNING == told(row)
    assert "of the type NFS41, /export/a of nas1, nas2" == sort_of(row)


def test_what_is_no_share_is_told_by_its_type() -> None:
    row = Row("datastore-1", vim.Datastore, {"name": "fast", "summary.type": "vsan"})
    assert "of the type vsan" == sort_of(row)
