"""What can be said of roles without an endpoint. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.hierarchy.rules import HierarchyRules

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


ACCESS_RULES = (RoleRules("Role", (VCENTER, ESXI), unmarked=(VCENTER, ESXI)),)
