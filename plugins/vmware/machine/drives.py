"""Disks and CD drives, as vSphere takes them: made and edited."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from provisioner_plugins.vmware.wire.questions import NO_ANSWERS, Answers

_Disk = vim.vm.device.VirtualDisk
_Drive = vim.vm.device.VirtualCdrom
_TAKEN_OUT = {"msg.cdromdisconnect.locked": "yes"}
"""A guest that has locked its drive is in the way of what takes an image out: whether to do it all
the same is asked in the middle of the task, and was answered by the manifest.
"""


def make_disk(file_name: str, datastore: Any, size: int, key: int) -> Any:
    """A disk on an existing file; ``size`` in bytes, as the file has it."""
    return _Disk(
        key=key,
        capacityInKB=size // 1024,
        capacityInBytes=size,
        backing=_Disk.FlatVer2BackingInfo(
            fileName=file_name,
            datastore=datastore,
            diskMode=vim.vm.device.VirtualDiskOption.DiskMode.persistent,
        ),
    )


def answers_for(config: Any) -> Answers:
    """The answers to what is asked while a machine is brought to this configuration."""
    changed = [item.device for item in config.deviceChange or ()]
    has_drive = any(isinstance(device, _Drive) for device in changed)
    return _TAKEN_OUT if has_drive else NO_ANSWERS


def make_drive(key: int) -> Any:
    """An empty CD drive."""
    drive = _Drive(key=key)
    insert(drive, None, None)
    return drive


def insert(drive: Any, file_name: str | None, datastore: Any) -> None:
    """Put an image in, or take it out."""
    full = file_name is not None
    drive.backing = (
        _Drive.IsoBackingInfo(fileName=file_name, datastore=datastore)
        if full
        else _Drive.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
    )
    drive.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=full, connected=full, allowGuestControl=True
    )
