"""Shows the labels of resources as tags and custom attributes, as the Host's connection asks for
it, and tells what became of them. Called by the session around the handlers of all kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.values import digest
from provisioner.providers.api import Discovered, Observation, Present, Resource, Terminal
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.labels.comparing import Shown, labels_of
from provisioner_plugins.vmware.labels.tags import Object, Tags
from provisioner_plugins.vmware.machine.power import find as find_machine
from provisioner_plugins.vmware.machine.properties import UUID
from provisioner_plugins.vmware.marks import Attributes
from provisioner_plugins.vmware.ownership import gone
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import FIELD
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

TAGS, ATTRIBUTES = "tags", "attributes"
_MACHINE = "VirtualMachine"
_KINDS = frozenset(
    {
        "Cluster",
        "ClusterHost",
        "Datacenter",
        "Folder",
        "Network",
        "ResourcePool",
        "StoragePool",
        _MACHINE,
    }
)
"""Kinds whose objects are managed entities, which alone can have either."""


class Projection:
    """The labels of one session. Thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        ways = site.client.endpoint.connection.get("labels", ())
        self._tags = Tags(site.rest) if TAGS in ways else None
        self._attributes = Attributes(site.client) if ATTRIBUTES in ways else None

    @property
    def reads(self) -> Wanted:
        """What it needs of the inventory, beside what marks need."""
        if self._attributes is None:
            return MappingProxyType({})
        return MappingProxyType({vim.VirtualMachine: ("customValue",)})

    @property
    def _is_used(self) -> bool:
        return self._tags is not None or self._attributes is not None

    # --- reading ---

    def observed(
        self, inventory: Inventory, answers: Mapping[Address, Observation]
    ) -> dict[Address, Observation]:
        """The answers, with the labels that are shown."""
        present = {a: answer for a, answer in answers.items() if isinstance(answer, Present)}
        told = self._told(inventory, [(a.kind, answer) for a, answer in present.items()])
        return {**answers, **dict(zip(present, told, strict=True))}

    def discovered(
        self, inventory: Inventory, kind: str, found: Sequence[Discovered]
    ) -> list[Discovered]:
        """What was discovered of a kind, with the labels that are shown."""
        told = self._told(inventory, [(kind, item.observed) for item in found])
        return [replace(item, observed=each) for item, each in zip(found, told, strict=True)]

    def _told(self, inventory: Inventory, found: Sequence[tuple[str, Present]]) -> list[Present]:
        if not self._is_used:
            return [present for _, present in found]
        machines = {str(row.get(UUID)): row for row in inventory.rows(vim.VirtualMachine)}
        rows: list[Row | None] = []
        for kind, present in found:
            # What is nobody's has no labels of ours.
            known = kind in _KINDS and present.owner is not None
            row = (machines.get if kind == _MACHINE else inventory.row)(present.external_id)
            rows.append(row if known else None)
        tags: Mapping[Object, Shown] = {}
        if self._tags is not None:
            tags = self._tags.shown([_object(row) for row in rows if row is not None])
        result = []
        for (_, present), row in zip(found, rows, strict=True):
            shown = [] if row is None else [*self._shown(inventory, row, tags)]
            result.append(_with_labels(present, shown) if shown else present)
        return result

    def _shown(
        self, inventory: Inventory, row: Row, tags: Mapping[Object, Shown]
    ) -> Sequence[Shown]:
        ways = []
        if self._tags is not None:
            ways.append(tags[_object(row)])
        if self._attributes is not None:
            found = inventory.attributes(row)
            ways.append(Shown({name: (value,) for name, value in found.items()}))
        return ways

    # --- writing ---

    def write(
        self, resource: Resource, external_id: str, before: Mapping[str, str] | None = None
    ) -> None:
        """Have an object show the labels of its resource in place of those that it has."""
        labels, before = _usable(resource.spec.get("labels", {})), _usable(before or {})
        if not self._is_used or resource.kind not in _KINDS or not (labels or before):
            return
        entity = self._entity(resource, external_id)
        what = f"{resource.kind} {resource.name}"
        if self._tags is not None:
            self._tags.write(what, _named(entity), labels, before)
        if self._attributes is not None:
            wanted = {**dict.fromkeys(before, ""), **labels}
            now = self._attributes.of(entity)
            for name, value in sorted(wanted.items()):
                if now.get(name, "") != value:
                    doing = f"set the attribute {name} of {what}"
                    self._attributes.write(doing, entity, name, value)

    def _entity(self, resource: Resource, external_id: str) -> Any:
        if resource.kind == _MACHINE:
            entity = find_machine(self._site, external_id)
        else:
            row = self._site.places().row(external_id)
            row = row or self._site.places(anew=True).row(external_id)
            entity = None if row is None else self._site.client.managed(row.kind, row.moid)
        if entity is None:
            raise Terminal(gone(resource))
        return entity


def _usable(labels: Mapping[str, Any]) -> dict[str, str]:
    """But for those that are called like the attributes of marks."""
    return {name: str(value) for name, value in labels.items() if not name.startswith(FIELD)}


def _object(row: Row) -> Object:
    return Object(str(row.kind._wsdlName), row.moid)  # type: ignore[attr-defined]


def _named(entity: Any) -> Object:
    return Object(str(entity._wsdlName), str(entity._GetMoId()))


def _with_labels(present: Present, shown: Sequence[Shown]) -> Present:
    marked = {name: str(value) for name, value in present.spec.get("labels", {}).items()}
    usable = _usable(marked)
    labels = {**labels_of(usable, shown), **{k: v for k, v in marked.items() if k not in usable}}
    if labels == marked:
        return present
    return replace(
        present,
        spec={**present.spec, "labels": labels},
        fingerprint=digest([present.fingerprint, labels]),
    )
