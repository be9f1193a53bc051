"""Networks, pools and machines by their names on the endpoint: what objects call them in the
inventory, and what a stack calls them. Pure.

Called by the memory provider's session wherever a spec goes in or out. Disks and images are held by
their ids, see :mod:`provisioner_plugins.memory.holding`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.core.values import Json, Path
from provisioner.providers.api import Resource

_PLACES: Mapping[str, tuple[tuple[Path, str], ...]] = {
    "Disk": ((("pool",), "StoragePool"),),
    "Image": ((("pool",), "StoragePool"),),
    "VirtualMachine": (
        (("nics", "*", "network"), "Network"),
        (("cloudInit", "pool"), "StoragePool"),
    ),
    "Snapshot": ((("machine",), "VirtualMachine"),),
}
"""By kind: the fields that name something by its name on the endpoint, and the kind of that."""

NameOf = Callable[[str, str], str]
"""By kind and name: another name."""


def on_endpoint(related: Mapping[Address, Resource]) -> NameOf:
    """What the stack's names are on the endpoint; unknown ones stay."""

    def name_of(kind: str, name: str) -> str:
        resource = related.get(Address(kind, name))
        return name if resource is None else resource.name

    return name_of


def in_stack(related: Mapping[Address, Resource]) -> NameOf:
    """What the stack calls the names on the endpoint. One that is unknown to it stays, unless the
    stack calls something else so.
    """
    names = {
        (address.kind, resource.name): address.name
        for address, resource in related.items()
        if "#" not in address.name
    }

    def name_of(kind: str, name: str) -> str:
        called = names.get((kind, name))
        if called is not None:
            return called
        return f"{name} (not of this stack)" if Address(kind, name) in related else name

    return name_of


def translated(kind: str, value: Any, name_of: NameOf, path: Path = ()) -> Any:
    """A spec, or the part of one at ``path``, with every name put as ``name_of`` has it. It is the
    same object if nothing is called otherwise.
    """
    for place, target in _PLACES.get(kind, ()):
        below = len(path) <= len(place)
        if below and all(p in ("*", part) for p, part in zip(place, path, strict=False)):
            value = _put(value, place[len(path) :], target, name_of)
    return value


def _put(value: Any, place: Path, kind: str, name_of: NameOf) -> Any:
    if not place:
        return name_of(kind, value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    changed: dict[str, Any] = {}
    for key in value if place[0] == "*" else place[:1]:
        if key in value:
            after = _put(value[key], place[1:], kind, name_of)
            if after is not value[key]:
                changed[key] = after
    return {**value, **changed} if changed else value


def in_force(kind: str, running: Mapping[Path, Json], name_of: NameOf) -> dict[Path, Json]:
    """The same for values by path."""
    return {path: translated(kind, value, name_of, path) for path, value in running.items()}
