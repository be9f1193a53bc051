"""Marking machines that are not to be started, and taking the mark away; the capability
``standby``. Called by the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource, Terminal, Undetermined
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.machine import building, properties, standby
from provisioner_plugins.vmware.machine.finding import Finder
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.machine.reading import Machine
from provisioner_plugins.vmware.ownership import gone, is_stamped_by, not_ours, require_time
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row, look

_OF_MARKED = (properties.UUID, properties.STAMP, standby.PROPERTY)


class StandbyMarks:
    """The marks on the machines of one endpoint."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def stand_by(self, resource: Resource, reason: str, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`. Raises Terminal (PRV5315,
        PRV5319, PRV5344).
        """
        require_time(resource, deadline)
        machine = self._find(resource)
        if machine is None:
            raise Terminal(gone(resource))
        before = self._own(resource, machine)
        if before.power != "stopped":
            raise Terminal(standby.runs(resource))
        now = self._site.client.context.clock.now().astimezone(UTC)
        since = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        known = before.stands_by
        mark = standby.StandbyMark(reason, since if known is None else known.since)
        # A restart that was cut short is not to be completed any more.
        owed = [] if before.owed is None else [_stamp(before.owing(None))]
        self._write(resource, machine, [_option(mark.text()), *owed], deadline)
        if self._own(resource, machine).power != "stopped":
            # Somebody started it meanwhile.
            self._write(resource, machine, [_option(before.record.standby)], deadline)
            raise Terminal(standby.runs(resource))

    def take_over(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`. Raises Terminal (PRV5319)."""
        require_time(resource, deadline)
        machine = self._find(resource)
        if machine is not None and self._own(resource, machine).stands_by is not None:
            self._write(resource, machine, [_option("")], deadline)

    def standing_by(
        self, inventory: Inventory, machines: Sequence[Resource]
    ) -> Mapping[Address, str]:
        """See :class:`provisioner.providers.capabilities.Standby`. Raises Terminal where it is not
        told which machine one is.
        """
        finder = Finder(self._site, inventory)
        found: dict[str, Resource] = {}
        for resource in machines:
            row = finder.find(resource)
            if isinstance(row, Undetermined):
                raise Terminal(row.diagnostic)
            if isinstance(row, Row):
                found[row.moid] = resource
        objects = [self._site.client.managed(vim.VirtualMachine, moid) for moid in found]
        wanted = {vim.VirtualMachine: _OF_MARKED}
        result: dict[Address, str] = {}
        for row in look(self._site.client, "look for marked machines", objects, wanted):
            mark, stamp = row.get(standby.PROPERTY), row.get(properties.STAMP)
            known = None if mark is None else standby.parse(str(mark.value))
            owner = None if stamp is None else Mark.parse(str(stamp.value))
            if known is None or owner is None:
                continue
            if is_stamped_by(found[row.moid], owner.stamp, str(row.get(properties.UUID))):
                result[found[row.moid].address] = known.reason
        return result

    def _find(self, resource: Resource) -> Any:
        return find(self._site, resource.external_id or str(resource.uid))

    def _own(self, resource: Resource, machine: Any) -> Machine:
        wanted = {vim.VirtualMachine: properties.OF_ONE}
        rows = look(self._site.client, f"read machine {resource.name}", (machine,), wanted)
        if not rows:
            raise Terminal(gone(resource))
        found = Machine.fresh(rows[0], resource.spec)
        stamp = None if found.mark is None else found.mark.stamp
        if not is_stamped_by(resource, stamp, found.external_id):
            raise Terminal(not_ours(resource, stamp))
        return found

    def _write(
        self, resource: Resource, machine: Any, options: Sequence[Any], deadline: Deadline
    ) -> None:
        config = vim.vm.ConfigSpec(extraConfig=list(options))
        what = f"mark machine {resource.name}"
        self._site.run(what, lambda _: machine.ReconfigVM_Task(config), deadline)


def require_startable(resource: Resource, found: Machine, wanted: str, *, goes_off: bool) -> None:
    """Raise Terminal (PRV5343) if a machine stands by and would be started to be brought to the
    power that is ``wanted``; ``goes_off``: it is switched off on the way.
    """
    mark = found.stands_by
    if mark is not None and wanted != "stopped" and (goes_off or wanted != found.power):
        raise Terminal(standby.refusal(resource.name, resource.address, mark))


def _option(text: str) -> Any:
    return vim.option.OptionValue(key=standby.KEY, value=text)


def _stamp(machine: Machine) -> Any:
    assert machine.mark is not None
    return building.stamped(machine.mark)
