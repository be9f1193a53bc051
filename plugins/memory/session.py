"""A connection to a memory endpoint: reads and changes its inventory, under the laws of the
provider contract.

Opened by :class:`provisioner_plugins.memory.provider.MemoryProvider`. Implements the session
protocol with the capabilities power, snapshot-revert and usage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Json, Path, get_path
from provisioner.providers.api import (
    Absent,
    Change,
    Context,
    Discovered,
    InUse,
    Naming,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import User
from provisioner_plugins.memory.description import NAMING
from provisioner_plugins.memory.documents import changed, outermost
from provisioner_plugins.memory.faults import Faults, undetermined
from provisioner_plugins.memory.holding import Called, NameOf, as_told, held, places, renamed
from provisioner_plugins.memory.inventory import DamagedFileError, Inventory
from provisioner_plugins.memory.objects import MACHINE, POWER_DEFAULT, StoredObject
from provisioner_plugins.memory.outputs import outputs_of
from provisioner_plugins.memory.telling import Told

Result = TypeVar("Result")

POWER: Path = ("power",)


class MemorySession:
    """A session to one inventory. Its methods may be called from several threads."""

    def __init__(
        self,
        name: str,
        inventory: Inventory,
        faults: Faults,
        calls: Counter[str],
        *,
        context: Context,
        told: Told,
    ) -> None:
        self._name = name
        self._inventory = inventory
        self._faults = faults
        self._calls = calls
        self._clock = context.clock
        self._progress = context.progress
        self._told_secrets = told
        self._closed = False

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """One answer for each target, all from the same moment."""
        self._begin("observe")
        lost = self._unanswered(targets) if self._faults else {}
        answers: dict[Address, Observation] = {}
        called: dict[int, Called] = {}
        with self._access(self._inventory.reading):
            for target in targets:
                # One mapping is shared by all resources of an endpoint.
                if id(target.related) not in called:
                    called[id(target.related)] = Called(target.related, self._id_of)
                found = self._find(target)
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
        self._begin("discover")
        self._faults.before(
            "discover", Address("Host", self._name), secrets=lambda: self._told_secrets.of({})
        )
        with self._access(self._inventory.reading):
            found = [
                Discovered(stored.kind, self._called(stored), self._told(stored, _by_id))
                for stored in self._inventory.objects()
                if stored.kind in kinds
            ]
        return iter(found)

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """Make the object; one that has our identity already is brought to the spec."""

        def work() -> Outcome:
            self._check_name(resource)
            before = self._inventory.get(str(resource.uid))
            if before is not None and before.saved is not None:
                saved: Mapping[str, Any] | None = before.saved
            else:
                saved = self._machine_of(resource).spec if _is_snapshot(resource) else None
            return self._write(
                StoredObject(
                    id=str(resource.uid),
                    kind=resource.kind,
                    name=resource.name,
                    owner=resource.stamp,
                    spec=dict(resource.spec),
                    outputs=before.outputs if before is not None else self._born(resource),
                    saved=saved,
                    holds=held(resource, resource.spec, before, self._id_of),
                )
            )

        return self._change("create", resource, deadline, work)

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
            found = self._bound(self._ours(resource, observed.external_id))
            before = renamed(found, Called(resource.related, self._id_of))
            values = [(change.path, change.after) for change in changes]
            spec = changed(before.spec, values, resource.spec)
            running = {} if restart else _still_running(before, spec, changes, resource.spec)
            after = replace(
                before,
                owner=resource.stamp,
                spec=spec,
                running=running,
                holds=held(resource, spec, before, self._id_of),
            )
            return self._write(after, running)

        return self._change("update", resource, deadline, work)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write our stamp on an object that nobody owns (or that is ours already)."""

        def work() -> Outcome:
            before = self._inventory.get(observed.external_id)
            if before is None:
                raise Terminal(self._vanished(resource))
            if before.owner is not None and before.owner.lineage != resource.stamp.lineage:
                raise Terminal(self._foreign(resource, before))
            bound = self._bound(before)
            return self._write(replace(bound, owner=resource.stamp))

        return self._change("adopt", resource, deadline, work)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the object, found by its identity alone: a name proves nothing."""

        def work() -> None:
            for key in (str(resource.uid), resource.external_id):
                found = self._inventory.get(key) if key is not None else None
                if found is None:
                    continue
                if found.owner is None or found.owner.lineage != resource.stamp.lineage:
                    raise Terminal(self._foreign(resource, found))
                users = self._users(found)
                if users:
                    raise InUse(self._in_use(resource, users))
                self._inventory.remove(found.id)
                return

        self._change("delete", resource, deadline, work)

    def power(self, machine: Resource, state: str, deadline: Deadline) -> None:
        """Bring a machine to ``running``, ``stopped`` or ``suspended``."""

        def work() -> None:
            before = self._ours(machine, machine.external_id or str(machine.uid))
            now = before.running.get(POWER, before.spec.get("power", POWER_DEFAULT))
            # What waits for a restart comes into force when a machine is started or stopped, not
            # when it wakes up.
            stays_up = "stopped" not in (now, state)
            kept = {path: value for path, value in before.running.items() if path != POWER}
            self._inventory.put(
                replace(
                    before,
                    spec={**before.spec, "power": state},
                    running=kept if stays_up else {},
                )
            )

        self._change("power", machine, deadline, work)

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """Give a snapshot's machine the spec that it had when the snapshot was taken."""

        def work() -> None:
            taken = self._ours(snapshot, snapshot.external_id or str(snapshot.uid))
            machine = self._machine_of(snapshot)
            assert taken.saved is not None
            left = {
                place.key
                for place in {*places(MACHINE, taken.saved)} & {*places(MACHINE, machine.spec)}
            }
            holds = {key: value for key, value in machine.holds.items() if key in left}
            self._inventory.put(replace(machine, spec=taken.saved, running={}, holds=holds))

        self._change("revert", snapshot, deadline, work)

    def users(self, resources: Sequence[Resource]) -> Mapping[Address, Sequence[User]]:
        """Who holds on to each of these objects."""
        self._begin("users")
        with self._access(self._inventory.reading):
            return {
                resource.address: self._users(found) if found is not None else ()
                for resource in resources
                for found in (self._find(resource),)
            }

    def close(self) -> None:
        """End the session; the inventory stays with its provider."""
        self._closed = True
        self._inventory.close()

    # Below: within access to the inventory, if nothing else is said.

    def _begin(self, call: str) -> None:
        """Count a call; not within access."""
        if self._closed:
            raise Terminal(
                error(
                    "PRV5907",
                    f"the session to Host/{self._name} is closed",
                    hint="This is a defect of the program; please report it.",
                )
            )
        self._calls[call] += 1

    def _change(
        self, call: str, resource: Resource, deadline: Deadline, work: Callable[[], Result]
    ) -> Result:
        """Count a call, let faults happen, and do the work with access; not within access."""
        self._begin(call)
        if deadline.passed:
            raise Retryable(
                error(
                    "PRV5904",
                    f"there was no time left to {call} {resource.address}",
                    address=str(resource.address),
                )
            )
        later = self._faults.before(
            call, resource.address, deadline, lambda: self._told_secrets.of(resource.spec)
        )
        with self._access(self._inventory.changing):
            result = work()
        self._faults.after(call, resource.address, later)
        if later is not None and later.effect == "noted":
            self._progress(resource.address, later.said)
            if isinstance(result, Outcome):
                outputs = {**result.outputs, "said": later.said}
                result = replace(result, notes=(*result.notes, later.said), outputs=outputs)
        return result

    @contextmanager
    def _access(self, how: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        try:
            with how():
                yield
        except DamagedFileError as problem:
            raise Terminal(
                error(
                    "PRV5901",
                    f"the file of Host/{self._name} is damaged",
                    detail=f"{self._inventory.path}, {problem}",
                    hint="Put a copy in its place, or remove it to begin with an empty endpoint.",
                )
            ) from problem
        except OSError as problem:
            raise Terminal(
                error(
                    "PRV5900",
                    f"the file of Host/{self._name} cannot be used",
                    detail=f"{self._inventory.path}: {problem.strerror}",
                    hint="Check the path in the Host's connection, its owner and the room left.",
                )
            ) from problem

    def _unanswered(self, targets: Sequence[Resource]) -> dict[Address, str]:
        """The targets that a rule keeps observe from telling, and what is said of each; not within
        access.
        """
        found = {}
        for target in targets:
            says = partial(self._told_secrets.of, target.spec)
            later = self._faults.before("observe", target.address, secrets=says)
            if later is not None and later.effect == "undetermined":
                found[target.address] = later.said
        return found

    def _told(self, found: StoredObject, called: NameOf) -> Present:
        """What observing an object tells, in the words of whoever asks."""
        told = self._inventory.present(found)
        renamed_now = as_told(renamed(self._bound(found), called))
        if renamed_now.spec is found.spec:
            return told
        return replace(told, spec=renamed_now.spec, running=renamed_now.running)

    def _bound(self, stored: StoredObject) -> StoredObject:
        """The object with all that it refers to, also where somebody else made it: then the only
        objects of these names are meant.
        """
        by_name = {
            place.key: objects[0].id
            for place in places(stored.kind, stored.spec)
            if place.key not in stored.holds
            and len(objects := self._inventory.named(*place.address)) == 1
        }
        return replace(stored, holds={**stored.holds, **by_name}) if by_name else stored

    def _called(self, stored: StoredObject) -> str:
        """The name by which an object can be found (:meth:`_find`): its id where others have its
        name.
        """
        free = NAMING.get(stored.kind) is Naming.FREE
        alike = self._inventory.named(stored.kind, stored.name) if free else ()
        return stored.id if len(alike) > 1 else stored.name

    def _id_of(self, resource: Resource) -> str:
        found = self._find(resource)
        return found.id if found is not None else str(resource.uid)

    def _users(self, found: StoredObject) -> list[User]:
        return [
            User(item.id, f"{item.kind} {item.name}") for item in self._inventory.holders(found.id)
        ]

    def _find(self, target: Resource) -> StoredObject | None:
        found = self._inventory.get(str(target.uid))
        if found is None and target.external_id is not None:
            found = self._inventory.get(target.external_id)
        if found is None and NAMING.get(target.kind) is Naming.UNIQUE:
            found = next(iter(self._inventory.named(target.kind, target.name)), None)
        elif found is None and target.exact:
            alike = self._inventory.named(target.kind, target.name)
            found = alike[0] if len(alike) == 1 else self._inventory.get(target.name)
        return found

    def _ours(self, resource: Resource, object_id: str) -> StoredObject:
        found = self._inventory.get(object_id)
        if found is None:
            raise Terminal(self._vanished(resource))
        if found.owner is None or found.owner.lineage != resource.stamp.lineage:
            raise Terminal(self._foreign(resource, found))
        return found

    def _check_name(self, resource: Resource) -> None:
        mine = str(resource.uid)
        holder = self._inventory.get(mine)
        if holder is not None and (
            holder.owner is None or holder.owner.lineage != resource.stamp.lineage
        ):
            raise Terminal(self._foreign(resource, holder))
        if NAMING.get(resource.kind) is Naming.FREE:
            return
        for other in self._inventory.named(resource.kind, resource.name):
            if other.id != mine:
                raise Terminal(self._foreign(resource, other))

    def _machine_of(self, snapshot: Resource) -> StoredObject:
        address = Address(MACHINE, str(snapshot.spec["machine"]))
        machine = snapshot.related.get(address)
        found = self._find(machine) if machine is not None else None
        if found is None:
            raise Terminal(
                error(
                    "PRV5911",
                    f"there is no machine {address.name!r} on Host/{self._name}",
                    hint="Apply the machine before its snapshot.",
                    address=str(snapshot.address),
                )
            )
        if found.owner is None or found.owner.lineage != snapshot.stamp.lineage:
            assert machine is not None
            raise Terminal(self._foreign(machine, found))
        return found

    def _born(self, resource: Resource) -> dict[str, Json]:
        """Outputs that an object has from its creation and keeps."""
        if not _is_snapshot(resource):
            return {}
        return {"created": self._clock.now().isoformat(timespec="seconds")}

    def _write(self, stored: StoredObject, running: Collection[Path] = ()) -> Outcome:
        outputs = {
            **stored.outputs,
            **outputs_of(stored.kind, stored.id, stored.name, stored.spec),
        }
        kept = self._inventory.put(replace(stored, outputs=outputs))
        return Outcome(kept.id, kept.outputs, tuple(sorted(running)))

    def _vanished(self, resource: Resource) -> Diagnostic:
        return error(
            "PRV5910",
            f"{resource.address} is not on Host/{self._name} any more",
            hint="Make a new plan.",
            address=str(resource.address),
        )

    def _in_use(self, resource: Resource, users: Sequence[User]) -> Diagnostic:
        return error(
            "PRV5913",
            f"{resource.address} is in use and was not deleted",
            detail=f"It is used by {', '.join(user.text for user in users[:5])}.",
            hint="Remove or change what uses it first.",
            address=str(resource.address),
        )

    def _foreign(self, resource: Resource, found: StoredObject) -> Diagnostic:
        owner = f"{found.owner.address} of another stack" if found.owner else "nobody's"
        if found.owner is not None and found.owner.lineage == resource.stamp.lineage:
            owner = f"{found.owner.address} of this stack"
        return error(
            "PRV5912",
            f"the {found.kind} {found.name!r} on Host/{self._name} is not {resource.address}",
            detail=f"It is {owner}. What is not ours is never changed or deleted.",
            hint="Give the resource another name, or adopt an object without an owner.",
            address=str(resource.address),
        )


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
