"""Virtual machines on an endpoint: read in two requests, made in one call with their identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    SecretResolver,
    Terminal,
    Undetermined,
)
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import boot, building, properties
from provisioner_plugins.vmware.machine.extra import asked_for, differing
from provisioner_plugins.vmware.machine.home import Home, home_of, name_folder
from provisioner_plugins.vmware.machine.memory import RecordMemory
from provisioner_plugins.vmware.machine.power import NEW, Power, find
from provisioner_plugins.vmware.machine.reading import (
    Machine,
    Names,
    outputs_of,
    present,
    spec_of,
)
from provisioner_plugins.vmware.machine.record import Record
from provisioner_plugins.vmware.machine.rules import MachineRules
from provisioner_plugins.vmware.machine.surroundings import Surroundings
from provisioner_plugins.vmware.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
)
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.specs import with_changes
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import FileId, Files, split_path
from provisioner_plugins.vmware.wire.errors import EXISTS
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look

_RUNNING_CREATION = "Folder.createVm"


class MachineHandler:
    """Handler of the kind VirtualMachine."""

    kind = "VirtualMachine"
    reads: Wanted = MappingProxyType({vim.VirtualMachine: properties.OF_EVERY})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._rules = MachineRules()
        self._memory = RecordMemory(site.client)

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        finder = _Finder(self._site, inventory)
        names = _names_in(targets[0].related if targets else {})
        found = {target.address: finder.find(target) for target in targets}
        records = self._records([row for row in found.values() if isinstance(row, Row)])
        answers: dict[Address, Observation] = {}
        for target in targets:
            row = found[target.address]
            if not isinstance(row, Row):
                answers[target.address] = row
            elif row.moid not in records:
                answers[target.address] = Absent()  # it went between the two looks
            else:
                machine = Machine.of(row, records[row.moid], target.spec)
                answers[target.address] = present(machine, spec_of(machine, names))
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        rows = [row for row in inventory.rows(vim.VirtualMachine) if not _is_template(row)]
        records = self._records(rows)
        ids = Names(network=lambda moid: moid or "", disk=str, image=str)
        for row in rows:
            if row.moid in records:
                machine = Machine.of(row, records[row.moid], {})
                yield Discovered(self.kind, name_of(row), present(machine, spec_of(machine, ids)))

    def _records(self, rows: Sequence[Row]) -> dict[str, Record]:
        """The configurations of machines, by managed object id; of one that is gone, none."""
        known = {row.moid: self._memory.recall(row) for row in rows}
        records = {moid: record for moid, record in known.items() if record is not None}
        unknown = {row.moid: row for row in rows if row.moid not in records}
        objects = [self._site.client.managed(vim.VirtualMachine, moid) for moid in unknown]
        wanted = {vim.VirtualMachine: properties.OF_CONFIG}
        for read in look(self._site.client, "read machines", objects, wanted):
            record = records[read.moid] = Record.read(read)
            self._memory.keep(unknown[read.moid], read, record)
        return records

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        machine, made = find(self._site, str(resource.uid)), False
        if machine is None:
            home = home_of(self._site, resource)
            if resource.begun:
                self._await_creations(home, deadline)
                machine = find(self._site, str(resource.uid))
            if machine is None:
                machine, made = self._make(resource, home, deadline)
        if not made:
            self._require_ours(resource, self._row(resource, machine))
        if not made or boot.is_ordered(resource.spec):
            self._order(resource, machine, resource.spec, deadline)
        wanted = str(resource.spec.get("power", "running"))
        now = NEW if made else None
        Power(self._site, resource, machine).bring_to(wanted, deadline, now)
        return self._outcome(resource, machine)

    def _make(self, resource: Resource, home: Home, deadline: Deadline) -> tuple[Any, bool]:
        """The machine, and whether this call has made it: another attempt at the very same one may
        have been faster. That a name is taken is known to the endpoint alone.
        """
        extra = self._resolved(lambda secrets: asked_for(resource, self._provider, secrets))
        config = building.new(resource, Surroundings(self._site, resource), home.datastore, extra)
        try:
            machine = self._site.run(
                f"create machine {resource.name}",
                lambda _: home.folder.CreateVM_Task(config, home.pool, home.host),
                deadline,
            )
        except Terminal as problem:
            named = problem.diagnostic.code == EXISTS.code
            machine = find(self._site, str(resource.uid)) if named else None
            if machine is None:
                raise
            return machine, False
        return machine, True

    def _await_creations(self, home: Home, deadline: Deadline) -> None:
        """Wait for creations that run in the folder: one of them may be ours, of an attempt whose
        answer was lost. Until it has ended nothing finds the machine.
        """
        what = "look for running creations"
        rows = look(self._site.client, what, (home.folder,), {vim.Folder: ("recentTask",)})
        recent = [task for row in rows for task in row.get("recentTask", ())]
        wanted = {vim.Task: ("info.state", "info.descriptionId")}
        for row in look(self._site.client, what, recent, wanted):
            runs = row.get("info.state") in (vim.TaskInfo.State.running, vim.TaskInfo.State.queued)
            if runs and row.get("info.descriptionId") == _RUNNING_CREATION:
                task = self._site.client.managed(vim.Task, row.moid)
                try:
                    self._site.tasks.wait(what, task, deadline)
                except Terminal:
                    continue  # that it failed is told to whoever began it

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        machine, row = self._own(resource, observed.external_id)
        found = Machine.fresh(row, {**resource.spec, **observed.spec})
        spec = with_changes(observed.spec, changes)
        power = Power(self._site, resource, machine)
        assessed = self._rules.impact(resource, observed, changes)
        needs_off = any(
            item.impact is Impact.RESTART and change.path != ("power",)
            for item, change in zip(assessed, changes, strict=True)
        )
        if needs_off and found.power != "stopped":
            if not restart:
                raise Terminal(_needs_restart(resource))
            power.bring_to("stopped", deadline)
        around = Surroundings(self._site, resource)
        self._upgrade(resource, machine, found, spec, deadline)
        extra = self._resolved(
            lambda secrets: differing(resource, changes, self._provider, secrets)
        )
        config = building.edited(resource, found, spec, around, extra)
        what = f"change machine {resource.name}"
        self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)
        self._order(resource, machine, spec, deadline)
        asked = next((change for change in changes if change.path == ("power",)), None)
        wanted = found.power if asked is None else str(asked.after or "running")
        power.bring_to(wanted, deadline)
        return self._outcome(resource, machine)

    def _order(
        self, resource: Resource, machine: Any, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """Bring the order of booting about, which names devices by keys that they have only now."""
        found = Machine.fresh(self._row(resource, machine), spec)
        wanted = boot.order_wanted(found, spec, _names_in(resource.related))
        if wanted != found.record.order:
            config = vim.vm.ConfigSpec(bootOptions=boot.options(found, wanted))
            what = f"order what machine {resource.name} starts from"
            self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)

    def _upgrade(
        self,
        resource: Resource,
        machine: Any,
        found: Machine,
        spec: Mapping[str, Any],
        deadline: Deadline,
    ) -> None:
        wanted = spec.get("machineType")
        if wanted is not None and wanted != found.record.version:
            self._site.run(
                f"bring machine {resource.name} to {wanted}",
                lambda _: machine.UpgradeVM_Task(wanted),
                deadline,
            )

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write the mark into the extra configuration; nothing else of the machine is said."""
        require_time(resource, deadline)
        machine = find(self._site, observed.external_id)
        if machine is None:
            raise Terminal(gone(resource))
        row = self._row(resource, machine)
        found = Machine.fresh(row, resource.spec)
        if found.mark is not None and not is_stamped_by(
            resource, found.mark.stamp, found.external_id
        ):
            raise Terminal(not_ours(resource, found.mark.stamp))
        details = {**found.details, **building.most(resource.spec)}
        config = vim.vm.ConfigSpec(extraConfig=[building.stamped(Mark.of(resource, details))])
        self._site.run(
            f"mark machine {resource.name}", lambda _: machine.ReconfigVM_Task(config), deadline
        )
        return self._outcome(resource, machine)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Switch it off, unplug the disks that are none of its own, remove the rest."""
        require_time(resource, deadline)
        uuid = resource.external_id or str(resource.uid)
        machine = find(self._site, uuid)
        if machine is None:
            return
        row = self._row(resource, machine)
        self._require_ours(resource, row)
        Power(self._site, resource, machine).bring_to("stopped", deadline)
        self._unplug_disks(resource, machine, row, deadline)
        what = f"remove machine {resource.name}"
        try:
            self._site.run(what, lambda _: machine.Destroy_Task(), deadline)
        except ProviderError:
            if find(self._site, uuid) is not None:
                raise
        self._memory.forget(row.moid)

    def _unplug_disks(self, resource: Resource, machine: Any, row: Row, deadline: Deadline) -> None:
        """Destroy would delete the file of every disk that is plugged in."""
        found = Machine.fresh(row, resource.spec)
        files = Files(resource.related)
        removals = [
            vim.vm.device.VirtualDeviceSpec(
                operation=vim.vm.device.VirtualDeviceSpec.Operation.remove,
                device=found.raw[disk.key],
            )
            for disk in found.disks
            if _outlives(resource, files, disk.file, found.record.home)
        ]
        if removals:
            config = vim.vm.ConfigSpec(deviceChange=removals)
            what = f"unplug the disks of machine {resource.name}"
            self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)

    # --- parts ---

    @property
    def _provider(self) -> str:
        return self._site.flavour.name

    def _resolved(self, make: Callable[[SecretResolver], dict[str, str]]) -> dict[str, str]:
        try:
            return make(self._site.client.context.secrets)
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem

    def _row(self, resource: Resource, machine: Any) -> Row:
        wanted = {vim.VirtualMachine: properties.OF_ONE}
        rows = look(self._site.client, f"read machine {resource.name}", (machine,), wanted)
        if not rows:
            raise Terminal(gone(resource))
        return rows[0]

    def _own(self, resource: Resource, external_id: str) -> tuple[Any, Row]:
        machine = find(self._site, external_id)
        if machine is None:
            raise Terminal(gone(resource))
        row = self._row(resource, machine)
        self._require_ours(resource, row)
        return machine, row

    def _require_ours(self, resource: Resource, row: Row) -> None:
        machine = Machine.fresh(row, {})
        stamp = None if machine.mark is None else machine.mark.stamp
        if not is_stamped_by(resource, stamp, machine.external_id):
            raise Terminal(not_ours(resource, stamp))

    def _outcome(self, resource: Resource, machine: Any) -> Outcome:
        row = self._row(resource, machine)
        found = Machine.fresh(row, resource.spec)
        self._memory.keep(row, row, found.record)
        return Outcome(found.external_id, outputs_of(found))


class _Finder:
    """Finds the machines of targets among all machines of an inventory."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self._inventory = inventory
        rows = [row for row in inventory.rows(vim.VirtualMachine) if not _is_template(row)]
        self._by_uuid = {str(row.get(properties.UUID)): row for row in rows}
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            self._by_name.setdefault(name_of(row), []).append(row)

    def find(self, target: Resource) -> Row | Absent | Undetermined:
        """The machine of a target by identity, by recorded id, by name."""
        for uuid in (str(target.uid), target.external_id):
            row = self._by_uuid.get(uuid or "")
            if row is not None:
                return row
        found = self._by_name.get(target.name, [])
        if target.name.startswith("/"):
            found = self._inventory.named(target.name, (vim.VirtualMachine,))
        if found and not target.exact:
            try:
                folder = name_folder(self._site, target)
            except Terminal as problem:
                return Undetermined(problem.diagnostic)
            found = [row for row in found if _is_in(row, folder)]
        if len(found) > 1:
            return Undetermined(_ambiguous(target, [self._inventory.path(row) for row in found]))
        return found[0] if found else Absent()


def _is_in(row: Row, folder: str | None) -> bool:
    parent = row.get("parent")
    return folder is not None and parent is not None and parent._GetMoId() == folder


def _ambiguous(target: Resource, paths: Sequence[str]) -> Any:
    return error(
        "PRV5324",
        f"{len(paths)} machines are called {target.name!r}",
        detail=f"Their paths: {', '.join(paths)}.",
        hint="Write the whole path into metadata.externalName.",
        address=str(target.address),
        path=("externalName",),
    )


def _is_template(row: Row) -> bool:
    return bool(row.get(properties.TEMPLATE, False))


def _names_in(related: Mapping[Address, Resource]) -> Names:
    files = Files(related)
    networks = {
        resource.external_id: address.name
        for address, resource in related.items()
        if address.kind == "Network" and resource.external_id is not None
    }
    return Names(
        network=lambda moid: networks.get(moid or "", moid or ""),
        disk=lambda file: files.name("Disk", file),
        image=lambda file: files.name("Image", file),
    )


def _outlives(resource: Resource, files: Files, file: FileId | None, home: str) -> bool:
    """Whether a disk outlives its machine: it is a Disk of the stack, or lies elsewhere than the
    machine's own files.
    """
    if file is None:
        return False
    own = split_path(home)[1].rpartition("/")[0]
    name = files.name("Disk", file)
    return (
        name != str(file)
        or file.path.rpartition("/")[0] != own
        or name in resource.spec.get("disks", {})
    )


def _needs_restart(resource: Resource) -> Any:
    return error(
        "PRV5316",
        f"machine {resource.name} runs, and would have to be off for this change",
        hint="Plan again: its state has changed since it was read.",
        address=str(resource.address),
    )
