"""A recovery point becomes Disks. Called by :mod:`handler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Outcome, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt.disk import format_of
from provisioner_plugins.kvm.replication.drills import require_point
from provisioner_plugins.kvm.replication.mirror import CONNECTED, Mirror
from provisioner_plugins.kvm.replication.points import require_free
from provisioner_plugins.kvm.replication.record import File, Record
from provisioner_plugins.kvm.replication.store import Store


@dataclass(frozen=True, slots=True)
class Promotion:
    """Promotes at one receiving host."""

    store: Store
    mirror: Mirror

    def promote(
        self, replica: Replica, record: Record, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Make the Disks; done already if there is no replica any more and they are there.

        What is below the point is what becomes the Disk, with all above it merged into it. Raises
        Terminal (PRV5375 there is no such point, PRV5376 writes still arrive, PRV5377 a drill
        stands on it, PRV5378 another point is being promoted).
        """
        if not record.points and not record.promoting and self._is_done(replica, deadline):
            self.store.refresh(replica, deadline)
            return self._outcomes(replica)
        if record.promoting is None:
            record = self._begun(replica, record, point, deadline)
        elif point not in (None, record.promoting):
            raise Terminal(being_promoted(replica, record))
        require_point(replica, record, record.promoting)
        self.complete(replica, record, deadline)
        return self._outcomes(replica)

    def complete(self, replica: Replica, record: Record, deadline: Deadline) -> None:
        """Bring a promotion that was begun to its end: there is no replica then. A Disk that the
        point does not have is not made.
        """
        at = record.index(str(record.promoting))
        start = max([i for i in range(at + 1) if record.points[i].alone], default=0)
        top, chain = record.points[at].files, record.points[start : at + 1]
        for address, disk in replica.disks.items():
            key, volume = str(address), self.store.volume(disk)
            file = next((kept.files[key] for kept in chain if key in kept.files), None)
            if file is None or self.store.exists(disk, [volume.volume], deadline) == [True]:
                continue
            if file != top[key]:
                self.store.merge(disk, top[key], file, deadline)
            self.store.date(disk, file.name, record.points[at].taken, top[key].name, deadline)
            if file.format != format_of(disk.spec):
                form = format_of(disk.spec)
                self.store.copy(disk, file, File(volume.volume, form), deadline)
            else:
                self.store.move(disk, file.name, volume.volume, deadline)
        self.store.forget(replica, deadline)
        self.store.refresh(replica, deadline)

    def _begun(
        self, replica: Replica, record: Record, point: str | None, deadline: Deadline
    ) -> Record:
        record = self.store.settle(replica, record, deadline)
        kept = require_point(replica, record, point)
        if record.staged is not None:
            raise Terminal(
                error(
                    "PRV5377",
                    f"{replica.machine.address}: a drill stands on the replica",
                    detail="Its disks need what would become the machine's.",
                    hint="End the drill first: 'provisioner dr cleanup'.",
                    address=str(replica.machine.address),
                )
            )
        if (record.is_live or record.exports) and (
            self.mirror.state(replica, deadline) == CONNECTED
        ):
            raise Terminal(_still_written(replica))
        record = self.mirror.end(replica, None, record, deadline)
        require_free(self.store, replica, deadline)
        for address, disk in replica.disks.items():
            # Another user's server would be none that we know; QEMU's locks are everybody's.
            file = kept.files[str(address)]
            self.store.require_unused(disk, file.name, file.format, deadline)
        joined = record.joined()
        if joined != record:
            record = self.store.write(replica, joined, deadline)
        record = self.store.settle(replica, record, deadline)
        return self.store.write(replica, replace(record, promoting=kept.id), deadline)

    def _is_done(self, replica: Replica, deadline: Deadline) -> bool:
        return all(
            self.store.exists(disk, [self.store.volume(disk).volume], deadline) == [True]
            for disk in replica.disks.values()
        )

    def _outcomes(self, replica: Replica) -> Mapping[Address, Outcome]:
        return {
            address: self.store.outcome(disk, self.store.volume(disk).volume)
            for address, disk in replica.disks.items()
        }


def being_promoted(replica: Replica, record: Record) -> Diagnostic:
    """A promotion was begun and did not end."""
    return error(
        "PRV5378",
        f"{replica.machine.address}: its point {record.promoting} is being promoted",
        detail="An earlier call did not end; the other points do not count any more.",
        hint="Go on with the recovery: 'provisioner dr resume'. If it was rolled back, make a "
        "replica of it again: 'provisioner dr reprotect'.",
        address=str(replica.machine.address),
    )


def _still_written(replica: Replica) -> Diagnostic:
    return error(
        "PRV5376",
        f"{replica.machine.address}: the other site still writes to its replica",
        detail="If its disks were used here meanwhile, the machine would run twice.",
        hint="Stop the machine there, or fence that site, and suspend the replication first.",
        address=str(replica.machine.address),
    )
