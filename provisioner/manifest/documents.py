"""Reads the documents of all manifest files of a stack.

First stage of :mod:`provisioner.manifest.loader`. Whatever is no usable manifest becomes a
diagnostic, and reading goes on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.manifest.catalog import API_VERSION, SchemaCatalog
from provisioner.manifest.folder import manifest_files
from provisioner.manifest.places import Origin, Places
from provisioner.manifest.positioned import Composition, compose
from provisioner.manifest.problems import Problem
from provisioner.manifest.source import SourceFile, read_source
from provisioner.manifest.syntax import explain
from provisioner.manifest.violations import found_text, names_text, nearest
from provisioner.manifest.yamlstrict import (
    BrokenDocument,
    SyntaxFailure,
    YamlDocument,
    read_documents,
)


class Manifest(NamedTuple):
    """One document of a known kind as its author wrote it. ``name`` may contain placeholders."""

    kind: str
    name: str
    value: dict[str, Any]
    origin: Origin
    folder: Path
    """Where the file lies; relative paths in the manifest start here."""

    @property
    def written(self) -> str:
        """``Kind/name`` as the manifest has it."""
        return f"{self.kind}/{self.name}"


@dataclass(slots=True)
class Reading:
    """What reading a folder gave. ``lost``: some documents could not be read, so their names are
    not known.
    """

    files: list[str]
    """As diagnostics name them, sorted; folders that could not be read, too."""
    manifests: list[Manifest] = field(default_factory=list)
    diagnostics: dict[str, list[Diagnostic]] = field(default_factory=dict)
    """By file."""
    lost: bool = False

    def set_aside(self, names: Container[str]) -> None:
        """Forget the complaints about the named files: they are no manifests but what a manifest
        names, user data say.

        A file in which a manifest was found is one.
        """
        with_manifests = {manifest.origin.file.name for manifest in self.manifests}
        self.diagnostics = {
            name: found
            for name, found in self.diagnostics.items()
            if name in with_manifests or name not in names
        }
        self.lost = bool(self.diagnostics)


def read_manifests(root: Path, catalog: SchemaCatalog) -> Reading:
    """Read every manifest below ``root``; raises ProvisionerError only if there is no folder to
    read.
    """
    found = manifest_files(root)
    reading = Reading([str(root / path) for path in sorted([*found.files, *found.closed])])
    for path, problem in found.closed.items():
        reading.diagnostics[str(root / path)] = [problem]
        reading.lost = True
    for path in found.files:
        name = str(root / path)
        try:
            file = read_source(root / path, name)
        except ProvisionerError as refused:
            reading.diagnostics[name] = list(refused.diagnostics)
            reading.lost = True
            continue
        if not file.text.startswith("#cloud-config"):
            _read(file, (root / path).parent, catalog, reading)
    return reading


def _read(file: SourceFile, folder: Path, catalog: SchemaCatalog, reading: Reading) -> None:
    found: list[Diagnostic] = []
    places = Places({}, {})
    for result in read_documents(file.text):
        if isinstance(result, YamlDocument):
            manifest = _manifest(result, Origin.of(file, result), folder, catalog, places)
            if isinstance(manifest, Manifest):
                reading.manifests.append(manifest)
            else:
                found.append(manifest)
                reading.lost = True
        elif isinstance(result, BrokenDocument):
            found += compose(file, result.start, result.end, expanded=result.expanded).problems
            reading.lost = True
        else:
            head = _head(file, result)
            found.append(explain(result, file, head.open_brackets))
            reading.lost = True
    if found:
        reading.diagnostics[file.name] = found


def _head(file: SourceFile, failure: SyntaxFailure) -> Composition:
    """What stands in a document before the place where the parser gave up."""
    if failure.start < 0:
        return Composition()
    line_end = file.text.find("\n", failure.offset)
    return compose(file, failure.start, line_end if line_end >= 0 else len(file.text))


def _manifest(
    document: YamlDocument, origin: Origin, folder: Path, catalog: SchemaCatalog, places: Places
) -> Manifest | Diagnostic:
    """The manifest in a document, or why there is none: only what is needed to choose a schema
    is checked here.
    """
    value = document.value
    if not isinstance(value, dict):
        return error(
            "PRV1100",
            f"found {found_text(value)}, expected a manifest",
            detail="A manifest is a mapping with apiVersion, kind, metadata and spec.",
            source=origin.source,
            hint="If the file is no manifest, give it another suffix than .yaml or .yml.",
        )
    kind = value.get("kind")
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(kind, str) and kind in catalog.kinds:
        return Manifest(kind, name if isinstance(name, str) else "", value, origin, folder)
    return places.report(origin, "", _unknown_kind(value, catalog))


def _unknown_kind(value: Mapping[str, Any], catalog: SchemaCatalog) -> Problem:
    kind = value.get("kind")
    known = names_text(catalog.kinds)
    if kind is None:
        return Problem(
            (),
            "PRV1101",
            "the field 'kind' is missing",
            "Write the kind; give a file that is no manifest another suffix.",
            f"Known kinds: {known}.",
        )
    near = nearest(kind, catalog.kinds)
    foreign = isinstance(version := value.get("apiVersion"), str) and version != API_VERSION
    if near is None and foreign:
        return Problem(
            ("apiVersion",),
            "PRV1101",
            f"found {found_text(version)}, expected {API_VERSION}",
            "If the file belongs to another tool, move it out of the stack's folder.",
        )
    return Problem(
        ("kind",),
        "PRV1102",
        f"unknown kind {kind!r}"
        if isinstance(kind, str)
        else f"found {found_text(kind)}, expected a kind",
        f"Did you mean {near!r}?" if near else "",
        f"Known kinds: {known}.",
    )
