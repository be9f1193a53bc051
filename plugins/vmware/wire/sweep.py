"""Reads properties of many objects in few requests, and takes no lost session for an empty answer.

What the property collector says of a session that is gone is no fault: every object comes with no
property and ``NotAuthenticated`` in its ``missingSet``, and a view of such a session is a managed
object that is not found (vSphere Web Services API, PropertyCollector; seen on vcsim too). Both
raise :class:`~provisioner_plugins.vmware.wire.client.SessionLostError` here, and the client logs in
and sweeps again with a view of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

from provisioner_plugins.vmware.wire.answers import Answer, Item, ask
from provisioner_plugins.vmware.wire.client import Client, SessionLostError

PAGE = 500
"""Objects in one answer: it bounds memory, and costs nothing (docs/performance)."""

_Collector = vmodl.query.PropertyCollector

Wanted = Mapping[Any, Sequence[str]]
"""Property paths by managed object type. A type stands for those derived from it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was read of one object: its properties by path; an unset one is not there. ``denied``
    are the paths that the user may not read.
    """

    moid: str
    kind: type
    values: Mapping[str, Any]
    denied: frozenset[str] = field(default_factory=frozenset)

    def get(self, path: str, default: Any = None) -> Any:
        """The value of a property, or ``default`` where it is not set."""
        return self.values.get(path, default)


def sweep(client: Client, what: str, wanted: Wanted, beside: Sequence[Any] = ()) -> list[Row]:
    """Everything of these types in the inventory, and the managed objects ``beside`` it that are
    none of its entities.
    """

    def read(content: Any) -> list[Row]:
        view = content.viewManager.CreateContainerView(
            container=content.rootFolder, type=[], recursive=True
        )
        below = _Collector.TraversalSpec(
            name="all", type=vim.view.ContainerView, path="view", skip=False
        )
        chosen = [_Collector.ObjectSpec(obj=view, skip=True, selectSet=[below])]
        chosen += [_Collector.ObjectSpec(obj=item, skip=False) for item in beside]
        try:
            rows = _pages(content, chosen, wanted)
            view.DestroyView()
        except vmodl.fault.ManagedObjectNotFound as problem:
            raise SessionLostError from problem
        return rows

    return client.read(what, read)


def look(client: Client, what: str, objects: Iterable[Any], wanted: Wanted) -> list[Row]:
    """These managed objects; one that is gone is left out."""
    chosen = [_Collector.ObjectSpec(obj=item, skip=False) for item in objects]
    if not chosen:
        return []
    return client.read(what, lambda content: _pages(content, chosen, wanted))


def _pages(content: Any, chosen: Sequence[Any], wanted: Wanted) -> list[Row]:
    spec = _Collector.FilterSpec(
        objectSet=list(chosen),
        propSet=[
            _Collector.PropertySpec(type=kind, pathSet=list(paths), all=False)
            for kind, paths in wanted.items()
        ],
        reportMissingObjectsInResults=True,
    )
    collector = content.propertyCollector
    options = _Collector.RetrieveOptions(maxObjects=PAGE)
    answer = ask(collector, "RetrievePropertiesEx", [spec], options)
    rows = _rows(answer)
    while answer.token:
        try:
            answer = ask(collector, "ContinueRetrievePropertiesEx", answer.token)
        except vmodl.query.InvalidProperty as problem:
            # The token is of a session that is gone.
            raise SessionLostError from problem
        rows += _rows(answer)
    return rows


def _rows(answer: Answer) -> list[Row]:
    return [row for item in answer.items if (row := _row(item)) is not None]


def _row(item: Item) -> Row | None:
    denied: set[str] = set()
    for missing in item.missing:
        fault = getattr(missing.fault, "fault", missing.fault)
        if isinstance(fault, vim.fault.NotAuthenticated):
            raise SessionLostError
        if isinstance(fault, vmodl.fault.ManagedObjectNotFound):
            return None
        if isinstance(fault, vim.fault.NoPermission):
            denied.add(missing.path)
    return Row(item.moid, item.kind, item.values, frozenset(denied))
