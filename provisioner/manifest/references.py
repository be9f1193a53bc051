"""Names become references: every target exists and has the right kind, every resource has a host,
outputs are linked.

Called by :mod:`provisioner.manifest.loader` when all documents are expanded and canonical.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

from provisioner.core.address import Address
from provisioner.core.diagnostics import quoted
from provisioner.core.values import Path
from provisioner.manifest.canonical import FoundReference, Place
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Reference, Treatment
from provisioner.manifest.outputs import FoundOutput, Giver, link, output_problem
from provisioner.manifest.places import Origin
from provisioner.manifest.problems import Problem
from provisioner.manifest.unread import Unread
from provisioner.manifest.violations import names_text, nearest

_MOST_SEARCHES = 50
"""Searches for the nearest name: each goes through all names of a kind."""


@dataclass(slots=True)
class Draft:
    """A resource on its way to becoming a declaration.

    ``failed``: its document has errors; what was wrong is left out of ``spec``, so that the rest
    can be checked in the same run.
    """

    address: Address
    spec: dict[str, Any]
    origin: Origin
    found: list[FoundReference]
    templated: bool = False
    failed: bool = False
    treatment: Treatment = field(default_factory=Treatment)
    host: str | None = None
    references: tuple[Reference, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    named: bool = True
    """Whether the address is its own; else it is only checked."""


@dataclass(slots=True)
class Names:
    """What can be referred to, and what may be beside it."""

    drafts: Mapping[Address, Draft]
    hosts: Set[str]
    unread: Unread
    catalog: SchemaCatalog
    _searches: int = 0

    def exists(self, address: Address) -> bool:
        """Whether the address is declared."""
        if address.kind == self.catalog.endpoint_kind:
            return address.name in self.hosts
        return address in self.drafts

    def giver(self, address: Address) -> Giver:
        """What an output of a declared resource can be. A Host gives none."""
        info, draft = self.catalog.kinds[address.kind], self.drafts.get(address)
        if draft is None:
            return Giver(info, {})
        return Giver(info, draft.spec, complete=not draft.failed)

    def missing(self, kinds: Iterable[str], name: str, path: Place) -> Problem | None:
        """Why ``name`` is no resource of one of the kinds; None if it may be one whose document
        cannot be read.
        """
        kinds = tuple(kinds)
        wanted = " or ".join(kinds)
        others = [kind for kind in self.catalog.kinds if self.exists(Address(kind, name))]
        if others:
            return Problem(
                path,
                "PRV1302",
                f"{quoted(name)} is a {others[0]}, expected a {wanted}",
                f"Name a {wanted}: {self._known(kinds)}.",
            )
        if any(self.unread.may_be(kind, name) for kind in kinds):
            return None
        near = self._nearest(kinds, name)
        return Problem(
            path,
            "PRV1301",
            f"there is no {wanted} {quoted(name)}",
            f"Did you mean {near!r}?"
            if near
            else f"Declare it, or name another: {self._known(kinds)}.",
        )

    def _nearest(self, kinds: tuple[str, ...], name: str) -> str | None:
        self._searches += 1
        return nearest(name, self._names(kinds)) if self._searches <= _MOST_SEARCHES else None

    def _names(self, kinds: tuple[str, ...]) -> list[str]:
        names = [address.name for address in self.drafts if address.kind in kinds]
        return sorted([*names, *(self.hosts if self.catalog.endpoint_kind in kinds else ())])

    def _known(self, kinds: tuple[str, ...]) -> str:
        return names_text(self._names(kinds)) or "there is none in the stack"


def link_references(names: Names, drafts: Iterable[Draft]) -> None:
    """Give drafts their references; what is wrong is added to the drafts' problems."""
    kinds = frozenset(names.catalog.kinds)
    endpoint = names.catalog.endpoint_kind
    for draft in drafts:
        references = []
        for path, name, known in draft.found:
            target = _target(names, known.references, name)
            if target is None:
                problem = names.missing(known.references, name, ("spec", *path))
                draft.problems += [problem] if problem is not None else []
            elif target.kind != endpoint:
                # With a number in it, it is part of a draft that failed, of which nothing comes.
                references.append(Reference(cast("Path", path), target))
        if draft.templated:
            linked, outputs = link(draft.spec, (), names.drafts, kinds)
            draft.spec = linked
            references += _output_references(names, draft, outputs)
        draft.references = tuple(references)


def link_host(host: Draft, catalog: SchemaCatalog) -> None:
    """Give a Host its final spec. It is connected to before anything is made, so that it cannot
    wait for an output.
    """
    if not host.templated:
        return
    _, outputs = link(host.spec, (), (), frozenset(catalog.kinds))
    host.problems += [
        Problem(
            ("spec", *output.path),
            "PRV1307",
            f"a {catalog.endpoint_kind} cannot wait for an output",
            "Write the value itself, or a variable.",
            within=output.literal,
        )
        for output in outputs
    ]
    host.spec, _ = link(host.spec, (), (), frozenset())


def _target(names: Names, kinds: tuple[str, ...], name: str) -> Address | None:
    for kind in kinds:
        address = Address(kind, name)
        if names.exists(address):
            return address
    return None


def _output_references(names: Names, draft: Draft, outputs: list[FoundOutput]) -> list[Reference]:
    references = []
    taker = names.catalog.kinds[draft.address.kind]
    for output in outputs:
        place = _document_path(output.path)
        problem: Problem | None = None
        if output.target == draft.address:
            problem = Problem(
                place,
                "PRV1306",
                f"{draft.address} waits for an output of its own",
                "An output is known only after its resource was made.",
            )
        elif not names.exists(output.target):
            problem = names.missing((output.target.kind,), output.target.name, place)
        else:
            wrong = output_problem(output, names.giver(output.target), taker)
            problem = Problem(place, *wrong) if wrong is not None else None
        if problem is not None:
            draft.problems.append(problem._replace(within=output.literal))
        references.append(Reference(output.path, output.target, output.output))
    return references


def _document_path(path: Path) -> tuple[str, ...]:
    return ("metadata", *path) if path[:1] in {("labels",), ("tenant",)} else ("spec", *path)


@dataclass(slots=True)
class HostFinder:
    """Finds the host of each resource: its own field, that of what it lives in, the stack's
    default, the only one.
    """

    names: Names
    default: str | None
    silent: bool = False
    """Say nothing about hosts that cannot be told: the reason is known."""
    _open: set[Address] = field(default_factory=set)
    _known: dict[Address, str | None] = field(default_factory=dict)
    _told_of_none: bool = False
    """That there is no host at all is one mistake, not one of every resource."""

    def find(self, draft: Draft) -> str | None:
        """The host's name, None if it cannot be told; then the reason is added to the draft's
        problems.
        """
        if not draft.named:
            return self._find(draft)
        address = draft.address
        if address in self._known:
            return self._known[address]
        if address in self._open:
            return None
        self._open.add(address)
        self._known[address] = host = self._find(draft)
        self._open.discard(address)
        return host

    def _find(self, draft: Draft) -> str | None:
        endpoint = self.names.catalog.endpoint_kind
        for _, name, known in draft.found:
            if endpoint in known.references:
                return name if name in self.names.hosts else None
        for _, name, known in draft.found:
            if known.host_from:
                target = _target(self.names, known.references, name)
                below = self.names.drafts.get(target) if target is not None else None
                return self.find(below) if below is not None else None
        if self.default is not None:
            return self.default if self.default in self.names.hosts else None
        if len(self.names.hosts) == 1:
            return next(iter(self.names.hosts))
        unsure = self.silent or self.names.unread.may_be_a(endpoint)
        silent = unsure or draft.failed or self._told_of_none
        if not silent:
            draft.problems.append(self._undecided(draft))
            self._told_of_none = not self.names.hosts
        return None

    def _undecided(self, draft: Draft) -> Problem:
        endpoint = self.names.catalog.endpoint_kind
        if not self.names.hosts:
            return Problem(
                (),
                "PRV1312",
                f"the stack has no {endpoint} on which {draft.address} could live",
                f"Add a manifest of kind {endpoint}.",
            )
        where = self.names.catalog.kinds[draft.address.kind].host_field
        name = ".".join(("spec", *where)) if where else "its host"
        return Problem(
            (),
            "PRV1312",
            f"{draft.address} does not say on which {endpoint} it lives",
            f"Write {name}, or spec.defaults.host in the Stack.",
            f"The stack has several: {names_text(sorted(self.names.hosts))}.",
        )


def find_hosts(
    names: Names, drafts: Sequence[Draft], default: str | None, *, silent: bool = False
) -> None:
    """Give drafts their hosts, and check that what each refers to lives on the same one.

    ``silent``: the Stack manifest has mistakes, so that its default may be one that is not known.
    """
    finder = HostFinder(names, default, silent)
    for draft in drafts:
        draft.host = finder.find(draft)
    endpoint = names.catalog.endpoint_kind
    for draft in drafts:
        for path, name, known in draft.found:
            if endpoint in known.references:
                continue
            target = _target(names, known.references, name)
            below = names.drafts.get(target) if target is not None else None
            if below is None or below.host is None or draft.host in {None, below.host}:
                continue
            draft.problems.append(
                Problem(
                    ("spec", *path),
                    "PRV1313",
                    f"{below.address} lives on {below.host}, and {draft.address} on {draft.host}",
                    f"What a resource uses has to be on its own {endpoint}.",
                )
            )
