"""Drives single handlers of a libvirt plugin against a daemon as the engine would.

Canonical form, observation, three-way difference, one step, and a second look that must find
nothing left to do.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any
from uuid import UUID, uuid4

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Path, Secret, path_text
from provisioner.engine.diff import differences
from provisioner.manifest.canonical import Findings
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import (
    Absent,
    Change,
    Context,
    Discovered,
    Endpoint,
    Observation,
    Outcome,
    Present,
    Resource,
)
from provisioner_plugins._libvirt import pool_xml
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.handlers import shared_handlers
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.rules import shared_rules
from provisioner_plugins._libvirt.xml import serialize

CATALOG = SchemaCatalog.installed()


class NoSecrets:
    """There are none."""

    def resolve(self, reference: str) -> Secret:
        raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))


class AbsolutePaths:
    """Files are named by absolute paths here."""

    def locate(self, text: str, *_: object) -> str:
        return text

    def content(self, text: str, *_: object) -> str:
        return FilePath(text).read_text()


@dataclass(frozen=True)
class Planned:
    """What would be done about a resource."""

    resource: Resource
    observed: Observation
    changes: Sequence[Change] = ()

    @property
    def impacts(self) -> dict[str, str]:
        return {".".join(change.path): change.impact.value for change in self.changes}


class Bench:
    """One stack on one daemon."""

    def __init__(self, uri: str, lineage: UUID | None = None, **connection: Any) -> None:
        """``connection``: what the Host says of the connection beside the URI."""
        self.lineage = lineage or uuid4()
        self.progress: list[tuple[str, str, int, int]] = []
        self.on_progress: Callable[..., None] | None = None
        self.clock = SystemClock()
        context = Context(FilePath("/"), self.clock, NoSecrets(), self._report)
        self.connection = Connection(Endpoint("lab", "kvm", {"uri": uri, **connection}), context)
        self.handlers = shared_handlers(self.connection)
        self.rules = shared_rules()
        self.recorded: dict[Address, Resource] = {}
        self.pending: dict[Address, tuple[Path, ...]] = {}
        self.generations: dict[Address, int] = {}
        self._threads = ThreadPoolExecutor(4)
        self._running: list[Future[object]] = []

    def close(self) -> None:
        self._threads.shutdown()
        self.connection.close()

    def _report(self, address: Address, text: str, done: int = 0, total: int = 0) -> None:
        self.progress.append((str(address), text, done, total))
        if self.on_progress is not None:
            self.on_progress(address, text, done, total)

    def deadline(self, seconds: float = 60) -> Deadline:
        return Deadline.after(seconds, self.clock)

    def resource(self, kind: str, name: str, spec: Mapping[str, Any]) -> Resource:
        """The resource as the engine would hand it over. ``spec`` is as authors write it."""
        _require_valid(kind, name, spec)
        address = Address(kind, name)
        generation = self.generations.get(address, 0)
        resource = Resource(
            address=address,
            name=name,
            uid=identity(self.lineage, address, generation),
            stamp=Stamp(str(self.lineage), str(address), generation),
            spec=CATALOG.kind(kind).canonicalise(spec, Findings(AbsolutePaths())),
            related=self.recorded,
        )
        recorded = self.recorded.get(address)
        if recorded is not None:
            resource = replace(resource, external_id=recorded.external_id, outputs=recorded.outputs)
        return replace(resource, spec=self.rules[kind].normalise(resource))

    def observe(self, resource: Resource) -> Observation:
        answers = self.handlers[resource.kind].observe(Inventory(self.connection), [resource])
        return answers[resource.address]

    def present(self, kind: str, name: str) -> Present:
        observed = self.observe(self.recorded[Address(kind, name)])
        assert isinstance(observed, Present), observed
        return observed

    def plan(self, kind: str, name: str, spec: Mapping[str, Any]) -> Planned:
        resource = self.resource(kind, name, spec)
        observed = self.observe(resource)
        if not isinstance(observed, Present):
            return Planned(resource, observed)
        before = self.recorded.get(resource.address)
        changes = differences(
            resource.spec,
            before.spec if before else None,
            observed,
            CATALOG.kind(kind),
            [path_text(path) for path in self.pending.get(resource.address, ())],
        )
        assessed = self.rules[kind].impact(resource, observed, changes)
        changes = [
            replace(change, impact=item.impact, reason=item.reason)
            for change, item in zip(changes, assessed, strict=True)
        ]
        return Planned(resource, observed, changes)

    def apply(
        self, kind: str, name: str, spec: Mapping[str, Any], *, restart: bool = False
    ) -> Outcome:
        """One step; afterwards nothing must be left to do but what waits for a restart."""
        planned = self.plan(kind, name, spec)
        handler = self.handlers[kind]
        if isinstance(planned.observed, Absent):
            outcome = handler.create(planned.resource, self.deadline())
        else:
            assert isinstance(planned.observed, Present), planned.observed
            assert planned.resource.stamp.lineage == (
                planned.observed.owner.lineage if planned.observed.owner else None
            )
            # As the engine does: what waits already is not handed over again without a restart.
            changes = [change for change in planned.changes if restart or not _waits(change)]
            outcome = handler.update(
                planned.resource, planned.observed, changes, restart, self.deadline()
            )
        self.recorded[planned.resource.address] = replace(
            planned.resource, external_id=outcome.external_id, outputs=outcome.outputs
        )
        waited = [change.path for change in planned.changes if not restart and _waits(change)]
        pending = {*outcome.pending, *waited}
        self.pending[planned.resource.address] = tuple(pending)
        left = {change.path for change in self.plan(kind, name, spec).changes}
        assert set() == {path for path in left if not _under(path, pending)}
        return outcome

    def adopt(self, kind: str, name: str, spec: Mapping[str, Any]) -> Outcome:
        """Take an object without an owner over."""
        planned = self.plan(kind, name, spec)
        assert isinstance(planned.observed, Present), planned.observed
        assert planned.observed.owner is None
        outcome = self.handlers[kind].adopt(planned.resource, planned.observed, self.deadline())
        self.recorded[planned.resource.address] = replace(
            planned.resource, external_id=outcome.external_id, outputs=outcome.outputs
        )
        assert self.present(kind, name).owner == planned.resource.stamp
        return outcome

    def refresh(self, pool: str = "images") -> None:
        """Have the daemon look at what was put into a pool by hand."""
        self.connection.call("refresh", lambda h: h.storagePoolLookupByName(pool).refresh(0))

    def discover(self, kind: str) -> list[Discovered]:
        return list(self.handlers[kind].discover(Inventory(self.connection)))

    def in_background(self, work: Callable[[], object]) -> None:
        """Run something in a thread until ``join``, which raises what it raised."""
        self._running.append(self._threads.submit(work))

    def join(self) -> None:
        while self._running:
            self._running.pop().result(60)

    def delete(self, kind: str, name: str) -> None:
        resource = self.recorded.pop(Address(kind, name))
        self.handlers[kind].delete(resource, self.deadline())
        assert Absent() == self.observe(replace(resource, external_id=None))

    def volumes(self, pool: str) -> list[Any]:
        """libvirt's objects of the volumes of a pool."""
        found: list[Any] = self.connection.call(
            "list", lambda h: h.storagePoolLookupByName(pool).listAllVolumes(0)
        )
        return found

    def pool_folder(self, name: str = "images") -> FilePath:
        """Where the volumes of a pool are."""
        return FilePath(str(self.recorded[Address("StoragePool", name)].outputs["path"]))


def pool_text(resource: Resource) -> str:
    """The definition of a pool as the handler writes it."""
    return serialize(pool_xml.build(resource.name, resource.uid, resource.spec))


@contextmanager
def mounted_tmpfs(pid: int, folder: FilePath, size: str) -> Iterator[None]:
    """A small file system where a daemon of the lab, and nobody else, sees it."""
    inside = ["nsenter", "-t", str(pid), "-m"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    subprocess.run([*inside, *mount], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "umount", str(folder)], check=True, capture_output=True)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.005)


def _require_valid(kind: str, name: str, spec: Mapping[str, Any]) -> None:
    # Authors write these two into the metadata.
    metadata = {"name": name} | {key: spec[key] for key in ("labels", "tenant") if key in spec}
    own = {key: value for key, value in spec.items() if key not in metadata}
    manifest = {"apiVersion": "provisioner/v1", "kind": kind, "metadata": metadata, "spec": own}
    assert [] == CATALOG.compiled[kind].validator.violations(manifest)


def _waits(change: Change) -> bool:
    return (
        change.impact is Impact.RESTART and change.differs_running and change.before == change.after
    )


def _under(path: Path, pending: set[Path]) -> bool:
    return any(path[: len(one)] == one or one[: len(path)] == path for one in pending)
