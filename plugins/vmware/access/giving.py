"""The role that a Permission gives: which it is on the endpoint, and what it allows."""

from __future__ import annotations

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.access.role import roles_of
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.site import listed

ADMIN = -1
"""The number of the role Admin (AuthorizationManager)."""
OF_EVERY_ROLE = frozenset({"System.Anonymous", "System.Read", "System.View"})


def number_of(inventory: Inventory, resource: Resource) -> int | None:
    """The number of the role that a Permission names; None where it is not there (yet)."""
    spec = resource.spec
    if "builtinRole" in spec:
        roles = roles_of(inventory).items()
        return next((number for number, role in roles if role.name == spec["builtinRole"]), None)
    other = resource.related.get(Address("Role", str(spec["role"])))
    known = None if other is None else other.external_id
    number = int(known) if known is not None else None
    return number if number in roles_of(inventory) else None


def privileges_of(inventory: Inventory, resource: Resource) -> frozenset[str]:
    """What the role allows, or will allow once the stack has made or changed it."""
    spec = resource.spec
    if "role" in spec:
        other = resource.related.get(Address("Role", str(spec["role"])))
        if other is not None and "privileges" in other.spec:
            return OF_EVERY_ROLE | set(map(str, other.spec["privileges"]))
    number = number_of(inventory, resource)
    role = None if number is None else roles_of(inventory)[number]
    return frozenset() if role is None else frozenset(map(str, role.privilege or ()))


def unknown(inventory: Inventory, resource: Resource) -> Diagnostic:
    """PRV5323: the role is not on the endpoint."""
    spec = resource.spec
    if "role" in spec:
        return error(
            "PRV5323",
            f"Role/{spec['role']} is not on the endpoint",
            detail=f"{resource.address} gives it.",
            hint="Plan again: it was removed since it was read, or is still to be made.",
            path=("role",),
            address=str(resource.address),
        )
    name = str(spec["builtinRole"])
    names = sorted(str(role.name) for role in roles_of(inventory).values())
    near = nearest(name, names)
    return error(
        "PRV5323",
        f"the endpoint has no role {quoted(name)}",
        detail=f"There are: {listed(names)}.",
        hint=f"Did you mean {' or '.join(near)}?"
        if near
        else "Name one of these in builtinRole, or make a Role and name it in role.",
        path=("builtinRole",),
        address=str(resource.address),
    )
