"""What people call a managed object that an error is about: its inventory path. Called by
:mod:`client` when it describes a missing permission.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pyVmomi import vim, vmodl

_Collector = vmodl.query.PropertyCollector


def path_of(content: Any, entity: Any) -> str | None:
    """The inventory path as far up as the user may see, in one request; None for what has no name.

    Raises what pyvmomi raises.
    """
    if not isinstance(entity, vim.ManagedEntity):
        return None
    up = _Collector.SelectionSpec(name="up")
    above = _Collector.TraversalSpec(
        name="up", type=vim.ManagedEntity, path="parent", skip=False, selectSet=[up]
    )
    spec = _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=entity, skip=False, selectSet=[above])],
        propSet=[_Collector.PropertySpec(type=vim.ManagedEntity, pathSet=["name", "parent"])],
        reportMissingObjectsInResults=True,
    )
    answer = content.propertyCollector.RetrievePropertiesEx([spec], _Collector.RetrieveOptions())
    read = {
        item.obj._GetMoId(): {prop.name: prop.val for prop in item.propSet}
        for item in (answer.objects if answer is not None else ())
    }
    names: list[str] = []
    found = read.get(entity._GetMoId(), {})
    while found.get("name") and found.get("parent") is not None:
        names.append(unquote(str(found["name"])))
        found = read.get(found["parent"]._GetMoId(), {})
    return "/" + "/".join(reversed(names)) if names else None
