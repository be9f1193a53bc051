"""Two sites, each with a daemon of its own, and a boot-sector guest that is replicated from one to
the other, as the engine would have it done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provisioner.core.address import Address
from provisioner.providers.api import Outcome, Resource
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins._libvirt.volume import identity_name
from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon
from tests.live.machinebench import VM, MachineBench

SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}
ROOT = Address("Disk", "root")


class TwoSites:
    """The machine ``web`` runs ``near`` and is replicated to ``far``."""

    def __init__(
        self,
        near: LibvirtDaemon,
        far: LibvirtDaemon,
        reach: Callable[[LibvirtDaemon], str] = lambda daemon: daemon.uri,
        near_with: Mapping[str, Any] = MappingProxyType({}),
        far_with: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """``reach``: the URI of a daemon; the rest: what else the Hosts say of the connection."""
        self.daemons = near, far
        self.near = MachineBench(reach(near), near.directory, **near_with)
        self.far = MachineBench(reach(far), far.directory, **far_with)
        self.disk = {"pool": "images", "size": "8MiB"}
        """Spec of the Disk at the far site."""
        self.staged = Outcome("")
        """What the last drill got."""

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def start(self, image: BootImage) -> None:
        """Have the guest run and count."""
        self.near.boot_disk(image)
        self.near.apply(VM, "web", SPEC)
        self.near.wait_for("LAB-SEQ")

    # --- the capability ---

    def replica(self, way: Way = Way.INCREMENTAL, **more: Any) -> Replica:
        return Replica(
            self.near.machine(), {ROOT: self.far.resource("Disk", "root", self.disk)}, way, **more
        )

    def synchronise(self, replica: Replica) -> Point:
        return self.far.session.synchronise(replica, self.near.session, self.far.deadline())

    def state(self, replica: Replica) -> ReplicaState:
        return self.far.session.replicas([replica])[replica.machine.address]

    def points(self, replica: Replica) -> list[str]:
        return [point.id for point in self.state(replica).points]

    def stage(self, replica: Replica, point: str | None = None) -> Path:
        """The throw-away disk of a drill."""
        self.staged = self.far.session.stage(replica, point, self.far.deadline())[ROOT]
        return Path(str(self.staged.outputs["path"]))

    def unstage(self, replica: Replica) -> None:
        self.far.session.unstage(replica, self.far.deadline())

    def promote(self, replica: Replica, point: str | None = None) -> Path:
        """The Disk at the far site."""
        outcome = self.far.session.promote(replica, point, self.far.deadline())[ROOT]
        self.record_far("Disk", "root", self.disk, outcome)
        return Path(str(outcome.outputs["path"]))

    def discard(self) -> None:
        """End what writes to the far site, if anything does."""
        self.far.session.discard(self.replica(), self.far.deadline())

    def record_far(self, kind: str, name: str, spec: Mapping[str, Any], outcome: Outcome) -> None:
        made: Resource = self.far.resource(kind, name, spec)
        self.far.recorded[made.address] = replace(
            made, external_id=outcome.external_id, outputs=outcome.outputs
        )

    # --- what there is ---

    @property
    def uris(self) -> tuple[str, str]:
        """Of the two daemons."""
        return self.daemons[0].uri, self.daemons[1].uri

    def scratch_files(self) -> list[str]:
        """What a backup job of QEMU has left beside the disks of the source."""
        return [p.name for p in self.near.pool_folder().iterdir() if "scratch" in p.name]

    def files(self) -> list[str]:
        """Names of the files of the replica."""
        return sorted(
            path.name.rpartition("replica.")[2]
            for path in self.far.pool_folder().iterdir()
            if ".replica." in path.name
        )

    def count_at(self, replica: Replica, point: str | None = None) -> int:
        """How far a point's disk had come, by a drill."""
        path = self.stage(replica, point)
        try:
            return counter(path)
        finally:
            self.unstage(replica)

    def reversed(self, way: Way = Way.INCREMENTAL, **more: Any) -> Replica:
        """The machine that runs far now, replicated to where it ran before."""
        return Replica(self.far.machine(), {ROOT: self.near.recorded[ROOT]}, way, **more)

    def near_path(self) -> Path:
        """The disk of the source."""
        return Path(str(self.near.recorded[ROOT].outputs["path"]))

    def far_volume(self) -> str:
        """What the promoted disk's volume is called."""
        disk = self.far.resource("Disk", "root", self.disk)
        return identity_name(disk.name, disk.uid, "qcow2")

    def far_path(self) -> Path:
        """The promoted disk."""
        return Path(str(self.far.recorded[ROOT].outputs["path"]))

    def written(self) -> int:
        """How far the source's disk has come."""
        return counter(self.near_path())
