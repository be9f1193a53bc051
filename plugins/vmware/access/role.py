"""Roles: sets of privileges.

Source: vSphere Web Services API, AuthorizationManager.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.access.rules import OF_ALL
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.name_only import Item, NameOnlyHandler
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Wanted, look


def roles_of(inventory: Inventory) -> dict[int, Any]:
    """The roles of an endpoint by their numbers, as pyvmomi has them."""
    return {
        int(role.roleId): role
        for row in inventory.rows(vim.AuthorizationManager)
        for role in row.get("roleList", ())
    }


class RoleHandler(NameOnlyHandler):
    """Handler of the kind Role. The roles that the endpoint has by itself are none of them."""

    kind = "Role"
    reads: Wanted = MappingProxyType({vim.AuthorizationManager: ("roleList",)})

    def items(self, inventory: Inventory) -> Sequence[Item]:
        """See the base."""
        return [
            Item(str(number), str(role.name), "", role)
            for number, role in roles_of(inventory).items()
            if not role.system
        ]

    def within(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base: the endpoint itself."""
        del inventory, target
        return ""

    def spec_of(self, inventory: Inventory, item: Item, names: References) -> dict[str, Any]:
        """See the base."""
        del inventory, names
        given = [str(name) for name in item.found.privilege or ()]
        return {"privileges": sorted(name for name in given if not name.startswith(OF_ALL))}

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a privilege that the
        endpoint does not know (AuthorizationManager.privilegeList, those of extensions included).
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        if undertaking.removes:
            return
        what = f"read the privileges for {resource.address}"
        manager = self._site.client.content.authorizationManager
        wanted = {vim.AuthorizationManager: ("privilegeList",)}
        for row in look(self._site.client, what, [manager], wanted):
            known = [str(item.privId) for item in row.get("privilegeList", ())]
            for name in sorted({*map(str, resource.spec["privileges"])} - {*known}):
                if known:
                    yield _unknown(resource, name, known)

    def make(self, inventory: Inventory, resource: Resource, deadline: Deadline) -> None:
        """See the base."""
        del inventory, deadline
        privileges = [str(name) for name in resource.spec["privileges"]]
        self._site.client.call(
            f"create role {resource.name}",
            lambda content: content.authorizationManager.AddAuthorizationRole(
                resource.name, privileges
            ),
        )

    def edit(
        self,
        inventory: Inventory,
        resource: Resource,
        item: Item,
        spec: Mapping[str, Any],
        deadline: Deadline,
    ) -> None:
        """See the base."""
        del deadline
        privileges = sorted(str(name) for name in spec["privileges"])
        if privileges == self.spec_of(inventory, item, References({}))["privileges"]:
            return
        self._site.client.call(
            f"change role {resource.name}",
            lambda content: content.authorizationManager.UpdateAuthorizationRole(
                int(item.id), item.name, privileges
            ),
        )

    def remove(
        self, inventory: Inventory, resource: Resource, item: Item, deadline: Deadline
    ) -> None:
        """Refused while permissions give it (RemoveFailed, ResourceInUse)."""
        del inventory, deadline
        self._site.client.call(
            f"remove role {resource.name}",
            lambda content: content.authorizationManager.RemoveAuthorizationRole(
                int(item.id), failIfUsed=True
            ),
        )


def _unknown(resource: Resource, name: str, known: Sequence[str]) -> Diagnostic:
    near = get_close_matches(name, known, n=3)
    return error(
        "PRV5323",
        f"{resource.address}: there is no privilege {quoted(name)}",
        detail=f"The endpoint has {len(known)}, those of its extensions included.",
        hint=f"Did you mean {' or '.join(near)}?"
        if near
        else "Correct it: vSphere Security, Defined Privileges, has them all.",
        address=str(resource.address),
        path=("privileges",),
    )
