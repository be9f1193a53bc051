"""What can be said of the kinds of an inventory without an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import Address
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


class ClusterRules(HierarchyRules):
    """Rules of the kind Cluster."""

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`. A cluster loses its resource
        pools with DRS (VMware vSphere Resource Management, Disable vSphere DRS). That interrupts no
        guest, and no restart brings them back: it is done only where it is allowed.
        """
        judged = super().impact(resource, observed, changes)
        return [
            Assessment(
                Impact.RESTART,
                "without DRS the cluster loses all its resource pools, with their shares, "
                "reservations and limits; its machines stay",
                deferrable=False,
            )
            if _switches_drs_off(change)
            else item
            for change, item in zip(changes, judged, strict=True)
        ]


def _switches_drs_off(change: Change) -> bool:
    if change.path == ("drs", "enabled"):
        return bool(change.before) and not change.after
    if change.path != ("drs",) or not isinstance(change.before, Mapping):
        return False
    after = change.after if isinstance(change.after, Mapping) else {}
    return bool(change.before.get("enabled")) and not after.get("enabled")


class ResourcePoolRules(HierarchyRules):
    """Rules of the kind ResourcePool."""

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        cluster = resource.related.get(Address("Cluster", resource.spec.get("cluster", "")))
        if cluster is not None and cluster.spec.get("drs", {}).get("enabled") is False:
            raise ProvisionerError(without_drs(cluster.address))
        return super().normalise(resource, flavour)


def without_drs(cluster: Address) -> Diagnostic:
    """The diagnostic for a resource pool in a cluster that has, or will have, no DRS."""
    return unusable(
        ("cluster",),
        f"{cluster} has no DRS, and without it a cluster has no resource pools",
        f"Write drs: {{enabled: true}} in {cluster}, or remove the pool.",
    )


HIERARCHY_RULES = (
    HierarchyRules("Datacenter"),
    HierarchyRules("Folder"),
    ClusterRules("Cluster"),
    ClusterHostRules("ClusterHost"),
    HierarchyRules("PlacementRule", unmarked=(VCENTER,)),
    ResourcePoolRules("ResourcePool", (VCENTER, ESXI), check=_pool),
)
