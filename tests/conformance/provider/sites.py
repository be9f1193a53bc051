"""Two endpoints of a provider: a machine runs at one, and is replicated to the other. For
test_replication.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import error
from provisioner.core.identity import Stamp
from provisioner.providers.api import (
    Absent,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Retryable,
    Session,
)
from provisioner.providers.capabilities import (
    Point,
    Power,
    Replica,
    ReplicaState,
    Replication,
    Way,
)
from tests.conformance.provider.harness import Harness
from tests.conformance.provider.under_test import (
    BreakableUnderTest,
    DeliveringUnderTest,
    ReplicatingUnderTest,
)

POOL = Address("StoragePool", "pool")
DISK = {"pool": "pool", "size": "4MiB", "retention": "delete"}
SIZE = 4 * 2**20
STRANGER = Stamp("0a0a0a0a-0000-4000-8000-000000000000", "VirtualMachine/theirs")
SEEN = ("Disk", "Image", "StoragePool", "VirtualMachine")


class Sites:
    """A machine with one disk at ``here``, that may be replicated to ``there``."""

    def __init__(self, here: Harness, there: Harness) -> None:
        self.here = here
        self.there = there
        self.machine = here.subject("VirtualMachine")
        self.disk = here.subject("Disk")
        self._number = 0
        here.write(self.disk, DISK)
        here.write(self.machine, spec_of([self.disk]))
        here.converge()
        there.write(self.disk, DISK)

    # Calls, each on a session of its own

    @contextmanager
    def sessions(self) -> Iterator[tuple[Any, Session]]:
        """One at the receiving endpoint, and one at the source."""
        receiver, source = self.there.session(), self.here.session()
        assert isinstance(receiver, Replication)
        try:
            yield receiver, source
        finally:
            receiver.close()
            source.close()

    @contextmanager
    def receiver(self) -> Iterator[Any]:
        """A session at the receiving endpoint alone."""
        session = self.there.session()
        try:
            yield session
        finally:
            session.close()

    def replica(self, way: Way | None = None, **rest: Any) -> Replica:
        """What the engine would hand over; ``way`` None: the simplest that the provider has."""
        if way is None:
            delivers = isinstance(self.here.under_test, DeliveringUnderTest)
            way = Way.EXTERNAL if delivers else Way.INCREMENTAL
        machine = self.here.resource(self.machine)
        return Replica(machine, {self.disk: self.there.resource(self.disk)}, way, **rest)

    def synchronise(self, replica: Replica) -> Point:
        here = self.here.under_test
        if isinstance(here, DeliveringUnderTest):
            external_id = self.here.entry(self.disk).external_id
            assert external_id is not None
            here.deliver(external_id)
        with self.sessions() as (receiver, source):
            point: Point = receiver.synchronise(replica, source, self.there.deadline())
            return point

    def state(self, replica: Replica | None = None) -> ReplicaState:
        chosen = replica or self.replica()
        with self.receiver() as receiver:
            states: Mapping[Address, ReplicaState] = receiver.replicas([chosen])
        assert {self.machine} == set(states)
        return states[self.machine]

    def stage(self, replica: Replica, point: str | None = None) -> Outcome:
        with self.receiver() as receiver:
            return self._only(receiver.stage(replica, point, self.there.deadline()))

    def unstage(self, replica: Replica) -> None:
        with self.receiver() as receiver:
            receiver.unstage(replica, self.there.deadline())

    def promote(self, replica: Replica, point: str | None = None) -> Outcome:
        with self.receiver() as receiver:
            return self._only(receiver.promote(replica, point, self.there.deadline()))

    def discard(self, replica: Replica) -> None:
        with self.receiver() as receiver:
            receiver.discard(replica, self.there.deadline())

    def suspend(self, replica: Replica, *, from_source: bool = True) -> None:
        with self.receiver() as receiver:
            if not from_source:
                receiver.suspend(replica, None, self.there.deadline())
                return
        with self.sessions() as (receiver, source):
            receiver.suspend(replica, source, self.there.deadline())

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        """A block in which calls at the receiving endpoint have to end in their midst."""
        there = self.there.under_test
        assert isinstance(there, BreakableUnderTest), "it copies by itself: see there"
        with there.broken_off(), pytest.raises(ProviderError):
            yield

    def _only(self, outcomes: Mapping[Address, Outcome]) -> Outcome:
        assert {self.disk} == set(outcomes)
        return outcomes[self.disk]

    # The world

    def write(self) -> object:
        """Have the guest write something new; returns all that is on its disk then."""
        self._number += 1
        _guests(self.here).write(self.machine.name, self.disk.name, self._number)
        return self.content()

    def content(self) -> object:
        """What is on the machine's disk at the source."""
        external_id = self.here.entry(self.disk).external_id
        assert external_id is not None
        return _guests(self.here).content(external_id)

    def received(self, outcome: Outcome) -> object:
        """What is on a disk at the receiving endpoint."""
        return _guests(self.there).content(outcome.external_id)

    def power(self, state: str) -> None:
        session = self.here.session()
        assert isinstance(session, Power)
        session.power(self.here.resource(self.machine), state, self.here.deadline())
        session.close()

    def seen_there(self) -> list[tuple[str, str, str, str]]:
        """Everything at the receiving endpoint, as discovery tells it."""
        served = [kind for kind in SEEN if kind in self.there.provider.describe().kinds]
        with self.receiver() as receiver:
            return [
                (item.kind, item.name, item.observed.external_id, item.observed.fingerprint)
                for item in receiver.discover(served)
            ]

    @contextmanager
    def drill(self, staged: Outcome) -> Iterator[str]:
        """A running machine at the receiving endpoint with this disk; gives its name."""
        address = self.there.subject("VirtualMachine")
        self.there.write(address, spec_of([self.disk]))
        plain = self.there.resource(address)
        disk = replace(plain.related[self.disk], external_id=staged.external_id)
        machine = replace(plain, related={**plain.related, self.disk: disk})
        with self.receiver() as receiver:
            receiver.create(machine, self.there.deadline())
            try:
                yield address.name
            finally:
                receiver.delete(machine, self.there.deadline())
                self.there.erase(address)

    def write_in_drill(self, machine: str) -> None:
        self._number += 1
        _guests(self.there).write(machine, self.disk.name, self._number)

    def clear(self) -> None:
        """Have nothing at the receiving endpoint any more, whatever a test left there."""
        replica = self.replica()
        with self.sessions() as (receiver, source):
            deadline = self.there.deadline()
            receiver.suspend(replica, source, deadline)
            receiver.unstage(replica, deadline)
            receiver.discard(replica, deadline)
            disk = self.there.resource(self.disk)
            found = receiver.observe([disk])[self.disk]
            if isinstance(found, Present):
                receiver.delete(replace(disk, external_id=found.external_id), deadline)
            assert isinstance(receiver.observe([disk])[self.disk], Absent)


def spec_of(disks: list[Address]) -> dict[str, Any]:
    """The smallest machine that runs with these disks."""
    return {
        "memory": {"size": "64MiB"},
        "power": "running",
        "shutdownTimeout": "0s",
        "disks": [{"disk": disk.name} for disk in disks],
    }


def of_stranger(resource: Resource) -> Resource:
    """The resource as another stack would call it its own."""
    return replace(resource, stamp=STRANGER)


def lost() -> ProviderError:
    """What a call ends with whose connection breaks."""
    return Retryable(error("PRV9999", "the connection broke"), 1.0)


def _guests(harness: Harness) -> ReplicatingUnderTest:
    under_test = harness.under_test
    assert isinstance(under_test, ReplicatingUnderTest), "it promises replication: see there"
    return under_test
