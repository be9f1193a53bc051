"""Templates of an inventory as images; called by the Image handler.

Those that ``source.template`` names are somebody else's: used by machines that are cloned from
them, never changed and never removed. Those that are made for an Image
(:mod:`~provisioner_plugins.vmware.storage.made_templates`) have its identity. The external id is
the instance UUID, as of machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.core.identity import Stamp
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.finding import is_unread, untold
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.image import TEMPLATE, is_made_template, is_template
from provisioner_plugins.vmware.storage.places import Places
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look

READS: Wanted = {vim.VirtualMachine: (properties.TEMPLATE, properties.UUID)}
CHECKSUM, FORMAT = "checksum", "format"
"""What the details of the mark of a template say of what it was made of."""
_BESIDE_FILES = "/"
"""What every id of a file has in it, and no UUID."""
_SHOWN = 8
_DETAILS = {vim.VirtualMachine: ("datastore", properties.STAMP)}


def is_in_inventory(target: Resource) -> bool:
    """Whether the object of a target is a template: the recorded one, whatever its manifest wants
    now; else the wanted one.
    """
    if target.external_id is None:
        return is_template(target)
    return _BESIDE_FILES not in target.external_id


def mark_of(row: Row) -> Mark | None:
    """The mark of a machine that was read with it; None if it carries none."""
    found = row.get(properties.STAMP)
    return None if found is None else Mark.parse(found.value)


class Templates:
    """The templates of an inventory that was read with :data:`READS`."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self._inventory = inventory
        machines = [*inventory.rows(vim.VirtualMachine)]
        self._rows = [row for row in machines if row.get(properties.TEMPLATE, False)]
        self._unread = [inventory.path(row) for row in machines if is_unread(row)]

    def observe(self, places: Places, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """One answer for each target."""
        found = {target.address: self._find(target) for target in targets}
        details = self._details(row for row in found.values() if row is not None)
        answers: dict[Address, Observation] = {}
        for target in targets:
            row = found[target.address]
            if row is None:
                answers[target.address] = self._missing(target)
                continue
            told = details.get(row.moid, row)
            pools = [places.pool_name(target, moid) for moid in _datastores(told)]
            wanted = target.spec.get("pool")
            pool = wanted if wanted in pools else next(iter(pools), None)
            mark = mark_of(told)
            owner = target.stamp if target.external_id == _id(row) else None
            if _id(row) == str(target.uid) or is_made_template(target):
                spec = _made(target, mark)
                owner = owner if mark is None else mark.stamp
            else:
                text = target.spec.get("source", {}).get("template")
                called = text if text in self._names(row) else self._inventory.path(row)
                spec = {"source": {"template": called}, "format": TEMPLATE}
                # It is found by its name; where it lies is vSphere's matter, and may change.
                pool = wanted or pool
            answers[target.address] = self._present(row, spec, pool, owner)
        return answers

    def discover(self, kind: str) -> Iterator[Discovered]:
        """Every template, in the order of paths."""
        details = self._details(self._rows)
        for row in self._rows:
            told = details.get(row.moid, row)
            mark = mark_of(told)
            path = self._inventory.path(row)
            spec = {"source": {"template": path}, "format": TEMPLATE}
            owner = mark.stamp if mark is not None and FORMAT in mark.details else None
            observed = self._present(row, spec, next(iter(_datastores(told)), None), owner)
            yield Discovered(kind, path, observed)

    def choose(self, resource: Resource) -> Outcome:
        """The template that the manifest names.

        Raises Terminal: PRV5323 where there is none, PRV5324 where there are several.
        """
        text = str(resource.spec["source"]["template"])
        found = [row for row in self._rows if text in self._names(row)]
        if len(found) != 1:
            raise Terminal(self._unclear(resource, text, found))
        return Outcome(_id(found[0]))

    def _find(self, target: Resource) -> Row | None:
        known = (target.external_id, str(target.uid))
        by_id = [row for row in self._rows if _id(row) in known]
        by_name = [row for row in self._rows if target.exact and target.name in self._names(row)]
        return next(iter([*by_id, *by_name]), None)

    def _missing(self, target: Resource) -> Absent | Undetermined:
        """That it is not there is proven only while every machine tells what it is."""
        if self._unread and target.external_id is not None:
            return Undetermined(untold(target, self._unread))
        return Absent()

    def _names(self, row: Row) -> tuple[str, str]:
        return name_of(row), self._inventory.path(row)

    def _details(self, rows: Iterable[Row]) -> Mapping[str, Row]:
        objects = [self._site.client.managed(vim.VirtualMachine, row.moid) for row in rows]
        found = look(self._site.client, "read templates", objects, _DETAILS)
        return {row.moid: row for row in found}

    def _present(
        self, row: Row, spec: Mapping[str, Any], pool: str | None, owner: Stamp | None
    ) -> Present:
        return Present(
            external_id=_id(row),
            owner=owner,
            spec={**spec, **({} if pool is None else {"pool": pool})},
            fingerprint=digest({"id": _id(row), "path": self._inventory.path(row)}),
        )

    def _unclear(self, resource: Resource, text: str, found: Sequence[Row]) -> Diagnostic:
        paths = [self._inventory.path(row) for row in found]
        if found:
            return error(
                "PRV5324",
                f"{len(found)} templates are called {quoted(text)}",
                detail=f"Their paths: {', '.join(paths)}.",
                hint="Write the whole path into source.template.",
                path=("source", "template"),
                address=str(resource.address),
            )
        names = [name_of(row) for row in self._rows]
        near = nearest(text, names)
        shown = ", ".join(sorted(names)[:_SHOWN])
        return error(
            "PRV5323",
            f"there is no template {quoted(text)}",
            detail=f"There are {len(names)}: {shown}." if names else "There is none at all.",
            hint=f"Did you mean {' or '.join(near)}?" if near else "Correct source.template.",
            path=("source", "template"),
            address=str(resource.address),
        )


def read(site: Site) -> Templates:
    """The templates as they are now."""
    kinds = (vim.Datacenter, vim.Folder, vim.VirtualMachine)
    return Templates(site, Inventory(site.client, READS, kinds))


def _made(target: Resource, mark: Mark | None) -> dict[str, Any]:
    told = {} if mark is None else mark.details
    known = {name: str(told[name]) for name in (FORMAT, CHECKSUM) if name in told}
    return {FORMAT: target.spec.get(FORMAT), **known}


def _datastores(told: Row) -> list[str]:
    return [str(store._GetMoId()) for store in told.get("datastore", ())]


def _id(row: Row) -> str:
    return str(row.get("config.instanceUuid"))
