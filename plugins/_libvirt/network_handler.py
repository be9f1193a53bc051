"""Networks on a libvirt daemon: reading, defining, updating while they run, restarting.

A network of mode ``user`` has no object on the host: the hypervisor's process of each guest does
it. It is there once it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Json, Path
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking, User
from provisioner_plugins._libvirt import fragment_record, metadata, native, stamp
from provisioner_plugins._libvirt.connection import Connection, on_one_handle
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins._libvirt.estate import estate_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.network import USER, final_spec
from provisioner_plugins._libvirt.network_live import update_live
from provisioner_plugins._libvirt.network_observation import (
    USER_ID,
    bridge_of,
    differing,
    present,
    remarks_on,
    user_present,
)
from provisioner_plugins._libvirt.network_xml import (
    IDENTIFY,
    NATIVE,
    build,
    keep_only,
    ranges,
    read,
    write,
)
from provisioner_plugins._libvirt.ownership import (
    gone,
    is_stamped_by,
    not_ours,
    require_time,
    taken,
    uuid_or_none,
    uuids_of_stack,
)
from provisioner_plugins._libvirt.replug import attached, is_attached, replug
from provisioner_plugins._libvirt.usage import guests_of_others, require_no_guests
from provisioner_plugins._libvirt.xml import Element, parse, same, serialize

_DEFINED = (
    "it had no definition and has one now: before 9.7 libvirt writes a mark on a network only with "
    "its definition"
)
_OWNED = frozenset({"labels", "tenant"})


class NetworkHandler:
    """Handler of the kind Network."""

    kind = "Network"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        return {target.address: self._observe_one(inventory, target) for target in targets}

    def _observe_one(self, inventory: Inventory, target: Resource) -> Observation:
        recorded = target.external_id or ""
        record = None
        if target.spec.get("mode") == USER or recorded.startswith(USER_ID):
            # Its name stands for nothing on the host: another network may bear it.
            records = inventory.networks().by_uuid
            record = records.get(target.uid) or records.get(uuid_or_none(recorded) or target.uid)
        else:
            record = inventory.networks().find(target.uid, target.external_id, target.name)
        if record is not None:
            return present(inventory, record, target.spec, target.stamp.lineage)
        return user_present(target) if recorded.startswith(USER_ID) else Absent()

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        for found in estate_of(inventory).networks.values():
            record = found.record
            wanted = {**found.spec, "active": record.live is not None}
            observed = present(inventory, record, wanted)
            owned = {key: observed.spec[key] for key in _OWNED & observed.spec.keys()}
            spec = {**found.spec, "autostart": record.autostart, **owned}
            if record.live is None:
                spec["active"] = False
            yield Discovered(
                self.kind,
                record.name,
                replace(observed, spec=spec),
                (*found.notes, *remarks_on(observed, record)),
            )

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`: no two networks that run
        have addresses in common.
        """
        del deadline, thorough
        resource = undertaking.resource
        wanted = {
            field: ip_network(str(resource.spec[field]))
            for field in ("cidr", "cidr6")
            if field in resource.spec
        }
        if not undertaking.creates or not wanted or resource.spec["mode"] == USER:
            return
        ours = uuids_of_stack(resource)
        for record in inventory.networks():
            if record.live is None or record.uuid in ours or record.name == resource.name:
                continue
            mark = stamp.read(record.configured)
            if mark is not None and mark.stamp.lineage == resource.stamp.lineage:
                continue  # it goes, or moves to other addresses, in the same plan
            for field, network in wanted.items():
                for other in ranges(record.live):
                    if network.version == other.version and network.overlaps(other):
                        yield _occupied(resource, field, record.name, str(other))

    # --- writing ---

    @on_one_handle
    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        if resource.spec["mode"] == USER:
            return Outcome(f"{USER_ID}{resource.uid}")
        found = self._lookup(resource.uid)
        if found is None:
            self._refuse_taken_name(resource)
            document = build(resource.name, resource.uid, resource.spec)
        else:
            document = self._configured(found)
            write(document, final_spec(resource.spec, {**read(document), **resource.spec}, ()))
        stamp.replace(document, stamp.Mark.of(resource))
        _merge_native(document, resource)
        network = self._define(document, resource.name)
        remarks: tuple[str, ...] = ()
        try:
            if resource.spec.get("active", True):
                remarks = self._start(network, resource.name)
        except Terminal:
            if found is None:
                self._call("remove", resource.name, lambda _: network.undefine())
            raise
        self._set_autostart(network, resource.name, bool(resource.spec.get("autostart", True)))
        return Outcome(str(resource.uid), self._outputs(network), notes=remarks)

    @on_one_handle
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
        if observed.external_id.startswith(USER_ID):
            return Outcome(observed.external_id)
        network = self._own(resource, observed.external_id)
        before = self._configured(network)
        after = self._configured(network)
        native.take_out(after, tuple(changes), "network")
        final = final_spec(resource.spec, {**observed.spec, **read(after)}, changes)
        if resource.spec["mode"] == NATIVE:
            keep_only(after, map(parse, native.fragments(resource.spec, "network")))
        else:
            write(after, final)
        stamp.replace(after, stamp.Mark.of(resource))
        _merge_native(after, resource)
        is_defined = self._call("read", resource.name, lambda _: _is_defined(network))
        if not same(before, after) or not is_defined:
            network = self._define(after, resource.name)
        self._set_autostart(network, resource.name, bool(final["autostart"]))
        runs = bool(self._call("read", resource.name, lambda _: network.isActive()))
        if not resource.spec.get("active", True):
            stops = any(change.path == ("active",) for change in changes)
            if runs and stops:
                self._call("stop", resource.name, lambda _: network.destroy())
            if stops or not runs:
                return Outcome(observed.external_id, self._outputs(network))
        if not runs:
            remarks = self._start(network, resource.name, previous=before)
            return Outcome(observed.external_id, self._outputs(network), notes=remarks)
        pending, remarks = self._bring_into_force(network, resource.name, restart)
        return Outcome(observed.external_id, self._outputs(network), pending, remarks)

    @on_one_handle
    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        if observed.external_id.startswith(USER_ID):
            return Outcome(observed.external_id)
        found = self._lookup(UUID(observed.external_id))
        if found is None:
            raise Terminal(gone(resource))
        document = self._configured(found)
        mark = stamp.read(document)
        uuid = UUID(observed.external_id)
        if mark is not None and not is_stamped_by(resource, mark.stamp, uuid):
            raise Terminal(not_ours(resource, mark.stamp))
        wanted = native.fragments(resource.spec, "network")
        there = [text for text in wanted if native.is_there(document, text)]
        stamp.replace(document, stamp.Mark.of(resource))
        fragment_record.write(document, there)
        before = self._call("read", resource.name, lambda _: _is_defined(found))
        network = self._annotate(found, document, resource.name)
        after = self._call("read", resource.name, lambda _: _is_defined(network))
        remarks = () if before == after else (_DEFINED,)
        return Outcome(observed.external_id, self._outputs(network), notes=remarks)

    def _annotate(self, network: Any, document: Element, name: str) -> Any:
        """Write the metadata of ``document`` on a network, and nothing else of it; by defining it
        anew where the daemon or its binding (before 9.7) knows no better. The running one has it
        then from its next start.
        """
        set_metadata = getattr(network, "setMetadata", None)
        if set_metadata is None:
            return self._define(document, name)

        def write(_: Any) -> None:
            flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG if _is_defined(network) else 0
            if network.isActive():
                flags |= libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
            for key, uri, text in metadata.parts(document):
                if text is None:
                    continue
                set_metadata(libvirt.VIR_NETWORK_METADATA_ELEMENT, text, key, uri, flags)

        try:
            self._call("mark", name, write)
        except Terminal as problem:
            if code_of(problem) != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            return self._define(document, name)
        return network

    @on_one_handle
    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`; refused while guests of
        others are in it. Those of the stack are gone, or the plan connects them anew.
        """
        require_time(resource, deadline)
        recorded = resource.external_id or str(resource.uid)
        if recorded.startswith(USER_ID):
            return
        network = self._lookup(uuid_or_none(recorded) or resource.uid)
        if network is None:
            return
        network = self._own(resource, recorded)
        require_no_guests(resource, self.users(resource))
        if self._call("read", resource.name, lambda _: network.isActive()):
            self._call("stop", resource.name, lambda _: network.destroy())
        if self._call("read", resource.name, lambda _: _is_defined(network)):
            self._call("remove", resource.name, lambda _: network.undefine())

    def users(self, resource: Resource) -> list[User]:
        """The running guests of others in the network."""
        if (resource.external_id or "").startswith(USER_ID):
            return []
        return guests_of_others(
            self._connection, resource, lambda live: is_attached(live, resource.name)
        )

    # --- the parts of writing ---

    def _bring_into_force(
        self, network: Any, name: str, restart: bool
    ) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """Make a running network follow its definition; returns what is pending, and notes."""
        configured = self._configured(network)
        self._call("update", name, lambda _: update_live(network, configured))
        live = self._call("read", name, lambda _: parse(network.XMLDesc(0)))
        left = differing(configured, live)
        if not left:
            return (), ()
        if not restart and attached(Inventory(self._connection).running(), name):
            return tuple(sorted(left)), ()
        self._call("stop", name, lambda _: network.destroy())
        # What ran, and not what was configured: that may have waited for this very restart.
        return (), self._start(network, name, previous=live)

    def _replug(self, network: Any, name: str) -> tuple[str, ...]:
        """Connect the guests that a stopped network has cut off; returns notes."""
        guests = attached(Inventory(self._connection).running(), name)
        bridge = self._outputs(network).get("bridge")
        if not guests or not isinstance(bridge, str):
            return ()
        return replug(self._connection, guests, name, bridge)

    def _start(self, network: Any, name: str, previous: Element | None = None) -> tuple[str, ...]:
        """Start it if it does not run, and connect its guests again; returns notes. If it does not
        start, put ``previous`` back and start that.
        """
        if self._call("read", name, lambda _: network.isActive()):
            return ()
        try:
            self._call("start", name, lambda _: network.create())
        except (Retryable, Terminal) as problem:
            if previous is not None:
                self._restore(name, previous, problem)
            raise
        return self._replug(network, name)

    def _restore(self, name: str, previous: Element, cause: Retryable | Terminal) -> None:
        try:
            restored = self._define(previous, name)
            self._call("start the previous definition of", name, lambda _: restored.create())
            self._replug(restored, name)
        except (Retryable, Terminal) as problem:
            diagnostic = replace(
                cause.diagnostic,
                detail=f"{cause.diagnostic.detail} Its previous definition could not be started "
                f"again either: {problem.diagnostic.summary}; {problem.diagnostic.detail}",
            )
            raise Terminal(diagnostic) from problem

    def _set_autostart(self, network: Any, name: str, wanted: bool) -> None:
        def change(_: Any) -> None:
            if network.autostart() != wanted:
                network.setAutostart(int(wanted))

        self._call("set autostart of", name, change)

    def _define(self, document: Element, name: str) -> Any:
        text = serialize(document)
        return self._call("define", name, lambda handle: handle.networkDefineXML(text))

    def _lookup(self, uuid: UUID) -> Any:
        return self._connection.find(
            f"find network {uuid}", lambda handle: handle.networkLookupByUUID(uuid.bytes)
        )

    def _own(self, resource: Resource, external_id: str) -> Any:
        """The network, which must carry our stamp; raises Terminal otherwise."""
        network = self._lookup(uuid_or_none(external_id) or resource.uid)
        if network is None:
            raise Terminal(gone(resource))
        mark = stamp.read(self._configured(network))
        found = mark.stamp if mark is not None else None
        if not is_stamped_by(resource, found, UUID(bytes=network.UUID())):
            raise Terminal(not_ours(resource, found))
        return network

    def _refuse_taken_name(self, resource: Resource) -> None:
        name = resource.name
        other = self._connection.find(
            f"find network {name}", lambda handle: handle.networkLookupByName(name)
        )
        if other is not None:
            raise Terminal(taken(resource, f"is the network with UUID {other.UUIDString()}"))

    def _configured(self, network: Any) -> Element:
        flags = libvirt.VIR_NETWORK_XML_INACTIVE
        document: Element = self._call(
            "read", network.name(), lambda _: parse(network.XMLDesc(flags))
        )
        return document

    def _outputs(self, network: Any) -> dict[str, Json]:
        return bridge_of(self._configured(network))

    def _call(self, verb: str, name: str, function: Any) -> Any:
        return self._connection.call(f"{verb} network {name}", function)


def _occupied(resource: Resource, field: str, other: str, addresses: str) -> Diagnostic:
    return error(
        "PRV5122",
        f"another network of the host has addresses of network {resource.name}",
        detail=f"{resource.spec[field]} overlaps {addresses} of the network {other}, which runs "
        "and is not of this stack.",
        path=(field,),
        hint=f"Choose another {field}, or stop the network {other}.",
        address=str(resource.address),
    )


def _merge_native(document: Element, resource: Resource) -> None:
    try:
        native.merge_all(document, resource.spec, "network", IDENTIFY)
    except ProvisionerError as problem:
        raise Terminal(problem.diagnostics[0]) from problem
    fragment_record.write(document, native.fragments(resource.spec, "network"))


def _is_defined(network: Any) -> bool:
    try:
        return bool(network.isPersistent())
    except libvirt.libvirtError as problem:
        # A transient network is gone once it was stopped.
        if problem.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
            return False
        raise
