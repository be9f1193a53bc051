"""Which stacks files belong to, be they manifests, what these name, or files that are gone.

For checks of what somebody is about to commit: only the stacks that it may have changed are worth
looking at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.manifest.glance import files_in, holds_manifest, holds_stack


class Affected(NamedTuple):
    """The folders of stacks, sorted, and what is wrong with files that belong to none."""

    stacks: list[Path]
    strays: list[Diagnostic]


def stacks_of(files: Iterable[Path], seen_from: Path) -> Affected:
    """The stacks that the files belong to: each to that of the nearest folder above it which holds
    a Stack manifest. It need not be there any more.

    Folders are named relative to ``seen_from`` where they lie in it. Manifests without a stack are
    errors (PRV6041); other files are somebody else's.
    """
    is_stack = cache(_holds_stack)
    stacks: set[Path] = set()
    strays: list[Diagnostic] = []
    for file in sorted(set(files)):
        path = seen_from / file
        stack = next((folder for folder in _upward(path) if is_stack(folder)), None)
        if stack is not None:
            stacks.add(stack)
        elif holds_manifest(path):
            strays.append(_stray(f"{file} belongs to no stack"))
        elif not path.exists() and (rest := _left_behind(path)) is not None:
            strays.append(_stray(f"{file} is gone, and {rest.name} beside it belongs to no stack"))
    return Affected(sorted(_shown(folder, seen_from) for folder in stacks), strays)


def _upward(path: Path) -> Iterator[Path]:
    """The folders above a file that are there, up to the root of its repository."""
    for folder in path.parents:
        if folder.is_dir():
            yield folder
        if (folder / ".git").exists():
            return


def _holds_stack(folder: Path) -> bool:
    return any(holds_stack(file) or _is_closed(file) for file in files_in(folder))


def _is_closed(file: Path) -> bool:
    """Whether a file cannot be read: whoever validates it says why."""
    return file.is_file() and not os.access(file, os.R_OK)


def _left_behind(path: Path) -> Path | None:
    """A manifest beside a file that is gone."""
    return next(filter(holds_manifest, files_in(path.parent)), None)


def _shown(folder: Path, seen_from: Path) -> Path:
    return folder.relative_to(seen_from) if folder.is_relative_to(seen_from) else folder


def _stray(summary: str) -> Diagnostic:
    return error(
        "PRV6041",
        summary,
        detail="No folder above it holds a file with a Stack manifest.",
        hint="Put a Stack manifest into the folder, or leave the file out (`exclude` of the hook"
        " in .pre-commit-config.yaml).",
    )
