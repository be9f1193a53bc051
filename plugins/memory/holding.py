"""What objects refer to, and hold on to: a machine its disks and the images in its drives, a linked
clone its image. As on real endpoints that is the very object, whatever is called so later.
Networks, pools and the machines of snapshots are referred to only: they may go and come again under
their names. Pure.

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


def places(kind: str, spec: Mapping[str, Any]) -> Iterator[Place]:
    """Every place in which an object of this kind and spec refers to another one."""
    if "pool" in spec:
        yield Place(("pool",), Address("StoragePool", spec["pool"]), by_name=True)
    if kind == "Disk" and "image" in spec and spec.get("clone", "linked") == "linked":
        yield Place(("image",), Address("Image", spec["image"]))
    for member in spec.get("members") or () if kind == "StoragePool" else ():
        pool = Address("StoragePool", member)
        yield Place(("members", member), pool, by_key=True, by_name=True)
    if kind == "Snapshot" and "machine" in spec:
        yield Place(("machine",), Address(MACHINE, spec["machine"]), by_name=True)
    if kind == MACHINE:
        yield from _places_of_machine(spec)


def _places_of_machine(spec: Mapping[str, Any]) -> Iterator[Place]:
    for disk in spec.get("disks") or ():
        yield Place(("disks", disk), Address("Disk", disk), by_key=True)
    for name, drive in (spec.get("cdroms") or {}).items():
        if "image" in drive:
            yield Place(("cdroms", name, "image"), Address("Image", drive["image"]))
    for name, card in (spec.get("nics") or {}).items():
        if "network" in card:
            path = ("nics", name, "network")
            yield Place(path, Address("Network", card["network"]), by_name=True)
    clone = spec.get("clone") or {}
    if clone.get("mode") == "linked":
        yield Place(("clone", "image"), Address("Image", clone["image"]))
    home = spec.get("placement") or {}
    if "storagePool" in home:
        place = Address("StoragePool", home["storagePool"])
        yield Place(("placement", "storagePool"), place, by_name=True)
    seed = spec.get("cloudInit") or {}
    if "pool" in seed:
        yield Place(("cloudInit", "pool"), Address("StoragePool", seed["pool"]), by_name=True)


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
