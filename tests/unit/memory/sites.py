"""Two memory endpoints with a machine at the first, for tests of replication between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Secret
from provisioner.providers.api import Context, Endpoint, Outcome, Resource
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins.memory import provider
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider

LINEAGE = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
CLOCK = SystemClock()
DISK = Address("Disk", "data")
LOG = Address("Disk", "log")
MACHINE = Address("VirtualMachine", "web")


class NoSecrets:
    def resolve(self, reference: str) -> Secret:
        raise LookupError(reference)


def deadline(seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds, CLOCK)


def resource(address: Address, spec: Mapping[str, Any], **rest: Any) -> Resource:
    stamp = Stamp(str(LINEAGE), str(address))
    return Resource(address, address.name, identity(LINEAGE, address), stamp, spec, **rest)


class Site:
    """One endpoint, in a file."""

    def __init__(self, memory: MemoryProvider, name: str, folder: Path, **connection: Any) -> None:
        path = folder / f"{name}.jsonl"
        self.endpoint = Endpoint(name, "memory", {"path": str(path), **connection})
        context = Context(folder, CLOCK, NoSecrets(), lambda *_args, **_rest: None)
        self.session = memory.open(self.endpoint, context)
        self.faults = memory.faults(name)
        self.outside = Outside(memory.inventory(self.endpoint, folder))
        self.elsewhere = Outside(Inventory(path))
        """The same world, as another process sees it."""

    def make(self, *resources: Resource) -> None:
        for item in resources:
            self.session.create(item, deadline())


class Sites:
    """The machine ``web`` runs at ``near``, and its disk ``data`` is replicated to ``far``, unless
    ``log`` is named as well.
    """

    def __init__(self, folder: Path, **connection: Any) -> None:
        memory = provider()
        self.near = Site(memory, "near", folder)
        self.far = Site(memory, "far", folder, **connection)
        self.disk = resource(DISK, {"pool": "pool", "size": 2**22})
        self.log = resource(LOG, {"pool": "pool", "size": 2**22})
        spec = {
            "power": "running",
            "disks": {"data": {}, "log": {}},
            "guestAgent": True,
            "autostart": True,
        }
        self.machine = resource(MACHINE, spec, related={DISK: self.disk, LOG: self.log})

    def begin(self) -> Sites:
        """Make the machine."""
        self.near.make(self.disk, self.log, self.machine)
        return self

    def close(self) -> None:
        self.near.session.close()
        self.far.session.close()

    def replica(self, way: Way = Way.INCREMENTAL, **rest: Any) -> Replica:
        return Replica(self.machine, {DISK: self.disk}, way, **rest)

    def synchronise(self, replica: Replica) -> Point:
        return self.far.session.synchronise(replica, self.near.session, deadline())

    def state(self) -> ReplicaState:
        return self.far.session.replicas([self.replica()])[MACHINE]

    def stage(self) -> Outcome:
        return self.far.session.stage(self.replica(), None, deadline())[DISK]

    def promote(self) -> Outcome:
        return self.far.session.promote(self.replica(), None, deadline())[DISK]

    def suspend(self) -> None:
        self.far.session.suspend(self.replica(), None, deadline())

    def received(self) -> Mapping[str, str]:
        """What a replica has, that is suspended and promoted for it."""
        self.suspend()
        return self.far.outside.content(self.promote().external_id).blocks

    def drill_machine(self, staged: Outcome) -> Resource:
        disk = replace(self.disk, external_id=staged.external_id)
        return resource(
            Address("VirtualMachine", "drill"),
            {"power": "running", "disks": {"data": {}}},
            related={DISK: disk},
        )
