"""What can be said of the kinds of an inventory without an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.refusal import unusable

Check = Callable[[Mapping[str, Any], Flavour], Iterator[Diagnostic]]
_MARKS = ("labels", "tenant")


def _nothing(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    del spec, flavour
    yield from ()


@dataclass(frozen=True, slots=True)
class HierarchyRules:
    """Rules of one kind. ``reasons`` are told with changes of fields."""

    kind: str
    flavours: Sequence[Flavour] = (VCENTER,)
    unmarked: Sequence[Flavour] = (ESXI,)
    check: Check = _nothing
    reasons: Mapping[str, str] | None = None

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = dict(resource.spec)
        if flavour in self.unmarked:
            for name in _MARKS:
                spec.pop(name, None)
        problems = [*self.check(spec, flavour)]
        if problems:
            raise ProvisionerError(problems)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`: the schema's."""
        del resource, observed
        reasons = self.reasons or {}
        return [
            Assessment(change.impact, change.reason or reasons.get(change.path[0], ""))
            for change in changes
        ]


def _pool(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    if flavour is ESXI and "cluster" in spec:
        yield unusable(
            ("cluster",), "an ESXi host is in no cluster that it knows of", "Leave it out."
        )


class ClusterHostRules(HierarchyRules):
    """Rules of the kind ClusterHost."""

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`: a vCenter that is told
        another port connects anew, and nothing on the host notices.
        """
        judged = super().impact(resource, observed, changes)
        return [
            Assessment(Impact.LIVE, "the vCenter connects to it anew")
            if change.path == ("port",)
            else item
            for change, item in zip(changes, judged, strict=True)
        ]


HIERARCHY_RULES = (
    HierarchyRules("Datacenter"),
    HierarchyRules("Folder"),
    HierarchyRules("Cluster"),
    ClusterHostRules("ClusterHost"),
    HierarchyRules("PlacementRule", unmarked=(VCENTER,)),
    HierarchyRules("ResourcePool", (VCENTER, ESXI), check=_pool),
)
