"""Continuous replication: the QEMU that runs the machine writes to the receiver, too. Called by
:mod:`handler`.

A block copy of libvirt's (QEMU's mirror job) to a qemu-storage-daemon of the receiver, with
synchronous writes: a guest's write is done once both sites have it. The job is transient, so it
never outlives that QEMU; it is never brought to its end, which would move the machine over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error, warning
from provisioner.providers.api import Resource, Retryable, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.xml import Element, attribute, element, parse, serialize
from provisioner_plugins.kvm.replication.exports import Exports
from provisioner_plugins.kvm.replication.nbd import Address as NbdAddress
from provisioner_plugins.kvm.replication.nbd import TcpAddress
from provisioner_plugins.kvm.replication.points import Points
from provisioner_plugins.kvm.replication.qmp import Qmp, QmpError
from provisioner_plugins.kvm.replication.record import File, Kept, Record
from provisioner_plugins.kvm.replication.source import SourceMachine
from provisioner_plugins.kvm.replication.sourcedisks import SourceDisk
from provisioner_plugins.kvm.replication.store import Store

_LOOK_SECONDS = 0.05
_COPY = (
    libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
    | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    | libvirt.VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES
)
CONNECTED, IDLE = "connected", "idle"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Continuous replicas at one receiving host."""

    connection: Connection
    store: Store
    exports: Exports
    points: Points

    def key(self, replica: Replica) -> str:
        """By which the server is known that the source writes to."""
        return f"mirror {self.store.record_path(replica)}"

    def state(self, replica: Replica, deadline: Deadline) -> str:
        """Of that server: ``connected``, ``idle`` or ``gone``."""
        return self.exports.states([self.key(replica)], deadline)[0]

    def ensure(
        self, replica: Replica, machine: SourceMachine, record: Record, deadline: Deadline
    ) -> Record:
        """See to it that every write goes to both sites; returns the record, written. The machine
        runs. Raises Retryable (PRV5372 it did not get in step) and Terminal.
        """
        self._require_way(machine)
        found = machine.disks()
        is_written = (
            record.is_live
            and {*record.points[-1].files} == {str(address) for address in replica.disks}
            and self.state(replica, deadline) == CONNECTED
        )
        if is_written and all(_is_ready(machine, disk) for disk in found.values()):
            return record
        if not self._goes_on(replica, machine, record, deadline):
            record = self._begun(replica, machine, record, deadline)
        # Out of time, the copy goes on without us, and the next call waits for it.
        moved = self._in_step(replica, machine, record, deadline)
        kept = Kept(f"{record.number:08d}", record.exports, alone=True)
        record = replace(
            record,
            points=(*record.points, kept),
            below=record.below if record.points else (),
            exports={},
            is_live=True,
            moved=moved,
        )
        return self.store.write(replica, record, deadline)

    def _goes_on(
        self, replica: Replica, machine: SourceMachine, record: Record, deadline: Deadline
    ) -> bool:
        """Whether a copy that an earlier call began is under way still."""
        if {*record.exports} != {str(address) for address in replica.disks}:
            return False
        if self.state(replica, deadline) != CONNECTED:
            return False
        return all(_is_mirrored(machine, disk) for disk in machine.disks().values())

    def _begun(
        self, replica: Replica, machine: SourceMachine, record: Record, deadline: Deadline
    ) -> Record:
        """Begin a copy; returns the record with the files that it goes into, written."""
        record = self.end(replica, machine, record, deadline)
        machine.tidy(deadline)
        machine.checkpoints.drop(machine.prefix, None)
        if not record.points:
            # Seeds make room, and are given up once the copy is whole: a mirror job of QEMU's
            # does not look at what its target holds.
            record = self.points.begin(replica, record, deadline)
        number, found = record.number + 1, machine.disks()
        files = {
            str(address): self.store.file_of(disk, f"{number:08d}")
            for address, disk in replica.disks.items()
        }
        record = replace(record, number=number, exports=files, way=replica.way.value)
        record = self.store.write(replica, record, deadline)
        images = []
        for index, address in enumerate(sorted(found)):
            disk, file = replica.disks[address], files[str(address)]
            size = _size(machine, found[address])
            path = self.store.make(disk, file, size, None, deadline)
            images.append((_name(machine, index), path, file.format))
        let_in = machine.other_user(deadline) if machine.shell.is_here else None
        at = self.exports.keep_offered(self.key(replica), images, deadline, let_in)
        try:
            for index, address in enumerate(sorted(found)):
                text = serialize(_destination(_name(machine, index), at, self.exports.encrypts))
                begin = partial(_begin, device=found[address].device, text=text)
                machine.calls.call("mirror the disks of", begin)
        except BaseException:
            self.end(replica, machine, record, deadline)
            raise
        return record

    def _require_way(self, machine: SourceMachine) -> None:
        """Raise Terminal (PRV5366) unless the source's QEMU can reach the receiver; warn (PRV5359)
        where others may see what it writes.
        """
        host = self.connection.endpoint.name
        if self.exports.listens and self.exports.encrypts:
            return
        if self.exports.listens:
            self.connection.context.warn(
                warning(
                    "PRV5359",
                    f"Host/{host}: what is replicated to it continuously is not encrypted",
                    detail="The other site's QEMU writes to the address in replication.listen.",
                    hint="Add replication.certificates, or use a network between the sites that "
                    "nobody else sees (a VPN, say).",
                )
            )
        elif not (self.store.shell.is_here and machine.shell.is_here):
            raise Terminal(
                error(
                    "PRV5366",
                    f"Host/{host}: the other site's QEMU cannot write to it",
                    detail="The hosts are not both this machine, and the connection names no "
                    "address at which the receiving one may listen.",
                    hint="Add replication: {listen: ADDRESS} to the Host's connection, or "
                    "replicate incrementally, which goes through ssh.",
                    path=("connection", "replication"),
                )
            )

    def _in_step(
        self, replica: Replica, machine: SourceMachine, record: Record, deadline: Deadline
    ) -> int:
        """Wait until all disks are in step; returns the bytes that were copied."""
        moved = 0
        for address, disk in machine.disks().items():
            while not _is_ready(machine, disk):
                done, total = _progress(machine, disk)
                if total < 0:
                    self.end(replica, machine, record, deadline)
                    raise Retryable(_not_in_step(replica.machine, address, is_late=False))
                if deadline.passed:
                    raise Retryable(_not_in_step(replica.machine, address, is_late=True))
                self.connection.context.progress(
                    replica.machine.address, f"replicating {address}", done, total
                )
                time.sleep(_LOOK_SECONDS)
            moved += _progress(machine, disk)[1]
        return moved

    def end(
        self,
        replica: Replica,
        machine: SourceMachine | None,
        record: Record,
        deadline: Deadline,
    ) -> Record:
        """End the writing, at the source if it is there, and in any case here: when this returns
        nothing can arrive any more. What did not get in step is no point.
        """
        if machine is not None and machine.is_running():
            for disk in machine.disks().values():
                _abort(machine, disk)
        self.exports.end([self.key(replica)], deadline)
        if not record.is_live and not record.exports:
            return record
        return self.store.write(replica, replace(record, exports={}, is_live=False), deadline)

    def freeze(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """Have what the source writes from now on go into new images, so that what was written so
        far stays as it is; returns the record, written. Raises Retryable (PRV5373).
        """
        kept = record.points[-1]
        number = record.number + 1
        files = {}
        for address, disk in replica.disks.items():
            key = str(address)
            files[key] = self.store.file_of(disk, f"{number:08d}")
            self.store.make(disk, files[key], None, kept.files[key], deadline)
        # Before the server is told: empty images above what it writes to change nothing, while
        # writes into images that no record names would be lost.
        record = replace(
            record,
            number=number,
            below=(*record.below, kept.files),
            points=(*record.points[:-1], replace(kept, files=files)),
        )
        record = self.store.write(replica, record, deadline)
        try:
            with (
                self.exports.control_of(self.key(replica), deadline) as path,
                Qmp(path, 30.0) as qmp,
            ):
                self._snapshot(replica, files, number, qmp)
        except QmpError as problem:
            raise Retryable(
                error(
                    "PRV5373",
                    f"machine {replica.machine.name}: what was received cannot be held for a drill",
                    detail=f"qemu-storage-daemon at the receiver: {problem}.",
                    hint="Repeat it. If it fails again, synchronise the replica first.",
                    address=str(replica.machine.address),
                )
            ) from problem
        return record

    def _snapshot(self, replica: Replica, files: Mapping[str, File], number: int, qmp: Qmp) -> None:
        now = {found["id"]: found["node-name"] for found in qmp("query-block-exports")}
        actions = []
        for address, (export, node) in zip(sorted(replica.disks), sorted(now.items()), strict=True):
            file = files[str(address)]
            overlay = f"{export}.{number:x}"
            _let_go_of_what_is_unused(export, qmp)
            qmp(
                "blockdev-add",
                **{
                    "driver": file.format,
                    "node-name": overlay,
                    "discard": "unmap",
                    "file": {
                        "driver": "file",
                        "filename": self.store.path(replica.disks[address], file.name),
                    },
                    "backing": None,
                },
            )
            actions.append(
                {"type": "blockdev-snapshot", "data": {"node": node, "overlay": overlay}}
            )
        qmp("transaction", actions=actions)


def _begin(domain: Any, device: str, text: str) -> None:
    domain.blockCopy(device, text, {}, _COPY)


def _name(machine: SourceMachine, index: int) -> str:
    """Of an export and its node, of which QEMU takes 31 characters."""
    return f"{machine.prefix}{index:02d}"


def _destination(name: str, at: NbdAddress, encrypts: bool) -> Element:
    tls: str | None = None
    if isinstance(at, TcpAddress):
        tls = "yes" if encrypts else "no"
        host = {"name": at.host, "port": str(at.port)}
    else:
        host = {"transport": "unix", "socket": at.path}
    return element(
        "disk",
        {"type": "network", "device": "disk"},
        element("driver", {"name": "qemu", "type": "raw"}),
        element("source", {"protocol": "nbd", "name": name, "tls": tls}, element("host", host)),
    )


def _mirror_of(domain: Any, device: str) -> Element | None:
    for node in parse(domain.XMLDesc(0)).findall("devices/disk"):
        if attribute(node, "target", "dev") == device:
            return node.find("mirror")
    return None


def _is_mirrored(machine: SourceMachine, disk: SourceDisk) -> bool:
    def read(domain: Any) -> bool:
        return _is_ours(_mirror_of(domain, disk.device), machine)

    return machine.calls.read("read the mirror of", read)


def _is_ready(machine: SourceMachine, disk: SourceDisk) -> bool:
    def read(domain: Any) -> bool:
        mirror = _mirror_of(domain, disk.device)
        return mirror is not None and _is_ours(mirror, machine) and mirror.get("ready") == "yes"

    return machine.calls.read("read the mirror of", read)


def _is_ours(mirror: Element | None, machine: SourceMachine) -> bool:
    if mirror is None:
        return False
    return (attribute(mirror, "source", "name") or "").startswith(machine.prefix)


def _progress(machine: SourceMachine, disk: SourceDisk) -> tuple[int, int]:
    """Bytes done and in all; -1 where the job is gone."""

    def read(domain: Any) -> tuple[int, int]:
        found = domain.blockJobInfo(disk.device, 0)
        return (int(found["cur"]), int(found["end"])) if found else (0, -1)

    return machine.calls.read("read the mirror of", read)


def _size(machine: SourceMachine, disk: SourceDisk) -> int:
    return int(machine.calls.read("read", lambda domain: domain.blockInfo(disk.device, 0)[0]))


def _abort(machine: SourceMachine, disk: SourceDisk) -> None:
    def abort(domain: Any) -> None:
        if _is_ours(_mirror_of(domain, disk.device), machine):
            try:
                domain.blockJobAbort(disk.device, 0)
            except libvirt.libvirtError:
                # The receiver may have gone, and the job with it.
                if _mirror_of(domain, disk.device) is not None:
                    raise

    machine.calls.call("end the mirror of", abort)


def _not_in_step(machine: Resource, address: Address, *, is_late: bool) -> Diagnostic:
    why = "The time was up" if is_late else "The source gave the copy up"
    return error(
        "PRV5372",
        f"machine {machine.name}: the two sites did not get in step",
        detail=f"{why} while {address} was copied. What was received before stays a point.",
        hint="Repeat it: the copy goes on meanwhile."
        if is_late
        else "Repeat it. QEMU's reason is in the machine's log at the source.",
        address=str(machine.address),
    )


def _let_go_of_what_is_unused(export: str, qmp: Qmp) -> None:
    """A caller that was killed between two commands has left an image open for writing that nothing
    is written to, and no drill can stand on that.
    """
    for found in qmp("query-named-block-nodes", flat=True):
        if str(found["node-name"]).startswith(f"{export}."):
            with suppress(QmpError):  # it is part of what the export shows
                qmp("blockdev-del", **{"node-name": found["node-name"]})
