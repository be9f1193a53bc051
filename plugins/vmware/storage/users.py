"""Which machines have a file plugged in; called before one is changed or removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.diagnostics import error
from provisioner.providers.api import InUse, Resource
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.backing import file_of, layers_of
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.errors import IN_USE
from provisioner_plugins.vmware.wire.sweep import look


class User(NamedTuple):
    """A machine with the device that has the file."""

    moid: str
    name: str
    device: Any

    @property
    def has_snapshots(self) -> bool:
        """Whether snapshots have been laid over the file."""
        return getattr(self.device.backing, "parent", None) is not None


def users_of(site: Site, file: FileId) -> list[User]:
    """The machines that have a file as a disk or in a CD drive, by name: those on its datastore
    are read.
    """
    what = "look for machines that have a file"
    store = site.client.managed(vim.Datastore, file.datastore)
    rows = look(site.client, what, (store,), {vim.Datastore: ("vm",)})
    machines = [machine for row in rows for machine in row.get("vm", ())]
    wanted = {vim.VirtualMachine: ("name", "config.hardware.device")}
    found: list[User] = []
    for row in look(site.client, what, machines, wanted):
        found += [
            User(row.moid, name_of(row), device)
            for device in row.get("config.hardware.device", ())
            if file in map(file_of, layers_of(device.backing))
        ]
    return sorted(found, key=lambda user: user.name)


def require_unused(resource: Resource, users: Sequence[User]) -> None:
    """Raise InUse (PRV5320) if machines have it."""
    if users:
        names = ", ".join(dict.fromkeys(user.name for user in users))
        raise InUse(
            error(
                IN_USE.code,
                f"{resource.kind} {resource.name} is in use",
                detail=f"These machines have it: {names}.",
                hint=IN_USE.hint,
                address=str(resource.address),
            )
        )
