"""The checkpoints that replication leaves on a machine. Called by :mod:`source`, :mod:`mirror` and
by what goes back to a snapshot.

They are called ``provisioner-...``; those of others are left alone.
"""

from __future__ import annotations

import json
from typing import Any

import libvirt

from provisioner.core.clock import Deadline
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.replication.shell import shell_of
from provisioner_plugins.kvm.replication.sourcedisks import source_disk

PREFIX = "provisioner-"


class Checkpoints:
    """Ours, of one machine."""

    def __init__(self, calls: DomainCalls) -> None:
        self._calls = calls

    def names(self) -> frozenset[str]:
        """The names of all that libvirt knows, whoever made them."""
        return self._calls.read(
            "list the checkpoints of",
            lambda domain: frozenset(found.getName() for found in domain.listAllCheckpoints(0)),
        )

    def drop(self, prefix: str, keep: str | None) -> None:
        """Remove those with a prefix, but one. On a machine that does not run they stay: their
        bitmaps are in its files.
        """

        def drop(domain: Any) -> None:
            if not domain.isActive():
                return
            for found in domain.listAllCheckpoints(libvirt.VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL):
                if found.getName().startswith(prefix) and found.getName() != keep:
                    _delete(found)

        self._calls.call("remove old checkpoints of", drop)

    def drop_all(self) -> None:
        """Remove all that are ours."""
        self.drop(PREFIX, None)


def give_up_checkpoints(calls: DomainCalls, deadline: Deadline) -> None:
    """Remove all that are ours, of a machine that runs or not: QEMU does not go back to a snapshot
    while a bitmap remembers what is written. The next point then compares everything.
    """
    ours = [name for name in Checkpoints(calls).names() if name.startswith(PREFIX)]
    if not ours:
        return
    if calls.live() is not None:
        Checkpoints(calls).drop_all()
        return
    shell = shell_of(calls.connection)
    for node in calls.configured().findall("devices/disk"):
        disk = source_disk(calls.connection, node)
        if disk.format != "qcow2" or not disk.path:
            continue
        told = json.loads(shell.run(("qemu-img", "info", "--output=json", disk.path), deadline))
        known = told.get("format-specific", {}).get("data", {}).get("bitmaps", [])
        for name in sorted({bitmap["name"] for bitmap in known} & {*ours}):
            argv = ("qemu-img", "bitmap", "--remove", "-f", "qcow2", disk.path, name)
            shell.run(argv, deadline)

    def forget(domain: Any) -> None:
        for found in domain.listAllCheckpoints(0):
            if found.getName() in ours:
                found.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)

    calls.call("forget old checkpoints of", forget)


def _delete(checkpoint: Any) -> None:
    try:
        checkpoint.delete(0)
    except libvirt.libvirtError:
        # Its bitmap is damaged or gone: then libvirt only forgets it.
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
