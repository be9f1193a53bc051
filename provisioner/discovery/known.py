"""Which resource each object that was found is: one that the stack has already, or a new one with a
name of its own. Called by :mod:`provisioner.discovery.discovering`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.discovery.names import Wanted, names_for
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Declaration, Stack
from provisioner.providers.api import Discovered, Naming
from provisioner.state.model import State

Key: TypeAlias = tuple[str, str]
"""Kind and external id of an object."""


def key_of(found: Discovered) -> Key:
    """What tells objects of one endpoint apart."""
    return found.kind, found.observed.external_id


class Identified(NamedTuple):
    """The address of every object that was found, or that is recorded. ``known`` are those of
    them that the stack has: declared, recorded, or left by a replacement.
    """

    addresses: Mapping[Key, Address]
    known: frozenset[Key]


class Identifier:
    """Knows what one host of a stack has."""

    def __init__(
        self,
        stack: Stack,
        state: State,
        host: str,
        catalog: SchemaCatalog,
        naming: Mapping[str, Naming],
    ) -> None:
        self._stack, self._state, self._catalog, self._naming = stack, state, catalog, naming
        self._lineage = str(state.lineage)
        self._recorded: dict[Key, Address] = {
            (entry.address.kind, entry.external_id): entry.address
            for entry in state.entries.values()
            if entry.endpoint == host and entry.external_id is not None
        }
        self._called: dict[tuple[str, str | None, str], Address] = {}
        self._former: dict[Address, Address] = {}
        for address, declaration in stack.declarations.items():
            if declaration.host == host and self._is_found_by_name(declaration):
                outer = next(_outer(declaration.spec, catalog.kind(address.kind)), None)
                within = None if outer is None else outer.name
                self._called[address.kind, within, declaration.object_name] = address
            if declaration.renamed_from is not None:
                self._former[Address(address.kind, declaration.renamed_from)] = address

    def _is_found_by_name(self, declaration: Declaration) -> bool:
        free = self.is_free(declaration.address.kind)
        return not free or declaration.external_name is not None

    def is_free(self, kind: str) -> bool:
        """Whether two objects of a kind may have the same name."""
        return self._naming.get(kind) is Naming.FREE

    def owns(self, owner: Stamp | None) -> bool:
        """Whether a stamp is one of this stack's."""
        return owner is not None and owner.lineage == self._lineage

    def identify(self, found: Sequence[Discovered]) -> Identified:
        """Every object with its address."""
        addresses = {
            key: self._former.get(address, address) for key, address in self._recorded.items()
        }
        known: set[Key] = set()
        new: dict[str, list[Discovered]] = {}
        for item in self._outer_first(found):
            key = key_of(item)
            address = addresses.get(key) or self._declared(item, addresses)
            if address is not None:
                addresses[key] = address
                known.add(key)
            elif self._is_left_over(item):
                known.add(key)
            else:
                new.setdefault(item.kind, []).append(item)
        for kind in self._outer_kinds_first(new):
            wanted = [
                Wanted(key_of(item)[1], self._name_of(item), self._name_of_outer(item, addresses))
                for item in new[kind]
            ]
            names = names_for(wanted, self._taken(kind), kind.lower())
            addresses |= {(kind, ident): Address(kind, name) for ident, name in names.items()}
        return Identified(addresses, frozenset(known))

    def _declared(self, item: Discovered, addresses: Mapping[Key, Address]) -> Address | None:
        """The address of an object that is declared, though not recorded."""
        if self.owns(item.observed.owner):
            stamped = self._stamped(item)
            address = self._former.get(stamped, stamped)
            recorded = address in self._state.entries or stamped in self._state.entries
            return address if address in self._stack.declarations and not recorded else None
        return self._called.get((item.kind, self._name_of_outer(item, addresses), item.name))

    def _is_left_over(self, item: Discovered) -> bool:
        """Whether it is a predecessor that had to stay: what has its address is another object."""
        return self.owns(item.observed.owner) and self._stamped(item) in self._state.entries

    def _name_of(self, item: Discovered) -> str:
        """What is ours and was forgotten comes back under its address."""
        return self._stamped(item).name if self.owns(item.observed.owner) else item.name

    @staticmethod
    def _stamped(item: Discovered) -> Address:
        owner = item.observed.owner
        assert owner is not None
        return Address.of(owner.address)

    def _taken(self, kind: str) -> set[str]:
        addresses = {*self._stack.declarations, *self._state.entries}
        return {address.name for address in addresses if address.kind == kind}

    def _outer_kinds_first(self, kinds: Mapping[str, object]) -> Iterator[str]:
        """Kinds in the order of the documentation, each after those in which its objects live; of
        those that can live in one another the first comes first.
        """
        left = [kind for kind in self._catalog.kinds if kind in kinds]
        while left:
            free = (
                kind
                for kind in left
                if not (_outer_kinds(self._catalog.kind(kind)) & {*left} - {kind})
            )
            kind = next(free, left[0])
            left.remove(kind)
            yield kind

    def _outer_first(self, found: Sequence[Discovered]) -> Sequence[Discovered]:
        """Objects, each after that in which it lives."""
        keys = {key_of(item) for item in found}
        outer = {
            key_of(item): place for item in found for place in self._outer_of(item) if place in keys
        }

        def depth(item: Discovered) -> int:
            place, passed = outer.get(key_of(item)), 0
            while place is not None and passed < len(outer):
                place, passed = outer.get(place), passed + 1
            return passed

        return sorted(found, key=depth)

    def _name_of_outer(self, item: Discovered, addresses: Mapping[Key, Address]) -> str | None:
        places = (addresses.get(key) for key in self._outer_of(item))
        return next((address.name for address in places if address is not None), None)

    def _outer_of(self, item: Discovered) -> Iterator[Key]:
        """What an object lives in, as each of the kinds that it can be."""
        return _outer(item.observed.spec, self._catalog.kind(item.kind))


def _outer_kinds(info: KindInfo) -> frozenset[str]:
    """The kinds in which objects of a kind live."""
    return frozenset(kind for field in info.references if field.host_from for kind in field.kinds)


def _outer(spec: Mapping[str, object], info: KindInfo) -> Iterator[Address]:
    """What a spec says that the object lives in: the innermost, as each of the kinds that it can
    be.
    """
    for field in info.references:
        if field.host_from:
            found = list(field.targets(spec))
            if found:
                yield from found
                return
