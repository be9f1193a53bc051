"""One expanded document becomes a draft: validated, canonical, its references collected.

Called by :mod:`provisioner.manifest.loader` for every document. A document with errors becomes a
draft, too, without what is wrong in it, so that one run can report everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provisioner.core.address import NAME_PATTERN, Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.values import Path
from provisioner.manifest.annotations import METADATA_FIELDS
from provisioner.manifest.canonical import Findings
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.expand import Expanded
from provisioner.manifest.files import ManifestFiles, TextFiles
from provisioner.manifest.placeholders import unresolved
from provisioner.manifest.places import Places
from provisioner.manifest.problems import Element, Part, Problem
from provisioner.manifest.references import Draft

_GONE = object()
_MISSING = "PRV1105"
"""Nothing is wrong with what is there."""


@dataclass(slots=True)
class Drafter:
    """Makes drafts of the documents of one stack."""

    catalog: SchemaCatalog
    places: Places
    files: TextFiles
    diagnostics: list[Diagnostic]

    def draft(self, document: Expanded) -> Draft | None:
        """The draft of a document; None if its name cannot be used, so that nobody can refer to
        it either.
        """
        kind, value = document.kind, document.value
        info = self.catalog.kinds[kind]
        problems = self.catalog.compiled[kind].problems(value, document.scope.kinds)
        failed = document.failed or bool(problems)
        if failed:
            self._report(document, problems, value)
            value = pruned(value, [item.path for item in problems if item.code != _MISSING])
        metadata = value.get("metadata") or {}
        name = metadata.get("name")
        if not isinstance(name, str):
            return None
        if "$" in name and not NAME_PATTERN.fullmatch(name):
            self._report(document, [] if document.failed else [_bad_name(name)], value)
            return None
        spec = dict(value.get("spec") or {})
        for field in METADATA_FIELDS:
            if field in metadata:
                spec[field] = metadata[field]
        address = Address(kind, name)
        files = self._files(document, address)
        findings = Findings(files, document.scope.kinds)
        canonical = info.canonicalise(spec, findings)
        if findings.problems:
            failed = True
            moved = [_moved(problem) for problem in findings.problems]
            self._report(document, moved, document.value)
            canonical = pruned(canonical, [problem.path for problem in findings.problems])
        return Draft(
            address,
            canonical,
            document.origin,
            findings.references,
            document.templated or files.holds_escapes,
            failed,
            metadata.get("protect") is True,
            metadata.get("renamedFrom"),
            metadata.get("replace"),
        )

    def _report(self, document: Expanded, problems: Iterable[Problem], value: Any) -> None:
        for problem in problems:
            self.diagnostics.append(
                self.places.report(document.origin, document.kind, problem, value)
            )

    def _files(self, document: Expanded, address: Address) -> ManifestFiles:
        def place(path: Path) -> Any:
            keyed = self.places.keyed(address.kind, ("spec", *path))
            return self.places.find(document.origin, keyed)

        return ManifestFiles(
            self.files,
            document.folder,
            place,
        )


def _bad_name(name: str) -> Problem:
    return Problem(
        ("metadata", "name"),
        "PRV1107",
        f"found the name {name!r}, expected lower-case letters, digits, '-' and '.'",
        "In a name only ${var.NAME} and ${replica.index} are replaced.",
    )


def _moved(problem: Problem) -> Problem:
    """The problem with its path from the top of the document; it was found in a spec with some
    of the metadata.
    """
    top = "metadata" if problem.path[:1] and problem.path[0] in METADATA_FIELDS else "spec"
    return problem._replace(path=(top, *problem.path))


def pruned(value: Any, paths: Iterable[tuple[Part, ...]]) -> Any:
    """The value without what stands at the paths, and without text whose placeholders have no
    value.
    """
    value = _copied(value)
    for path in paths:
        _remove(value, path)
    return _stripped(value)


def _remove(value: Any, path: tuple[Part, ...]) -> None:
    for part in path[:-1]:
        key = _key_in(value, part)
        if key is None:
            return
        value = value[key]
    key = _key_in(value, path[-1]) if path else None
    if key is not None:
        value[key] = _GONE


def _key_in(value: Any, part: Part) -> str | int | None:
    """What the part is called in this collection; None if it is not there."""
    if isinstance(value, dict):
        name = part.key if isinstance(part, Element) else part
        return name if name in value else None
    if not isinstance(value, list):
        return None
    number = part.number if isinstance(part, Element) else part
    if isinstance(number, str):
        number = int(number) if number.isdecimal() else None
    return number if number is not None and number < len(value) else None


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(child) for key, child in value.items()}
    return [_copied(child) for child in value] if isinstance(value, list) else value


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(child) for key, child in value.items() if not _is_gone(child)}
    if isinstance(value, list):
        return [_stripped(child) for child in value if not _is_gone(child)]
    return value


def _is_gone(value: Any) -> bool:
    return value is _GONE or (isinstance(value, str) and "${" in value and unresolved(value))
