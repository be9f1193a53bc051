"""Which resources an operation is about: ``--target`` and ``--exclude``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic, Diagnostics, error
from provisioner.engine.graph import DependencyGraph
from provisioner.engine.plan import stamp_address


@dataclass(frozen=True, slots=True)
class Selection:
    """``target`` patterns (none: everything) less ``exclude`` patterns.

    A targeted resource takes along what it depends on; when things are removed, also what depends
    on it, since that cannot stay without it. An excluded resource takes along what depends on it.
    """

    target: tuple[AddressPattern, ...] = ()
    exclude: tuple[AddressPattern, ...] = ()

    def addresses(
        self, graph: DependencyGraph[Address], known: Iterable[Address], removed: frozenset[Address]
    ) -> frozenset[Address]:
        """The selected ones of ``known``; ``removed`` are those that would be deleted.

        Raises ProvisionerError (PRV2002) for a pattern that matches nothing.
        """
        everything = list(known)
        problems = Diagnostics()
        targeted = self._matching(self.target, everything, "--target", problems)
        excluded = self._matching(self.exclude, everything, "--exclude", problems)
        problems.raise_errors()
        if self.target:
            kept = targeted - removed
            gone = targeted & removed
            selected = kept | graph.all_dependencies(kept) - removed
            selected |= gone | (graph.all_dependents(gone) & removed)
        else:
            selected = set(everything)
        return frozenset(selected - excluded - graph.all_dependents(excluded))

    @staticmethod
    def _matching(
        patterns: tuple[AddressPattern, ...],
        known: list[Address],
        option: str,
        problems: Diagnostics,
    ) -> set[Address]:
        found: set[Address] = set()
        for pattern in patterns:
            # A pattern for a resource means what is left of its other generations, too.
            matches = {
                item
                for item in known
                if pattern.matches(item) or pattern.matches(stamp_address(item))
            }
            if not matches:
                problems.add(_matches_nothing(option, pattern, known))
            found |= matches
        return found


def _matches_nothing(option: str, pattern: AddressPattern, known: Sequence[Address]) -> Diagnostic:
    addresses = sorted({stamp_address(item) for item in known})
    texts = [str(address) for address in addresses]
    names = [address.name for address in addresses if address.kind == pattern.kind]
    # A name alone is read as a kind.
    near = [str(address) for address in addresses if address.name == pattern.kind]
    if names:
        near = [f"{pattern.kind}/{name}" for name in get_close_matches(pattern.name, names, n=1)]
    near = near or get_close_matches(str(pattern), [] if names else texts, n=1)
    return error(
        "PRV2002",
        f"{option} {str(pattern).removesuffix('/*')} matches no resource of the stack",
        hint=f"Did you mean {' or '.join(near[:3])}?"
        if near
        else "'provisioner show' lists the addresses there are.",
    )
