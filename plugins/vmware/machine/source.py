"""The template that a machine is cloned from, as it is now: found for a plan, which says what
stands in the way, and for the call itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.finding import is_template
from provisioner_plugins.vmware.machine.limits import hardware_version
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.machine.reading import OWN, Machine
from provisioner_plugins.vmware.machine.record import CARD, DISK, DRIVE, Record
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row, look

_SNAPSHOT = "snapshot"
_READ = {vim.VirtualMachine: (*properties.OF_ONE, properties.TOOLS, _SNAPSHOT)}
_NAMELESS = "of the template "
"""What its cards and drives are called: a manifest has no such names, so that none is taken for
another.
"""


class Source(NamedTuple):
    """A template. ``machine`` is what a copy of it would be that is the resource's; ``snapshot``
    its current one, a managed object; ``tools`` what is known of VMware Tools in it, "" for
    nothing.
    """

    name: str
    entity: Any
    machine: Machine
    snapshot: Any
    tools: str


def mode_of(resource: Resource) -> str:
    """``full`` or ``linked``."""
    return str(resource.spec["clone"].get("mode", "full"))


def entity_of(site: Site, resource: Resource) -> Any:
    """The template of a machine as a managed object; None if it is not there."""
    image = resource.related.get(Address("Image", str(resource.spec["clone"]["image"])))
    uuid = None if image is None else image.external_id
    return None if uuid is None else find(site, uuid)


def source_of(site: Site, resource: Resource) -> Source:
    """The template of a machine that is about to be cloned.

    Raises Terminal: PRV5323 where it is not there, else what :func:`objections` has.
    """
    found = _read(site, resource, entity_of(site, resource))
    if found is None:
        raise Terminal(
            error(
                "PRV5323",
                f"the template of Image/{resource.spec['clone']['image']} is not on the endpoint",
                detail=f"{resource.address} is to be a copy of it.",
                hint="Plan again: it was removed since it was read, or is no template any more.",
                path=("clone", "image"),
                address=str(resource.address),
            )
        )
    for problem in objections(resource, found):
        raise Terminal(problem)
    return found


class Sources:
    """The templates of a plan: each is read once, however many machines are cloned from it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._inventory: Inventory | None = None
        self._read: dict[str, Source | None] = {}

    def find(self, inventory: Inventory, resource: Resource) -> Source | None:
        """That of a machine which a plan would make; None where its Image has to say first which
        template it is.
        """
        if inventory is not self._inventory:
            self._inventory, self._read = inventory, {}
        image = resource.related.get(Address("Image", str(resource.spec["clone"]["image"])))
        row = None if image is None else _row(inventory, image)
        if row is None:
            return None
        if row.moid not in self._read:
            entity = self._site.client.managed(vim.VirtualMachine, row.moid)
            self._read[row.moid] = _read(self._site, resource, entity)
        return self._read[row.moid]


def objections(resource: Resource, source: Source) -> Iterator[Diagnostic]:
    """Why vSphere cannot make the machine of this template."""
    where = {"address": str(resource.address)}
    if mode_of(resource) == "linked" and source.snapshot is None:
        yield error(
            "PRV5340",
            f"the template {source.name} has no snapshot, which a linked clone needs",
            detail="A linked clone holds the differences to a snapshot of its template. Templates "
            "are not changed here.",
            hint="Make the template a machine, take a snapshot of it, and make it a template "
            "again; or write mode: full.",
            path=("clone", "mode"),
            **where,
        )
    wanted, version = resource.spec.get("machineType"), source.machine.record.version
    if wanted is not None and hardware_version(wanted) < hardware_version(version):
        yield error(
            "PRV5341",
            f"the template {source.name} has the hardware version {version}, not {wanted}",
            detail="A copy has that of its template, and a hardware version cannot go back.",
            hint=f"Write machineType: {version}, or leave it out.",
            path=("machineType",),
            **where,
        )


def _row(inventory: Inventory, image: Resource) -> Row | None:
    name = str(image.spec.get("source", {}).get("template", ""))
    rows = [row for row in inventory.rows(vim.VirtualMachine) if is_template(row)]
    for row in rows:
        if image.external_id is not None and row.get(properties.UUID) == image.external_id:
            return row
    named = [row for row in rows if name in (name_of(row), inventory.path(row))]
    return named[0] if len(named) == 1 else None


def _read(site: Site, resource: Resource, entity: Any) -> Source | None:
    rows = [] if entity is None else look(site.client, "read a template", (entity,), _READ)
    if not rows or not is_template(rows[0]):
        return None
    row, record = rows[0], Record.read(rows[0])
    own = [record.place(disk) for disk in record.of_sort(DISK)]
    known = row.get(_SNAPSHOT)
    machine = Machine(
        row,
        record,
        Mark.of(resource, {OWN: own}),
        {f"{_NAMELESS}{card.key}": card for card in record.of_sort(CARD)},
        {f"{_NAMELESS}{drive.key}": drive for drive in record.of_sort(DRIVE)},
        {device.key: device for device in row.get("config.hardware.device", ())},
    )
    snapshot = None if known is None else known.currentSnapshot
    tools = str(row.get(properties.TOOLS, ""))
    return Source(name_of(row), entity, machine, snapshot, tools)
