"""Virtual machines on a libvirt daemon: finding, making, changing in place, removing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.edits import is_known
from provisioner_plugins._libvirt.errors import NOT_FOUND, code_of
from provisioner_plugins._libvirt.estate import estate_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
    taken,
    uuid_or_none,
)
from provisioner_plugins._libvirt.records import DomainRecord, VolumeListing
from provisioner_plugins._libvirt.xml import Element
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.discovery.devices import macs_of
from provisioner_plugins.kvm.discovery.machine import Surroundings, describe, remarks_on
from provisioner_plugins.kvm.domain import cdroms, document, firmware, native, standby
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.files import MachineFiles
from provisioner_plugins.kvm.machine.fragments import devices_missing, require_devices
from provisioner_plugins.kvm.machine.host import Host
from provisioner_plugins.kvm.machine.leases import Leases
from provisioner_plugins.kvm.machine.observation import definition_of, outputs, present
from provisioner_plugins.kvm.machine.power import DEFAULT_SHUTDOWN_MS, Power
from provisioner_plugins.kvm.machine.update import Update
from provisioner_plugins.kvm.snapshot.definition import is_internal
from provisioner_plugins.kvm.snapshot.reading import documents

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)


class MachineHandler:
    """Handler of the kind VirtualMachine."""

    kind = "VirtualMachine"

    def __init__(self, connection: Connection, host: Host, files: MachineFiles) -> None:
        self._connection = connection
        self._host = host
        self._files = files

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        domains = inventory.domains_of(targets)
        found = {
            target.address: domains.find(target.uid, target.external_id, target.name)
            for target in targets
        }
        lives = {
            record.uuid: live
            for record in found.values()
            if record is not None and (live := record.live) is not None
        }
        leases = Leases.read(self._connection, lives.values())
        seedless = _without_seed(inventory, found.values())
        shared: dict[int, Bindings] = {}
        result: dict[Address, Observation] = {}
        for target in targets:
            record = found[target.address]
            if record is None:
                result[target.address] = Absent()
                continue
            # One mapping is shared by all resources of an endpoint.
            key = id(target.related)
            if key not in shared:
                shared[key] = Bindings(target.related)
            result[target.address] = present(
                record,
                shared[key],
                target.spec,
                _addresses(target, leases.of(lives.get(record.uuid))),
                snapshots=record.uuid in inventory.with_snapshots(),
                seed_is_gone=record.uuid in seedless,
                saved=_saved(inventory, record),
                lineage=target.stamp.lineage,
            )
        return result

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        records = list(inventory.domains())
        facts = self._host.facts()
        around = Surroundings(
            estate_of(inventory),
            macs_of(definition_of(record) for record in records),
            facts.arch,
            facts.emulators,
        )
        checkpoints = inventory.with_checkpoints() if records else frozenset()
        for record in records:
            has_snapshots = record.uuid in inventory.with_snapshots()
            saved = _saved(inventory, record)
            observed = present(record, Bindings({}), {}, snapshots=has_snapshots, saved=saved)
            spec, notes = describe(definition_of(record), record.uuid, around)
            spec["autostart"] = record.autostart
            spec |= {
                key: observed.spec[key] for key in ("labels", "tenant") if key in observed.spec
            }
            remarks = remarks_on(
                observed,
                is_defined=record.persistent,
                is_saved=saved is not None,
                has_checkpoints=record.uuid in checkpoints,
                external_snapshots=self._external_snapshots(record.uuid) if has_snapshots else (),
                stands_by=standby.told(definition_of(record)),
            )
            yield Discovered(
                self.kind, record.name, replace(observed, spec=spec), (*notes, *remarks)
            )

    def _external_snapshots(self, uuid: UUID) -> Sequence[str]:
        found = documents(self._connection, uuid)
        return sorted(name for name, document in found.items() if not is_internal(document))

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`: a fragment that completes
        a device has to find it.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        texts = document.fragments(resource.spec)
        # What waits for an output of another resource is looked at when it is carried out.
        if not is_known(resource.spec) or not native.completes_devices(texts):
            return
        if undertaking.creates:
            around = document.Surroundings(Bindings(resource.related))
            made = document.build(resource.name, resource.uid, resource.spec, around)
            yield from devices_missing(made)
            return
        uuid = uuid_or_none(resource.external_id or "") or resource.uid
        domain = self._calls(resource, uuid)
        if self._find(uuid) is not None:
            changes = undertaking.changes
            update = Update(domain, self._host, self._files, resource, changes)
            yield from update.problems(domain.configured())

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        domain = self._calls(resource, resource.uid)
        found = self._find(resource.uid)
        power = str(resource.spec.get("power", "running"))
        mark: standby.StandbyMark | None = None
        if found is None:
            self._refuse_taken_name(resource)
        else:
            before = domain.configured()
            self._require_own(resource, before, resource.uid)
            mark = standby.read(before)
            if mark is not None and power != "stopped":
                raise Terminal(standby.refusal(resource.name, str(resource.address), mark))
        notes: tuple[str, ...] = ()
        try:
            if found is None or domain.live() is None:
                definition = self._build(resource)
                standby.write(definition, mark)
                notes = domain.define(definition)
            # Of one that stands by it is withheld.
            domain.set_autostart(bool(resource.spec.get("autostart", False)) and mark is None)
            # Another machine of that name may have left its firmware's variables.
            Power(domain).bring_to(power, deadline, reset_nvram=found is None)
        except Terminal:
            if found is None:
                self._undefine(domain)
                self._files.remove_all(resource)
            raise
        return self._outcome(resource, domain, notes)

    def _build(self, resource: Resource) -> Element:
        bindings = Bindings(resource.related)
        emulated = self._host.emulated()
        around = document.Surroundings(
            bindings,
            emulated=emulated,
            arch=self._host.facts().arch,
            nested_feature=self._host.nested_feature(emulated=emulated),
            log=self._files.log_path(resource, bindings),
            seed=self._files.put_seed(resource),
        )
        definition = document.build(resource.name, resource.uid, resource.spec, around)
        require_devices(definition)
        stamp.replace(definition, stamp.Mark.of(resource))
        return definition

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        uuid = UUID(observed.external_id)
        domain = self._calls(resource, uuid)
        before = self._require(resource, domain, uuid)
        update = Update(domain, self._host, self._files, resource, changes)
        pending, notes = update.carry_out(before, restart=restart, deadline=deadline)
        outcome = self._outcome(resource, domain, notes)
        return Outcome(outcome.external_id, outcome.outputs, pending, notes)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        uuid = UUID(observed.external_id)
        domain = self._calls(resource, uuid)
        definition = self._read(resource, domain)
        mark = stamp.read(definition)
        if mark is not None and not is_stamped_by(resource, mark.stamp, uuid):
            raise Terminal(not_ours(resource, mark.stamp))
        native.take_over(definition, document.fragments(resource.spec))
        stamp.replace(definition, stamp.Mark.of(resource))
        domain.annotate(definition)
        self._require(resource, domain, uuid)
        return self._outcome(resource, domain, ())

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`.

        The guest is asked to shut down first, as ``shutdownTimeout`` says; its disks stay.
        """
        require_time(resource, deadline)
        uuid = uuid_or_none(resource.external_id or "") or resource.uid
        domain = self._calls(resource, uuid)
        if self._find(uuid) is None:
            self._files.remove_all(resource)
            return
        definition = self._require(resource, domain, uuid)
        timeout = int(resource.spec.get("shutdownTimeout", DEFAULT_SHUTDOWN_MS))
        Power(domain, timeout).stop(deadline)
        self._define_what_is_left(domain, definition)
        self._undefine(domain, keep_variables=firmware.names_variables(definition))
        self._files.remove_all(resource)
        self._files.require_removed(resource, cdroms.seed_volume(definition))

    def _define_what_is_left(self, domain: DomainCalls, definition: Element) -> None:
        """Have libvirt know of firmware variables and TPM that the machine has no more: it removes
        what belongs to the definition as it is.
        """
        once = firmware.as_it_once_was(definition)
        if once is None:
            return
        try:
            domain.define(once)
        except Terminal as problem:
            domain.report(
                "its old firmware variables or the state of its old TPM are left on the host: "
                f"{problem.diagnostic.detail}"
            )

    def _undefine(self, domain: DomainCalls, *, keep_variables: bool = False) -> None:
        variables = (
            libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
            if keep_variables
            else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )

        def undefine(found: Any) -> None:
            if found.isActive():
                found.destroy()
            # A transient domain is gone once it was stopped.
            found.undefineFlags(_UNDEFINE | variables)

        try:
            domain.call("remove", undefine)
        except ProviderError as problem:
            if code_of(problem) not in NOT_FOUND:
                raise

    # --- finding and checking ---

    def _calls(self, resource: Resource, uuid: UUID) -> DomainCalls:
        return DomainCalls(self._connection, uuid, resource.name, resource.address)

    def _find(self, uuid: UUID) -> Any:
        return self._connection.find(
            f"find machine {uuid}", lambda handle: handle.lookupByUUID(uuid.bytes)
        )

    def _read(self, resource: Resource, domain: DomainCalls) -> Element:
        try:
            return domain.configured()
        except ProviderError as problem:
            if code_of(problem) not in NOT_FOUND:
                raise
            raise Terminal(gone(resource)) from problem

    def _require(self, resource: Resource, domain: DomainCalls, uuid: UUID) -> Element:
        """The definition of the machine, which must carry our stamp; raises Terminal otherwise."""
        definition = self._read(resource, domain)
        self._require_own(resource, definition, uuid)
        return definition

    def _require_own(self, resource: Resource, definition: Element, uuid: UUID) -> None:
        mark = stamp.read(definition)
        found = mark.stamp if mark is not None else None
        if not is_stamped_by(resource, found, uuid):
            raise Terminal(not_ours(resource, found))

    def _refuse_taken_name(self, resource: Resource) -> None:
        other = self._connection.find(
            f"find machine {resource.name}", lambda handle: handle.lookupByName(resource.name)
        )
        if other is not None:
            raise Terminal(taken(resource, f"is the machine with UUID {other.UUIDString()}"))

    def _outcome(self, resource: Resource, domain: DomainCalls, notes: tuple[str, ...]) -> Outcome:
        found = outputs(
            domain.configured(),
            str(domain.uuid),
            _addresses(resource, ()),
            Bindings(resource.related),
            resource.spec,
        )
        return Outcome(str(domain.uuid), found, notes=notes)


def _saved(inventory: Inventory, record: DomainRecord) -> Element | None:
    """The definition with which a domain goes on from a saved state, if there is one."""
    return None if record.live_text is not None else inventory.saved().get(record.uuid)


def _without_seed(inventory: Inventory, records: Iterable[DomainRecord | None]) -> frozenset[UUID]:
    """The machines whose seed is not in its pool: the pools of seeds are listed, which those of
    disks are anyway. A pool that cannot be read tells nothing.
    """
    seedless: set[UUID] = set()
    for record in records:
        # Parsing every definition once more would take as long as all the rest.
        if record is None or cdroms.SEED_ALIAS not in record.configured_text:
            continue
        seed = cdroms.seed_volume(record.configured)
        if seed is None:
            continue
        pool = inventory.pools().by_name.get(seed.pool)
        listing = inventory.volumes(pool) if pool is not None else VolumeListing()
        if listing.problem is None and seed.volume not in listing.volumes:
            seedless.add(record.uuid)
    return frozenset(seedless)


def _addresses(resource: Resource, leased: Sequence[str]) -> list[str]:
    """Fixed addresses in the order of the cards, which are known before there is a lease, and
    leases.
    """
    cards = resource.spec.get("nics", {})
    fixed = [
        nic["address"] for _, nic in sorted(cards.items()) if isinstance(nic.get("address"), str)
    ]
    return [*fixed, *(address for address in leased if address not in fixed)]
