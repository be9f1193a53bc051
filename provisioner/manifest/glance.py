"""What a file is at a glance: a manifest, a Stack manifest, neither. For those who look for stacks
around and below a folder.

Nothing is read as YAML, for a file that is broken is to be found, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from provisioner.manifest.folder import SUFFIXES

_START = re.compile(r"^---(?:\s|$)", re.MULTILINE)
_OURS = re.compile(r"""^["']?apiVersion["']?[ \t]*:[ \t]*["']?provisioner/""", re.MULTILINE)
_STACK = re.compile(r"""^["']?kind["']?[ \t]*:[ \t]*["']?Stack\b""", re.MULTILINE)
_LOOKED_AT = 1024 * 1024
"""Bytes of a file."""


def holds_manifest(file: Path) -> bool:
    """Whether one of the file's documents is of this program."""
    return _holds(file, _OURS)


def holds_stack(file: Path) -> bool:
    """Whether one of the file's documents is a Stack manifest."""
    return _holds(file, _STACK, _OURS)


def _holds(file: Path, *patterns: re.Pattern[str]) -> bool:
    text = _beginning(file) if file.suffix in SUFFIXES else ""
    return any(
        all(pattern.search(document) for pattern in patterns) for document in _START.split(text)
    )


def _beginning(file: Path) -> str:
    """As much of a file as it takes to know whose it is; nothing of one that cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(_LOOKED_AT).decode("utf-8", "replace")
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
