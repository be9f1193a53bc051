"""Throw-away disks over a recovery point, for the machine of a drill. Called by :mod:`handler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Outcome, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt.disk import format_of
from provisioner_plugins.kvm.replication.mirror import Mirror
from provisioner_plugins.kvm.replication.points import NEW
from provisioner_plugins.kvm.replication.record import File, Kept, Record
from provisioner_plugins.kvm.replication.store import Store


@dataclass(frozen=True, slots=True)
class Drills:
    """Drills at one receiving host."""

    store: Store
    mirror: Mirror

    def stage(
        self, replica: Replica, record: Record, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Make the disks, or find those of an earlier call. Raises Terminal (PRV5374 there are some
        over another point, PRV5375 no such point).
        """
        if record.staged is not None and point not in (None, record.staged[0]):
            raise Terminal(
                error(
                    "PRV5374",
                    f"{replica.machine.address}: there is a drill on another recovery point",
                    detail=f"Its disks stand on point {record.staged[0]}; asked for was {point}.",
                    hint="End that drill first: 'provisioner dr cleanup'.",
                    address=str(replica.machine.address),
                )
            )
        if record.staged is None:
            record = self._staged(replica, record, point, deadline)
        assert record.staged is not None
        kept = require_point(replica, record, record.staged[0])
        files = record.staged[1]
        stands_on = _still(record, kept)
        for address, disk in replica.disks.items():
            file, below = files[str(address)], stands_on[str(address)]
            if self.store.exists(disk, [file.name], deadline) == [True]:
                continue
            partial = File(file.name + NEW, file.format)
            if file.format == "qcow2":
                self.store.make(disk, partial, None, below, deadline)
            else:
                # What is above another image is qcow2; a raw Disk has to hold everything itself.
                self.store.copy(disk, below, partial, deadline)
            self.store.move(disk, partial.name, file.name, deadline)
        self.store.refresh(replica, deadline)
        return {
            address: self.store.outcome(disk, files[str(address)].name)
            for address, disk in replica.disks.items()
        }

    def _staged(
        self, replica: Replica, record: Record, point: str | None, deadline: Deadline
    ) -> Record:
        kept = require_point(replica, record, point)
        if record.is_live and kept.id == record.points[-1].id:
            record = self.store.prune(replica, record, deadline)
            if self.mirror.state(replica, deadline) != "gone":
                record = self.mirror.freeze(replica, record, deadline)
            else:
                record = self.mirror.end(replica, None, record, deadline)
        files = {
            str(address): self.store.file_of(disk, f"stage-{kept.id}", format_of(disk.spec))
            for address, disk in replica.disks.items()
        }
        # Recorded before they are made: from now on nothing below them is merged.
        return self.store.write(replica, replace(record, staged=(kept.id, files)), deadline)

    def unstage(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """Remove them; done already if there are none."""
        if record.staged is not None:
            record = self.store.write(replica, replace(record, staged=None), deadline)
        record = self.store.prune(replica, record, deadline)
        self.store.refresh(replica, deadline)
        return record


def require_point(replica: Replica, record: Record, point: str | None) -> Kept:
    """A point by its id, the newest for None; raises Terminal (PRV5375)."""
    found = record.find(point)
    lacking = [a for a in replica.disks if found is not None and str(a) not in found.files]
    if found is not None and not lacking:
        return found
    if found is not None:
        raise Terminal(
            error(
                "PRV5375",
                f"{replica.machine.address}: recovery point {found.id} does not have all disks",
                detail=f"It was taken without {', '.join(map(str, lacking))}.",
                hint="Choose a later one, or synchronise first: 'provisioner replicate run'.",
                address=str(replica.machine.address),
            )
        )
    known = ", ".join(kept.id for kept in record.points)
    raise Terminal(
        error(
            "PRV5375",
            f"{replica.machine.address}: there is no recovery point {point or ''}".rstrip(),
            detail=f"At the receiving site are: {known or 'none'}.",
            hint="Choose one of these, or synchronise first: 'provisioner replicate run'.",
            address=str(replica.machine.address),
        )
    )


def _still(record: Record, kept: Kept) -> Mapping[str, File]:
    """The files of a point that nobody writes to."""
    is_written = record.is_live and kept.id == record.points[-1].id
    return record.below[-1] if is_written else kept.files
