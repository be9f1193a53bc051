"""Marking machines that are not to be started, and taking the mark away; the capability
``standby``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Resource, Terminal
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import NOT_FOUND, code_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
)
from provisioner_plugins._libvirt.xml import Element, serialize
from provisioner_plugins.kvm.domain import standby
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.observation import definition_of


class StandbyMarks:
    """The marks on the machines of one daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def stand_by(
        self, machine: Resource, domain: DomainCalls, reason: str, deadline: Deadline
    ) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`. Raises Terminal (PRV5115,
        PRV5119, PRV5385).
        """
        require_time(machine, deadline)
        definition = _own(machine, domain)
        if definition is None:
            raise Terminal(gone(machine))
        found = standby.read(definition)
        now = self._connection.context.clock.now().astimezone(UTC)
        since = now.isoformat(timespec="seconds").replace("+00:00", "Z")

        def mark(handle: Any) -> None:
            if handle.isActive():
                raise Terminal(_runs(machine))
            autostart = bool(handle.autostart())
            if autostart:
                # First of all: a host that boots in this moment must not start it.
                handle.setAutostart(0)
            wanted = standby.StandbyMark(reason, since, autostart)
            if found is not None:
                wanted = wanted._replace(since=found.since, autostart=autostart or found.autostart)
            _set(handle, wanted)
            if handle.isActive():
                # Somebody started it meanwhile.
                _set(handle, found)
                raise Terminal(_runs(machine))

        domain.call("mark", mark)
        self._forget_debt(domain)

    def _forget_debt(self, domain: DomainCalls) -> None:
        """A restart that was cut short is not to be completed any more."""
        definition = domain.configured()
        found = stamp.read(definition)
        if found is not None and found.owed is not None:
            stamp.replace(definition, found.without_debt())
            domain.annotate(definition)

    def take_over(self, machine: Resource, domain: DomainCalls, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`. The host starts the machine by
        itself again, if it did before.
        """
        require_time(machine, deadline)
        definition = _own(machine, domain)
        found = standby.read(definition) if definition is not None else None
        if found is None:
            return

        def unmark(handle: Any) -> None:
            if found.autostart:
                handle.setAutostart(1)
            _set(handle, None)

        domain.call("mark", unmark)

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        domains = Inventory(self._connection).domains_of(machines)
        result: dict[Address, str] = {}
        for machine in machines:
            record = domains.find(machine.uid, machine.external_id, machine.name)
            if record is None:
                continue
            definition = definition_of(record)
            mark = standby.read(definition)
            if mark is not None and _is_own(machine, definition, record.uuid):
                result[machine.address] = mark.reason
        return result


def _own(machine: Resource, domain: DomainCalls) -> Element | None:
    """The definition of a machine of ours; None if it is not there."""
    try:
        definition = domain.configured()
    except ProviderError as problem:
        if code_of(problem) in NOT_FOUND:
            return None
        raise
    if not _is_own(machine, definition, domain.uuid):
        mark = stamp.read(definition)
        raise Terminal(not_ours(machine, mark.stamp if mark is not None else None))
    return definition


def _is_own(machine: Resource, definition: Element, uuid: UUID) -> bool:
    mark = stamp.read(definition)
    return is_stamped_by(machine, mark.stamp if mark is not None else None, uuid)


def _set(handle: Any, mark: standby.StandbyMark | None) -> None:
    """Write the mark on libvirt's domain, configured and running; None: take it away."""
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if handle.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    handle.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        None if mark is None else serialize(standby.build(mark)),
        standby.PREFIX,
        standby.NAMESPACE,
        flags,
    )


def _runs(machine: Resource) -> Diagnostic:
    return error(
        "PRV5385",
        f"machine {machine.name} runs, and so cannot stand by",
        hint="Stop it first; what runs at two sites is two machines.",
        address=str(machine.address),
    )
