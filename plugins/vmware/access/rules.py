"""What can be said of roles and permissions without an endpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.hierarchy.rules import HierarchyRules
from provisioner_plugins.vmware.refusal import unusable

OF_ALL = "System."
"""Begins the privileges that every role has by itself (AuthorizationManager)."""


class RoleRules(HierarchyRules):
    """Rules of the kind Role."""

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = {**super().normalise(resource, flavour)}
        given = spec["privileges"]
        spec["privileges"] = [name for name in given if not str(name).startswith(OF_ALL)]
        return spec


_OF_VCENTER = {
    "datacenter": "there are no datacenters",
    "folder": "there are no folders",
    "cluster": "it is in no cluster that it knows of",
    "clusterHost": "it is the host itself",
}


def _permission(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    for field, why in _OF_VCENTER.items():
        if flavour is ESXI and field in spec.get("on", {}):
            yield unusable(
                ("on", field),
                f"on an ESXi host: {why}",
                "Leave on out: then it is about the whole host.",
            )


ACCESS_RULES = (
    RoleRules("Role", (VCENTER, ESXI), unmarked=(VCENTER, ESXI)),
    HierarchyRules("Permission", (VCENTER, ESXI), unmarked=(VCENTER, ESXI), check=_permission),
)
