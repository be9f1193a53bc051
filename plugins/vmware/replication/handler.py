"""The capability Replication, at the receiving endpoint: of the way ``external`` alone. Called by
the session.

vSphere copies disks between endpoints by its own services (vSphere Replication) or by arrays, which
have interfaces of their own. What they deliver is found here, looked at and made into Disks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.providers.api import Outcome, Resource, Retryable, Terminal
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins.vmware.flavour import ESXI, VCENTER
from provisioner_plugins.vmware.ownership import gone, require_time
from provisioner_plugins.vmware.replication import refusals
from provisioner_plugins.vmware.replication.copies import (
    Copy,
    Found,
    find_copies,
    staging_folder,
)
from provisioner_plugins.vmware.replication.source import written
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FileId, own_path, partial_path
from provisioner_plugins.vmware.storage.making import Turns, outcome
from provisioner_plugins.vmware.storage.store import Store, Stores
from provisioner_plugins.vmware.storage.users import require_unused, users_of

POINT = "external"
"""The id of the one point that there is."""
_COPYING = "copyVirtualDisk"
_LOOK_SECONDS = 600.0


class Replications:
    """See :class:`provisioner.providers.capabilities.Replication`. Kept by a session."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turns = Turns()

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """What is there of each."""
        deadline = Deadline.after(_LOOK_SECONDS, self._site.client.context.clock)
        external = [replica for replica in replicas if replica.way is Way.EXTERNAL]
        found = find_copies(self._site, external, deadline)
        return {
            replica.machine.address: _state(found[replica.machine.address])
            if replica.way is Way.EXTERNAL
            else ReplicaState(problem=refusals.not_copied_here(replica).summary)
            for replica in replicas
        }

    def synchronise(self, replica: Replica, source: Site, deadline: Deadline) -> Point:
        """The point that there is. Of a machine that is off: only once the copies have all that it
        has written; until then raises Retryable (PRV5346).
        """
        self._require_external(replica)
        if self._site.flavour is VCENTER and source.client.instance == self._site.client.instance:
            raise Terminal(refusals.one_vcenter(replica))
        copies = self._whole(replica, deadline)
        for address, taken in written(source, replica, deadline).items():
            # File systems tell times with different precision.
            if copies[address].taken.replace(microsecond=0) < taken.replace(microsecond=0):
                raise Retryable(refusals.behind(replica, copies[address], taken), 5.0)
        return _point(copies)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Copies of the copies, in a folder of their own. Raises Retryable (PRV5346) if what they
        are made of changes meanwhile.
        """
        self._require(replica, point, deadline)
        with self._turns.at(FileId("", staging_folder(replica.machine))):
            found = self._look(replica, deadline)
            copies = self._checked(replica, found)
            paths = {
                address: FileId(copy.store.moid, _staged_path(replica, replica.disks[address]))
                for address, copy in copies.items()
            }
            if not found.staged.issuperset(paths.values()):
                if found.staged:
                    # One may still be copied, by an attempt whose answer was lost; and those that
                    # are there may be of another moment.
                    manager = self._site.client.content.taskManager
                    self._site.tasks.await_others(manager, _COPYING, deadline)
                    self._remove_staged(replica, self._look(replica, deadline), deadline)
                self._copy_all(replica, copies, deadline)
            return {
                address: _outcome(
                    replica.disks[address], copies[address].store, file.path, deadline
                )
                for address, file in paths.items()
            }

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """No disks of a drill. Raises InUse (PRV5320) where a machine has one."""
        require_time(replica.machine, deadline)
        if replica.way is Way.EXTERNAL:
            with self._turns.at(FileId("", staging_folder(replica.machine))):
                self._remove_staged(replica, self._look(replica, deadline), deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """The copies become the Disks: where they are, or moved to where Disks lie."""
        self._require(replica, point, deadline)
        copies = self._whole(replica, deadline)
        moves = []
        for address, copy in copies.items():
            disk = replica.disks[address]
            if copy.path == own_path(disk) or str(copy.file) == disk.external_id:
                continue
            if copy.store.find(own_path(disk), deadline) is not None:
                raise Terminal(refusals.disk_exists(disk, copy))
            require_unused(disk, users_of(self._site, copy.file))
            moves.append((disk, copy))
        for disk, copy in moves:
            copy.store.make_folder(own_path(disk))
            copy.store.move_disk(copy.path, own_path(disk), deadline)
        moved = {disk.address for disk, _ in moves}
        return {
            address: _outcome(
                replica.disks[address],
                copy.store,
                own_path(replica.disks[address]) if address in moved else copy.path,
                deadline,
            )
            for address, copy in copies.items()
        }

    # --- the parts ---

    def _require(self, replica: Replica, point: str | None, deadline: Deadline) -> None:
        require_time(replica.machine, deadline)
        self._require_external(replica)
        if point not in (None, POINT):
            raise Terminal(refusals.no_point(replica, str(point), POINT))

    def _require_external(self, replica: Replica) -> None:
        if replica.way is not Way.EXTERNAL:
            raise Terminal(refusals.not_copied_here(replica))

    def _look(self, replica: Replica, deadline: Deadline) -> Found:
        return find_copies(self._site, [replica], deadline)[replica.machine.address]

    def _whole(self, replica: Replica, deadline: Deadline) -> Mapping[Address, Copy]:
        return self._checked(replica, self._look(replica, deadline))

    def _checked(self, replica: Replica, found: Found) -> Mapping[Address, Copy]:
        copies = found.whole
        if copies is None:
            raise Terminal(refusals.no_copy(replica, found))
        for copy in copies.values():
            if copy.layers:
                raise Terminal(refusals.layered(replica, copy))
        return copies

    def _copy_all(
        self, replica: Replica, copies: Mapping[Address, Copy], deadline: Deadline
    ) -> None:
        """All of them under names that say that they are not whole, until all are."""
        wish = vim.VirtualDiskManager.VirtualDiskType.thin if self._site.flavour is ESXI else None
        progress = self._site.client.context.progress
        made = []
        for address, copy in copies.items():
            path = _staged_path(replica, replica.disks[address])
            copy.store.make_folder(path)

            def report(percent: int, text: str = copy.text) -> None:
                progress(replica.machine.address, f"copy of {text}", percent, 100)

            copy.store.copy_disk(
                copy.text,
                copy.store.datacenter,
                partial_path(path),
                deadline,
                kind=wish,
                report=report,
            )
            made.append((copy.store, path))
        now = self._whole(replica, deadline)
        for address, copy in copies.items():
            if now[address].taken != copy.taken:
                raise Retryable(refusals.changed(replica, copy), 1.0)
        for store, path in made:
            store.move_disk(partial_path(path), path, deadline)

    def _remove_staged(self, replica: Replica, found: Found, deadline: Deadline) -> None:
        if found.problem:
            raise Terminal(refusals.no_copy(replica, found))
        stores = Stores(self._site)
        for file in sorted(found.staged):
            if not file.path.endswith("-flat.vmdk"):
                require_unused(replica.machine, users_of(self._site, file))
        for moid in sorted({file.datastore for file in found.staged}):
            store = stores.of(moid)
            if store is not None:
                store.delete_file(staging_folder(replica.machine), deadline)


def _state(found: Found) -> ReplicaState:
    copies, problem = found.whole, found.problem
    if copies is not None and (layered := [copy for copy in copies.values() if copy.layers]):
        copies = None
        problem = f"snapshots lie over {layered[0].text}"
    points = (_point(copies),) if copies is not None else ()
    # What the disks of the drill were copied from may have been written to since.
    staged_on = Point(POINT, None) if found.staged else None
    return ReplicaState(points, staged=bool(found.staged), problem=problem, staged_on=staged_on)


def _point(copies: Mapping[Address, Copy]) -> Point:
    """As old as the disk that was written to least recently: of the others nobody knows whether
    that one has stopped being copied.
    """
    return Point(POINT, min(copy.taken for copy in copies.values()))


def _staged_path(replica: Replica, disk: Resource) -> str:
    return f"{staging_folder(replica.machine)}/{disk.name}.{disk.uid.hex[:8]}.vmdk"


def _outcome(disk: Resource, store: Store, path: str, deadline: Deadline) -> Outcome:
    found = store.find(path, deadline)
    if found is None:
        raise Terminal(gone(disk))
    return outcome(found, {} if found.capacity is None else {"size": found.capacity})
