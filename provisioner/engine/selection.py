"""Which resources an operation is about: ``--target`` and ``--exclude``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provisioner.core.address import Address, AddressPattern, near
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

    def means(self, address: Address) -> bool:
        """Whether the patterns alone, without the graph, select an address."""
        targeted = not self.target or any(pattern.matches(address) for pattern in self.target)
        return targeted and not any(pattern.matches(address) for pattern in self.exclude)

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
    meant = near(pattern.kind, pattern.name, map(stamp_address, known))
    return error(
        "PRV2002",
        f"{option} {str(pattern).removesuffix('/*')} matches no resource of the stack",
        hint=f"Did you mean {' or '.join(meant[:3])}?"
        if meant
        else "'provisioner show' lists the addresses there are.",
    )
