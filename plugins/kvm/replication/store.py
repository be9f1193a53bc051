"""The files of replicas in the folders of the receiver's pools. Called by :mod:`handler`.

Those of a disk begin with the name of the volume that it becomes once promoted:

- ``machine-0a1b2c3d4e5f6071.replica.json``, once for a machine, by its identity: the record;
- ``web-root.1f2e3d4c.qcow2.replica.00000007.qcow2``: what point 7 has beyond the one before;
- ``web-root.1f2e3d4c.qcow2.replica.stage-00000007.qcow2``: a throw-away disk of a drill.

What the record does not name is what an interrupted call left, and is removed by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Outcome, Resource, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.disk import format_of
from provisioner_plugins._libvirt.storage import Volumes, no_volume
from provisioner_plugins._libvirt.volume import REPLICA, VolumeId, place_to_make, pool_of
from provisioner_plugins._libvirt.xml import parse, text_of
from provisioner_plugins.kvm.replication.record import File, Record
from provisioner_plugins.kvm.replication.shell import Shell

RECORD = f"{REPLICA}json"
_FOLDERS = ("dir", "netfs")

READ_RECORDS = """
while IFS= read -r file; do
  if [ -f "$file" ]; then
    line=
    IFS= read -r line <"$file" || true
    printf '%s\\n' "$line"
  else echo -; fi
done
"""
WRITE_RECORD = """
umask 077
cat > "$1.new"
# Of a caller that was killed some of it comes, or nothing.
if [ "$(wc -c < "$1.new")" -ne "$2" ]; then rm -f -- "$1.new"; exit 1; fi
chown --reference="$(dirname -- "$1")" -- "$1.new" 2>/dev/null || true
sync -- "$1.new"
mv -f -- "$1.new" "$1"
"""
_MAKE = """
umask 077
rm -f -- "$1"
trap 'rm -f -- "$1"' EXIT
if [ -n "$4" ]; then qemu-img create -q -f "$2" -b "$4" -F "$5" -- "$1" ${3:+"$3"}
else qemu-img create -q -f "$2" -- "$1" "$3"; fi
chown --reference="$(dirname -- "$1")" -- "$1" 2>/dev/null || true
trap - EXIT
"""
_CONVERT = """
umask 077
qemu-img convert -f "$2" -O "$4" -- "$1" "$3.replica.new"
touch -m -r "$1" -- "$3.replica.new"
chown --reference="$(dirname -- "$3")" -- "$3.replica.new" 2>/dev/null || true
mv -f -- "$3.replica.new" "$3"
"""
_MOVE = """
if [ -e "$1" ]; then sync -- "$1"; mv -f -- "$1" "$2"; fi
[ -e "$2" ] || { echo "neither $1 nor $2 is there" >&2; exit 1; }
"""
_SWEEP = """
prefix=$1; shift
for file in "$prefix".*; do
  [ -e "$file" ] || continue
  for kept in "$@"; do [ "$file" = "$kept" ] && continue 2; done
  rm -f -- "$file"
done
"""
_TIMES = """
while IFS= read -r file; do stat -c %Y -- "$file" 2>/dev/null || echo -; done
"""


class Store:
    """What a receiving host has of replicas."""

    def __init__(self, connection: Connection, shell: Shell) -> None:
        self._connection = connection
        self._volumes = Volumes(connection)
        self.shell = shell

    # --- names ---

    def volume(self, disk: Resource) -> VolumeId:
        """The volume that a disk becomes."""
        return place_to_make(disk, format_of(disk.spec))

    def path(self, disk: Resource, name: str) -> str:
        """A file of a disk's pool."""
        return f"{self.folder(pool_of(disk))}/{name}"

    def file_of(self, disk: Resource, rest: str, form: str = "qcow2") -> File:
        """A file of a disk's replica."""
        return File(f"{self.volume(disk).volume}{REPLICA}{rest}.{form}", form)

    def record_path(self, replica: Replica) -> str:
        """Where the record is: in the pool of the first disk."""
        name = f"machine-{replica.machine.uid.hex[:16]}{RECORD}"
        return self.path(replica.disks[min(replica.disks)], name)

    def folder(self, pool: str) -> str:
        """The folder of a pool; raises Terminal (PRV5364) if files cannot be put there."""
        known = self._folders.get(pool)
        if known is None:
            del self._folders
            known = self._folders.get(pool)
        if known is None:
            self._volumes.require_pool(pool)
            raise Terminal(
                error(
                    "PRV5364",
                    f"Host/{self._connection.endpoint.name}: the pool {pool} cannot hold replicas",
                    detail=f"Replicas are files; expected a pool of type {' or '.join(_FOLDERS)}.",
                    hint="Have the Disk in another pool at that site.",
                )
            )
        return known

    @cached_property
    def _folders(self) -> dict[str, str]:
        def read(handle: Any) -> dict[str, str]:
            found = {}
            for pool in handle.listAllStoragePools(0):
                document = parse(pool.XMLDesc(0))
                path = text_of(document, "target/path")
                # Below one of a file system that is not mounted is another one's folder.
                is_there = document.get("type") == "dir" or pool.isActive()
                if document.get("type") in _FOLDERS and path is not None and is_there:
                    found[pool.name()] = path
            return found

        return self._connection.read("list the storage pools", read)

    # --- the record ---

    def read(self, replica: Replica, deadline: Deadline) -> Record:
        """The record of a replica; an empty one if there is none. Raises Terminal (PRV5119
        it is another stack's, PRV5365 it cannot be read).
        """
        found = self.read_all([replica], deadline)[replica.machine.address]
        owner = replica.machine.stamp.lineage
        if found is None:
            return Record(replica.way.value, owner)
        if found.owner != owner:
            raise Terminal(
                error(
                    "PRV5119",
                    f"{replica.machine.address}: the replica at the receiving site is not ours",
                    detail=f"It is of the stack {found.owner}; expected {owner}.",
                    hint="Have one stack replicate the machine, or remove the other's replica.",
                    address=str(replica.machine.address),
                )
            )
        return found

    def read_all(
        self, replicas: Sequence[Replica], deadline: Deadline
    ) -> Mapping[Address, Record | None]:
        """The records of replicas by their machines."""
        paths = [self.record_path(replica) for replica in replicas]
        given = "".join(f"{path}\n" for path in paths).encode()
        lines = self.shell.script(READ_RECORDS, (), deadline, given).splitlines() if paths else []
        found: dict[Address, Record | None] = {}
        for replica, path, line in zip(replicas, paths, lines, strict=True):
            try:
                known = Record.read(line) if line != "-" else None
            except ValueError as problem:
                raise Terminal(
                    error(
                        "PRV5365",
                        f"the record of the replica of {replica.machine.address} cannot be read",
                        detail=f"{path}: {problem}.",
                        hint="Remove the files of the replica (they have .replica. in their names) "
                        "and replicate anew.",
                        address=str(replica.machine.address),
                    )
                ) from problem
            found[replica.machine.address] = known
        return found

    def write(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """Replace the record; returns it."""
        content = f"{record.text()}\n".encode()
        self.shell.script(
            WRITE_RECORD, (self.record_path(replica), str(len(content))), deadline, content
        )
        return record

    # --- files ---

    def make(
        self, disk: Resource, file: File, size: int | None, on: File | None, deadline: Deadline
    ) -> str:
        """Make an image anew, over another one or empty; returns its path. ``size`` in bytes;
        None: that of the other one.
        """
        path = self.path(disk, file.name)
        text = "" if size is None else str(size)
        below = (on.name, on.format) if on is not None else ("", "")
        self.shell.script(_MAKE, (path, file.format, text, *below), deadline)
        return path

    def copy(self, disk: Resource, source: File, file: File, deadline: Deadline) -> None:
        """Make an image that holds by itself what another one shows."""
        paths = self.path(disk, source.name), self.path(disk, file.name)
        self.shell.script(_CONVERT, (paths[0], source.format, paths[1], file.format), deadline)

    def move(self, disk: Resource, name: str, to: str, deadline: Deadline) -> None:
        """Rename a file; done already if only the other name is there."""
        self.shell.script(_MOVE, (self.path(disk, name), self.path(disk, to)), deadline)

    def merge(self, disk: Resource, top: File, into: File, deadline: Deadline) -> None:
        """Write into an image what the one above it holds, and all in between. May be repeated;
        ``top`` shows the same before, meanwhile and afterwards.
        """
        argv = ("qemu-img", "commit", "-q", "-d", "-f", top.format)
        folder = self.folder(pool_of(disk))
        below = f"{folder}/{into.name}"
        # -b wants the name as it stands in the image above, which is relative for what is ours.
        self.shell.run((*argv, "-b", below, f"{folder}/{top.name}"), deadline)

    def stand_on(self, disk: Resource, file: File, on: File, deadline: Deadline) -> None:
        """Say in an image that another one is below it, which shows the same."""
        argv = ("qemu-img", "rebase", "-q", "-u", "-f", file.format)
        path = self.path(disk, file.name)
        self.shell.run((*argv, "-b", on.name, "-F", on.format, path), deadline)

    def exists(self, disk: Resource, names: Sequence[str], deadline: Deadline) -> list[bool]:
        """Whether files are there."""
        return [time is not None for time in self.times([(disk, name) for name in names], deadline)]

    def times(self, files: Sequence[tuple[Resource, str]], deadline: Deadline) -> list[int | None]:
        """When files were written to last, in seconds since 1970; None where there is none."""
        given = "".join(f"{self.path(disk, name)}\n" for disk, name in files).encode()
        lines = self.shell.script(_TIMES, (), deadline, given).split()
        return [None if line == "-" else int(line) for line in lines]

    def date(
        self, disk: Resource, name: str, taken: str | None, like: str, deadline: Deadline
    ) -> None:
        """Have a file be as old as what it shows: ``taken`` (ISO 8601) or, where that is not known,
        as the file ``like``. That time tells the age of a seed.
        """
        age = ("-r", self.path(disk, like))
        if taken is not None:
            age = ("-d", f"@{datetime.fromisoformat(taken).timestamp()}")
        self.shell.run(("touch", "-m", *age, "--", self.path(disk, name)), deadline)

    def require_unused(self, disk: Resource, name: str, form: str, deadline: Deadline) -> None:
        """Raise Terminal (PRV5360) if an image is open for writing."""
        self.shell.run(("qemu-img", "info", "-f", form, self.path(disk, name)), deadline)

    def forget(self, replica: Replica, deadline: Deadline) -> None:
        """Remove all files of a replica, and the record last."""
        self.sweep(replica, Record(replica.way.value), deadline)
        path = self.record_path(replica)
        self.shell.run(("rm", "-f", "--", path, f"{path}.new"), deadline)

    def sweep(self, replica: Replica, record: Record, deadline: Deadline) -> None:
        """Remove every file of a replica's disks that the record does not name."""
        names = [*record.files()]
        for disk in replica.disks.values():
            prefix = self.path(disk, self.volume(disk).volume + REPLICA.rstrip("."))
            kept = [self.path(disk, name) for name in names]
            self.shell.script(_SWEEP, (prefix, *kept), deadline)

    def settle(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """Complete what is under way: Disks that become the seed, or a merger."""
        if record.seeding:
            for address, disk in replica.disks.items():
                seed = record.points[0].files.get(str(address))
                if seed is not None:
                    self.move(disk, self.volume(disk).volume, seed.name, deadline)
            self.refresh(replica, deadline)
            record = self.write(replica, replace(record, seeding=False), deadline)
        if record.merging is None:
            return record
        point, into = record.merging
        at = record.index(point)
        for address, disk in replica.disks.items():
            key = str(address)
            if key not in into:
                continue  # it has joined the replica since
            self.merge(disk, record.points[at].files[key], into[key], deadline)
            later = record.points[at + 1] if at + 1 < len(record.points) else None
            if later is not None and not later.alone:
                self.stand_on(disk, later.files[key], into[key], deadline)
        return self.write(replica, record.merged(), deadline)

    def prune(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """Give up points beyond those that are to be kept, and remove what does not count."""
        joined = record.joined()
        if joined != record:
            record = self.settle(replica, self.write(replica, joined, deadline), deadline)
        while (point := record.surplus(replica.keep)) is not None:
            shorter = self.write(replica, record.without(point), deadline)
            record = self.settle(replica, shorter, deadline)
        self.sweep(replica, record, deadline)
        return record

    # --- libvirt's view ---

    def refresh(self, replica: Replica, deadline: Deadline) -> None:
        """Have the daemon see the files as they are now. Raises Retryable (PRV5112)."""
        for pool in sorted({pool_of(disk) for disk in replica.disks.values()}):
            self._volumes.look(pool, deadline)

    def outcome(self, disk: Resource, name: str) -> Outcome:
        """A file as a volume, with the id that a machine's disk is found by; the daemon has seen
        it. Raises Terminal (PRV5133).
        """
        volume = VolumeId(pool_of(disk), name)
        found = self._volumes.outcome(volume)
        if not found.outputs:
            raise Terminal(no_volume(volume))
        return found
