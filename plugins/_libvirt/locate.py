"""Finds the volumes of disks and images in an inventory (by identity, else as recorded, else by
name), and tells what was found. Called by the Disk and Image handlers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import digest
from provisioner.providers.api import Absent, Present, Resource, Undetermined
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.records import VolumeRecord
from provisioner_plugins._libvirt.volume import (
    VolumeFacts,
    VolumeId,
    names_a_volume,
    pool_of,
)


class Located(NamedTuple):
    """A volume that was found. ``ours``: by its identity or because it was recorded. ``names``
    are those of its pool.
    """

    record: VolumeRecord
    names: frozenset[str]
    ours: bool


class Locator:
    """Finds volumes; each pool is listed once per inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._names: dict[str, frozenset[str]] = {}

    def locate(
        self, target: Resource, identities: Iterable[str]
    ) -> Located | Absent | Undetermined:
        """The volume of a target. ``identities`` are the names that only its own volume has.

        Undetermined where a pool in which it could be cannot be read. A pool that the daemon does
        not know may be defined again, with all that is in its storage: a volume that is called as
        it would be made is found by making it then, any other one would be lost sight of.
        """
        places = [VolumeId(pool_of(target), name) for name in identities]
        candidates = [(place, True) for place in places]
        if target.external_id is not None:
            candidates.append((VolumeId.parse(target.external_id), True))
        # Ours are never called like their resource, so a foreign volume is in nobody's way, unless
        # the author gave the whole name of one: that is how it is taken over.
        if names_a_volume(target):
            candidates.append((VolumeId(pool_of(target), target.name), False))
        for place, ours in candidates:
            pool = self._inventory.pools().by_name.get(place.pool)
            if pool is None:
                if str(place) == target.external_id and place not in places:
                    return Undetermined(_no_pool(target, place))
                continue
            listing = self._inventory.volumes(pool)
            if listing.problem is not None:
                return Undetermined(listing.problem)
            record = listing.volumes.get(place.volume)
            if record is not None:
                if place.pool not in self._names:
                    self._names[place.pool] = frozenset(listing.volumes)
                return Located(record, self._names[place.pool], ours)
        return Absent()


def _no_pool(target: Resource, volume: VolumeId) -> Diagnostic:
    return error(
        "PRV5123",
        f"there is no storage pool {volume.pool} on the host, so its volumes are unknown",
        detail=f"{target.address} was recorded as volume {volume.volume} in it, which may be in "
        "its storage still.",
        hint="Apply its StoragePool first, or define the pool again. If the volume is gone for "
        f"good: provisioner state forget {target.address}",
        address=str(target.address),
    )


def present(
    volume: VolumeId, facts: VolumeFacts, spec: dict[str, Any], owner: Resource | None = None
) -> Present:
    """A volume as observed; ``owner`` is the resource whose volume it is."""
    return Present(
        external_id=str(volume),
        owner=owner.stamp if owner is not None else None,
        spec=spec,
        fingerprint=digest({"volume": str(volume), "path": facts.path, "spec": spec}),
        outputs={"path": facts.path, "volume": facts.name},
    )
