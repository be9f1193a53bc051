"""Snapshots: taken with their mark in one call, found in the trees of their machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import standby
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.machine.properties import EXTENSION, SNAPSHOTS, TEMPLATE, UUID
from provisioner_plugins.vmware.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
    taken,
)
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.snapshot import words
from provisioner_plugins.vmware.snapshot.tree import Found, snapshots_of
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look
from provisioner_plugins.vmware.wire.tasks import too_late

_TAKING = ".createSnapshot"
_OF_RUNNING = (
    ("memory", "hold memory", ""),
    (
        "quiesce",
        "bring file systems to rest",
        "vSphere asks VMware Tools in the guest for it, and ignores it where the machine is off: "
        "its file systems are as they were left.",
    ),
)
"""Fields of what only a running machine has; what they ask for, and why not (vSphere Web Services
API, VirtualMachine.CreateSnapshot_Task).
"""


class SnapshotHandler:
    """Handler of the kind Snapshot."""

    kind = "Snapshot"
    reads: Wanted = MappingProxyType({vim.VirtualMachine: (UUID, TEMPLATE, EXTENSION, SNAPSHOTS)})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turns: dict[str, threading.Lock] = {}
        self._settled: set[str] = set()
        """Machines for which no snapshot of an earlier run is being taken any more."""

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        names = References(targets[0].related if targets else {})
        machines = [row for row in inventory.rows(vim.VirtualMachine) if row.get(SNAPSHOTS)]
        found = [item for row in machines for item in snapshots_of(row)]
        answers: dict[Address, Observation] = {}
        for target in targets:
            item = _find(target, found)
            answers[target.address] = Absent() if item is None else _present(item, names)
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        names = References({})
        for row in inventory.rows(vim.VirtualMachine):
            is_machine = not row.get(TEMPLATE, False) and row.get(EXTENSION) is None
            if row.get(SNAPSHOTS) and is_machine:
                for item in snapshots_of(row):
                    yield Discovered(self.kind, item.name, _present(item, names))

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: there has to be memory to
        hold when the snapshot is taken, or a guest whose tools bring it to rest.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        machine = resource.related.get(Address("VirtualMachine", str(resource.spec["machine"])))
        stopped = machine is not None and machine.spec.get("power") == "stopped"
        if not undertaking.creates or not stopped:
            return
        for field, wish, why in _OF_RUNNING:
            if resource.spec.get(field, False):
                yield error(
                    "PRV5327",
                    f"{resource.address} is to {wish}, and its machine does not run",
                    detail=why,
                    hint=f"Write {field}: false, or power: running for the machine.",
                    path=(field,),
                )

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        machine, row = self._machine(resource)
        # Two creations that both find nothing would both take it: names may come twice in a tree.
        with self._turn(machine, deadline):
            found = _find(resource, snapshots_of(self._row(machine)))
            if found is None and self._was_under_way(resource, machine, deadline):
                found = _find(resource, snapshots_of(self._row(machine)))
            if found is None:
                self._take(resource, machine, name_of(row), deadline)
                found = _find(resource, snapshots_of(self._row(machine)))
        if found is None:
            raise Terminal(gone(resource))
        if not _is_ours(resource, found):
            raise Terminal(taken(resource, f"is a snapshot of {name_of(row)} already"))
        return Outcome(found.external_id)

    def _take(self, resource: Resource, machine: Any, name: str, deadline: Deadline) -> None:
        spec = resource.spec
        text = words.written(str(spec.get("description", "")), Mark.of(resource))
        self._site.run(
            f"take snapshot {resource.name} of machine {name}",
            lambda _: machine.CreateSnapshot_Task(
                name=resource.name,
                description=text,
                memory=bool(spec.get("memory", False)),
                quiesce=bool(spec.get("quiesce", False)),
            ),
            deadline,
        )

    @contextmanager
    def _turn(self, machine: Any, deadline: Deadline) -> Iterator[None]:
        """Creations of one machine's snapshots take turns."""
        turn = self._turns.setdefault(machine._GetMoId(), threading.Lock())
        if not turn.acquire(timeout=max(0.0, deadline.remaining())):
            raise too_late("wait for the snapshots of a machine that are being taken")
        try:
            yield
        finally:
            turn.release()

    def _was_under_way(self, resource: Resource, machine: Any, deadline: Deadline) -> bool:
        """Wait for an earlier attempt whose answer was lost; whether there may have been one."""
        moid = machine._GetMoId()
        if moid in self._settled and not resource.begun:
            return False
        there = self._site.tasks.await_others(machine, _TAKING, deadline)
        self._settled.add(moid)
        return there

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        del restart
        require_time(resource, deadline)
        found = self._own(resource, observed.external_id)
        text = found.text
        for change in changes:
            if change.path == ("description",):
                text = str(change.after or "")
        return self._rewrite(resource, found, text)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write the mark behind its description."""
        require_time(resource, deadline)
        found = self._by_id(observed.external_id)
        if found is None:
            raise Terminal(gone(resource))
        if found.mark is not None and not _is_ours(resource, found):
            raise Terminal(not_ours(resource, found.mark.stamp))
        return self._rewrite(resource, found, found.text)

    def _rewrite(self, resource: Resource, found: Found, text: str) -> Outcome:
        snapshot = self._site.client.managed(vim.vm.Snapshot, found.moid)
        description = words.written(text, Mark.of(resource))
        self._site.client.call(
            f"describe snapshot {found.name}",
            lambda _: snapshot.RenameSnapshot(name=found.name, description=description),
        )
        return Outcome(found.external_id)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Merge what it holds into the machine as it is now; snapshots below it stay."""
        require_time(resource, deadline)
        found = self._recorded(resource)
        if found is None:
            return
        if not _is_ours(resource, found):
            raise Terminal(not_ours(resource, None if found.mark is None else found.mark.stamp))
        snapshot = self._site.client.managed(vim.vm.Snapshot, found.moid)
        self._site.run(
            f"remove snapshot {found.name}",
            lambda _: snapshot.RemoveSnapshot_Task(removeChildren=False),
            deadline,
        )

    def revert(self, resource: Resource, deadline: Deadline) -> None:
        """Bring the machine back to a snapshot. Raises Terminal (PRV5315, PRV5319, PRV5343)."""
        require_time(resource, deadline)
        found = self._recorded(resource)
        if found is None:
            raise Terminal(gone(resource))
        if not _is_ours(resource, found):
            raise Terminal(not_ours(resource, None if found.mark is None else found.mark.stamp))
        self._require_no_mark(resource, found)
        snapshot = self._site.client.managed(vim.vm.Snapshot, found.moid)
        self._site.run(
            f"go back to snapshot {found.name}",
            lambda _: snapshot.RevertToSnapshot_Task(),
            deadline,
        )

    # --- parts ---

    def _require_no_mark(self, resource: Resource, found: Found) -> None:
        """The configuration, and the mark with it, would be that of the snapshot; of one with
        memory the machine would run.
        """
        machine = find(self._site, found.external_id.partition("/")[0])
        wanted = {vim.VirtualMachine: ("name", standby.PROPERTY)}
        for row in look(self._site.client, "look whether a machine stands by", (machine,), wanted):
            value = row.get(standby.PROPERTY)
            mark = None if value is None else standby.parse(str(value.value))
            if mark is not None:
                raise Terminal(standby.refusal(name_of(row), resource.address, mark))

    def _machine(self, resource: Resource) -> tuple[Any, Row]:
        name = str(resource.spec["machine"])
        known = resource.related.get(Address("VirtualMachine", name))
        uuid = None if known is None else known.external_id
        machine = None if uuid is None else find(self._site, uuid)
        if machine is None:
            raise Terminal(
                error(
                    "PRV5328",
                    f"the machine of {resource.address} is not on the endpoint",
                    detail=f"It is a snapshot of VirtualMachine/{name}.",
                    hint="Plan again: the machine was removed since it was read.",
                    address=str(resource.address),
                    path=("machine",),
                )
            )
        return machine, self._row(machine)

    def _row(self, machine: Any) -> Row:
        wanted = {vim.VirtualMachine: ("name", UUID, SNAPSHOTS)}
        [row] = look(self._site.client, "read the snapshots of a machine", (machine,), wanted)
        return row

    def _by_id(self, external_id: str) -> Found | None:
        machine = find(self._site, external_id.partition("/")[0])
        if machine is None:
            return None
        items = list(snapshots_of(self._row(machine)))
        return next((item for item in items if item.external_id == external_id), None)

    def _recorded(self, resource: Resource) -> Found | None:
        """By its recorded id, else by its mark in its machine."""
        if resource.external_id is not None:
            return self._by_id(resource.external_id)
        known = resource.related.get(Address("VirtualMachine", str(resource.spec["machine"])))
        uuid = None if known is None else known.external_id
        machine = None if uuid is None else find(self._site, uuid)
        if machine is None:
            return None
        found = _find(resource, snapshots_of(self._row(machine)))
        return found if found is not None and found.mark is not None else None

    def _own(self, resource: Resource, external_id: str) -> Found:
        found = self._by_id(external_id)
        if found is None:
            raise Terminal(gone(resource))
        if not _is_ours(resource, found):
            raise Terminal(not_ours(resource, None if found.mark is None else found.mark.stamp))
        return found


def _find(target: Resource, found: Iterator[Found] | Sequence[Found]) -> Found | None:
    """By its mark, its recorded id, its name among those of its machine."""
    items = list(found)
    for item in items:
        if item.mark is not None and item.mark.stamp == target.stamp:
            return item
    for item in items:
        if item.external_id == target.external_id:
            return item
    known = target.related.get(Address("VirtualMachine", str(target.spec.get("machine"))))
    uuid = None if known is None else known.external_id
    same = [item for item in items if item.name == target.name and item.machine == uuid]
    return same[0] if same else None


def _is_ours(resource: Resource, found: Found) -> bool:
    stamp = None if found.mark is None else found.mark.stamp
    return is_stamped_by(resource, stamp, found.external_id)


def _present(found: Found, names: References) -> Present:
    spec: dict[str, Any] = {
        "machine": names.name("VirtualMachine", found.machine),
        "memory": found.memory,
        **(found.mark.fields() if found.mark is not None else {"labels": {}}),
    }
    if found.text:
        spec["description"] = found.text
    owner = None if found.mark is None else found.mark.stamp
    plain = {**spec, "machine": found.machine}
    return Present(
        external_id=found.external_id,
        owner=owner,
        spec=spec,
        fingerprint=digest(
            [found.external_id, found.name, owner and owner.as_json(), plain],
        ),
        name=found.name,
    )
