"""Which changes of permissions take away the rights by which they were made. Pure; called by the
handler of permissions before such a change, and when a plan is made.

Source: vSphere Security, "Hierarchical Inheritance of Permissions": what a user himself is given on
an object counts there in place of what comes from above and through groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from provisioner_plugins.vmware.access.principals import is_same

_READ = "System.Read"
_BELOW = "the propagation to what is in it"


class Grant(NamedTuple):
    """A permission: the id of its object, who has it, what it allows."""

    entity: str
    principal: str
    is_group: bool
    propagates: bool
    is_admin: bool
    privileges: frozenset[str]


def loss(
    before: Sequence[Grant], after: Sequence[Grant], upwards: Sequence[str], user: str
) -> str | None:
    """What a change of permissions on one object takes away that nobody could give back, as a
    sentence; None if nothing. ``upwards`` are the ids of that object and of all that it is in, the
    whole inventory last; ``user`` is who makes the change.
    """
    if _has_admin(before, upwards[-1]) and not _has_admin(after, upwards[-1]):
        return "Nobody would be an administrator of the whole inventory any more."
    had, has = _rights(before, upwards, user), _rights(after, upwards, user)
    if has is None:
        return None if had is None else f"It is what {user} has there."
    if had is None:
        # What comes through groups is not known here; without this privilege nothing is seen.
        return None if _READ in has else f"{user} would not see the object any more."
    missing = sorted(had - has)
    if not missing:
        return None
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"{user} would lose {missing[0]}{more} there."


def _has_admin(grants: Sequence[Grant], root: str) -> bool:
    return any(item.is_admin and item.propagates and item.entity == root for item in grants)


def _rights(grants: Sequence[Grant], upwards: Sequence[str], user: str) -> frozenset[str] | None:
    """What the user himself may do on the first of the objects; None where nothing says so."""
    for entity in upwards:
        for item in grants:
            counts = item.entity == entity and (item.propagates or entity == upwards[0])
            if counts and not item.is_group and is_same(item.principal, user):
                return item.privileges | ({_BELOW} if item.propagates else set())
    return None
