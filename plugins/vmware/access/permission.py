"""Permissions: who has which role on what.

A permission is what it is about: an object, and a user or group, which has one role there. Its id
is made of these. Source: vSphere Web Services API, AuthorizationManager and Permission.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Discovered, Resource, Terminal
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.access.giving import ADMIN, number_of, privileges_of, unknown
from provisioner_plugins.vmware.access.keeping import Grant, loss
from provisioner_plugins.vmware.access.principals import is_same
from provisioner_plugins.vmware.access.role import roles_of
from provisioner_plugins.vmware.access.subjects import KINDS, READS, field_of, object_of, root_of
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.name_only import Item, NameOnlyHandler
from provisioner_plugins.vmware.ownership import gone, taken
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.errors import LOCKED_OUT, NOBODY
from provisioner_plugins.vmware.wire.sweep import Wanted


class PermissionHandler(NameOnlyHandler):
    """Handler of the kind Permission."""

    kind = "Permission"
    bears_name = False
    reads: Wanted = MappingProxyType({vim.AuthorizationManager: ("roleList",), **READS})

    def items(self, inventory: Inventory) -> Sequence[Item]:
        """See the base. What the user cannot see is not told."""
        items = (_item(inventory, permission) for permission in inventory.permissions)
        return sorted((item for item in items if item is not None), key=lambda item: item.name)

    def within(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base: what it is on."""
        return object_of(inventory, target)

    def named(self, inventory: Inventory, items: Sequence[Item], target: Resource) -> list[Item]:
        """See the base: by its principal on its object, unless it is another resource's."""
        if target.exact:
            return [item for item in items if item.name == target.name]
        others = {
            resource.external_id
            for address, resource in target.related.items()
            if address.kind == self.kind and address != target.address
        }
        same = self._same(inventory, items, target)
        return [item for item in same if item.id not in others]

    def _same(self, inventory: Inventory, items: Sequence[Item], target: Resource) -> list[Item]:
        """Those of a target's principal on its object, whosever they are."""
        within, spec = self.within(inventory, target), target.spec
        meant = [
            item
            for item in items
            if item.within == within
            and bool(item.found.group) == spec.get("group", False)
            and is_same(str(item.found.principal), str(spec["principal"]))
        ]
        # Two domains may have the name; then it is the one that is written so.
        return [item for item in meant if item.found.principal == spec["principal"]] or meant

    def spec_of(self, inventory: Inventory, item: Item, names: References) -> dict[str, Any]:
        """See the base."""
        found = item.found
        spec: dict[str, Any] = {
            "principal": str(found.principal),
            "group": bool(found.group),
            "propagate": bool(found.propagate),
        }
        role = roles_of(inventory).get(int(found.roleId))
        if role is None or role.system:
            spec["builtinRole"] = str(found.roleId) if role is None else str(role.name)
        else:
            spec["role"] = names.name("Role", str(role.roleId))
        subject = field_of(inventory, item.within, self._site.flavour)
        if subject is not None:
            field, external_id = subject
            spec["on"] = {field: names.name(KINDS[field], external_id)}
        return spec

    def in_words_of(
        self, target: Resource, inventory: Inventory, item: Item, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """See the base: principal and role as the manifest calls them, if it means the same."""
        principal = str(target.spec.get("principal", ""))
        if is_same(spec["principal"], principal):
            spec["principal"] = principal
        role = roles_of(inventory).get(int(item.found.roleId))
        if role is not None and target.spec.get("builtinRole") == role.name:
            # One that the endpoint has by itself need not be a system role.
            spec.pop("role", None)
            spec["builtinRole"] = str(role.name)
        return spec

    def discovered(self, inventory: Inventory, item: Item) -> Discovered:
        """See the base. What is on an object that no manifest can name is told without its
        principal: a manifest that merely left the object out would mean the whole inventory.
        """
        found = super().discovered(inventory, item)
        spec = dict(found.observed.spec)
        if "on" in spec or item.within == root_of(inventory):
            return found
        del spec["principal"]
        row = inventory.row(item.within)
        what = item.within if row is None else inventory.path(row)
        note = f"it is on {what}, which is of no kind that a manifest can name"
        return replace(found, observed=replace(found.observed, spec=spec), notes=(note,))

    # --- writing ---

    def make(self, inventory: Inventory, resource: Resource, deadline: Deadline) -> None:
        """See the base."""
        del deadline
        within = self.within(inventory, resource)
        if within is None:
            raise Terminal(gone(resource))
        problem = self._taken(inventory, resource)
        if problem is not None:
            raise Terminal(problem)
        self._set(inventory, resource, resource.spec, within)

    def _taken(self, inventory: Inventory, resource: Resource) -> Diagnostic | None:
        """That another resource of the stack is about the same principal and object, which the
        loader did not see because it is written otherwise.
        """
        items = self.items(inventory)
        if self._find(inventory, items, resource) is not None:
            return None
        same = self._same(inventory, items, resource)
        return taken(resource, f"is {same[0].name}") if same else None

    def unfound(self, inventory: Inventory, resource: Resource) -> Diagnostic:
        """See the base: the endpoint took it, and calls the principal in a way that nothing here
        knows. It is taken back: nothing could tell that it is ours.
        """
        within = self.within(inventory, resource)
        if within is not None:
            self._take(inventory, resource, within, str(resource.spec["principal"]))
        return error(
            NOBODY.code,
            f"Permission {resource.name}: the endpoint calls the principal otherwise",
            detail=f"It was given to {resource.spec['principal']}, and is not found under that "
            "name.",
            hint="Write the principal as the endpoint shows it in its own list of permissions: "
            "DOMAIN\\name.",
            path=("principal",),
            address=str(resource.address),
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
        role = self._role(inventory, resource)
        wanted = (role, bool(spec.get("propagate", True)))
        if wanted != (int(item.found.roleId), bool(item.found.propagate)):
            known = {**spec, "principal": str(item.found.principal)}
            self._set(inventory, resource, known, item.within)

    def remove(
        self, inventory: Inventory, resource: Resource, item: Item, deadline: Deadline
    ) -> None:
        """Refused (PRV5336) where nobody could give it back."""
        del deadline
        problem = self._loss(inventory, resource, item, None)
        if problem is not None:
            raise Terminal(problem)
        self._take(inventory, resource, item.within, str(item.found.principal))

    def _set(
        self, inventory: Inventory, resource: Resource, spec: Mapping[str, Any], within: str
    ) -> None:
        permission = vim.AuthorizationManager.Permission(
            principal=str(spec["principal"]),
            group=bool(spec.get("group", False)),
            roleId=self._role(inventory, resource),
            propagate=bool(spec.get("propagate", True)),
        )
        entity = self._entity(inventory, within)
        self._site.client.call(
            f"give {spec['principal']} a role ({resource.address})",
            lambda content: content.authorizationManager.SetEntityPermissions(entity, [permission]),
        )

    def _take(self, inventory: Inventory, resource: Resource, within: str, principal: str) -> None:
        entity, is_group = self._entity(inventory, within), bool(resource.spec.get("group", False))
        self._site.client.call(
            f"take the role of {principal} away ({resource.address})",
            lambda content: content.authorizationManager.RemoveEntityPermission(
                entity, principal, is_group
            ),
        )

    def _entity(self, inventory: Inventory, within: str) -> Any:
        row = inventory.row(within)
        if row is None:
            return self._site.client.content.rootFolder
        return self._site.client.managed(row.kind, row.moid)

    def _role(self, inventory: Inventory, resource: Resource) -> int:
        found = number_of(inventory, resource)
        if found is None:
            raise Terminal(unknown(inventory, resource))
        return found

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a role that is not there,
        and rights that would be lost.
        """
        del deadline, thorough
        resource, removes = undertaking.resource, undertaking.removes
        is_builtin = not removes and "builtinRole" in resource.spec
        if is_builtin and number_of(inventory, resource) is None:
            yield unknown(inventory, resource)
            return
        item = self._find(inventory, self.items(inventory), resource)
        granted = None if removes else self._granted(inventory, resource)
        problem = None if removes else self._taken(inventory, resource)
        if problem is not None:
            yield problem
        if item is None and granted is None:
            return
        problem = self._loss(inventory, resource, item, granted, self._coming(inventory, resource))
        if problem is not None:
            yield problem

    def _granted(self, inventory: Inventory, resource: Resource) -> Grant | None:
        """What a resource gives; None where its object is still to be made."""
        within, spec = self.within(inventory, resource), resource.spec
        if within is None:
            return None
        return Grant(
            within,
            str(spec["principal"]),
            is_group=bool(spec.get("group", False)),
            propagates=bool(spec.get("propagate", True)),
            is_admin=number_of(inventory, resource) == ADMIN,
            privileges=privileges_of(inventory, resource),
        )

    def _coming(self, inventory: Inventory, resource: Resource) -> list[Grant]:
        """What the stack is about to give beside it."""
        others = [
            self._granted(inventory, other)
            for address, other in resource.related.items()
            if address.kind == self.kind
            and address != resource.address
            and other.external_id is None
        ]
        return [grant for grant in others if grant is not None]

    def _loss(
        self,
        inventory: Inventory,
        resource: Resource,
        item: Item | None,
        granted: Grant | None,
        coming: Sequence[Grant] = (),
    ) -> Diagnostic | None:
        """Why ``granted`` must not take the place of ``item``; None: nothing against it."""
        roles = roles_of(inventory)
        before = {each.id: _grant(each, roles) for each in self.items(inventory)}
        after = [grant for key, grant in before.items() if item is None or key != item.id]
        after += [*coming, *([] if granted is None else [granted])]
        within = item.within if item is not None else "" if granted is None else granted.entity
        user = str(self._site.client.endpoint.connection["username"])
        found = loss([*before.values()], after, _upwards(inventory, within), user)
        if found is None:
            return None
        return error(
            LOCKED_OUT.code,
            LOCKED_OUT.summary.format(what=str(resource.address)),
            detail=found,
            hint=LOCKED_OUT.hint,
            address=str(resource.address),
        )


def _item(inventory: Inventory, permission: Any) -> Item | None:
    """None for what is on an object that is not there."""
    moid = str(permission.entity._GetMoId())
    row = inventory.row(moid)
    if row is None and moid != root_of(inventory):
        return None
    sort = "group" if permission.group else "user"
    principal = str(permission.principal)
    where = "/" if row is None else inventory.path(row)
    name = f"{'group ' if permission.group else ''}{principal} on {where}"
    return Item(f"{moid}/{sort}/{principal}", name, moid, permission)


def _grant(item: Item, roles: Mapping[int, Any]) -> Grant:
    role = roles.get(int(item.found.roleId))
    return Grant(
        item.within,
        str(item.found.principal),
        is_group=bool(item.found.group),
        propagates=bool(item.found.propagate),
        is_admin=int(item.found.roleId) == ADMIN,
        privileges=frozenset() if role is None else frozenset(map(str, role.privilege or ())),
    )


def _upwards(inventory: Inventory, moid: str) -> list[str]:
    """The ids of an object and of all that it is in."""
    found, row = [], inventory.row(moid)
    while row is not None:
        found.append(row.moid)
        row = inventory.parent(row)
    return [*found, root_of(inventory)]
