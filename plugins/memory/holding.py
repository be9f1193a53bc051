"""What objects hold on to: a machine its disks and the images in its drives, a linked clone its
image. As on real endpoints that is the very object, whatever is called so later. Pure.

Called by the memory provider's session. Networks, pools and machines are meant by their names on
the endpoint, see :mod:`provisioner_plugins.memory.naming`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.values import Json, Path
from provisioner.providers.api import Resource
from provisioner_plugins.memory.objects import MACHINE, StoredObject

_SEPARATOR = "/"

IdOf = Callable[[Resource], str]
"""The id of the object that a resource is."""


class Place(NamedTuple):
    """A place in a spec that names another object. Where ``by_key``, the last part of the path is
    the name.
    """

    path: Path
    address: Address
    by_key: bool

    @property
    def key(self) -> str:
        """What the place is called in :attr:`StoredObject.holds`."""
        return _SEPARATOR.join(self.path)


def places(kind: str, spec: Mapping[str, Any]) -> Iterator[Place]:
    """Every place in which an object of this kind and spec holds on to another one."""
    if kind == "Disk":
        if "image" in spec and spec.get("clone", "linked") == "linked":
            yield Place(("image",), Address("Image", spec["image"]), by_key=False)
    elif kind == MACHINE:
        for disk in spec.get("disks") or ():
            yield Place(("disks", disk), Address("Disk", disk), by_key=True)
        for name, drive in (spec.get("cdroms") or {}).items():
            if "image" in drive:
                path = ("cdroms", name, "image")
                yield Place(path, Address("Image", drive["image"]), by_key=False)


def held(
    resource: Resource, spec: Mapping[str, Any], before: StoredObject | None, id_of: IdOf
) -> dict[str, str]:
    """What an object with this spec holds: what it held before, and in new places what the stack
    calls so.
    """
    kept = {}
    if before is not None:
        kept = {place: before.holds.get(place.key) for place in places(before.kind, before.spec)}
    holds: dict[str, str] = {}
    for place in places(resource.kind, spec):
        target = resource.related.get(place.address)
        object_id = kept.get(place) or (id_of(target) if target is not None else None)
        if object_id is not None:
            holds[place.key] = object_id
    return holds


class Called:
    """What a stack calls the objects that are held; ``id_of`` tells which object a resource is."""

    def __init__(self, related: Mapping[Address, Resource], id_of: IdOf) -> None:
        self._related = related
        self._id_of = id_of
        self._names: dict[tuple[str, str], str] | None = None

    def __call__(self, address: Address, object_id: str) -> str:
        """The name of an object that was called ``address``; its id if the stack knows it no
        more.
        """
        likely = self._related.get(address)
        if likely is not None and self._id_of(likely) == object_id:
            return address.name
        if self._names is None:
            # Backwards, so that the first of several names counts.
            self._names = {
                (other.kind, self._id_of(resource)): other.name
                for other, resource in reversed(list(self._related.items()))
            }
        return self._names.get((address.kind, object_id), object_id)


def renamed(stored: StoredObject, called: Called) -> StoredObject:
    """The object with what it holds called as the stack calls it now. It is the same object if
    nothing is called otherwise.
    """
    if stored.kind != MACHINE:
        return stored
    moves: dict[Path, Path] = {}
    values: dict[Path, str] = {}
    for place in places(stored.kind, stored.spec):
        object_id = stored.holds.get(place.key)
        if object_id is None:
            continue
        name = called(place.address, object_id)
        if name == place.address.name:
            continue
        if place.by_key:
            moves[place.path] = (*place.path[:-1], name)
        else:
            values[place.path] = name
    if not moves and not values:
        return stored
    return replace(
        stored,
        spec=_rewritten(stored.spec, moves, values, ()),
        running={_moved(path, moves): value for path, value in stored.running.items()},
        holds={
            _SEPARATOR.join(_moved(tuple(key.split(_SEPARATOR)), moves)): object_id
            for key, object_id in stored.holds.items()
        },
    )


def as_told(stored: StoredObject) -> StoredObject:
    """The object without the image that a disk began with, which no real endpoint tells either."""
    if stored.kind != "Disk" or "image" not in stored.spec:
        return stored
    spec = {key: value for key, value in stored.spec.items() if key not in ("image", "clone")}
    return replace(stored, spec=spec)


def _moved(path: Path, moves: Mapping[Path, Path]) -> Path:
    for old, new in moves.items():
        if path[: len(old)] == old:
            return (*new, *path[len(old) :])
    return path


def _rewritten(
    value: Json | Mapping[str, Any],
    moves: Mapping[Path, Path],
    values: Mapping[Path, str],
    path: Path,
) -> Any:
    if path in values:
        return values[path]
    if not isinstance(value, Mapping):
        return value
    return {
        moves.get((*path, key), (key,))[-1]: _rewritten(item, moves, values, (*path, key))
        for key, item in value.items()
    }
