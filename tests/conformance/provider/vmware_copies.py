"""What guests and arrays do with the disks of vSphere endpoints: the simulator's machines run
nothing, and its datastores are folders of this machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pyVmomi import vim

from provisioner_plugins.vmware.storage.backing import file_of
from provisioner_plugins.vmware.storage.file import FileId, flat_path
from tests.conformance.provider.vmware_outside import Connected, connected
from tests.conformance.provider.vmware_storage import POOL
from tests.lab.vcsim import Vcsim


def write_in(vcsim: Vcsim, machine: str, disk: str, number: int) -> None:
    """Have the guest of a machine write a number to a disk that is called so."""
    with connected(vcsim) as there:
        [found] = there.called(vim.VirtualMachine, machine)
        assert found.runtime.powerState == "poweredOn"
        files = [
            file_of(device.backing)
            for device in found.config.hardware.device
            if isinstance(device, vim.vm.device.VirtualDisk)
        ]
        [path] = [file.path for file in files if file is not None and disk in file.path]
        (_root(there) / flat_path(path)).write_bytes(number.to_bytes(8, "big"))


def data_of(vcsim: Vcsim, external_id: str) -> Path:
    """The file with the data of a Disk."""
    with connected(vcsim) as there:
        return _root(there) / flat_path(FileId.parse(external_id).path)


def deliver(vcsim: Vcsim, other: Vcsim, external_id: str) -> None:
    """Copy a disk to another endpoint as an array does: with the names and times of its files."""
    path = FileId.parse(external_id).path
    with connected(vcsim) as here, connected(other) as there:
        for name in (path, flat_path(path)):
            target = _root(there) / name
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(_root(here) / name, target)


def _root(there: Connected) -> Path:
    [store] = there.called(vim.Datastore, POOL)
    return Path(store.summary.url)
