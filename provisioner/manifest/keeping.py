"""The documents of a piece of text as one line of JSON, for the cache, and back.

Called by :mod:`provisioner.manifest.documents`. A line is a list of documents, each of them a list:
kind, name, four positions counted from the piece's beginning, and either what the document is once
it is settled or the value that stands in the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from provisioner.manifest.canonical import FoundReference
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Treatment
from provisioner.manifest.pieces import Piece
from provisioner.manifest.places import Origin
from provisioner.manifest.source import SourceFile
from provisioner.manifest.written import Manifest, Settled

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def line_of(piece: Piece, manifests: Sequence[Manifest], catalog: SchemaCatalog) -> str:
    """The line that stands for the manifests of a piece. It is made before their specs are linked:
    linking puts in what others give.
    """
    return _encode([_plain(piece, manifest, catalog) for manifest in manifests])


def manifests_of(
    line: str, piece: Piece, file: SourceFile, folder: Path, catalog: SchemaCatalog
) -> Iterator[Manifest]:
    """The manifests that a line stands for, in the piece of ``file`` for which it was made."""
    offset, first = piece.start, piece.line
    for kind, name, start, end, node, row, settled, value in json.loads(line):
        origin = Origin(file, start + offset, end + offset, node + offset, row + first)
        found = None if settled is None else _settled(settled, catalog.kinds[kind].reference_fields)
        yield Manifest(kind, name, origin, folder, value, found)


def _plain(piece: Piece, manifest: Manifest, catalog: SchemaCatalog) -> list[Any]:
    kind, name, origin, settled = manifest.kind, manifest.name, manifest.origin, manifest.settled
    start, end, node = (
        position - piece.start for position in (origin.start, origin.end, origin.offset)
    )
    row = origin.line - piece.line
    if settled is None:
        return [kind, name, start, end, node, row, None, manifest.value]
    fields = catalog.kinds[kind].reference_fields
    # By identity: two fields may say the same.
    references = [
        [ref.path, ref.name, next(n for n, field in enumerate(fields) if field is ref.field)]
        for ref in settled.references
    ]
    plain = [settled.spec, references, settled.treatment]
    return [kind, name, start, end, node, row, plain, None]


def _settled(plain: list[Any], fields: Sequence[Any]) -> Settled:
    spec, references, treatment = plain
    found = [FoundReference(tuple(path), name, fields[number]) for path, name, number in references]
    return Settled(spec, found, Treatment(*treatment))
