"""Copies of machines' disks at a memory endpoint: the capability Replication, and what the other
endpoint reads for it.

Called by the session, which has the same methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.values import Path
from provisioner.providers.api import Outcome, Resource, Terminal
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins.memory import refusals
from provisioner_plugins.memory.access import Access
from provisioner_plugins.memory.content import Content, Mirror
from provisioner_plugins.memory.finding import STAGED, Finding
from provisioner_plugins.memory.holding import held
from provisioner_plugins.memory.objects import StoredObject
from provisioner_plugins.memory.outputs import outputs_of
from provisioner_plugins.memory.replicas import (
    SEED,
    Seed,
    StoredPoint,
    StoredReplica,
    from_object,
    id_of,
    moved_between,
    to_object,
)

AGENT: Path = ("guestAgent",)


class Reading(NamedTuple):
    """A machine's disks at one moment, by their addresses. ``agent``: its guest runs, and does what
    its agent is told. ``mirrored``: their writes went to the reader before.
    """

    disks: Mapping[str, Content]
    agent: bool
    mirrored: bool


class Copies:
    """The part of the endpoint where the machine runs."""

    def __init__(self, access: Access, finding: Finding) -> None:
        self._access = access
        self._inventory = access.inventory
        self._finding = finding

    def require_ours(self, machine: Resource) -> None:
        """Raise Terminal if the machine is another one's, or not there."""
        with self._access.reading():
            self._finding.ours(machine)

    def read(self, replica: Replica, deadline: Deadline, receiver: Access | None = None) -> Reading:
        """The disks as they are now. ``receiver``: from now on their writes go there as well."""

        def work() -> Reading:
            machine = self._finding.ours(replica.machine)
            disks, mirrored = {}, True
            for address in replica.disks:
                disk = self._disk(replica.machine, address)
                if receiver is not None:
                    mirror = Mirror(receiver.inventory.where, id_of(replica.machine), str(address))
                    self._inventory.know(receiver.inventory)
                    if mirror not in disk.mirrors:
                        mirrored = False
                        disk = replace(disk, mirrors=(*disk.mirrors, mirror))
                        self._inventory.put(disk)
                disks[str(address)] = disk.content
            has_agent = machine.running.get(AGENT, machine.spec.get("guestAgent", False))
            return Reading(disks, machine.is_running and bool(has_agent), mirrored)

        return self._access.change("read", replica.machine, deadline, work)

    def let_go(self, replica: Replica, receiver: Access, deadline: Deadline) -> None:
        """End the mirrors of a replica; those that are there."""
        mine = (receiver.inventory.where, id_of(replica.machine))

        def work() -> None:
            named = [replica.machine.related.get(address) for address in replica.disks]
            found = [self._finding.find(disk) for disk in named if disk is not None]
            for disk in (item for item in found if item is not None):
                left = tuple(item for item in disk.mirrors if (item.where, item.replica) != mine)
                if left != disk.mirrors:
                    self._inventory.put(replace(disk, mirrors=left))

        self._access.change("read", replica.machine, deadline, work)

    def _disk(self, machine: Resource, address: Address) -> StoredObject:
        disk = machine.related.get(address)
        found = self._finding.find(disk) if disk is not None else None
        if disk is None or found is None:
            raise Terminal(refusals.no_disk(self._access.host, machine, address))
        self._finding.check_owner(disk, found)
        return found


class Receiving:
    """The part of the endpoint where the replica is."""

    def __init__(self, access: Access, finding: Finding) -> None:
        self._access = access
        self._inventory = access.inventory
        self._finding = finding

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """See :class:`provisioner.providers.capabilities.Replication`, as for all of these."""
        self._access.begin("replicas")
        for replica in replicas if self._access.faults else ():
            self._access.faults.before("replicas", replica.machine.address)
        with self._access.reading():
            found = {item.machine.address: self._find(item.machine) for item in replicas}
        return {
            address: item.told if item is not None else ReplicaState()
            for address, item in found.items()
        }

    def synchronise(self, replica: Replica, source: Copies, deadline: Deadline) -> Point:
        """One point more, or every write from now on."""

        def work() -> Point:
            if replica.way is Way.EXTERNAL:
                return self._external(replica)
            source.require_ours(replica.machine)
            with self._access.changing():
                self._begun(replica)  # before anything is begun at the source
            if replica.way is Way.INCREMENTAL:
                taken = self._access.clock.now()
                reading = source.read(replica, deadline)
                with self._access.changing():
                    return self._taken(replica, reading, taken)
            moved = 0
            while True:
                # Once for the content, and once more for what was written until it was here.
                reading = source.read(replica, deadline, self._access)
                with self._access.changing():
                    before = self._begun(replica)
                    after = _following(before, reading)
                    moved += after.moved
                    point = self._kept(replace(after, moved=moved))
                if before.following and reading.mirrored:
                    return point

        return self._access.call("synchronise", replica.machine, deadline, work)

    def suspend(self, replica: Replica, source: Copies | None, deadline: Deadline) -> None:
        """The receiver's part first: it can always be done."""

        def work() -> None:
            with self._access.changing():
                found = self._find(replica.machine)
                if found is not None and found.following:
                    self._put(replace(found, following=False))
            if source is not None:
                source.let_go(replica, self._access, deadline)

        self._access.call("suspend", replica.machine, deadline, work)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Disks with the content of a point, which belong to a drill."""

        def work() -> Mapping[Address, Outcome]:
            found = self._there(replica)
            if found.staged is not None and point not in (None, found.staged):
                raise Terminal(refusals.staged(self._access.host, replica.machine, "stage another"))
            chosen = self._point(replica, found, found.staged or point)
            places = {
                address: f"{STAGED}{replica.machine.uid}/{disk.uid}"
                for address, disk in replica.disks.items()
            }
            stood = tuple(dict.fromkeys((*found.stood, *places.values())))
            self._put(replace(found, staged=chosen.id, stood=stood))
            return {
                address: self._stand(places[address], disk, chosen)
                for address, disk in replica.disks.items()
            }

        return self._access.change("stage", replica.machine, deadline, work)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """They are gone, once no machine has them."""

        def work() -> None:
            found = self._find(replica.machine)
            if found is None or found.staged is None:
                return
            stood = [item for item in map(self._inventory.get, found.stood) if item is not None]
            for item in stood:
                users = self._finding.users(item)
                if users:
                    raise Terminal(refusals.drill_runs(self._access.host, replica.machine, users))
            for item in stood:
                self._inventory.remove(item.id)
            self._put(replace(found, staged=None, stood=()).trimmed(replica.keep))

        self._access.change("unstage", replica.machine, deadline, work)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """The Disks of a point; the replica is no more."""

        def work() -> Mapping[Address, Outcome]:
            if self._find(replica.machine) is None:
                return self._promoted(replica)
            found = self._there(replica)
            if found.following:
                raise Terminal(refusals.still_arriving(self._access.host, replica.machine))
            if found.staged is not None:
                raise Terminal(refusals.staged(self._access.host, replica.machine, "promote it"))
            chosen = self._point(replica, found, point)
            places = [
                (address, disk, found.seeds.get(str(address), Seed(str(disk.uid), disk.name)))
                for address, disk in replica.disks.items()
            ]
            for address, disk, seed in places:
                there = self._inventory.get(seed.id)
                if there is not None:
                    self._finding.check_owner(disk, there)
                    # The same content: an earlier call has come as far as this.
                    if there.content != chosen.disks[str(address)]:
                        raise Terminal(refusals.disk_exists(self._access.host, disk))
            outcomes = {
                address: self._stand(seed.id, disk, chosen, seed.name)
                for address, disk, seed in places
            }
            self._inventory.remove(found.id)
            return outcomes

        return self._access.change("promote", replica.machine, deadline, work)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """The replica is no more, and nothing else has changed."""

        def work() -> None:
            found = self._find(replica.machine)
            if found is None:
                return
            if found.staged is not None:
                raise Terminal(refusals.staged(self._access.host, replica.machine, "discard it"))
            self._inventory.remove(found.id)

        self._access.change("discard", replica.machine, deadline, work)

    # Below: within access.

    def _find(self, machine: Resource) -> StoredReplica | None:
        found = self._inventory.get(id_of(machine))
        if found is None:
            return None
        self._finding.check_owner(machine, found)
        return from_object(found)

    def _there(self, replica: Replica) -> StoredReplica:
        found = self._find(replica.machine)
        if found is None:
            raise Terminal(refusals.no_replica(self._access.host, replica.machine))
        return found

    def _point(self, replica: Replica, found: StoredReplica, wanted: str | None) -> StoredPoint:
        chosen = [item for item in found.points if wanted in (None, item.id)]
        missing = [
            disk for disk in replica.disks if not chosen or str(disk) not in chosen[-1].disks
        ]
        if missing or not chosen:
            have = [item.id for item in found.points]
            raise Terminal(
                refusals.no_point(self._access.host, replica.machine, wanted, have, missing)
            )
        return chosen[-1]

    def _put(self, replica: StoredReplica) -> None:
        self._inventory.put(to_object(replica))

    def _begun(self, replica: Replica) -> StoredReplica:
        """The replica as it is before this synchronisation. Disks that a seeded one takes over have
        become its first point then, or were on the way to become Disks of a point that it has.
        """
        machine = replica.machine
        found = self._find(machine)
        before = found or StoredReplica(id_of(machine), machine.name, machine.stamp)
        if not replica.seeded:
            self._require_free(replica)
            return before
        perhaps = {str(address): self._seed(disk) for address, disk in replica.disks.items()}
        there = {key: item for key, item in perhaps.items() if item is not None}
        if not there:
            return before
        contents = {key: item.content for key, item in there.items()}
        points = before.points or (StoredPoint(SEED, None, quiesced=False, disks=contents),)
        named = {key: Seed(item.id, item.name) for key, item in there.items()}
        begun = replace(before, points=points, seeds={**before.seeds, **named})
        self._put(begun)
        for item in there.values():
            self._inventory.remove(item.id)
        return begun

    def _require_free(self, replica: Replica) -> None:
        for disk in replica.disks.values():
            if self._finding.find(disk) is not None:
                raise Terminal(refusals.disk_of_its_own(self._access.host, disk))

    def _seed(self, disk: Resource) -> StoredObject | None:
        found = self._finding.find(disk)
        if found is None:
            return None
        self._finding.check_owner(disk, found)
        running = [item for item in self._inventory.holders(found.id) if item.is_on]
        if running:
            raise Terminal(refusals.seed_in_use(self._access.host, disk, running[0].name))
        return found

    def _kept(self, after: StoredReplica) -> Point:
        self._put(after)
        return after.points[-1].told

    def _taken(self, replica: Replica, reading: Reading, taken: datetime) -> Point:
        """The newest of the replica's points, and the oldest ones away."""
        before = self._begun(replica)
        moved = moved_between(before.newest, reading.disks, reading.disks)
        # A point that has followed its source was of no moment that could be told, nor was a seed.
        points = tuple(
            item for item in before.points if item.taken is not None or item.id == before.staged
        )
        after = replace(before, points=points, following=False).with_point(
            taken, reading.disks, quiesced=replica.quiesce and reading.agent, moved=moved
        )
        return self._kept(after.trimmed(replica.keep))

    def _external(self, replica: Replica) -> Point:
        with self._access.reading():
            found = self._find(replica.machine)
        if found is None or not found.points:
            raise Terminal(refusals.nothing_copied(self._access.host, replica.machine))
        return found.points[-1].told

    def _stand(
        self, object_id: str, disk: Resource, point: StoredPoint, name: str | None = None
    ) -> Outcome:
        """A Disk with the content of a point; one that is there already is left as it is."""
        there = self._inventory.get(object_id)
        if there is not None:
            return Outcome(there.id, there.outputs)
        called = name or f"{disk.name}.drill"
        made = StoredObject(
            id=object_id,
            kind=disk.kind,
            name=called,
            owner=disk.stamp,
            spec=dict(disk.spec),
            outputs=outputs_of(disk.kind, object_id, called, disk.spec),
            holds=held(disk, disk.spec, None, self._finding.id_of),
            content=point.disks[str(disk.address)],
        )
        kept = self._inventory.put(made)
        return Outcome(kept.id, kept.outputs)

    def _promoted(self, replica: Replica) -> Mapping[Address, Outcome]:
        """What an earlier call has done. Raises Terminal if there was none."""
        found = {address: self._finding.find(disk) for address, disk in replica.disks.items()}
        there = {address: item for address, item in found.items() if item is not None}
        if len(there) < len(found) or not found:
            raise Terminal(refusals.no_replica(self._access.host, replica.machine))
        for address, item in there.items():
            self._finding.check_owner(replica.disks[address], item)
        return {address: Outcome(item.id, item.outputs) for address, item in there.items()}


def _following(before: StoredReplica, reading: Reading) -> StoredReplica:
    """The replica of which every write arrives from now on; ``moved`` is what this took."""
    last = before.points[-1] if before.points else None
    moved = moved_between(before.newest, reading.disks, reading.disks)
    if last is None or last.taken is not None or last.id == SEED:
        after = before.with_point(None, reading.disks, quiesced=False, moved=moved)
    elif before.following and reading.mirrored:
        # What was read may be older than what has arrived since.
        after = before
        for disk, content in reading.disks.items():
            after = after.with_write(disk, content)
    else:
        now = last._replace(disks=reading.disks)
        after = replace(before, points=(*before.points[:-1], now))
    return replace(after.trimmed(1), following=True, moved=moved, problem="")
