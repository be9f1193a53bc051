"""Copies that an array or another tool makes: the files are simply there. Called by
:mod:`handler`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner.providers.capabilities import Point, Replica
from provisioner_plugins.kvm.replication.store import Store

POINT = "external"
"""The id of the one point that there is."""


def point_of(store: Store, replica: Replica, deadline: Deadline) -> Point | None:
    """The point, as old as the disk that was written to least recently; None if one is missing."""
    files = [(disk, store.volume(disk).volume) for disk in replica.disks.values()]
    times = store.times(files, deadline)
    known = [time for time in times if time is not None]
    if len(known) != len(files) or not known:
        return None
    return Point(POINT, datetime.fromtimestamp(min(known), UTC))


def require_point(store: Store, replica: Replica, deadline: Deadline) -> Point:
    """The point; raises Terminal (PRV5375)."""
    found = point_of(store, replica, deadline)
    if found is not None:
        return found
    expected = ", ".join(
        store.path(disk, store.volume(disk).volume) for disk in replica.disks.values()
    )
    raise Terminal(
        error(
            "PRV5375",
            f"{replica.machine.address}: there is no copy of its disks at the receiving site",
            detail=f"Expected {expected}.",
            hint="Have what replicates put the copies there, or replicate incrementally.",
            address=str(replica.machine.address),
        )
    )
