"""Templates that are made here: of appliances, of items of content libraries. Called by the Image
handler.

Such a template is a machine with the identity of its Image: it has the UUID of the resource and
carries its mark, if it is an appliance's both from the call that makes it. The mark says that it is
not whole until all its files are there; then it becomes a template, which nothing else makes of it.
Its name ends in the first digits of the UUID, as the names of files do: a vCenter has a name once
in a folder, so of two attempts at one image only one makes a machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    HalfMade,
    Outcome,
    ProviderError,
    Resource,
    Retryable,
    Terminal,
)
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.building import stamped
from provisioner_plugins.vmware.machine.home import Home, home_of, name_folder
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.ownership import gone, is_stamped_by, not_ours, taken
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.backing import file_of, layers_of
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.storage.image import TEMPLATE, is_library_item
from provisioner_plugins.vmware.storage.templates import FORMAT, mark_of
from provisioner_plugins.vmware.storage.users import require_unused, users_of
from provisioner_plugins.vmware.wire.errors import BUSY, EXISTS, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row, look

_UNFINISHED = "unfinished"
_SNAPSHOT = "linked clones"
_LONGEST = 71
"""Characters of the name of an Image; that of a machine has at most 80."""
_AGAIN_SECONDS = 15.0
_PAUSES = (0.2, 1.0, 3.0)
"""Seconds between attempts."""
_READ = {
    vim.VirtualMachine: (
        properties.TEMPLATE,
        properties.STAMP,
        "config.hardware.device",
        "snapshot",
    ),
}


def own_name(resource: Resource) -> str:
    """What the template of an Image is called."""
    return f"{resource.name.rpartition('/')[2][:_LONGEST]}.{resource.uid.hex[:8]}"


Make = Callable[[str, Home, Mark], tuple[Any, Sequence[str]]]
"""Makes a machine with a name at a place, with a mark from the beginning; the machine with all its
files, and remarks.
"""


class MadeTemplates:
    """The templates of Images."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def find(self, resource: Resource, deadline: Deadline) -> Outcome | None:
        """The template, if it is there with all its files. What an attempt that did not end has
        left is removed, or completed where its files are whole.
        """
        machine = self._whole(resource, deadline)
        if machine is not None:
            return self._finished(resource, machine, deadline)
        machine = self._unmarked(resource)
        if machine is None:
            return None
        self._identify(resource, machine, Mark.of(resource, {FORMAT: TEMPLATE}), deadline)
        return self._finished(resource, machine, deadline)

    def make(
        self,
        resource: Resource,
        details: Mapping[str, Any],
        make: Make,
        deadline: Deadline,
    ) -> Outcome:
        """Make one that is not there; ``details`` go into its mark."""
        mark = Mark.of(resource, {**details, _UNFINISHED: True})
        # Like a machine that says where its own files are.
        placed = replace(resource, spec={"placement": {"storagePool": resource.spec["pool"]}})
        home = home_of(self._site, placed)
        try:
            machine, notes = make(own_name(resource), home, mark)
        except (Retryable, Terminal) as problem:
            self._after(resource, problem, deadline)
            raise
        try:
            self._identify(resource, machine, mark.with_details(details), deadline)
        except Terminal as problem:
            try:
                self._destroy(resource, machine, deadline)
            except ProviderError:
                raise HalfMade(problem.diagnostic) from problem
            raise
        return self._finished(resource, machine, deadline, *notes)

    def require(self, resource: Resource, external_id: str) -> None:
        """Raise Terminal (PRV5315) if the template is not there."""
        machine = find(self._site, external_id)
        if machine is None or not self._row(machine).get(properties.TEMPLATE, False):
            raise Terminal(gone(resource))

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the template and its disks, or what an attempt has left of it."""
        for uuid in dict.fromkeys((str(resource.uid), resource.external_id or str(resource.uid))):
            if (machine := find(self._site, uuid)) is not None:
                row = self._row(machine)
                self._require_ours(resource, row, uuid)
                for file in _files(row):
                    users = [user for user in users_of(self._site, file) if user.moid != row.moid]
                    require_unused(resource, users)
                self._destroy(resource, machine, deadline)
        if resource.begun and (machine := self._unmarked(resource)) is not None:
            self._destroy(resource, machine, deadline)

    # --- the parts of it ---

    def _unmarked(self, resource: Resource) -> Any:
        """What an attempt has made of an item of a library and not marked, for there is no room for
        a mark in that call; None if there is nothing. Raises Terminal (PRV5318) where the name is
        somebody else's: then nothing of the kind was begun (decision 0043).
        """
        folder = name_folder(self._site, resource) if is_library_item(resource) else None
        if folder is None:
            return None
        name, above = own_name(resource), self._site.client.managed(vim.Folder, folder)
        machine = self._site.client.read(
            f"find machine {name}",
            lambda content: content.searchIndex.FindChild(entity=above, name=escaped(name)),
        )
        if machine is None:
            return None
        if not resource.begun or mark_of(self._row(machine)) is not None:
            raise Terminal(taken(resource, f"is there: {name}"))
        return machine

    def _identify(self, resource: Resource, machine: Any, mark: Mark, deadline: Deadline) -> None:
        """Give a machine with all its files our identity. Network cards go: a machine that is
        cloned has those of its manifest.
        """
        uuid = str(resource.uid)
        change = vim.vm.device.VirtualDeviceSpec
        config = vim.vm.ConfigSpec(
            instanceUuid=uuid,
            uuid=uuid,
            extraConfig=[stamped(mark)],
            deviceChange=[
                change(operation=change.Operation.remove, device=device)
                for device in self._row(machine).get("config.hardware.device", ())
                if isinstance(device, vim.vm.device.VirtualEthernetCard)
            ],
        )
        what = f"mark image {resource.name}"
        for pause in (*_PAUSES, None):
            try:
                self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)
            except Retryable as problem:
                # A moment passes until the endpoint lets go of what it has just made.
                if pause is None or problem.diagnostic.code != BUSY.code:
                    raise
                self._site.sleep(pause)
            else:
                return

    def _finished(
        self, resource: Resource, machine: Any, deadline: Deadline, *notes: str
    ) -> Outcome:
        """Make it a template, with a snapshot: without one there are no linked clones of it, and a
        template takes none any more.
        """
        row = self._row(machine)
        if not row.get(properties.TEMPLATE, False):
            if row.get("snapshot") is None:
                self._site.run(
                    f"take the snapshot of image {resource.name} for linked clones",
                    lambda _: machine.CreateSnapshot_Task(
                        name=_SNAPSHOT, description="", memory=False, quiesce=False
                    ),
                    deadline,
                )
            what = f"make a template of image {resource.name}"
            self._site.client.call(what, lambda _: machine.MarkAsTemplate())
        return Outcome(str(resource.uid), notes=notes)

    def _whole(self, resource: Resource, deadline: Deadline) -> Any:
        """The machine with all its files, template or not yet; None if there is none."""
        machine = find(self._site, str(resource.uid))
        if machine is None:
            return None
        row = self._row(machine)
        self._require_ours(resource, row, str(resource.uid))
        mark = mark_of(row)
        if mark is None or not mark.details.get(_UNFINISHED, False):
            return machine
        self._destroy(resource, machine, deadline)
        return None

    def _after(self, resource: Resource, problem: Retryable | Terminal, deadline: Deadline) -> None:
        """Take back what an attempt has made that failed with ``problem``."""
        if problem.diagnostic.code == EXISTS.code:
            if find(self._site, str(resource.uid)) is None:
                raise Terminal(taken(resource, f"is there: {own_name(resource)}")) from problem
            raise Retryable(_under_way(resource), _AGAIN_SECONDS) from problem
        with suppress(ProviderError):
            self._whole(resource, deadline)

    def _destroy(self, resource: Resource, machine: Any, deadline: Deadline) -> None:
        what = f"remove image {resource.name}"
        try:
            self._site.run(what, lambda _: machine.Destroy_Task(), deadline)
        except Terminal as problem:
            if problem.diagnostic.code != VANISHED.code:
                raise
        except Retryable as problem:
            if problem.diagnostic.code != BUSY.code:
                raise
            raise Retryable(_under_way(resource), _AGAIN_SECONDS) from problem

    def _row(self, machine: Any) -> Row:
        what = f"read machine {machine._GetMoId()}"
        row = next(iter(look(self._site.client, what, (machine,), _READ)), None)
        return row or Row(machine._GetMoId(), vim.VirtualMachine, {})

    def _require_ours(self, resource: Resource, row: Row, uuid: str) -> None:
        """Its mark says so, or, where somebody else made it, that it is recorded as ours."""
        mark = mark_of(row)
        stamp = None if mark is None else mark.stamp
        is_recorded = stamp is None and uuid == resource.external_id
        if not is_recorded and not is_stamped_by(resource, stamp, uuid):
            raise Terminal(not_ours(resource, stamp))


def _files(row: Row) -> Iterator[FileId]:
    for device in row.get("config.hardware.device", ()):
        if isinstance(device, vim.vm.device.VirtualDisk):
            yield from filter(None, map(file_of, layers_of(device.backing)))


def _under_way(resource: Resource) -> Diagnostic:
    return error(
        BUSY.code,
        f"the endpoint is still at an earlier attempt to make image {resource.name}",
        detail="It lets go of what was interrupted a few minutes after it has last heard of it.",
        hint="Apply again later, or raise limits.stepTimeout in the Host's manifest.",
        address=str(resource.address),
    )
