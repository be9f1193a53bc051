"""Reads the documents of all manifest files of a stack.

First stage of :mod:`provisioner.manifest.loader`. Whatever is no usable manifest becomes a
diagnostic, and reading goes on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.manifest.catalog import API_VERSION, SchemaCatalog
from provisioner.manifest.folder import Found, manifest_files
from provisioner.manifest.keeping import line_of, manifests_of
from provisioner.manifest.pieces import Piece, pieces
from provisioner.manifest.placeholders import UNREADABLE
from provisioner.manifest.places import Origin, Places
from provisioner.manifest.positioned import Composition, compose, plain
from provisioner.manifest.problems import Problem
from provisioner.manifest.source import SourceFile, read_source
from provisioner.manifest.syntax import explain
from provisioner.manifest.unread import Meant, foreign, meant
from provisioner.manifest.violations import found_text, names_text, nearest
from provisioner.manifest.written import Manifest
from provisioner.manifest.yamlstrict import (
    BrokenDocument,
    PartReader,
    SyntaxFailure,
    YamlDocument,
    read_documents,
)


class KnownDocuments(Protocol):
    """Where documents that were read before may be found again, by the key of a :class:`Piece`."""

    def find(self, key: str) -> str | None:
        """What was kept for a piece, None if nothing was."""
        ...

    def keep(self, key: str, line: str) -> None:
        """Keep something for a piece."""
        ...


class ReadPiece(NamedTuple):
    """A piece that was read and is not in the cache yet."""

    piece: Piece
    manifests: list[Manifest]


@dataclass(slots=True)
class Complaints:
    """What is wrong with a file, and what its documents were meant to declare that cannot be
    used.
    """

    found: list[Diagnostic] = field(default_factory=list)
    meant: list[Meant] = field(default_factory=list)
    closed: bool = False
    """Whether it could not be opened, so that anything may be in it."""


@dataclass(slots=True)
class Reading:
    """What reading a folder gave."""

    files: list[str]
    """As diagnostics name them, sorted; folders that could not be read, too."""
    manifests: list[Manifest] = field(default_factory=list)
    complaints: dict[str, Complaints] = field(default_factory=dict)
    """By file."""
    pieces: list[ReadPiece] = field(default_factory=list)
    """What is worth keeping, once its manifests are settled as far as they can be."""

    def keep(self, known: KnownDocuments, catalog: SchemaCatalog) -> None:
        """Keep what was read. Nothing may have been linked yet."""
        for piece, manifests in self.pieces:
            known.keep(piece.key, line_of(piece, manifests, catalog))
        self.pieces = []

    def set_aside(self, names: Container[str]) -> None:
        """Forget the complaints about the named files: they are no manifests but what a manifest
        names, user data say.

        A file in which a manifest was found is one.
        """
        with_manifests = {manifest.origin.file.name for manifest in self.manifests}
        self.complaints = {
            name: found
            for name, found in self.complaints.items()
            if name in with_manifests or name not in names
        }


def read_manifests(
    root: Path,
    catalog: SchemaCatalog,
    known: KnownDocuments | None = None,
    unwritten: Mapping[Path, str] | None = None,
) -> Reading:
    """Read every manifest below ``root``, but for those that are ``known``; raises ProvisionerError
    only if there is no folder to read. The texts of files that are ``unwritten`` are taken to stand
    there already; they are read last, so that what is wrong between files is wrong in them.
    """
    found = manifest_files(root) if unwritten is None or root.exists() else Found([], {})
    reading = Reading([str(root / path) for path in sorted([*found.files, *found.closed])])
    for path, problem in found.closed.items():
        reading.complaints[str(root / path)] = Complaints([problem], [Meant()], closed=True)
    for path in found.files:
        name = str(root / path)
        try:
            file = read_source(root / path, name)
        except ProvisionerError as refused:
            reading.complaints[name] = Complaints(list(refused.diagnostics), [Meant()], closed=True)
            continue
        if not file.text.startswith("#cloud-config"):
            _File(file, (root / path).parent, catalog, reading, known).read()
    for path, text in (unwritten or {}).items():
        name = str(root / path)
        reading.files.append(name)
        _File(SourceFile(name, text), (root / path).parent, catalog, reading, known).read()
    return reading


@dataclass(slots=True)
class _File:
    """Reads the documents of one file."""

    file: SourceFile
    folder: Path
    catalog: SchemaCatalog
    reading: Reading
    known: KnownDocuments | None
    complaints: Complaints = field(default_factory=Complaints)
    places: Places = field(default_factory=lambda: Places({}, {}))

    def read(self) -> None:
        if self.known is None or not self._read_pieces(self.known):
            self._read_whole()

    def _read_pieces(self, known: KnownDocuments) -> bool:
        """Read piece by piece; False, and nothing was taken, if anything in the file calls for a
        complaint.
        """
        reader = PartReader(self.file.text)
        manifests: list[Manifest] = []
        read: list[ReadPiece] = []
        for piece in pieces(self.file.text):
            line = known.find(piece.key)
            if line is not None:
                manifests += manifests_of(line, piece, self.file, self.folder, self.catalog)
                continue
            expanded = reader.expanded
            documents = reader.read(piece.start, piece.end, piece.line)
            found = [self._manifest(document) for document in documents or ()]
            if documents is None or None in found:
                return False
            own = [manifest for manifest in found if manifest is not None]
            manifests += own
            if reader.expanded == expanded:
                # With aliases in it, a file has to be read whole to know whether they are too many.
                read.append(ReadPiece(piece, own))
        self.reading.manifests += manifests
        self.reading.pieces += read
        return True

    def _read_whole(self) -> None:
        for result in read_documents(self.file.text):
            if isinstance(result, YamlDocument):
                self._take(result.value, Origin.of(self.file, result))
            elif isinstance(result, BrokenDocument):
                self._take_broken(result)
            else:
                self._skip(result)
        if self.complaints.found:
            self.reading.complaints[self.file.name] = self.complaints

    def _take(self, value: Any, origin: Origin, *, broken: bool = False) -> None:
        """Take a document as a manifest, or say why it is none: only what is needed to choose a
        schema is checked here.
        """
        kinds = self.catalog.kinds
        manifest = self._manifest_of(value, origin, broken=broken)
        if manifest is not None:
            self.reading.manifests.append(manifest)
            return
        kind = value.get("kind") if isinstance(value, dict) else None
        was_meant = meant(value, kinds, whole=not broken)
        self.complaints.meant += [] if was_meant is None else [was_meant]
        if not isinstance(value, dict):
            self.complaints.found += [] if broken else [_no_mapping(value, origin)]
        # Of a document that could not be read nobody knows whether it is a manifest at all, unless
        # it says so.
        elif not broken or (isinstance(kind, str) and kind is not UNREADABLE):
            problem = _unknown_kind(value, self.catalog)
            self.complaints.found.append(self.places.report(origin, "", problem))

    def _manifest(self, document: YamlDocument) -> Manifest | None:
        return self._manifest_of(document.value, Origin.of(self.file, document), broken=False)

    def _manifest_of(self, value: Any, origin: Origin, *, broken: bool) -> Manifest | None:
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in self.catalog.kinds:
            return None
        metadata = value.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        name = name if isinstance(name, str) and name is not UNREADABLE else ""
        return Manifest(kind, name, origin, self.folder, value, broken=broken)

    def _take_broken(self, document: BrokenDocument) -> None:
        composition = compose(self.file, document.start, document.end, expanded=document.expanded)
        self.complaints.found += composition.problems
        root = composition.root
        offset = document.start if root is None else root.offset
        line = self.file.line_at(offset)
        origin = Origin(self.file, document.start, document.end, offset, line)
        self._take(plain(root), origin, broken=True)

    def _skip(self, failure: SyntaxFailure) -> None:
        """What stands before the place where the parser gave up tells at least what was meant."""
        head = Composition()
        if failure.start >= 0:
            line_end = self.file.text.find("\n", failure.offset)
            end = line_end if line_end >= 0 else len(self.file.text)
            head = compose(self.file, failure.start, end)
        self.complaints.found.append(explain(failure, self.file, head.open_brackets))
        value = None if head.root is None else plain(head.root)
        was_meant = meant(value, self.catalog.kinds, whole=False)
        self.complaints.meant += [] if was_meant is None else [was_meant]


def _no_mapping(value: Any, origin: Origin) -> Diagnostic:
    return error(
        "PRV1100",
        f"found {found_text(value)}, expected a manifest",
        detail="A manifest is a mapping with apiVersion, kind, metadata and spec.",
        source=origin.source,
        hint="If the file is no manifest, give it another suffix than .yaml or .yml.",
    )


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
    if near is None and foreign(value):
        return Problem(
            ("apiVersion",),
            "PRV1101",
            f"found {found_text(value['apiVersion'])}, expected {API_VERSION}",
            "If the file belongs to another tool, move it out of the stack's folder.",
        )
    return Problem(
        ("kind",),
        "PRV1102",
        f"unknown kind {found_text(kind)}"
        if isinstance(kind, str)
        else f"found {found_text(kind)}, expected a kind",
        f"Did you mean {near!r}?" if near else "",
        f"Known kinds: {known}.",
    )
