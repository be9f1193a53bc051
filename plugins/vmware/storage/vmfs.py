"""How a new VMFS is laid on a device; called where a StoragePool of the type vmfs is made.

The simulator knows nothing of it: after the vSphere Web Services API, HostDatastoreSystem.
"""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.wire.sweep import Row


def new_spec(resource: Resource, host: Row, system: Any) -> Any:
    """What CreateVmfsDatastore is to do: a VMFS on the device, all of it.

    Raises Terminal (PRV5323) for a device that the host has not, or that holds data.
    """
    devices = resource.spec["source"]["devices"]
    if len(devices) > 1:
        raise Terminal(
            error(
                "PRV5311",
                f"the datastore {resource.name} is to be made of {len(devices)} devices",
                detail="A new one is made of one device.",
                hint="Name one device, or make the datastore and take it over: provisioner adopt "
                f"{resource.address}",
                path=("source", "devices"),
                address=str(resource.address),
            )
        )
    free = {disk.canonicalName: disk for disk in system.QueryAvailableDisksForVmfs(None) or ()}
    for device in devices:
        if device not in free:
            raise Terminal(
                error(
                    "PRV5323",
                    f"device {device} cannot be used for the datastore {resource.name}",
                    detail=f"{name_of(host)} offers these: {', '.join(sorted(free)) or 'none'}.",
                    hint="Name a device without a file system, or the datastore that is on it "
                    "(metadata.externalName).",
                    path=("source", "devices"),
                    address=str(resource.address),
                )
            )
    options = system.QueryVmfsDatastoreCreateOptions(free[devices[0]].devicePath, None) or ()
    whole = [
        option
        for option in options
        # Anything else would share the device with what is on it, or write over that.
        if isinstance(option.info, vim.host.VmfsDatastoreOption.AllExtentInfo)
        and not option.info.layout.partition
    ]
    if not whole:
        raise Terminal(
            error(
                "PRV5323",
                f"device {devices[0]} cannot be used for the datastore {resource.name}",
                detail="There are partitions on it.",
                hint="Name an empty device.",
                path=("source", "devices"),
                address=str(resource.address),
            )
        )
    spec = whole[0].spec
    spec.vmfs.volumeName = resource.name
    return spec
