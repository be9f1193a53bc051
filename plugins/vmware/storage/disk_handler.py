"""Disks as VMDK files on datastores: empty ones and copies of images; they grow, plugged in or not,
and never shrink.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.units import format_size
from provisioner.core.values import Json
from provisioner.providers.api import (
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.flavour import ESXI
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.ownership import gone, require_time
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage import listing
from provisioner_plugins.vmware.storage.disk import FORMAT
from provisioner_plugins.vmware.storage.file import FileId, file_of, own_path, partial_path
from provisioner_plugins.vmware.storage.listing import Found
from provisioner_plugins.vmware.storage.local_file import local_file
from provisioner_plugins.vmware.storage.making import (
    Turns,
    outcome,
    owner_of,
    present,
    require_ours,
)
from provisioner_plugins.vmware.storage.places import Located, Places
from provisioner_plugins.vmware.storage.store import Store, Stores
from provisioner_plugins.vmware.storage.surveying import Unread, survey
from provisioner_plugins.vmware.storage.users import User, require_unused, users_of
from provisioner_plugins.vmware.wire.sweep import Wanted

_Type = vim.VirtualDiskManager.VirtualDiskType
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "none": _Type.thin,
        "metadata": _Type.thin,
        "lazy": _Type.preallocated,
        "full": _Type.eagerZeroedThick,
    }
)
_COPYING = "copyVirtualDisk"
_CREATING = "createVirtualDisk"


class DiskHandler:
    """Handler of the kind Disk."""

    kind = "Disk"
    reads: Wanted = listing.READS

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turns = Turns()

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        places = Places(self._site, inventory, targets, checksums=False)
        return {target.address: _observed(places, target) for target in targets}

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Every disk that is no part of a template and no layer of a snapshot."""
        for item in survey(self._site, inventory):
            if isinstance(item, Unread):
                yield item.told(self.kind)
                continue
            if not item.is_disk:
                continue
            found, notes = item.found, list(item.notes)
            spec: dict[str, Any] = {"format": FORMAT}
            if not notes:
                spec["pool"] = found.file.datastore
            if found.capacity is None:
                notes.append("nobody tells its size")
            else:
                spec["size"] = found.capacity
            observed = present(found, spec, item.owner, _size(found))
            yield Discovered(self.kind, found.file.path, observed, tuple(notes))

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a disk that starts from an
        image which lies on this machine is no smaller than that.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        name, size = resource.spec.get("image"), resource.spec.get("size")
        image = resource.related.get(Address("Image", str(name)))
        if not undertaking.creates or image is None or not isinstance(size, int):
            return
        path = image.spec["source"].get("file")
        if path is None or image.external_id is not None:
            return  # what was uploaded need not be what lies here now
        try:
            file = local_file(self._site.client.context.root / path, str(image.spec["format"]))
        except Terminal:
            return  # said of the image, if it is still to be uploaded
        if size < file.capacity:
            yield _too_small(resource, size, str(name), file.capacity)

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        stores = Stores(self._site).of_pool(resource)
        path = own_path(resource)
        with self._turns.at(FileId(stores[0].moid, path)):
            for store in stores:
                found = store.find(path, deadline)
                if found is not None:
                    return self._take_over(resource, store, found, deadline)
            self._make(resource, stores[0], path, deadline)
            return self._outcome(resource, stores[0], path, deadline)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Grow; nothing else of a disk can be changed in place."""
        del restart
        require_time(resource, deadline)
        file = FileId.parse(observed.external_id)
        require_ours(resource, file)
        store = Stores(self._site).of(file.datastore)
        found = None if store is None else store.find(file.path, deadline)
        if store is None or found is None:
            raise Terminal(gone(resource))
        for change in changes:
            if change.path == ("size",) and isinstance(change.after, int):
                self._grow(resource, store, found, change.after, deadline)
        return self._outcome(resource, store, file.path, deadline)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Nothing can be written on a file: that it is recorded makes it ours."""
        require_time(resource, deadline)
        file = FileId.parse(observed.external_id)
        store = Stores(self._site).of(file.datastore)
        if store is None:
            raise Terminal(gone(resource))
        return self._outcome(resource, store, file.path, deadline)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Delete the file with its data; refused while a machine has it."""
        require_time(resource, deadline)
        file = file_of(resource)
        if file is None:
            return
        require_ours(resource, file)
        stores = Stores(self._site)
        store = stores.of(file.datastore)
        if store is None:
            return
        if store.find(file.path, deadline) is not None:
            require_unused(resource, users_of(self._site, file))
            store.delete_disk(file.path, deadline)
        partial = partial_path(file.path)
        if store.find(partial, deadline) is not None:
            store.delete_disk(partial, deadline)

    # --- the parts of writing ---

    def _outcome(self, resource: Resource, store: Store, path: str, deadline: Deadline) -> Outcome:
        found = store.find(path, deadline)
        if found is None:
            raise Terminal(gone(resource))
        return outcome(found, _size(found))

    def _take_over(
        self, resource: Resource, store: Store, found: Found, deadline: Deadline
    ) -> Outcome:
        """A whole disk with our identity: of an attempt whose answer was lost, or of a disk that
        was kept when it left the stack. Its data stays, and it gets the size that is wanted now.
        """
        wanted, size = resource.spec.get("size"), found.capacity
        note = "its file was there already and is taken over with its data"
        if isinstance(wanted, int) and size is not None:
            if size > wanted:
                raise Terminal(_too_large(resource, found, size, wanted))
            if size < wanted:
                self._grow(resource, store, found, wanted, deadline)
                note += f"; it was grown from {format_size(size)} to {format_size(wanted)}"
        made = self._outcome(resource, store, found.file.path, deadline)
        return Outcome(made.external_id, made.outputs, notes=(note,))

    def _make(self, resource: Resource, store: Store, path: str, deadline: Deadline) -> None:
        """Under a name that says that it is not whole, until it is; an empty disk that takes no
        space is whole at once.
        """
        kind = _TYPES[resource.spec.get("preallocation", "none")]
        partial = partial_path(path)
        tasks, manager = self._site.tasks, self._site.client.content.taskManager
        if store.find(partial, deadline) is not None:
            for operation in (_COPYING, _CREATING):
                # They may be of an attempt whose answer was lost.
                tasks.await_others(manager, operation, deadline)
            store.delete_disk(partial, deadline)
        store.make_folder(path)
        if "image" in resource.spec:
            self._copy(resource, store, partial, kind, deadline)
        elif kind == _Type.thin:
            store.create_disk(path, int(resource.spec["size"]), kind, deadline)
            return
        else:
            store.create_disk(partial, int(resource.spec["size"]), kind, deadline)
        store.move_disk(partial, path, deadline)

    def _copy(
        self, resource: Resource, store: Store, path: str, kind: str, deadline: Deadline
    ) -> None:
        name = str(resource.spec["image"])
        image = resource.related.get(Address("Image", name))
        file = None if image is None else file_of(image)
        source = None if file is None else Stores(self._site).of(file.datastore)
        found = None if source is None or file is None else source.find(file.path, deadline)
        if source is None or file is None or found is None:
            raise Terminal(_no_image(resource, name))
        wanted = resource.spec.get("size")
        if isinstance(wanted, int) and found.capacity is not None and wanted < found.capacity:
            raise Terminal(_too_small(resource, wanted, name, found.capacity))

        def report(percent: int) -> None:
            progress = self._site.client.context.progress
            progress(resource.address, f"copy of {found.text}", percent, 100)

        # A vCenter takes no wishes for a copy; its hosts make it as they have the image.
        wish = kind if self._site.flavour is ESXI else None
        store.copy_disk(
            source.text(file.path), source.datacenter, path, deadline, kind=wish, report=report
        )
        if isinstance(wanted, int) and wanted != found.capacity:
            store.extend_disk(path, wanted, deadline)

    def _grow(
        self, resource: Resource, store: Store, found: Found, size: int, deadline: Deadline
    ) -> None:
        users = users_of(self._site, found.file)
        if found.capacity is not None and size <= found.capacity:
            return
        if not users:
            store.extend_disk(found.file.path, size, deadline)
            return
        user = users[0]
        if user.has_snapshots:
            raise Terminal(_below_snapshots(resource, user))
        device = user.device
        device.capacityInKB, device.capacityInBytes = size // 1024, size
        change = vim.vm.device.VirtualDeviceSpec(
            operation=vim.vm.device.VirtualDeviceSpec.Operation.edit, device=device
        )
        config = vim.vm.ConfigSpec(deviceChange=[change])
        machine = self._site.client.managed(vim.VirtualMachine, user.moid)
        self._site.run(
            f"enlarge the disk {found.text} of machine {user.name}",
            lambda _: machine.ReconfigVM_Task(config),
            deadline,
        )


def _observed(places: Places, target: Resource) -> Observation:
    place = places.locate(target)
    if not isinstance(place, Located):
        return place
    found = place.found
    if found.capacity is None:
        return Undetermined(_no_size(target, found))
    spec: dict[str, Any] = {
        "pool": places.pool_name(target, found.file.datastore),
        "format": FORMAT,
        "size": found.capacity,
    }
    return present(found, spec, owner_of(target, place), _size(found))


def _size(found: Found) -> dict[str, Json]:
    """What machines need of a disk that has no size of its own in the manifest."""
    return {} if found.capacity is None else {"size": found.capacity}


def _no_size(resource: Resource, found: Found) -> Diagnostic:
    return error(
        "PRV5350",
        f"the size of {found.text} is not known",
        detail="The endpoint tells no capacity of it: it is damaged, or no disk.",
        hint=f"Look at the file on the datastore. If it is gone for good: provisioner state "
        f"forget {resource.address}",
        address=str(resource.address),
    )


def _too_small(resource: Resource, size: int, image: str, smallest: int) -> Diagnostic:
    return error(
        "PRV5355",
        f"disk {resource.name} is smaller than its image",
        detail=f"Its size is {format_size(size)}; Image/{image} has {format_size(smallest)}.",
        path=("size",),
        hint=f"Use a size of at least {format_size(smallest)}, or leave it out.",
        address=str(resource.address),
    )


def _too_large(resource: Resource, found: Found, size: int, wanted: int) -> Diagnostic:
    return error(
        "PRV5356",
        f"{found.text} is there already and larger than disk {resource.name}",
        detail=f"It has {format_size(size)}; expected {format_size(wanted)}. A disk cannot shrink.",
        path=("size",),
        hint=f"Write size: {format_size(size)} to take it over with its data, or remove the file.",
        address=str(resource.address),
    )


def _no_image(resource: Resource, image: str) -> Diagnostic:
    return error(
        "PRV5323",
        f"Image/{image} is not on the endpoint",
        detail=f"{resource.address} starts from it.",
        hint="Plan again: it was removed since it was read, or is still to be made.",
        path=("image",),
        address=str(resource.address),
    )


def _below_snapshots(resource: Resource, user: User) -> Diagnostic:
    return error(
        "PRV5316",
        f"disk {resource.name} cannot grow while machine {user.name} has snapshots",
        detail="Snapshots hold the differences to the disk as it is.",
        hint="Remove the machine's snapshots first.",
        path=("size",),
        address=str(resource.address),
    )
