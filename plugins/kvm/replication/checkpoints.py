"""The checkpoints that replication leaves on a machine. Called by :mod:`source`, :mod:`mirror` and
by what goes back to a snapshot.

They are called ``provisioner-...``; those of others are left alone.
"""

from __future__ import annotations

from typing import Any

import libvirt

from provisioner_plugins.kvm.machine.domain_calls import DomainCalls

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


def _delete(checkpoint: Any) -> None:
    try:
        checkpoint.delete(0)
    except libvirt.libvirtError:
        # Its bitmap is damaged or gone: then libvirt only forgets it.
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
