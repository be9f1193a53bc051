"""One datastore as the handlers of disks and images use it: files are looked for, made, moved and
removed there.
"""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import dirname
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage import listing
from provisioner_plugins.vmware.storage.file import datastore_path
from provisioner_plugins.vmware.storage.listing import Found
from provisioner_plugins.vmware.wire.errors import EXISTS, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row
from provisioner_plugins.vmware.wire.tasks import Report


class Store:
    """A datastore."""

    def __init__(self, site: Site, inventory: Inventory, row: Row) -> None:
        self._site = site
        self.row = row
        self.moid = row.moid
        self.name = name_of(row)
        above = inventory.above(row, vim.Datacenter)
        assert above is not None
        self.datacenter = site.client.managed(vim.Datacenter, above.moid)
        self.datacenter_path = inventory.path(above)

    def text(self, path: str) -> str:
        """A path as vSphere writes it."""
        return datastore_path(str(self.row.get("name")), path)

    def find(self, path: str, deadline: Deadline, *, checksums: bool = False) -> Found | None:
        """The file as it is now; ``checksums``: with the one that is known of it."""
        return listing.find(self._site, self.row, path, deadline, checksums=checksums)

    def make_folder(self, path: str) -> None:
        """The folder of a file, if it is missing."""
        name = self.text(dirname(path))
        try:
            self._site.client.call(
                f"make the folder {name}",
                lambda content: content.fileManager.MakeDirectory(
                    name, self.datacenter, createParentDirectories=True
                ),
            )
        except Terminal as problem:
            if problem.diagnostic.code != EXISTS.code:
                raise

    def create_disk(self, path: str, size: int, kind: str, deadline: Deadline) -> None:
        """An empty disk; ``kind`` is a VirtualDiskType."""
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType=kind, adapterType="lsiLogic", capacityKb=size // 1024
        )
        self._site.run(
            f"create the disk {self.text(path)}",
            lambda content: content.virtualDiskManager.CreateVirtualDisk_Task(
                self.text(path), self.datacenter, spec
            ),
            deadline,
        )

    def copy_disk(
        self,
        source: str,
        datacenter: Any,
        path: str,
        deadline: Deadline,
        *,
        kind: str | None,
        report: Report,
    ) -> None:
        """A copy of the disk ``source``, as vSphere writes it, of a datacenter. ``kind``: the
        VirtualDiskType, where the endpoint lets one choose.
        """
        spec = None
        if kind is not None:
            spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType="lsiLogic")
        self._site.run(
            f"copy {source} to {self.text(path)}",
            lambda content: content.virtualDiskManager.CopyVirtualDisk_Task(
                source,
                datacenter,
                self.text(path),
                self.datacenter,
                spec,
                force=False,
            ),
            deadline,
            report,
        )

    def extend_disk(self, path: str, size: int, deadline: Deadline) -> None:
        """Enlarge a disk that no machine has."""
        self._site.run(
            f"enlarge the disk {self.text(path)}",
            lambda content: content.virtualDiskManager.ExtendVirtualDisk_Task(
                self.text(path), self.datacenter, size // 1024, eagerZero=False
            ),
            deadline,
        )

    def move_disk(self, path: str, to: str, deadline: Deadline) -> None:
        """Give a disk another name."""
        self._site.run(
            f"rename the disk {self.text(path)}",
            lambda content: content.virtualDiskManager.MoveVirtualDisk_Task(
                self.text(path), self.datacenter, self.text(to), self.datacenter, force=False
            ),
            deadline,
        )

    def move_file(self, path: str, to: str, deadline: Deadline) -> None:
        """Give a file another name."""
        self._site.run(
            f"rename the file {self.text(path)}",
            lambda content: content.fileManager.MoveDatastoreFile_Task(
                self.text(path), self.datacenter, self.text(to), self.datacenter, force=False
            ),
            deadline,
        )

    def delete_disk(self, path: str, deadline: Deadline) -> None:
        """Remove a disk, with its data; done already if it is not there."""
        self._delete(
            path,
            lambda content: content.virtualDiskManager.DeleteVirtualDisk_Task(
                self.text(path), self.datacenter
            ),
            deadline,
        )

    def delete_file(self, path: str, deadline: Deadline) -> None:
        """Remove a file; done already if it is not there."""
        self._delete(
            path,
            lambda content: content.fileManager.DeleteDatastoreFile_Task(
                self.text(path), self.datacenter
            ),
            deadline,
        )

    def _delete(self, path: str, start: Any, deadline: Deadline) -> None:
        try:
            self._site.run(f"remove {self.text(path)}", start, deadline)
        except Terminal as problem:
            if problem.diagnostic.code != VANISHED.code:
                raise


class Stores:
    """The datastores of an endpoint, as the session knows them."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def of(self, moid: str) -> Store | None:
        """One datastore; None if it is not there."""
        inventory, row = self._row(moid)
        if row is None or not issubclass(row.kind, vim.Datastore):
            return None
        return Store(self._site, inventory, row)

    def _row(self, moid: str | None) -> tuple[Inventory, Row | None]:
        inventory = self._site.places()
        row = inventory.row(moid)
        # A cluster is read anew, too: how much space its members have left decides.
        if row is None or issubclass(row.kind, vim.StoragePod):
            inventory = self._site.places(anew=True)
        return inventory, inventory.row(moid)

    def of_pool(self, resource: Resource) -> list[Store]:
        """The datastores of the pool that a Disk or Image goes into, that with the most space
        first; more than one only where the pool is a cluster.

        Raises Terminal (PRV5323) if it is not there.
        """
        name = str(resource.spec["pool"])
        pool = resource.related.get(Address("StoragePool", name))
        inventory, row = self._row(None if pool is None else pool.external_id)
        if row is None:
            raise Terminal(
                error(
                    "PRV5323",
                    f"StoragePool/{name} is not on the endpoint",
                    detail=f"{resource.address} needs it.",
                    hint="Plan again: it was removed since it was read, or is still to be made.",
                    path=("pool",),
                    address=str(resource.address),
                )
            )
        return [Store(self._site, inventory, item) for item in stores_in(inventory, row)]


def stores_in(inventory: Inventory, pool: Row) -> Iterable[Row]:
    """A datastore itself; those of a cluster, that with the most free space first."""
    if issubclass(pool.kind, vim.Datastore):
        return [pool]
    return sorted(
        (
            row
            for row in inventory.children(pool, vim.Datastore)
            if row.get("summary.accessible", True)
        ),
        key=lambda row: (-int(row.get("summary.freeSpace", 0)), row.moid),
    )
