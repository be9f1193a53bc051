"""Taking datastores from hosts."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.storage.mounts import Mounts
from provisioner_plugins.vmware.wire.sweep import Row


def test_a_vmfs_is_never_taken_from_a_host() -> None:
    """The call that unmounts a share destroys a VMFS with all that is on it."""
    untouched: Any = object()
    mount = vim.Datastore.HostMount(
        key=vim.HostSystem("host-1"),
        mountInfo=vim.host.MountInfo(accessMode="readWrite"),
    )
    values = {"name": "vmfs", "info": vim.host.VmfsDatastoreInfo(), "host": [mount]}
    Mounts(untouched).remove(Row("datastore-1", vim.Datastore, values))
