"""Templates of a vCenter, as somebody else has made them there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyVmomi import vim

if TYPE_CHECKING:
    from tests.conformance.provider.vmware_outside import Connected

TEMPLATES = ("golden-a", "golden-b")
"""A Linux with a disk, a card, and a snapshot to link copies to."""
_Change = vim.vm.device.VirtualDeviceSpec
_SIZE = 4 * 2**20


def make_template(there: Connected, name: str, *, snapshot: bool = True, **config: Any) -> Any:
    """A template; ``config`` is of its configuration besides."""
    store = there.called(vim.Datastore, "LocalDS_0")[0]
    bus = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
    disk = vim.vm.device.VirtualDisk(
        key=-2,
        controllerKey=-1,
        unitNumber=0,
        capacityInKB=_SIZE // 1024,
        capacityInBytes=_SIZE,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", datastore=store, diskMode="persistent", thinProvisioned=True
        ),
    )
    network = there.datacenter.network[0]
    card = vim.vm.device.VirtualVmxnet3(
        key=-3,
        addressType="generated",
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network.name),
    )
    spec = vim.vm.ConfigSpec(
        **{
            "name": name,
            "guestId": "debian12_64Guest",
            "version": "vmx-19",
            "numCPUs": 2,
            "memoryMB": 32,
            "files": vim.vm.FileInfo(vmPathName=f"[{store.name}]"),
            "deviceChange": [
                _Change(operation="add", device=bus),
                _Change(operation="add", fileOperation="create", device=disk),
                _Change(operation="add", device=card),
            ],
            **config,
        }
    )
    pool = there.compute.resourcePool
    machine = _result(there.datacenter.vmFolder.CreateVM_Task(spec, pool))
    if snapshot:
        _result(machine.CreateSnapshot_Task("base", "", memory=False, quiesce=False))
    machine.MarkAsTemplate()
    return machine


def _result(task: Any) -> Any:
    # pyVim's WaitForTask trips over the simulator's name of a task that it finds running.
    while (info := task.info).state not in ("success", "error"):
        time.sleep(0.01)
    if info.error is not None:
        raise info.error
    return info.result
