"""What is on an endpoint, as one sweep has found it: the entities with their names, parents and
paths. Made for each observation; handlers find their objects in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim

from provisioner_plugins.vmware.stamp import FIELD, Mark
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, sweep

_EVERY: Sequence[str] = ("name", "parent")
_MARKED: Sequence[type] = (
    vim.Datacenter,
    vim.Folder,
    vim.ComputeResource,
    vim.HostSystem,
    vim.ResourcePool,
    vim.Datastore,
    vim.Network,
    vim.DistributedVirtualSwitch,
)
"""The types that carry their marks in a custom attribute: all but machines."""
_PARTS = f"{FIELD}."


class Inventory:
    """The entities of an endpoint. ``wanted`` are the properties that are read beside names and
    parents; ``entities`` the types that are read at all.
    """

    def __init__(
        self, client: Client, wanted: Wanted, entities: Sequence[type] = (vim.ManagedEntity,)
    ) -> None:
        """Read it: one sweep, whatever the number of objects."""
        self.client = client
        fields = client.content.customFieldsManager
        paths: dict[type, set[str]] = {kind: {*_EVERY} for kind in entities}
        for kind, names in wanted.items():
            paths.setdefault(kind, set()).update(names)
        if fields is not None:
            for kind in entities:
                for marked in _MARKED:
                    if issubclass(kind, marked) or issubclass(marked, kind):
                        narrower = kind if issubclass(kind, marked) else marked
                        paths.setdefault(narrower, set()).add("customValue")
            paths[vim.CustomFieldsManager] = {"field"}
        beside = [] if fields is None else [fields]
        if vim.AuthorizationManager in paths:
            beside.append(client.content.authorizationManager)
        rows = sweep(
            client,
            f"Host/{client.endpoint.name}: read the inventory",
            {kind: sorted(names) for kind, names in paths.items()},
            beside,
        )
        self._rows = {row.moid: row for row in rows}
        self._paths: dict[str, str] = {}
        self._by_kind: dict[type, list[Row]] = {}
        self._by_value: dict[tuple[type, str], dict[object, Row]] = {}
        for row in rows:
            self._by_kind.setdefault(row.kind, []).append(row)
        self._attributes = {
            int(item.key): str(item.name)
            for row in rows
            if row.kind is vim.CustomFieldsManager
            for item in row.get("field", ())
        }

    def rows(self, *kinds: type) -> Iterator[Row]:
        """All objects of these types, in the order of their paths."""
        found = [rows for kind, rows in self._by_kind.items() if issubclass(kind, kinds)]
        return iter(sorted(chain(*found), key=lambda row: (self.path(row), row.moid)))

    def row(self, moid: str | None) -> Row | None:
        """The object with this id; None if it is not there."""
        return self._rows.get(moid or "")

    def parent(self, row: Row) -> Row | None:
        """What an object lies in; None for the root, and where the user may not see it."""
        above = row.get("parent")
        return None if above is None else self._rows.get(above._GetMoId())

    def above(self, row: Row, *kinds: type) -> Row | None:
        """The nearest object of these types that an object lies in."""
        found = self.parent(row)
        while found is not None and not issubclass(found.kind, kinds):
            found = self.parent(found)
        return found

    def children(self, row: Row, *kinds: type) -> list[Row]:
        """What lies directly in an object, by name."""
        return [item for item in self.rows(*kinds) if self.parent(item) is row]

    def path(self, row: Row) -> str:
        """The inventory path: ``/DC0/vm/shop/web01``."""
        path = self._paths.get(row.moid)
        if path is None:
            above = self.parent(row)
            path = f"{'' if above is None else self.path(above)}/{name_of(row)}"
            self._paths[row.moid] = path
        return path

    @cached_property
    def permissions(self) -> Sequence[Any]:
        """Every permission that the user may see, as pyvmomi has it; one call, when first asked."""
        found = self.client.read(
            "read the permissions",
            lambda content: content.authorizationManager.RetrieveAllPermissions(),
        )
        return list(found or ())

    def named(self, name: str, kinds: Iterable[type]) -> list[Row]:
        """The objects of these types with this name or inventory path, in the order of paths."""
        found = self.rows(*kinds)
        if name.startswith("/"):
            return [row for row in found if self.path(row) == name]
        return [row for row in found if name_of(row) == name]

    def having(self, kind: type, path: str, value: object) -> Row | None:
        """An object of a type by the value of a property that is its own; None if none has it."""
        if (kind, path) not in self._by_value:
            rows = self._by_kind.get(kind, ())
            self._by_value[kind, path] = {row.get(path): row for row in rows}
        return self._by_value[kind, path].get(value)

    def told(self, rows: Iterable[Row]) -> Mapping[str, str]:
        """What finds each of these objects among them, by managed object id: its name, or its
        inventory path where others have that, too.
        """
        rows = list(rows)
        counts = Counter(map(name_of, rows))
        return {
            row.moid: name
            if counts[name := name_of(row)] == 1 and not name.startswith("/")
            else self.path(row)
            for row in rows
        }

    def mark(self, row: Row) -> Mark | None:
        """The mark in an object's custom attribute; None where there is none, or no room for one.
        Machines carry theirs elsewhere.
        """
        parts = {}
        for name, value in self.attributes(row).items():
            if name == FIELD:
                parts[0] = value
            elif name.startswith(_PARTS) and name[len(_PARTS) :].isdecimal():
                parts[int(name[len(_PARTS) :])] = value
        return Mark.joined(parts)

    def attributes(self, row: Row) -> dict[str, str]:
        """The custom attributes of an object that say something, by name. Of machines they are
        read only where they are asked for.
        """
        return {
            self._attributes[value.key]: str(value.value)
            for value in row.get("customValue", ())
            if value.value and value.key in self._attributes
        }


def name_of(row: Row) -> str:
    """The name of an object as people write it: vSphere escapes ``%``, ``/`` and ``\\``."""
    name = str(row.get("name", ""))
    return unquote(name) if "%" in name else name
