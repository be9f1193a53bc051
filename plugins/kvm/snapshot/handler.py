"""Snapshots of machines on a libvirt daemon.

They are internal ones (inside the qcow2 disks), which libvirt 9.0 can take, go back to and delete
while the machine runs; to external ones it cannot go back. The memory of a running machine is
always in an internal snapshot: where it was not asked for, going back starts the machine afresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Retryable,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import LOST, NOT_FOUND, code_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.ownership import (
    gone,
    not_ours,
    require_time,
    taken,
    uuid_or_none,
)
from provisioner_plugins._libvirt.records import DomainRecord
from provisioner_plugins._libvirt.xml import Element, serialize
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.replication.checkpoints import give_up_checkpoints
from provisioner_plugins.kvm.snapshot import definition
from provisioner_plugins.kvm.snapshot.reading import documents

_NO_MEMORY_NOTE = (
    "libvirt cannot leave the memory of a running machine out of a snapshot; going back to it "
    "starts the machine afresh all the same"
)


class SnapshotHandler:
    """Handler of the kind Snapshot."""

    kind = "Snapshot"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`.

        One call for each machine and one for each snapshot that is asked about.
        """
        with_snapshots = inventory.with_snapshots()
        uuids = _uuids_of(inventory, targets)
        places = {target.address: _places(target, uuids) for target in targets}
        wanted: dict[UUID, set[str]] = {}
        for uuid, name in (place for several in places.values() for place in several):
            if uuid in with_snapshots:
                wanted.setdefault(uuid, set()).add(name)
        found = {uuid: self._documents(uuid, names) for uuid, names in wanted.items()}
        result: dict[Address, Observation] = {}
        for target in targets:
            result[target.address] = Absent()
            for uuid, name in places[target.address]:
                document = found.get(uuid, {}).get(name)
                if document is not None:
                    machine = _machine_name(target, uuid, uuids)
                    result[target.address] = _present(uuid, document, machine)
                    break
        return result

    def _documents(self, uuid: UUID, names: set[str] | None) -> dict[str, Element]:
        """The definitions of a machine's snapshots by name."""
        return documents(self._connection, uuid, names)

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        with_snapshots = inventory.with_snapshots()
        records: list[DomainRecord] = [
            record for record in inventory.domains() if record.uuid in with_snapshots
        ]
        for record in records:
            for name, document in sorted(self._documents(record.uuid, None).items()):
                found = _present(record.uuid, document, str(record.uuid))
                spec = dict(found.spec)
                notes: tuple[str, ...] = ()
                if not definition.is_internal(document):
                    # Without its machine it is no manifest.
                    del spec["machine"]
                    notes = (
                        f"it is an external snapshot of the machine {record.name!r}, in files "
                        "beside its disks: it has no counterpart, and is left alone",
                    )
                yield Discovered(self.kind, name, replace(found, spec=spec), notes)

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`: there has to be memory to
        hold when the snapshot is taken.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        machine = resource.related.get(Address("VirtualMachine", str(resource.spec["machine"])))
        stopped = machine is not None and machine.spec.get("power") == "stopped"
        if undertaking.creates and stopped and resource.spec.get("memory", False):
            yield _no_memory(resource)

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        domain = self._machine_of(resource)
        present = self._documents(domain.uuid, {resource.name}).get(resource.name)
        if present is not None:
            mark = definition.read(present)[1]
            if mark is None or not _is_ours(resource, mark.stamp):
                raise Terminal(taken(resource, f"is a snapshot of {domain.name} already"))
            return _outcome(domain.uuid, resource, present)
        runs = domain.live() is not None
        memory = bool(resource.spec.get("memory", False))
        if memory and not runs:
            raise Terminal(_no_memory(resource))
        text = serialize(definition.build(resource))
        try:
            domain.call("take a snapshot of", lambda found: found.snapshotCreateXML(text, 0))
        except Terminal as problem:
            raise self._explained(problem, resource) from problem
        document = self._documents(domain.uuid, {resource.name})[resource.name]
        notes = (_NO_MEMORY_NOTE,) if runs and not memory else ()
        return _outcome(domain.uuid, resource, document, notes)

    def _explained(self, problem: Terminal, resource: Resource) -> Terminal:
        if code_of(problem) not in (
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        ):
            return problem
        return Terminal(
            error(
                "PRV5206",
                f"{resource.address}: libvirt cannot take a snapshot of this machine",
                detail=problem.diagnostic.detail,
                hint="All its disks have to be qcow2, and a machine with UEFI has to be stopped.",
            )
        )

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        del changes, restart
        require_time(resource, deadline)
        return self._rewrite(resource, observed)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        return self._rewrite(resource, observed, adopting=True)

    def _rewrite(self, resource: Resource, observed: Present, *, adopting: bool = False) -> Outcome:
        """Write description and mark anew."""
        where = _parse_id(observed.external_id)
        document = self._documents(where[0], {where[1]}).get(where[1]) if where else None
        if where is None or document is None:
            raise Terminal(gone(resource))
        uuid, name = where
        mark = definition.read(document)[1]
        found = mark.stamp if mark is not None else None
        if not (adopting and found is None) and not _is_ours(resource, found):
            raise Terminal(not_ours(resource, found))
        words = resource
        if adopting:
            words = _with_words_of(resource, document)
        definition.write_words(document, words)
        text = serialize(document)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
        self._calls(resource, uuid).call(
            f"rewrite snapshot {name} of", lambda found: found.snapshotCreateXML(text, flags)
        )
        return _outcome(uuid, resource, document)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        where = _where(resource)
        if where is None:
            return
        uuid, name = where
        document = self._documents(uuid, {name}).get(name)
        if document is None:
            return
        self._require_ours(resource, document)
        machine = self._calls(resource, uuid)
        live = machine.live()
        if live is not None and not definition.fits(document, live):
            left = definition.left_disks(document, live)
            if left:
                machine.report(
                    f"what the snapshot holds of {', '.join(left)} stays there: the machine runs "
                    "without it now"
                )
            self._fit(machine, name, document, live)
        self._remove(machine, name)

    def _fit(self, machine: DomainCalls, name: str, document: Element, live: Element) -> None:
        """Write down the snapshot as one of the machine as it runs, which libvirt can delete."""
        written, fitted = serialize(document), serialize(definition.fitted(document, live))
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
        record_only = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY

        def rewrite(found: Any) -> None:
            found.snapshotLookupByName(name).delete(record_only)
            try:
                found.snapshotCreateXML(fitted, flags)
            except libvirt.libvirtError:
                found.snapshotCreateXML(written, flags)
                raise

        machine.call(f"rewrite snapshot {name} of", rewrite)

    def _remove(self, machine: DomainCalls, name: str) -> None:
        try:
            machine.call(
                f"delete snapshot {name} of",
                lambda found: found.snapshotLookupByName(name).delete(0),
            )
        except Retryable as problem:
            if problem.diagnostic.code != LOST.code:
                raise
            # The call itself may be what ended the daemon: it is not made a second time.
            if not self._is_gone(machine, name):
                raise Terminal(_daemon_lost(machine, name, problem)) from problem
        except ProviderError as problem:
            if code_of(problem) not in NOT_FOUND:
                raise

    def _is_gone(self, machine: DomainCalls, name: str) -> bool:
        try:
            return name not in self._documents(machine.uuid, {name})
        except ProviderError:
            return False

    # --- going back ---

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """Bring the machine back to a snapshot; it runs afterwards if it ran before, or in the
        snapshot.

        Raises Terminal (PRV5115, PRV5119) if the snapshot is not there, or not ours, and (PRV5380)
        if the machine stands by.
        """
        require_time(snapshot, deadline)
        where = _where(snapshot)
        document = self._documents(where[0], {where[1]}).get(where[1]) if where else None
        if where is None or document is None:
            raise Terminal(gone(snapshot))
        self._require_ours(snapshot, document)
        uuid, name = where
        domain = self._calls(snapshot, uuid)
        # What runs in the snapshot would be started, and the mark be gone with the definition.
        domain.require_free()
        give_up_checkpoints(domain, deadline)
        before, ran = domain.configured(), domain.live() is not None
        spec = definition.read(document)[0]
        if definition.holds_memory(document) and not spec["memory"]:
            self._revert(domain, name, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)
            domain.call("switch off", lambda found: found.destroy())
        else:
            self._revert(domain, name, 0)
        # The definition is that of the snapshot now; whose the machine is has not changed.
        mark = stamp.read(before)
        if mark is not None:
            after = domain.configured()
            stamp.replace(after, mark)
            domain.define(after)
        if ran and domain.live() is None:
            domain.start(0)

    def _revert(self, domain: DomainCalls, name: str, flags: int) -> None:
        def back(found: Any, flags: int = flags) -> None:
            found.revertToSnapshot(found.snapshotLookupByName(name), flags)

        try:
            domain.call(f"go back to snapshot {name} of", back)
        except ProviderError as problem:
            if code_of(problem) != libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY:
                raise
            # The hardware has changed since, so that QEMU has to be started anew for it.
            forced = flags | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE
            domain.call(f"go back to snapshot {name} of", lambda found: back(found, forced))

    # --- finding ---

    def _machine_of(self, resource: Resource) -> DomainCalls:
        machine = _machine(resource)
        uuid = _uuid_of(machine) if machine is not None else None
        found = None
        if uuid is not None:
            found = self._connection.find(
                f"find machine {uuid}", lambda handle: handle.lookupByUUID(uuid.bytes)
            )
        if machine is None or uuid is None or found is None:
            raise Terminal(
                error(
                    "PRV5207",
                    f"{resource.address}: machine {resource.spec['machine']} is not on the host",
                    hint="Apply its VirtualMachine first.",
                )
            )
        return DomainCalls(self._connection, uuid, machine.name, resource.address)

    def _calls(self, resource: Resource, uuid: UUID) -> DomainCalls:
        """The machine of a snapshot; ``resource`` is the snapshot."""
        name = _machine_name(resource, uuid)
        return DomainCalls(self._connection, uuid, name, resource.address)

    def _require_ours(self, resource: Resource, document: Element) -> None:
        mark = definition.read(document)[1]
        found = mark.stamp if mark is not None else None
        if not _is_ours(resource, found):
            raise Terminal(not_ours(resource, found))


def _machine(resource: Resource) -> Resource | None:
    return resource.related.get(Address("VirtualMachine", str(resource.spec.get("machine"))))


def _uuid_of(machine: Resource) -> UUID:
    return uuid_or_none(machine.external_id or "") or machine.uid


def _no_memory(resource: Resource) -> Diagnostic:
    return error(
        "PRV5205",
        f"{resource.address}: the machine does not run, so it has no memory to hold",
        hint="Start it (power: running), or write memory: false.",
        path=("memory",),
    )


def _where(resource: Resource) -> tuple[UUID, str] | None:
    """The machine's UUID and the snapshot's name; None if the machine is not known."""
    if resource.external_id is not None:
        return _parse_id(resource.external_id)
    machine = _machine(resource)
    return (_uuid_of(machine), resource.name) if machine is not None else None


def _parse_id(external_id: str) -> tuple[UUID, str] | None:
    """UUID of the machine and name of the snapshot; None for what is no id of ours."""
    text, _, name = external_id.partition("/")
    uuid = uuid_or_none(text)
    return (uuid, name) if uuid is not None else None


def _uuids_of(inventory: Inventory, targets: Sequence[Resource]) -> Mapping[Address, UUID]:
    """The UUIDs of the machines of snapshots. Of one that is still to be taken over only its name
    is known.
    """
    machines = {
        machine.address: machine for target in targets if (machine := _machine(target)) is not None
    }
    found = {address: _uuid_of(machine) for address, machine in machines.items()}
    unknown = [machine for machine in machines.values() if machine.external_id is None]
    if unknown and inventory.with_snapshots():
        domains = inventory.domains_of(unknown)
        for machine in unknown:
            record = domains.find(machine.uid, None, machine.name)
            if record is not None:
                found[machine.address] = record.uuid
    return found


def _places(target: Resource, uuids: Mapping[Address, UUID]) -> list[tuple[UUID, str]]:
    """Where a snapshot can be: as it was recorded, else by its name at the machine that the spec
    names (which may be another one by now).
    """
    places = []
    recorded = _parse_id(target.external_id or "")
    if recorded is not None:
        places.append(recorded)
    machine = _machine(target)
    if machine is not None:
        places.append((uuids[machine.address], target.name))
    return places


def _machine_name(target: Resource, uuid: UUID, uuids: Mapping[Address, UUID] | None = None) -> str:
    """The VirtualMachine with this UUID; one that the stack does not have goes by its UUID."""
    machine = _machine(target)
    if machine is not None and uuid in (_uuid_of(machine), (uuids or {}).get(machine.address)):
        return machine.address.name
    for address, other in target.related.items():
        if address.kind == "VirtualMachine" and _uuid_of(other) == uuid:
            return address.name
    return str(uuid)


def _is_ours(resource: Resource, found: Stamp | None) -> bool:
    """A snapshot that was renamed finds its old address in the mark, and is known by its id."""
    if found is None or found.lineage != resource.stamp.lineage:
        return False
    return found.address == resource.stamp.address or resource.external_id is not None


def _daemon_lost(machine: DomainCalls, name: str, problem: Retryable) -> Diagnostic:
    return error(
        "PRV5208",
        f"the daemon was lost while it deleted snapshot {name} of machine {machine.name}",
        detail=problem.diagnostic.detail,
        hint="It is not tried again by itself, because the deletion may be what ended the daemon. "
        "See that the daemon runs and what its log says, then apply again.",
        address=str(machine.address),
    )


def _with_words_of(resource: Resource, document: Element) -> Resource:
    """A resource with the description that its snapshot has, for adoption changes nothing else."""
    found, _ = definition.read(document)
    spec = {key: value for key, value in resource.spec.items() if key != "description"}
    spec["memory"] = found["memory"]
    if "description" in found:
        spec["description"] = found["description"]
    return Resource(
        resource.address, resource.name, resource.uid, resource.stamp, spec, resource.external_id
    )


def _present(uuid: UUID, document: Element, machine: str) -> Present:
    spec, mark = definition.read(document)
    spec["machine"] = machine
    owner = mark.stamp if mark is not None else None
    name = document.findtext("name") or ""
    when = definition.created(document)
    return Present(
        external_id=f"{uuid}/{name}",
        owner=owner,
        spec=spec,
        fingerprint=digest(
            {
                "machine": str(uuid),
                "name": name,
                "spec": spec,
                "created": when,
                "owner": owner.as_json() if owner is not None else None,
            }
        ),
        outputs={"created": when} if when is not None else {},
    )


def _outcome(
    uuid: UUID, resource: Resource, document: Element, notes: tuple[str, ...] = ()
) -> Outcome:
    found = _present(uuid, document, str(resource.spec["machine"]))
    return Outcome(found.external_id, found.outputs, notes=notes)
