"""What a file is at a glance: a manifest, a Stack manifest, neither. For those who look for stacks
around and below a folder.

Documents that are broken are to be found, too: lines that look like a manifest's settle it. Only
where they do not (flow style, JSON, an indented mapping) is the document read, as far as it can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.manifest.folder import SUFFIXES
from provisioner.manifest.source import UNPRINTABLE
from provisioner.manifest.yamlstrict import Limits, marked_events

_START = re.compile(r"^---(?:\s|$)", re.MULTILINE)
_ENTRY = re.compile(r"""^["']?(apiVersion|kind)["']?[ \t]*:[ \t]*["']?([^\s"']*)""", re.MULTILINE)
_ENTRIES = 2
_PROGRAM = "provisioner"
_LOOKED_AT = 1024 * 1024
"""Bytes of a file."""


def holds_manifest(file: Path) -> bool:
    """Whether one of the file's documents is of this program."""
    return any(True for _ in _kinds(file))


def holds_stack(file: Path) -> bool:
    """Whether one of the file's documents is a Stack manifest."""
    return "Stack" in _kinds(file)


def _kinds(file: Path) -> Iterator[str]:
    """The kind of each document that is of this program."""
    text = _beginning(file) if file.suffix in SUFFIXES else ""
    if _PROGRAM not in text:
        return
    for document in _START.split(text):
        heading = _heading(document)
        if heading.get("apiVersion", "").startswith(f"{_PROGRAM}/"):
            yield heading.get("kind", "")


def _heading(document: str) -> Mapping[str, str]:
    """``apiVersion`` and ``kind`` of a document, as far as it has them."""
    lines = dict(_ENTRY.findall(document))
    if len(lines) == _ENTRIES or _PROGRAM not in document:
        return lines
    nodes = list(_nodes(document))
    return dict(zip(nodes[::2], nodes[1::2], strict=False)) | lines


def _nodes(document: str) -> Iterator[str]:
    """The keys and values of a document's mapping by turns, up to where it is broken; of those that
    are collections an empty text.
    """
    depth, limit = 0, Limits().depth
    # The parser takes nothing else, and says so for the whole of a text.
    text = UNPRINTABLE.sub("?", document)
    for event in marked_events(text, 0, len(text)):
        if (
            event.kind == "stop"
            or depth > limit
            or (depth == 0 and event.kind in ("seq", "scalar"))
        ):
            return
        if depth == 1 and event.kind != "end":
            yield event.text
        depth += {"map": 1, "seq": 1, "end": -1}.get(event.kind, 0)


def _beginning(file: Path) -> str:
    """As much of a file as it takes to know whose it is; nothing of one that cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(_LOOKED_AT).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def files_in(folder: Path) -> Iterator[Path]:
    """What may be manifests directly in a folder, in the order of names; hidden files are none.
    Nothing where there is no such folder, or it cannot be looked into.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for file in found:
        if file.suffix in SUFFIXES and not file.name.startswith("."):
            yield file


def stack_around(folder: Path) -> Path | None:
    """The file with the Stack manifest in a folder above; None if the folder is in no stack."""
    for parent in folder.parents:
        found = next(filter(holds_stack, files_in(parent)), None)
        if found is not None:
            return found
    return None
