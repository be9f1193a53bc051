"""What objects refer to, and hold on to: a machine its disks and the images in its drives, a linked
clone its image. As on real endpoints that is the very object, whatever is called so later.
Everything else is referred to only, such as networks and pools: it may go and come again under its
name. Pure.

Called by the memory provider's session.
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
_UNTOLD: frozenset[Path] = frozenset({("image",), ("clone", "image")})
_BEGINNINGS = {"Disk": ("image", "clone"), MACHINE: ("clone",)}
"""What a disk or a machine began with, which no real endpoint tells."""

IdOf = Callable[[Resource], str]
"""The id of the object that a resource is."""

NameOf = Callable[[Address, str], str | None]
"""What an object of this id, which was called by this address, is called; None: nobody knows."""


class Place(NamedTuple):
    """A place in a spec that names another object. Where ``by_key``, the last part of the path is
    the name. ``by_name``: whatever has the name is meant, once the object itself is gone.
    """

    path: Path
    address: Address
    by_key: bool = False
    by_name: bool = False

    @property
    def key(self) -> str:
        """What the place is called in :attr:`StoredObject.holds`."""
        return _SEPARATOR.join((*self.path, self.address.name) if self.by_name else self.path)


class _Reference(NamedTuple):
    """A field that names an object of a kind. In ``path`` (below ``spec``) ``*`` stands for any
    element; where it stands at the end, the element's key is the name. ``bound``: the very object
    is meant, whatever is called so later.
    """

    path: Path
    kind: str
    bound: bool = False


_POOL = _Reference(("pool",), "StoragePool")
_CLUSTER = _Reference(("cluster",), "Cluster")
_DATACENTER = _Reference(("datacenter",), "Datacenter")
_FOLDER = _Reference(("folder",), "Folder")
_HOSTS = _Reference(("hosts", "*"), "ClusterHost")
REFERENCES: Mapping[str, tuple[_Reference, ...]] = {
    "Network": (_DATACENTER, _FOLDER, _HOSTS),
    "StoragePool": (_Reference(("members", "*"), "StoragePool"), _DATACENTER, _FOLDER, _HOSTS),
    "Image": (_POOL,),
    "Disk": (_POOL, _Reference(("image",), "Image", bound=True)),
    "Snapshot": (_Reference(("machine",), MACHINE),),
    MACHINE: (
        _Reference(("disks", "*"), "Disk", bound=True),
        _Reference(("cdroms", "*", "image"), "Image", bound=True),
        _Reference(("nics", "*", "network"), "Network"),
        _Reference(("cloudInit", "pool"), "StoragePool"),
        _Reference(("clone", "image"), "Image", bound=True),
        _Reference(("placement", "cluster"), "Cluster"),
        _Reference(("placement", "clusterHost"), "ClusterHost"),
        _Reference(("placement", "resourcePool"), "ResourcePool"),
        _Reference(("placement", "folder"), "Folder"),
        _Reference(("placement", "storagePool"), "StoragePool"),
    ),
    "Datacenter": (_FOLDER,),
    "Folder": (_Reference(("parent",), "Folder"), _DATACENTER),
    "Cluster": (_FOLDER, _DATACENTER),
    "ClusterHost": (_CLUSTER, _FOLDER, _DATACENTER),
    "ResourcePool": (_Reference(("parent",), "ResourcePool"), _CLUSTER),
    "PlacementRule": (
        _CLUSTER,
        _Reference(("machines", "*"), MACHINE),
        _HOSTS,
    ),
    "Permission": (
        _Reference(("role",), "Role"),
        _Reference(("on", "datacenter"), "Datacenter"),
        _Reference(("on", "folder"), "Folder"),
        _Reference(("on", "cluster"), "Cluster"),
        _Reference(("on", "clusterHost"), "ClusterHost"),
        _Reference(("on", "resourcePool"), "ResourcePool"),
        _Reference(("on", "machine"), MACHINE),
        _Reference(("on", "storagePool"), "StoragePool"),
        _Reference(("on", "network"), "Network"),
    ),
}
"""The fields of each kind that refer to something."""


def places(kind: str, spec: Mapping[str, Any]) -> Iterator[Place]:
    """Every place in which an object of this kind and spec refers to another one."""
    for reference in REFERENCES.get(kind, ()):
        if reference.path in _UNTOLD and not _is_linked(kind, spec):
            continue
        by_key = reference.path[-1] == "*"
        for path, name in _named(spec, reference.path, ()):
            address = Address(reference.kind, name)
            yield Place(path, address, by_key, by_name=not reference.bound)


def _is_linked(kind: str, spec: Mapping[str, Any]) -> bool:
    """Whether it needs for good what it began with."""
    mode = spec.get("clone", {}).get("mode") if kind == MACHINE else spec.get("clone", "linked")
    return bool(mode == "linked")


def _named(value: Any, pattern: Path, path: Path) -> Iterator[tuple[Path, str]]:
    """The names at the places of a pattern, each with its path."""
    if not pattern:
        yield path, value
        return
    if not isinstance(value, Mapping):
        return
    first, rest = pattern[0], pattern[1:]
    if first != "*":
        if first in value:
            yield from _named(value[first], rest, (*path, first))
        return
    for key, element in value.items():
        if rest:
            yield from _named(element, rest, (*path, key))
        else:
            yield (*path, key), key


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
        now = id_of(target) if target is not None else None
        object_id = now or kept.get(place) if place.by_name else kept.get(place) or now
        if object_id is not None:
            holds[place.key] = object_id
    return holds


class Called:
    """What a stack calls the objects that are held; ``id_of`` tells which object a resource is."""

    def __init__(self, related: Mapping[Address, Resource], id_of: IdOf) -> None:
        self._related = related
        self._id_of = id_of
        self._names: dict[tuple[str, str], str] | None = None

    def __call__(self, address: Address, object_id: str) -> str | None:
        """The name of an object that was called ``address``; None if the stack does not know it."""
        likely = self._related.get(address)
        if likely is not None and self._id_of(likely) == object_id:
            return address.name
        if self._names is None:
            # Backwards, so that the first of several names counts.
            self._names = {
                (other.kind, self._id_of(resource)): other.name
                for other, resource in reversed(list(self._related.items()))
            }
        return self._names.get((address.kind, object_id))


def renamed(stored: StoredObject, called: NameOf) -> StoredObject:
    """The object with what it refers to called as the stack calls it now; what the stack does not
    know is called by its id where the very object is meant. It is the same object if nothing is
    called otherwise.
    """
    moves: dict[Path, Path] = {}
    values: dict[Path, str] = {}
    holds: dict[str, str] = {}
    for place in places(stored.kind, stored.spec):
        object_id = stored.holds.get(place.key)
        if object_id is None:
            continue
        name = place.address.name
        if place.path not in _UNTOLD:
            name = called(place.address, object_id) or (name if place.by_name else object_id)
        path = (*place.path[:-1], name) if place.by_key else place.path
        holds[place._replace(path=path, address=Address(place.address.kind, name)).key] = object_id
        if name != place.address.name and place.by_key:
            moves[place.path] = path
        elif name != place.address.name:
            values[place.path] = name
    if not moves and not values:
        return stored
    return replace(
        stored,
        spec=_rewritten(stored.spec, moves, values, ()),
        running={_moved(path, moves): value for path, value in stored.running.items()},
        holds=holds,
    )


def as_told(stored: StoredObject) -> StoredObject:
    """The object without what no real endpoint tells either."""
    untold = _BEGINNINGS.get(stored.kind, ())
    if stored.spec.keys().isdisjoint(untold):
        return stored
    spec = {key: value for key, value in stored.spec.items() if key not in untold}
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
