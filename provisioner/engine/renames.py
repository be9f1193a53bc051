"""What a rename means for others: what was recorded of them names the resource as it was called.

Called by :mod:`subjects`, which looks at records as if they had the new names already, and by
:mod:`calls`, which writes them so when the rename is done. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.engine.rules import KindRules
from provisioner.state.model import Entry

Renamed = Mapping[Address, Address]
"""The address of a resource by the one that it had before."""


def followed(entry: Entry, renamed: Renamed, rules: KindRules) -> Entry:
    """An entry with the names that its dependencies have now."""
    dependencies = followed_addresses(entry.dependencies, renamed)
    if dependencies == entry.dependencies:
        return entry
    spec = followed_spec(entry.spec, entry.dependencies, renamed, rules)
    return replace(entry, spec=spec, dependencies=dependencies)


def followed_addresses(addresses: tuple[Address, ...], renamed: Renamed) -> tuple[Address, ...]:
    """Addresses as they are now, in order."""
    if renamed.keys().isdisjoint(addresses):
        return addresses
    return tuple(sorted({renamed.get(address, address) for address in addresses}))


def followed_spec(
    spec: Mapping[str, Any], dependencies: tuple[Address, ...], renamed: Renamed, rules: KindRules
) -> Mapping[str, Any]:
    """A recorded spec in which the reference fields have the names of now. A name that stands for
    another kind in the same field is told apart by ``dependencies``.
    """
    for field in rules.references:
        names = {
            old.name: renamed[old].name
            for old in dependencies
            if old in renamed and old.kind in field.kinds
        }
        if names:
            spec = _with_names(spec, field.path, names)
    return spec


def _with_names(value: Any, path: Path, names: Mapping[str, str]) -> Any:
    if not path:
        return names.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    first, rest = path[0], path[1:]
    if first != "*":
        return {**value, first: _with_names(value[first], rest, names)} if first in value else value
    if not rest:  # the elements' keys are the names
        return {names.get(key, key): element for key, element in value.items()}
    return {key: _with_names(element, rest, names) for key, element in value.items()}
