"""Storage pools on a libvirt daemon: defining, building, starting; removing one leaves its data
alone.

libvirt keeps nothing of ours in a pool but its UUID, so the UUID is the stamp: a pool is ours if it
has the UUID that we gave it, or the one that was recorded when it was adopted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path, digest
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
from provisioner.providers.capabilities import Undertaking, User
from provisioner_plugins._libvirt.connection import Connection, on_one_handle
from provisioner_plugins._libvirt.estate import estate_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.native import merge_all
from provisioner_plugins._libvirt.ownership import (
    gone,
    not_ours,
    require_time,
    taken,
    uuid_or_none,
    uuids_of_stack,
)
from provisioner_plugins._libvirt.pool import STOPPED
from provisioner_plugins._libvirt.pool_xml import IDENTIFY, build, describe, read, target_path
from provisioner_plugins._libvirt.records import PoolRecord
from provisioner_plugins._libvirt.usage import guests_of_others, require_no_guests, sources_of
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import serialize


class PoolHandler:
    """Handler of the kind StoragePool."""

    kind = "StoragePool"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        answers: dict[Address, Observation] = {}
        for target in targets:
            record = inventory.pools().find(target.uid, target.external_id, target.name)
            if record is None:
                answers[target.address] = Absent()
            else:
                ours = _is_ours(target, record.uuid)
                owner = target.stamp if ours else None
                answers[target.address] = _present(
                    record, owner, target.spec, is_made=record.uuid == target.uid
                )
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        unread = estate_of(inventory).unread
        for record in inventory.pools():
            observed = _present(record, None, {"active": record.active}, is_made=False)
            spec, notes = describe(record.name, record.uuid, record.document)
            spec["autostart"] = record.autostart
            if not record.active:
                spec["active"] = False
            remarks = [*notes, *unread.get(record.name, ())]
            if not record.persistent:
                remarks.append(
                    "it has no definition and goes when it is stopped: an edit (autostart: true) "
                    "defines it"
                )
            observed = replace(observed, spec=spec)
            yield Discovered(self.kind, record.name, observed, tuple(remarks))

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`: libvirt defines no second
        pool of a folder, whether the first one runs or not.
        """
        del deadline, thorough
        resource = undertaking.resource
        if not undertaking.creates or resource.spec["type"] != "dir":
            return
        ours = uuids_of_stack(resource)
        for record in inventory.pools():
            found = read(record.document)
            is_ours = record.uuid in ours or record.name == resource.name
            if not is_ours and (found.get("type"), found.get("path")) == (
                "dir",
                target_path(resource.spec),
            ):
                yield _occupied(resource, record.name)

    # --- writing ---

    @on_one_handle
    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        found = self._lookup(resource.uid)
        pool = found
        if pool is None:
            self._refuse_taken_name(resource)
            pool = self._define(resource, resource.uid)
        try:
            if resource.spec.get("active", True):
                self._start(pool, resource)
        except Terminal:
            if found is None:
                self._call("remove", resource, lambda _: pool.undefine())
            raise
        self._set_autostart(pool, resource, bool(resource.spec.get("autostart", True)))
        return Outcome(str(resource.uid), {"path": target_path(resource.spec)})

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
        del restart
        require_time(resource, deadline)
        pool = self._own(resource, observed.external_id)
        if not self._call("read", resource, lambda _: pool.isPersistent()):
            pool = self._define(resource, UUID(observed.external_id))
        for change in changes:
            if change.path == ("autostart",):
                self._set_autostart(pool, resource, bool(change.after))
        if not resource.spec.get("active", True):
            if self._call("read", resource, lambda _: pool.isActive()):
                self._call("stop", resource, lambda _: pool.destroy())
        elif any(change.differs_running or change.path == ("active",) for change in changes):
            self._start(pool, resource)
        return Outcome(observed.external_id, observed.outputs)

    @on_one_handle
    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Nothing can be written on a pool: that its UUID is recorded makes it ours."""
        require_time(resource, deadline)
        if self._lookup(UUID(observed.external_id)) is None:
            raise Terminal(gone(resource))
        return Outcome(observed.external_id, observed.outputs)

    @on_one_handle
    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Stop and undefine; the folder, file system or volume group stays as it is. Refused while
        running guests of others have disks that name the pool.
        """
        require_time(resource, deadline)
        if self._lookup(_recorded(resource)) is None:
            return
        pool = self._own(resource, str(_recorded(resource)))
        require_no_guests(resource, self.users(resource))
        if self._call("read", resource, lambda _: pool.isActive()):
            self._call("stop", resource, lambda _: pool.destroy())
        self._call("remove", resource, lambda _: pool.undefine())

    def users(self, resource: Resource) -> list[User]:
        """The running guests of others with disks that name the pool."""
        return guests_of_others(
            self._connection,
            resource,
            lambda live: any(
                isinstance(source, VolumeId) and source.pool == resource.name
                for source in sources_of(live)
            ),
        )

    # --- the parts of writing ---

    def _define(self, resource: Resource, uuid: UUID) -> Any:
        document = build(resource.name, uuid, resource.spec)
        try:
            merge_all(document, resource.spec, "pool", IDENTIFY)
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem
        text = serialize(document)
        return self._call("define", resource, lambda h: h.storagePoolDefineXML(text, 0))

    def _start(self, pool: Any, resource: Resource) -> None:
        """Start it; build it only if it does not start, because building sets the mode of a
        folder that exists.
        """
        if self._call("read", resource, lambda _: pool.isActive()):
            return
        try:
            self._call("start", resource, lambda _: pool.create(0))
            return
        except ProviderError:
            if not _can_be_built(resource.spec):
                raise
        # A device that holds data is refused: nothing is overwritten.
        logical = resource.spec["type"] == "logical"
        flags = libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE if logical else 0
        self._call("build", resource, lambda _: pool.build(flags))
        self._call("start", resource, lambda _: pool.create(0))

    def _set_autostart(self, pool: Any, resource: Resource, wanted: bool) -> None:
        def change(_: Any) -> None:
            if pool.autostart() != wanted:
                pool.setAutostart(int(wanted))

        self._call("set autostart of", resource, change)

    def _own(self, resource: Resource, external_id: str) -> Any:
        pool = self._lookup(uuid_or_none(external_id) or resource.uid)
        if pool is None:
            raise Terminal(gone(resource))
        if not _is_ours(resource, UUID(bytes=pool.UUID())):
            raise Terminal(not_ours(resource, None))
        return pool

    def _lookup(self, uuid: UUID) -> Any:
        return self._connection.find(
            f"find storage pool {uuid}", lambda h: h.storagePoolLookupByUUID(uuid.bytes)
        )

    def _refuse_taken_name(self, resource: Resource) -> None:
        name = resource.name
        other = self._connection.find(
            f"find storage pool {name}", lambda h: h.storagePoolLookupByName(name)
        )
        if other is not None:
            raise Terminal(taken(resource, f"is the pool with UUID {other.UUIDString()}"))

    def _call(self, verb: str, resource: Resource, function: Any) -> Any:
        return self._connection.call(f"{verb} storage pool {resource.name}", function)


def _occupied(resource: Resource, other: str) -> Diagnostic:
    return error(
        "PRV5127",
        f"the folder of pool {resource.name} belongs to another storage pool of the host",
        detail=f"{target_path(resource.spec)} is the folder of the pool {other}, which is not of "
        "this stack.",
        path=("path",),
        hint=f"Choose another path, or name the resource {other} and take that pool over: "
        f"provisioner adopt {resource.kind}/{other}",
        address=str(resource.address),
    )


def _recorded(resource: Resource) -> UUID:
    return uuid_or_none(resource.external_id or "") or resource.uid


def _is_ours(resource: Resource, uuid: UUID) -> bool:
    return str(uuid) in (str(resource.uid), resource.external_id)


def _can_be_built(spec: Mapping[str, Any]) -> bool:
    if spec["type"] == "logical":
        return bool(spec["source"].get("devices"))
    return spec["type"] in ("dir", "netfs")


def _present(
    record: PoolRecord, owner: Stamp | None, wanted: Mapping[str, Any], *, is_made: bool
) -> Present:
    """A pool as observed. ``is_made``: it was made with the identity of the resource."""
    spec = {**read(record.document), "autostart": record.autostart, "active": record.active}
    running: dict[Path, Json] = {}
    if "type" in spec and not record.active and "active" not in wanted:
        running["type",] = STOPPED
    elif is_made and "type" in spec and record.active and not record.persistent:
        # It has no definition, which has to be a difference in something that everybody sets. Of
        # a pool of others nothing tells whether it was taken over, or is only looked at.
        running["type",] = spec.pop("type")
    return Present(
        external_id=str(record.uuid),
        owner=owner,
        spec=spec,
        fingerprint=digest(
            {
                "uuid": str(record.uuid),
                "spec": spec,
                "active": record.active,
            }
        ),
        running=running,
        outputs={"path": spec["path"]} if "path" in spec else {},
        name=record.name,
    )
