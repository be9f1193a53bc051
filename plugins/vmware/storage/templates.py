"""Templates of an inventory as images; called by the Image handler.

They are somebody else's: used by machines that are cloned from them, never changed and never
removed. The external id is the instance UUID, as of machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
)
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.image import TEMPLATE
from provisioner_plugins.vmware.storage.places import Places
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look

READS: Wanted = {vim.VirtualMachine: ("config.template", "config.instanceUuid")}
_SHOWN = 8


def is_template(resource: Resource) -> bool:
    """Whether an Image is one of the inventory."""
    return resource.spec.get("format") == TEMPLATE


class Templates:
    """The templates of an inventory that was read with :data:`READS`."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self._inventory = inventory
        self._rows = [
            row for row in inventory.rows(vim.VirtualMachine) if row.get("config.template", False)
        ]

    def observe(self, places: Places, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """One answer for each target."""
        found = {target.address: self._find(target) for target in targets}
        stores = self._datastores(row for row in found.values() if row is not None)
        answers: dict[Address, Observation] = {}
        for target in targets:
            row = found[target.address]
            if row is None:
                answers[target.address] = Absent()
                continue
            pools = [places.pool_name(target, moid) for moid in stores[row.moid]]
            # It is found by its name; where it lies is vSphere's matter, and may change.
            pool = target.spec.get("pool") or next(iter(pools), None)
            text = target.spec.get("source", {}).get("template")
            called = text if text in self._names(row) else self._inventory.path(row)
            owner = target if target.external_id == _id(row) else None
            answers[target.address] = self._present(row, called, pool, owner)
        return answers

    def discover(self, kind: str) -> Iterator[Discovered]:
        """Every template, in the order of paths."""
        stores = self._datastores(self._rows)
        for row in self._rows:
            pool = next(iter(stores[row.moid]), None)
            observed = self._present(row, self._inventory.path(row), pool, None)
            yield Discovered(kind, self._inventory.path(row), observed)

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
        by_id = [row for row in self._rows if _id(row) == target.external_id]
        by_name = [row for row in self._rows if target.exact and target.name in self._names(row)]
        return next(iter([*by_id, *by_name]), None)

    def _names(self, row: Row) -> tuple[str, str]:
        return name_of(row), self._inventory.path(row)

    def _datastores(self, rows: Iterable[Row]) -> dict[str, list[str]]:
        objects = [self._site.client.managed(vim.VirtualMachine, row.moid) for row in rows]
        wanted = {vim.VirtualMachine: ("datastore",)}
        found = look(self._site.client, "read templates", objects, wanted)
        return {
            row.moid: [str(store._GetMoId()) for store in row.get("datastore", ())] for row in found
        }

    def _present(self, row: Row, called: str, pool: str | None, owner: Resource | None) -> Present:
        spec: dict[str, Any] = {"source": {"template": called}, "format": TEMPLATE}
        if pool is not None:
            spec["pool"] = pool
        return Present(
            external_id=_id(row),
            owner=None if owner is None else owner.stamp,
            spec=spec,
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
        near = get_close_matches(text, names, n=3)
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


def _id(row: Row) -> str:
    return str(row.get("config.instanceUuid"))
