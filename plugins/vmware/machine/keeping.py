"""What must not go with a machine: the disks that outlive it, and what snapshots keep of them.

Called by the machine handler before a machine is removed or loses a disk. Source: vSphere Web
Services API, ManagedEntity.Destroy_Task of a VirtualMachine ("all of its files", those that only
its snapshots refer to included), and VirtualMachineSnapshot.config.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.machine.reading import Machine
from provisioner_plugins.vmware.machine.record import Device
from provisioner_plugins.vmware.site import Site, listed
from provisioner_plugins.vmware.snapshot.tree import Found, snapshots_of
from provisioner_plugins.vmware.storage.backing import file_of
from provisioner_plugins.vmware.storage.file import Files, split_path
from provisioner_plugins.vmware.wire.errors import STATE
from provisioner_plugins.vmware.wire.sweep import Row, look

_DEVICES = "config.hardware.device"
_HINT = (
    "Remove the snapshots, which brings what they hold into the disks (Snapshots, Delete All in "
    "vSphere's client), then plan again."
)


def outlives(resource: Resource, files: Files, machine: Machine, disk: Device) -> bool:
    """Whether a disk outlives its machine: it is a Disk of the stack, or lies elsewhere than the
    machine's own files. Of one that came with the machine this is what lies there, not what is
    below it: a linked one has its template's below.
    """
    if disk.file is None:
        return False
    name = files.name("Disk", disk.file)
    file = file_of(machine.raw[disk.key].backing) if disk.key in machine.own else disk.file
    own = split_path(machine.record.home)[1].rpartition("/")[0]
    return (
        name != str(disk.file)
        or file is None
        or file.path.rpartition("/")[0] != own
        or name in resource.spec.get("disks", {})
    )


def objection(site: Site, resource: Resource, row: Row) -> Diagnostic | None:
    """Why a machine cannot be removed (PRV5316): it has snapshots, and disks that are to stay,
    plugged in now or when a snapshot was taken. ``row`` has everything in it.
    """
    snapshots = [*snapshots_of(row)]
    if not snapshots:
        return None
    files, now = Files(resource.related), Machine.fresh(row, resource.spec)
    then = [_at(now, read) for read in _configurations(site, resource, snapshots)]
    kept = _kept(resource, files, now)
    unplugged = [name for machine in then for name in _kept(resource, files, machine)]
    unplugged = sorted({*unplugged}.difference(kept))
    if not kept and not unplugged:
        return None
    found = _over(
        resource,
        snapshots,
        [*kept, *unplugged],
        "is to be removed, with snapshots over disks that stay",
        "vSphere removes what its snapshots are made of along with it.",
    )
    if unplugged:
        first = f"Plug in {listed(unplugged)} again first, or the data may go with the snapshots."
        found = replace(found, hint=f"{first} {found.hint}")
    return found


def require_removable(site: Site, resource: Resource, row: Row) -> None:
    """Raise Terminal with the :func:`objection`, if there is one."""
    problem = objection(site, resource, row)
    if problem is not None:
        raise Terminal(problem)


def _kept(resource: Resource, files: Files, machine: Machine) -> list[str]:
    return [
        files.name("Disk", disk.file)
        for disk in machine.disks
        if disk.file is not None and outlives(resource, files, machine, disk)
    ]


def layered(resource: Resource, machine: Machine, config: Any) -> Diagnostic | None:
    """Why a machine cannot be changed so (PRV5316): a disk is to be unplugged, and what was written
    to it lies in a layer over it.
    """
    snapshots = [*snapshots_of(machine.row)]
    unplugged = [
        disk.file
        for change in config.deviceChange
        if change.operation == vim.vm.device.VirtualDeviceSpec.Operation.remove
        for disk in machine.disks
        if disk.key == change.device.key and disk.file is not None
    ]
    if not snapshots or not unplugged:
        return None
    files = Files(resource.related)
    return _over(
        resource,
        snapshots,
        [files.name("Disk", file) for file in unplugged],
        "is to lose disks that snapshots have been laid over",
        "What was written since lies in the snapshots' files, not in the disks.",
    )


def _configurations(site: Site, resource: Resource, snapshots: list[Found]) -> list[Row]:
    objects = [site.client.managed(vim.vm.Snapshot, found.moid) for found in snapshots]
    what = f"read the snapshots of machine {resource.name}"
    return look(site.client, what, objects, {vim.vm.Snapshot: (_DEVICES,)})


def _at(now: Machine, read: Row) -> Machine:
    """The machine with the devices that it had when a snapshot was taken."""
    raw = list(read.get(_DEVICES, ()))
    devices = tuple(map(Device.read, raw))
    record = now.record._replace(devices=devices)
    return replace(now, record=record, raw={device.key: device for device in raw})


def _over(
    resource: Resource, snapshots: list[Found], disks: list[str], found: str, why: str
) -> Diagnostic:
    names = [snapshot.name for snapshot in snapshots]
    return error(
        STATE.code,
        f"machine {resource.name} {found}",
        detail=f"Its snapshots: {listed(names)}. The disks: {listed([*dict.fromkeys(disks)])}. "
        f"{why}",
        hint=_HINT,
        address=str(resource.address),
    )
