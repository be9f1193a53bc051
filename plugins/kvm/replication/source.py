"""The machine that is replicated, where it runs now: its disks offered for reading as they were at
one moment. Called by :mod:`handler`.

A running machine offers them by a backup job of its QEMU in pull mode, begun together with a
checkpoint: from then on a bitmap in each qcow2 file remembers what was written. A stopped one is
read by qemu-nbd, with the same bitmap.

Sources: https://libvirt.org/formatbackup.html, https://libvirt.org/formatcheckpoint.html,
https://libvirt.org/kbase/live_full_disk_backup.html.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from posixpath import dirname
from typing import Any, NamedTuple

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import ProviderError, Resource, Retryable, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins._libvirt.ownership import is_stamped_by, not_ours, uuid_or_none
from provisioner_plugins._libvirt.xml import Element, attribute, element, parse, serialize
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import disks
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.replication import nbd
from provisioner_plugins.kvm.replication.checkpoints import Checkpoints
from provisioner_plugins.kvm.replication.exports import Exports
from provisioner_plugins.kvm.replication.private import Private
from provisioner_plugins.kvm.replication.shell import Shell, shell_of
from provisioner_plugins.kvm.replication.sourcedisks import SourceDisk, source_disk

_SCRATCH = ".replica.scratch-"
_END_SECONDS = 10.0
_BITMAP = "dirty"
"""What a job calls the bitmap that it offers."""
_LOST = (
    libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
    libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT,
    libvirt.VIR_ERR_INVALID_DOMAIN_CHECKPOINT,
)


class Offer(NamedTuple):
    """A disk that can be read. ``bitmap`` is the context of what was written since the point
    before; None: that is not known.
    """

    address: nbd.Address
    export: str
    bitmap: str | None


class Offers(NamedTuple):
    """All disks at one moment. ``checkpoint`` is the one that the next point begins with."""

    disks: Mapping[Address, Offer]
    checkpoint: str | None
    quiesced: bool


class SourceMachine:
    """A machine at the endpoint where it runs now."""

    def __init__(self, connection: Connection, replica: Replica, prefix: str) -> None:
        """``prefix``: of the names of this replica's checkpoints."""
        self.prefix = prefix
        machine = replica.machine
        uuid = uuid_or_none(machine.external_id or "") or machine.uid
        self.calls = DomainCalls(connection, uuid, machine.name, machine.address)
        self.shell: Shell = shell_of(connection)
        self._connection = connection
        self._private = Private(self.shell)
        self._exports = Exports(connection.endpoint, self.shell, self._private)
        options: Mapping[str, Any] = connection.endpoint.connection.get("replication", {})
        self._sockets: str | None = options.get("sockets")
        self._replica = replica
        self.checkpoints = Checkpoints(self.calls)

    def exists(self) -> bool:
        """Whether the endpoint has it still."""
        found = self._connection.find(
            f"find machine {self.calls.name}",
            lambda handle: handle.lookupByUUID(self.calls.uuid.bytes),
        )
        return found is not None

    def require_ours(self) -> None:
        """Raise Terminal (PRV5119) unless it carries the machine's stamp."""
        mark = stamp.read(self.calls.configured())
        owner, machine = mark.stamp if mark is not None else None, self._replica.machine
        if not is_stamped_by(machine, owner, self.calls.uuid):
            raise Terminal(not_ours(machine, owner))

    def disks(self) -> Mapping[Address, SourceDisk]:
        """The disks that are replicated; raises Terminal (PRV5367) if the machine lacks one."""
        definition = self.calls.live() or self.calls.configured()
        found = disks.find(definition, Bindings(self._replica.machine.related))
        result = {}
        for address in self._replica.disks:
            node = found.get(address.name)
            if node is None:
                raise Terminal(_no_disk(self._replica.machine, address, [*found]))
            result[address] = source_disk(self._connection, node)
        return result

    def is_running(self) -> bool:
        """Whether it has a QEMU now."""
        return bool(self.calls.read("read the state of", lambda domain: domain.isActive()))

    # --- what an interrupted call left ---

    def tidy(self, deadline: Deadline) -> None:
        """End what an earlier call began here. Raises Retryable (PRV5112) while another program
        makes a backup.
        """

        def end(domain: Any) -> None:
            if not domain.isActive():
                return
            with contextlib.suppress(libvirt.libvirtError):
                # Nothing is frozen by a caller that ended as it should; without an agent, never.
                if _agent_is_there(domain):
                    domain.fsThaw()
            job = _job_of(domain)
            if job is None:
                return
            if _SCRATCH not in job:
                raise Retryable(_busy(self._replica.machine), 10.0)
            _end_job(domain)

        self.calls.call("end an unfinished backup of", end)
        self._exports.end([self._key(address) for address in self._replica.disks], deadline)

    # --- reading ---

    @contextmanager
    def offered(self, checkpoint: str, before: str | None, deadline: Deadline) -> Iterator[Offers]:
        """A block in which the disks can be read as they are now. ``before`` is the checkpoint of
        the newest point, ``checkpoint`` the name of the new one, for a running machine.
        """
        found = self.disks()
        if not self.is_running():
            with self._from_files(found, before, deadline) as offers:
                yield offers
            return
        with self._from_job(found, checkpoint, before, deadline) as offers:
            yield offers

    def other_user(self, deadline: Deadline) -> int | None:
        """Who runs the machine's QEMU; None if that is us, or it does not run."""
        me, user = self._private.users(str(self.calls.uuid), deadline)
        return None if user == me else user

    def _socket_folder(self, deadline: Deadline) -> str:
        if self._sockets is not None:
            return self._sockets
        uuid = str(self.calls.uuid)
        return self._private.room(f"job {uuid}", uuid, deadline)

    def _key(self, address: Address) -> str:
        return f"source {self.calls.uuid} {address}"

    @contextmanager
    def _from_files(
        self, found: Mapping[Address, SourceDisk], before: str | None, deadline: Deadline
    ) -> Iterator[Offers]:
        with ExitStack() as stack:
            offers = {}
            for address, disk in found.items():
                bitmap = before if self._has_bitmap(disk, before, deadline) else None
                offered = self._exports.offered(
                    self._key(address), disk.path, disk.format, deadline, bitmap=bitmap
                )
                context = nbd.DIRTY.format(bitmap) if bitmap is not None else None
                offers[address] = Offer(stack.enter_context(offered), "", context)
            # The old checkpoint's bitmap holds all since the old point, and so since this one.
            yield Offers(offers, before, quiesced=True)

    def _has_bitmap(self, disk: SourceDisk, name: str | None, deadline: Deadline) -> bool:
        if name is None or disk.format != "qcow2":
            return False
        argv = ("qemu-img", "info", "--output=json", "-f", "qcow2", disk.path)
        told = json.loads(self.shell.run(argv, deadline))
        known = told.get("format-specific", {}).get("data", {}).get("bitmaps", [])
        return any(b["name"] == name and "in-use" not in b.get("flags", ()) for b in known)

    @contextmanager
    def _from_job(
        self,
        found: Mapping[Address, SourceDisk],
        checkpoint: str,
        before: str | None,
        deadline: Deadline,
    ) -> Iterator[Offers]:
        token = secrets.token_hex(4)
        path = f"{self._socket_folder(deadline)}/provisioner-{token}.sock"
        server = element("server", {"transport": "unix", "socket": path})
        is_known = before is not None and before in self.checkpoints.names()
        try:
            quiesced = self._begin(found, checkpoint, before if is_known else None, server, token)
        except ProviderError as problem:
            if not is_known or code_of(problem) not in _LOST:
                raise
            # A crash of QEMU, or a change of disks: what was written since is not known.
            self.checkpoints.drop(self.prefix, None)
            before = None
            quiesced = self._begin(found, checkpoint, None, server, token)
        else:
            before = before if is_known else None
        try:
            with self.shell.reached(path, deadline) as here:
                offers = {
                    key: Offer(
                        nbd.UnixAddress(here),
                        disk.device,
                        nbd.DIRTY.format(_BITMAP) if before and disk.format == "qcow2" else None,
                    )
                    for key, disk in found.items()
                }
                has_bitmaps = any(disk.format == "qcow2" for disk in found.values())
                yield Offers(offers, checkpoint if has_bitmaps else None, quiesced=quiesced)
        finally:
            self._abort()

    def _begin(
        self,
        found: Mapping[Address, SourceDisk],
        checkpoint: str,
        before: str | None,
        server: Element,
        token: str,
    ) -> bool:
        """Begin the job; returns whether the guest's file systems were at rest at that moment."""
        wanted = {disk.device: disk for disk in found.values()}
        job, point = element("disks"), element("disks")
        live = self.calls.live()
        for node in live.findall("devices/disk") if live is not None else ():
            device = attribute(node, "target", "dev") or ""
            disk = wanted.get(device)
            has_bitmap = disk is not None and disk.format == "qcow2"
            point.append(
                element("disk", {"name": device, "checkpoint": "bitmap" if has_bitmap else "no"})
            )
            if disk is None:
                job.append(element("disk", {"name": device, "backup": "no"}))
            else:
                job.append(_job_disk(disk, before if has_bitmap else None, token))
        text = serialize(element("domainbackup", {"mode": "pull"}, server, job))
        has_any = any(disk.format == "qcow2" for disk in wanted.values())
        name = element("name", checkpoint)
        checkpoint_text = serialize(element("domaincheckpoint", name, point)) if has_any else None

        def begin(domain: Any) -> bool:
            is_frozen = self._replica.quiesce and _freeze(domain)
            try:
                domain.backupBegin(text, checkpoint_text)
            finally:
                if is_frozen:
                    domain.fsThaw()
            return is_frozen

        return self.calls.call("read the disks of", begin)

    def _abort(self) -> None:
        def abort(domain: Any) -> None:
            _end_job(domain)

        # A guest that ended meanwhile has ended the job, too.
        with contextlib.suppress(ProviderError):
            self.calls.call("end the reading of", abort)


def _job_disk(disk: SourceDisk, before: str | None, token: str) -> Element:
    how: dict[str, object] = {"backupmode": "full"}
    if before is not None:
        how = {"backupmode": "incremental", "incremental": before, "exportbitmap": _BITMAP}
    # The file is made and removed by libvirt; it holds what is overwritten while we read.
    scratch = f"{dirname(disk.path)}/{disk.device}{_SCRATCH}{token}"
    return element(
        "disk",
        {"name": disk.device, "backup": "yes", "type": "file", "exportname": disk.device, **how},
        element("driver", {"type": "qcow2"}),
        element("scratch", {"file": scratch}),
    )


def _job_of(domain: Any) -> str | None:
    """The description of the backup that goes on; None if there is none."""
    try:
        return str(domain.backupGetXMLDesc(0))
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in (
            libvirt.VIR_ERR_NO_DOMAIN_BACKUP,
            libvirt.VIR_ERR_OPERATION_INVALID,
        ):
            return None
        raise


def _end_job(domain: Any) -> None:
    if _job_of(domain) is None:
        return
    domain.abortJob()
    end = time.monotonic() + _END_SECONDS
    while _job_of(domain) is not None and time.monotonic() < end:
        time.sleep(0.02)


def _agent_is_there(domain: Any) -> bool:
    for channel in parse(domain.XMLDesc(0)).findall("devices/channel/target"):
        if channel.get("name", "").startswith("org.qemu.guest_agent"):
            return channel.get("state") == "connected"
    return False


def _freeze(domain: Any) -> bool:
    """Have the guest's agent bring its file systems to rest; whether there are any that it did."""
    if not _agent_is_there(domain):
        return False
    try:
        return bool(domain.fsFreeze() > 0)
    except libvirt.libvirtError:
        return False


def _no_disk(machine: Resource, address: Address, found: list[str]) -> Any:
    return error(
        "PRV5367",
        f"the machine {machine.name} has no {address}",
        detail=f"Its disks are {', '.join(found) or 'none'}.",
        hint="Apply the machine, or exclude the disk from its protection group.",
        address=str(machine.address),
    )


def _busy(machine: Resource) -> Any:
    return error(
        "PRV5112",
        f"machine {machine.name}: another program makes a backup of it",
        hint="A machine has one backup at a time: wait until it has ended.",
        address=str(machine.address),
    )
