"""What loading a stack gives: :class:`Stack` with its :class:`Declaration`s, validated, expanded
and canonical.

The engine, the service layer and the printer read these values; only the loader makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path as FilePath
from typing import Any, NamedTuple, Protocol

from provisioner.core.actions import EVERYTHING, Impact, Permission
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic, SourceRange, by_place
from provisioner.core.fieldpattern import FieldPattern
from provisioner.core.values import Path


class Reference(NamedTuple):
    """A field of a declaration that names another resource of the stack.

    ``path`` stands below ``spec``. ``output`` is None for a plain reference (an ``x-ref`` field)
    and the output's name where the value is written as ``${Kind/name.output}``.
    """

    path: Path
    target: Address
    output: str | None = None


class Treatment(NamedTuple):
    """What a resource's metadata says of how it is treated, whatever its kind; plain data, for the
    cache.
    """

    protect: bool = False
    renamed_from: str | None = None
    replace_order: str | None = None
    external_name: str | None = None
    manage: Sequence[str] | None = None


class Locator(Protocol):
    """Finds the place of a field in the files of a stack."""

    def locate(self, address: Address, path: Path = ()) -> SourceRange | None:
        """The place of a field of a canonical spec, or of the nearest one above it."""
        ...


@dataclass(frozen=True, slots=True)
class Declaration:
    """One resource as its author wants it.

    ``spec`` is canonical as far as the schema knows (bytes and milliseconds as integers, MAC and IP
    addresses in their standard form, lists with ``x-set`` as mappings from key to element without
    the key), holds only what the author set, and ``labels`` and ``tenant`` as keys where set. A
    part of it that waits for another resource's output is ``{"$unknown": "Kind/name:output"}``; a
    string that only contains one is ``{"$template": ["text ", {"$unknown": ...}, " text"]}``.
    """

    address: Address
    spec: Mapping[str, Any]
    source: SourceRange
    host: str | None
    references: tuple[Reference, ...] = ()
    protect: bool = False
    renamed_from: str | None = None
    replace_order: str | None = None
    """``create-first``, ``delete-first``, or None where the author left it to the engine."""
    external_name: str | None = None
    """What the object is called on its endpoint, where that is not the resource's name."""
    manage: frozenset[Permission] = EVERYTHING
    """What may be done to the object."""

    @property
    def object_name(self) -> str:
        """What the object is called on its endpoint, unless something else is recorded."""
        return self.external_name or self.address.name


@dataclass(frozen=True, slots=True)
class HostDeclaration:
    """An endpoint: a ``Host`` manifest. ``spec`` is canonical; ``provider`` is taken from it."""

    name: str
    provider: str
    spec: Mapping[str, Any]
    source: SourceRange


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """Drift that is known and accepted until the end of a day (UTC); ``source`` is where the Stack
    manifest says so.
    """

    address: AddressPattern
    field: FieldPattern
    reason: str
    until: date
    source: SourceRange


class Excuse(NamedTuple):
    """Machines that are recovered by no plan on purpose: a pattern of their names, and why."""

    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stack:
    """All manifests of one folder tree in one environment; the unit of state and of plan."""

    name: str
    root: FilePath
    environment: str | None
    declarations: Mapping[Address, Declaration]
    hosts: Mapping[str, HostDeclaration]
    max_impact: Impact = Impact.LIVE
    """The stack's own default for ``--max-impact``."""
    ignore: tuple[IgnoreRule, ...] = ()
    """What ``drift`` does not count."""
    warnings: tuple[Diagnostic, ...] = ()
    files: tuple[str, ...] = field(default=())
    """The files it was read from, relative to ``root``, sorted."""
    places: Locator | None = field(default=None, compare=False, repr=False)
    source: SourceRange | None = None
    """Where the Stack manifest begins."""
    policies: Mapping[Address, Declaration] = field(default_factory=dict)
    """What says how resources are treated together, such as plans of their recovery: on no host,
    and nothing is made of it.
    """
    excused: tuple[Excuse, ...] = ()
    """Machines that are recovered by none of them on purpose."""

    def in_order(self, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Diagnostics about the stack in the order of its files and lines."""
        return by_place(found, [str(self.root / name) for name in self.files])

    def locate(self, address: Address, path: Path = ()) -> SourceRange | None:
        """The exact place of a field, for diagnostics; None for an unknown address."""
        return None if self.places is None else self.places.locate(address, path)

    def placed(self, found: Diagnostic, declaration: Declaration) -> Diagnostic:
        """What was found about a declaration, at the place of the field that it is about."""
        place = self.locate(declaration.address, found.path) or declaration.source
        return found.about(declaration.address).at(place)
