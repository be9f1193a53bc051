"""What may be chosen of a discovery, and what comes of it: values of
:mod:`provisioner.service.discover`, for the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from provisioner.core.address import Address
from provisioner.providers.api import Discovered


@dataclass(frozen=True, slots=True)
class Choices:
    """What is wanted of what is there. ``kinds`` and ``match`` (globs over the objects' own names):
    empty means everything. ``grouped``: a file for each kind instead of one for each resource.
    ``observe``: nothing may be done to any of it. ``full``: also fields that say what holds without
    them. ``dependencies``: also what the wanted refer to.
    """

    kinds: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    grouped: bool = False
    observe: bool = False
    full: bool = False
    dependencies: bool = True
    name: str | None = None
    """Of a new stack."""

    def wants(self, found: Discovered) -> bool:
        """Whether an object is wanted for itself."""
        of_kind = not self.kinds or found.kind in self.kinds
        return of_kind and (
            not self.match or any(fnmatchcase(found.name, glob) for glob in self.match)
        )

    def unmatched(self, found: Sequence[Discovered]) -> list[str]:
        """The globs that no object of the kinds is called like."""
        names = [item.name for item in found if not self.kinds or item.kind in self.kinds]
        return [glob for glob in self.match if not any(fnmatchcase(name, glob) for name in names)]


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest that was written; ``notes`` say what is not in it."""

    address: Address
    name: str
    """On the endpoint."""
    file: str
    observe_only: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotExpressed:
    """An object of which there can be no manifest. ``file`` holds the reason as a comment."""

    kind: str
    name: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What came of it. Files are named below ``root``, the stack's folder."""

    stack: str
    host: str
    provider: str
    root: Path
    new: bool
    declared: tuple[Address, ...]
    """What was found and is in the stack already."""
    unselected: int
    """How much else was found that was not wanted."""
    files: tuple[str, ...] = ()
    written: tuple[Written, ...] = ()
    not_expressed: tuple[NotExpressed, ...] = ()
    told: int = 0
    """Of how much else there can be no manifest, as files of an earlier run say."""
