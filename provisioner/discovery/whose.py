"""Whose the objects are that were found: by the stamp on them or, where they have no room for one,
by what uses them. Called by :mod:`provisioner.discovery.discovering`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from provisioner.core.identity import Stamp
from provisioner.discovery.known import Key, key_of
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Discovered


def of_others(
    found: Sequence[Discovered],
    ours: Set[Key],
    unmarked: Set[str],
    owns: Callable[[Stamp], bool],
    catalog: SchemaCatalog,
) -> dict[Key, str]:
    """The objects of other stacks, each with the address in the stamp that tells: its own or, for
    what is of an ``unmarked`` kind, that of what uses it. What nobody uses, or somebody else, too,
    is nobody's. ``ours`` are objects that this stack has, ``owns`` tells its stamps.
    """
    users: dict[Key, list[Key]] = {}
    result: dict[Key, str] = {}
    undecided: set[Key] = set()
    for item in found:
        key, owner = key_of(item), item.observed.owner
        if owner is not None and not owns(owner):
            result[key] = owner.address
        elif owner is None and item.kind in unmarked and key not in ours:
            undecided.add(key)
        for reference in catalog.kind(item.kind).references:
            for kind, external_id in reference.targets(item.observed.spec):
                users.setdefault((kind, external_id), []).append(key)
    while True:
        more = {
            key: result[users[key][0]]
            for key in undecided
            if key in users and result.keys() >= {*users[key]}
        }
        if not more:
            return result
        result |= more
        undecided -= more.keys()
