"""Virtual machines on an endpoint: read in two requests, made in one call with their identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Retryable,
    SecretResolver,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import (
    boot,
    building,
    customization,
    drives,
    keeping,
    properties,
)
from provisioner_plugins.vmware.machine.ahead import obstacles
from provisioner_plugins.vmware.machine.customizing import customize
from provisioner_plugins.vmware.machine.extra import differing
from provisioner_plugins.vmware.machine.finding import (
    Finder,
    is_of_extension,
    is_template,
    is_unread,
    left_out,
    of_extension,
)
from provisioner_plugins.vmware.machine.making import Maker
from provisioner_plugins.vmware.machine.memory import RecordMemory
from provisioner_plugins.vmware.machine.placement import move, placement_of
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
from provisioner_plugins.vmware.machine.source import Sources
from provisioner_plugins.vmware.machine.standing import require_startable
from provisioner_plugins.vmware.machine.surroundings import Surroundings
from provisioner_plugins.vmware.machine.telling import notes_on, told_spec
from provisioner_plugins.vmware.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
)
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.snapshot.tree import snapshots_of
from provisioner_plugins.vmware.specs import touches, with_changes
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import Files
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look


class MachineHandler:
    """Handler of the kind VirtualMachine."""

    kind = "VirtualMachine"
    reads: Wanted = MappingProxyType({vim.VirtualMachine: properties.OF_EVERY})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._rules = MachineRules()
        self._memory = RecordMemory(site.client)
        self._maker = Maker(site)
        self._sources = Sources(site)

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        finder = Finder(self._site, inventory)
        related = targets[0].related if targets else {}
        names, references = _names_in(related), References(related)
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
                spec = spec_of(machine, names)
                spec["placement"] = placement_of(inventory, machine, references)
                answers[target.address] = present(machine, spec)
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        rows, unread = [], []
        for row in inventory.rows(vim.VirtualMachine):
            if is_unread(row):
                unread.append(inventory.path(row))
            elif is_of_extension(row):
                whose = row.get(properties.EXTENSION)
                self._site.client.report(f"{inventory.path(row)} is left out: it is of {whose}")
            elif not is_template(row):
                rows.append(row)
        if unread:
            self._site.client.context.warn(left_out(unread))
        records, told = self._records(rows), inventory.told(rows)
        for row in rows:
            if row.moid in records:
                machine = Machine.of(row, records[row.moid], {}).opened()
                observed = present(machine, told_spec(inventory, machine))
                notes = tuple(notes_on(machine.record))
                yield Discovered(self.kind, told[row.moid], observed, notes)

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

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a new machine needs a place
        that there is, a copy a template that can be copied, and vSphere has to know a guest that it
        customises. One that is to go must have no snapshots of others over disks that stay.
        """
        del deadline, thorough
        if undertaking.removes:
            yield from self._in_the_way_of_removal(inventory, undertaking.resource)
            return
        yield from obstacles(self._site, self._sources, inventory, undertaking)

    def _in_the_way_of_removal(
        self, inventory: Inventory, resource: Resource
    ) -> Iterator[Diagnostic]:
        uuid = resource.external_id or str(resource.uid)
        row = inventory.having(vim.VirtualMachine, properties.UUID, uuid)
        lineage = resource.stamp.lineage
        # Those of the stack go before it, in steps of their own.
        if row is None or all(found.is_of(lineage) for found in snapshots_of(row)):
            return
        read = self._row(resource, self._site.client.managed(vim.VirtualMachine, row.moid))
        problem = keeping.objection(self._site, resource, read)
        if problem is not None:
            yield problem

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        machine, made = self._maker.make(resource, deadline)
        wanted, is_copy = str(resource.spec.get("power", "running")), "clone" in resource.spec
        try:
            if not made:
                row = self._row(resource, machine)
                self._require_ours(resource, row)
                before = Machine.fresh(row, resource.spec)
                require_startable(resource, before, wanted, goes_off=False)
                self._plug_disks(resource, machine, before, deadline)
            if is_copy and "machineType" in resource.spec:
                found = Machine.fresh(self._row(resource, machine), resource.spec)
                self._upgrade(resource, machine, found, resource.spec, deadline)
            # A copy is told of it by the very call that makes it.
            if customization.FIELD in resource.spec and not (made and is_copy):
                customize(self._site, resource, machine, deadline, anew=False)
            if not made or boot.is_ordered(resource.spec):
                self._order(resource, machine, resource.spec, deadline)
            power = Power(self._site, resource, machine)
            power.bring_to(wanted, deadline, NEW if made else None)
        except Terminal:
            # A machine that is there and off would be as it should be for the next plan.
            if made:
                with suppress(ProviderError):
                    self._remove(resource, machine, self._row(resource, machine), deadline)
            raise
        return self._outcome(resource, machine)

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
        # What was observed last may have been asked for by another spec, which named cards and
        # drives otherwise than the changes do.
        found = Machine.fresh(row, resource.spec)
        was = spec_of(found, _names_in(resource.related))
        spec = with_changes(was, changes)
        power = Power(self._site, resource, machine)
        assessed = self._rules.impact(resource, observed, changes)
        needs_off = any(
            item.impact is Impact.RESTART and change.path != ("power",)
            for item, change in zip(assessed, changes, strict=True)
        )
        asked = next((change for change in changes if change.path == ("power",)), None)
        wanted = found.power if asked is None else str(asked.after or "running")
        if found.owed is not None and "power" not in resource.spec:
            wanted = found.owed
        goes_off = needs_off and found.power != "stopped"
        if goes_off and not restart:
            raise Terminal(_needs_restart(resource))
        require_startable(resource, found, wanted, goes_off=goes_off)
        if goes_off and wanted != "stopped":
            found = found.owing(wanted)
        extra = self._resolved(
            lambda secrets: differing(resource, changes, self._provider, secrets)
        )
        around = Surroundings(self._site, resource)
        config = building.edited(resource, found, spec, around, extra)
        layered = keeping.layered(resource, found, config)
        if layered is not None:
            raise Terminal(layered)
        if goes_off:
            self._mark(resource, machine, found, deadline)
            power.bring_to("stopped", deadline)
        try:
            self._upgrade(resource, machine, found, spec, deadline)
            move(self._site, resource, found, _places_in(changes), deadline)
            self._reconfigure(resource, machine, config, deadline)
            self._order(resource, machine, spec, deadline)
            if customization.FIELD in resource.spec and touches(changes)((customization.FIELD,)):
                customize(self._site, resource, machine, deadline, anew=True)
            power.bring_to(wanted, deadline)
        except Terminal as problem:
            if not goes_off or found.owed is None:
                raise
            said = self._take_back(resource, machine, was, found, deadline)
            detail = f"{problem.diagnostic.detail} {said}".lstrip()
            raise Terminal(replace(problem.diagnostic, detail=detail)) from problem
        if found.owed is not None:
            self._mark(resource, machine, found.owing(None), deadline)
        return self._outcome(resource, machine)

    def _plug_disks(
        self, resource: Resource, machine: Any, found: Machine, deadline: Deadline
    ) -> None:
        """Give a machine that was there, and is off, the files that its Disks are now: after a
        recovery they may be others than those that it ran with.
        """
        was, disks = spec_of(found, _names_in(resource.related)), resource.spec.get("disks", {})
        if found.power != "stopped" or was["disks"].keys() == disks.keys():
            return
        around = Surroundings(self._site, resource)
        config = building.edited(resource, found, {**was, "disks": disks}, around, {})
        layered = keeping.layered(resource, found, config)
        if layered is not None:
            raise Terminal(layered)
        self._reconfigure(resource, machine, config, deadline)

    def _reconfigure(
        self, resource: Resource, machine: Any, config: Any, deadline: Deadline
    ) -> None:
        self._site.run(
            f"change machine {resource.name}",
            lambda _: machine.ReconfigVM_Task(config),
            deadline,
            answers=drives.answers_for(config),
        )

    def _mark(self, resource: Resource, machine: Any, found: Machine, deadline: Deadline) -> None:
        """Write the mark that a machine was found with, and nothing else."""
        assert found.mark is not None
        config = vim.vm.ConfigSpec(extraConfig=[building.stamped(found.mark)])
        what = f"mark machine {resource.name}"
        self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)

    def _take_back(
        self,
        resource: Resource,
        machine: Any,
        was: Mapping[str, Any],
        before: Machine,
        deadline: Deadline,
    ) -> str:
        """Bring a machine that was switched off for a change back to what it was, as the change was
        refused; what is said of that.
        """
        try:
            now = Machine.fresh(self._row(resource, machine), was)
            around = Surroundings(self._site, resource)
            config = building.edited(resource, now, was, around, {})
            self._reconfigure(resource, machine, config, deadline)
            self._order(resource, machine, was, deadline)
            Power(self._site, resource, machine).bring_to(str(before.owed), deadline)
            self._mark(resource, machine, before.owing(None), deadline)
        except (Retryable, Terminal) as problem:
            found = problem.diagnostic
            return (
                "It was switched off for the change, and could not be brought back: "
                f"{found.summary}. {found.detail}"
            )
        return "It was switched off for the change, and runs again as it did before."

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
        if is_of_extension(row):
            raise Terminal(of_extension(resource, name_of(row), row))
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
        try:
            self._remove(resource, machine, row, deadline)
        except ProviderError:
            if find(self._site, uuid) is not None:
                raise
        self._memory.forget(machine._GetMoId())

    def _remove(self, resource: Resource, machine: Any, row: Row, deadline: Deadline) -> None:
        keeping.require_removable(self._site, resource, row)
        Power(self._site, resource, machine).bring_to("stopped", deadline)
        # A guest takes its time to shut down, and a backup may begin meanwhile.
        row = self._row(resource, machine)
        keeping.require_removable(self._site, resource, row)
        self._unplug_disks(resource, machine, row, deadline)
        what = f"remove machine {resource.name}"
        self._site.run(what, lambda _: machine.Destroy_Task(), deadline)

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
            if keeping.outlives(resource, files, found, disk)
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


def _places_in(changes: Sequence[Change]) -> set[str]:
    """The fields of its placement that change."""
    fields: set[str] = set()
    for change in changes:
        if change.path[0] == "placement":
            sections = (change.before, change.after)
            whole = {name for item in sections if isinstance(item, Mapping) for name in item}
            fields |= {change.path[1]} if len(change.path) > 1 else whole
    return fields


def _needs_restart(resource: Resource) -> Any:
    return error(
        "PRV5316",
        f"machine {resource.name} runs, and would have to be off for this change",
        hint="Plan again: its state has changed since it was read.",
        address=str(resource.address),
    )
