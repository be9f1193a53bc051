"""What can be said of a Snapshot without a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.edits import with_text
from provisioner_plugins._libvirt.refusal import Cannot, not_carried

REFUSED = (
    Cannot(
        ("quiesce",),
        "the internal snapshots of QEMU do not ask the guest",
        "Write memory: true, which holds what is not yet on its disks, or stop the machine first.",
        (True,),
    ),
)
_WORDS = frozenset({"description", "labels", "tenant"})


class SnapshotRules:
    """Rules of the kind Snapshot."""

    kind = "Snapshot"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        problems = [*not_carried(resource.spec, REFUSED)]
        if problems:
            raise ProvisionerError(problems)
        return with_text(resource.spec, "description", str.strip)

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        del resource, observed
        return [_assess(change) for change in changes]


def _assess(change: Change) -> Assessment:
    if change.path[0] in _WORDS:
        return Assessment(Impact.NONE)
    return Assessment(
        Impact.REPLACE,
        "a snapshot is of one moment: it is deleted, and a new one is taken of the machine as it "
        "is then",
    )
