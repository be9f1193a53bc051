"""What people call the object on which a right is lacking. Called by :mod:`client` when it
describes a missing permission.

Roles are given on objects of the inventory. What else a fault may name is a part of such an object,
or a manager of the endpoint, whose rights are those on the root folder (vSphere Web Services API,
"Required Privileges" of its methods: Global.SetCustomField, Authorization.ModifyRoles).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import ManagedObject

_Collector = vmodl.query.PropertyCollector


_PART_OF = {
    vim.host.DatastoreBrowser: "datastore",
    vim.Task: "info.entity",
    vim.vm.Snapshot: "vm",
}
"""Where managed objects that are no part of the inventory say what they belong to."""


def bearer_of_rights(content: Any, managed: Any) -> str | None:
    """The object on which an administrator can give rights on a managed object, as he would find
    it: ``Folder /DC0/vm/front (group-v12)``. None for what cannot be told.

    Raises what pyvmomi raises.
    """
    entity = _entity_of(content, managed)
    if entity is None:
        return None
    moid = entity._GetMoId()
    if moid == content.rootFolder._GetMoId():
        return f"the root folder of the inventory ({moid})"
    path = _path_of(content, entity)
    kind = type(entity).__name__.rsplit(".", 1)[-1]
    return None if path is None else f"{kind} {path} ({moid})"


def _entity_of(content: Any, managed: Any) -> Any:
    if isinstance(managed, vim.ManagedEntity):
        return managed
    where = next((path for kind, path in _PART_OF.items() if isinstance(managed, kind)), None)
    if where is not None:
        found = _read(content, managed, [], type(managed), [where])
        value = found.get(managed._GetMoId(), {}).get(where)
        several = value if isinstance(value, list) else [value]
        # The browser of a host has all its datastores.
        return several[0] if len(several) == 1 else None
    return content.rootFolder if managed._GetMoId() in _managers(content) else None


def _managers(content: Any) -> set[str]:
    values = (getattr(content, prop.name, None) for prop in content._GetPropertyList())
    return {"ServiceInstance"} | {
        str(value._GetMoId()) for value in values if isinstance(value, ManagedObject)
    }


def _path_of(content: Any, entity: Any) -> str | None:
    """The inventory path as far up as the user may see, in one request; None without a name."""
    up = _Collector.SelectionSpec(name="up")
    above = _Collector.TraversalSpec(
        name="up", type=vim.ManagedEntity, path="parent", skip=False, selectSet=[up]
    )
    read = _read(content, entity, [above], vim.ManagedEntity, ["name", "parent"])
    names: list[str] = []
    found = read.get(entity._GetMoId(), {})
    while found.get("name") and found.get("parent") is not None:
        names.append(unquote(str(found["name"])))
        found = read.get(found["parent"]._GetMoId(), {})
    return "/" + "/".join(reversed(names)) if names else None


def _read(
    content: Any, managed: Any, selection: list[Any], kind: type, paths: list[str]
) -> dict[str, dict[str, Any]]:
    """Properties of an object, and of what is selected from it, by id."""
    spec = _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=managed, skip=False, selectSet=selection)],
        propSet=[_Collector.PropertySpec(type=kind, pathSet=paths)],
        reportMissingObjectsInResults=True,
    )
    answer = content.propertyCollector.RetrievePropertiesEx([spec], _Collector.RetrieveOptions())
    return {
        item.obj._GetMoId(): {prop.name: prop.val for prop in item.propSet}
        for item in (answer.objects if answer is not None else ())
    }
