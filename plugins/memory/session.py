"""A connection to a memory endpoint: reads and changes its inventory, under the laws of the
provider contract.

Opened by :class:`provisioner_plugins.memory.provider.MemoryProvider`. Implements the session
protocol with the capabilities leases, power, snapshot-revert, usage, replication and standby.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.values import Json, Path, get_path
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    InUse,
    Observation,
    Outcome,
    Present,
    Resource,
    Session,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Lease, Point, Replica, ReplicaState, Taken, User
from provisioner_plugins.memory import refusals
from provisioner_plugins.memory.access import Access
from provisioner_plugins.memory.documents import changed, outermost
from provisioner_plugins.memory.faults import undetermined
from provisioner_plugins.memory.finding import Finding
from provisioner_plugins.memory.holding import Called, NameOf, as_told, held, places, renamed
from provisioner_plugins.memory.leases import EndpointLeases
from provisioner_plugins.memory.objects import MACHINE, POWER_DEFAULT, StoredObject
from provisioner_plugins.memory.outputs import outputs_of
from provisioner_plugins.memory.replication import Copies, Receiving

POWER: Path = ("power",)


class MemorySession:
    """A session to one inventory. Its methods may be called from several threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._inventory = access.inventory
        self._finding = Finding(access.host, access.inventory)
        self._receiving = Receiving(access, self._finding)
        self._leases = EndpointLeases(access)
        self.copies = Copies(access, self._finding)
        """What sessions to other endpoints read here."""

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """One answer for each target, all from the same moment."""
        self._access.begin("observe")
        lost = self._unanswered(targets) if self._access.faults else {}
        answers: dict[Address, Observation] = {}
        called: dict[int, Called] = {}
        with self._access.reading():
            for target in targets:
                # One mapping is shared by all resources of an endpoint.
                if id(target.related) not in called:
                    called[id(target.related)] = Called(target.related, self._finding.id_of)
                found = self._finding.find(target)
                if target.address in lost:
                    answers[target.address] = Undetermined(
                        undetermined(target.address, lost[target.address])
                    )
                elif found is None:
                    answers[target.address] = Absent()
                else:
                    answers[target.address] = self._told(found, called[id(target.related)])
        return answers

    def discover(self, kinds: Collection[str]) -> Iterator[Discovered]:
        """Every object of these kinds, by kind and name; what they refer to is called by its id."""
        self._access.begin("discover")
        self._access.faults.before(
            "discover", Address("Host", self._access.host), secrets=lambda: self._access.told.of({})
        )
        with self._access.reading():
            found = [
                Discovered(stored.kind, self._finding.called(stored), self._told(stored, _by_id))
                for stored in self._inventory.objects()
                if stored.kind in kinds
            ]
        return iter(found)

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """Make the object; one that has our identity already is brought to the spec."""

        def work() -> Outcome:
            self._finding.check_name(resource)
            before = self._inventory.get(str(resource.uid))
            if before is not None and before.saved is not None:
                saved: Mapping[str, Any] | None = before.saved
            else:
                saved = self._finding.machine_of(resource).spec if _is_snapshot(resource) else None
            made = StoredObject(
                id=str(resource.uid),
                kind=resource.kind,
                name=resource.name,
                owner=resource.stamp,
                spec=dict(resource.spec),
                outputs=before.outputs if before is not None else self._born(resource),
                saved=saved,
                holds=held(resource, resource.spec, before, self._finding.id_of),
            )
            if before is not None:
                # What is on a disk, and the mark on a machine, are no part of a spec.
                kept = replace(
                    made,
                    content=before.content,
                    mirrors=before.mirrors,
                    standby=before.standby,
                )
                made = self._started(resource, before, kept)
            return self._write(made)

        return self._access.change("create", resource, deadline, work)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Put the values of the changes in their places; those that need a restart come into force
        only with one.
        """

        def work() -> Outcome:
            found = self._finding.bound(self._finding.ours(resource, observed.external_id))
            before = renamed(found, Called(resource.related, self._finding.id_of))
            values = [(change.path, change.after) for change in changes]
            spec = changed(before.spec, values, resource.spec)
            running = {} if restart else _still_running(before, spec, changes, resource.spec)
            after = replace(
                before,
                owner=resource.stamp,
                spec=spec,
                running=running,
                holds=held(resource, spec, before, self._finding.id_of),
            )
            return self._write(self._started(resource, before, after), running)

        return self._access.change("update", resource, deadline, work)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write our stamp on an object that nobody owns (or that is ours already)."""

        def work() -> Outcome:
            before = self._inventory.get(observed.external_id)
            if before is None:
                raise Terminal(refusals.vanished(self._access.host, resource))
            if before.owner is not None and before.owner.lineage != resource.stamp.lineage:
                raise Terminal(refusals.foreign(self._access.host, resource, before))
            bound = self._finding.bound(before)
            return self._write(replace(bound, owner=resource.stamp))

        return self._access.change("adopt", resource, deadline, work)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the object, found by its identity alone: a name proves nothing."""

        def work() -> None:
            for key in (str(resource.uid), resource.external_id):
                found = self._inventory.get(key) if key is not None else None
                if found is None:
                    continue
                if found.owner is None or found.owner.lineage != resource.stamp.lineage:
                    raise Terminal(refusals.foreign(self._access.host, resource, found))
                users = self._finding.users(found)
                if users:
                    raise InUse(refusals.in_use(resource, users))
                self._inventory.remove(found.id)
                return

        self._access.change("delete", resource, deadline, work)

    def power(self, machine: Resource, state: str, deadline: Deadline) -> None:
        """Bring a machine to ``running``, ``stopped`` or ``suspended``."""

        def work() -> None:
            before = self._finding.ours(machine)
            now = before.running.get(POWER, before.spec.get("power", POWER_DEFAULT))
            # What waits for a restart comes into force when a machine is started or stopped, not
            # when it wakes up.
            stays_up = "stopped" not in (now, state)
            kept = {path: value for path, value in before.running.items() if path != POWER}
            after = replace(
                before,
                spec={**before.spec, "power": state},
                running=kept if stays_up else {},
            )
            self._inventory.put(self._started(machine, before, after))

        self._access.change("power", machine, deadline, work)

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """Give a snapshot's machine the spec that it had when the snapshot was taken."""

        def work() -> None:
            taken = self._finding.ours(snapshot)
            machine = self._finding.machine_of(snapshot)
            assert taken.saved is not None
            left = {
                place.key
                for place in {*places(MACHINE, taken.saved)} & {*places(MACHINE, machine.spec)}
            }
            holds = {key: value for key, value in machine.holds.items() if key in left}
            after = replace(machine, spec=taken.saved, running={}, holds=holds)
            self._inventory.put(self._started(snapshot, machine, after))

        self._access.change("revert", snapshot, deadline, work)

    def users(self, resources: Sequence[Resource]) -> Mapping[Address, Sequence[User]]:
        """Who holds on to each of these objects."""
        self._access.begin("users")
        with self._access.reading():
            return {
                resource.address: self._finding.users(found) if found is not None else ()
                for resource in resources
                for found in (self._finding.find(resource),)
            }

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """What is there of each."""
        return self._receiving.replicas(replicas)

    def synchronise(self, replica: Replica, source: Session, deadline: Deadline) -> Point:
        """Take one more recovery point, or see to it that every write arrives from now on."""
        return self._receiving.synchronise(replica, self._copies_at(source, replica), deadline)

    def suspend(self, replica: Replica, source: Session | None, deadline: Deadline) -> None:
        """End what goes on between the endpoints."""
        copies = self._copies_at(source, replica) if source is not None else None
        self._receiving.suspend(replica, copies, deadline)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Throw-away disks with the content of a point."""
        return self._receiving.stage(replica, point, deadline)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """Remove them."""
        self._receiving.unstage(replica, deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Make the Disks of a point; the replica is no more."""
        return self._receiving.promote(replica, point, deadline)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """Remove the replica with all its points."""
        self._receiving.discard(replica, deadline)

    def stand_by(self, machine: Resource, reason: str, deadline: Deadline) -> None:
        """Mark a machine that is off as not to start."""

        def work() -> None:
            found = self._finding.ours(machine)
            if found.is_on:
                raise Terminal(refusals.still_on(self._access.host, machine))
            self._inventory.put(replace(found, standby=reason))

        self._access.change("stand_by", machine, deadline, work)

    def take_over(self, machine: Resource, deadline: Deadline) -> None:
        """Take the mark away."""

        def work() -> None:
            found = self._finding.find(machine)
            if found is None:
                return
            self._finding.check_owner(machine, found)
            if found.standby is not None:
                self._inventory.put(replace(found, standby=None))

        self._access.change("take_over", machine, deadline, work)

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        """Why those that are marked are not started."""
        self._access.begin("standing_by")
        for machine in machines if self._access.faults else ():
            self._access.faults.before("standing_by", machine.address)
        with self._access.reading():
            return {
                machine.address: found.standby
                for machine in machines
                for found in (self._finding.find(machine),)
                if found is not None
                and found.standby is not None
                and self._finding.is_ours(machine, found)
            }

    def hold(
        self,
        name: str,
        holder: str,
        deadline: Deadline,
        *,
        instead_of: str | None = None,
        renews: bool = False,
    ) -> Lease | Taken | None:
        """Hold a lease."""
        return self._leases.hold(name, holder, deadline, instead_of=instead_of, renews=renews)

    def close(self) -> None:
        """End the session; the inventory stays with its provider."""
        self._leases.close()
        self._access.close()

    # Below: within access to the inventory, if nothing else is said.

    def _copies_at(self, source: Session, replica: Replica) -> Copies:
        if not isinstance(source, MemorySession):
            raise Terminal(refusals.no_memory(self._access.host, replica.machine))
        return source.copies

    def _started(
        self, machine: Resource, before: StoredObject, after: StoredObject
    ) -> StoredObject:
        """``after``, unless a machine that stands by would be on then."""
        if before.standby is not None and after.is_on:
            raise Terminal(refusals.standing_by(self._access.host, machine, before.standby))
        return after

    def _unanswered(self, targets: Sequence[Resource]) -> dict[Address, str]:
        """The targets that a rule keeps observe from telling, and what is said of each; not within
        access.
        """
        found = {}
        for target in targets:
            says = partial(self._access.told.of, target.spec)
            later = self._access.faults.before("observe", target.address, secrets=says)
            if later is not None and later.effect == "undetermined":
                found[target.address] = later.said
        return found

    def _told(self, found: StoredObject, called: NameOf) -> Present:
        """What observing an object tells, in the words of whoever asks."""
        told = self._inventory.present(found)
        renamed_now = as_told(renamed(self._finding.bound(found), called))
        if renamed_now.spec is found.spec:
            return told
        return replace(told, spec=renamed_now.spec, running=renamed_now.running)

    def _born(self, resource: Resource) -> dict[str, Json]:
        """Outputs that an object has from its creation and keeps."""
        if not _is_snapshot(resource):
            return {}
        return {"created": self._access.clock.now().isoformat(timespec="seconds")}

    def _write(self, stored: StoredObject, running: Collection[Path] = ()) -> Outcome:
        outputs = {
            **stored.outputs,
            **outputs_of(stored.kind, stored.id, stored.name, stored.spec),
        }
        kept = self._inventory.put(replace(stored, outputs=outputs))
        return Outcome(kept.id, kept.outputs, tuple(sorted(running)))


def _by_id(_address: Address, object_id: str) -> str:
    """What whoever has no stack calls an object."""
    return object_id


def _is_snapshot(resource: Resource) -> bool:
    return resource.kind == "Snapshot"


def _still_running(
    before: StoredObject,
    spec: Mapping[str, Any],
    changes: Sequence[Change],
    desired: Mapping[str, Any],
) -> dict[Path, Json]:
    """The values in force that are not the configured ones after changes without a restart."""
    live = [(item.path, item.after) for item in changes if item.impact is not Impact.RESTART]
    in_force = changed(changed(before.spec, before.running.items(), {}), live, desired)
    waiting = [item.path for item in changes if item.impact is Impact.RESTART]
    return {
        path: get_path(in_force, path)
        for path in outermost([*before.running, *waiting])
        if get_path(in_force, path) != get_path(spec, path)
    }
