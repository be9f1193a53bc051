"""What can be said of a Snapshot without an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour

_WORDS = frozenset({"description", "labels", "tenant"})


class SnapshotRules:
    """Rules of the kind Snapshot."""

    kind = "Snapshot"
    flavours = (VCENTER, ESXI)
    unmarked: Sequence[Flavour] = ()

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        del flavour
        spec = dict(resource.spec)
        text = spec.get("description")
        if isinstance(text, str):
            spec["description"] = text.strip()
            if not spec["description"]:
                del spec["description"]
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
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
