"""Which stacks files belong to, be they manifests, what these name, or files that are gone.

For checks of what somebody is about to commit: only the stacks that it may have changed are worth
looking at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, error

_START = re.compile(r"^---(?:\s|$)", re.MULTILINE)
_OURS = re.compile(r"""^["']?apiVersion["']?\s*:\s*["']?provisioner/""", re.MULTILINE)
_STACK = re.compile(r"""^["']?kind["']?\s*:\s*["']?Stack["']?\s*(?:#|$)""", re.MULTILINE)


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
        elif _holds(path, _OURS):
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
    return any(_holds(file, _STACK, _OURS) for file in _manifests(folder))


def _manifests(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.suffix in (".yaml", ".yml") and not file.name.startswith("."):
            yield file


def _left_behind(path: Path) -> Path | None:
    """A manifest beside a file that is gone."""
    folder = path.parent
    beside = _manifests(folder) if folder.is_dir() else iter(())
    return next((file for file in beside if _holds(file, _OURS)), None)


def _holds(file: Path, *patterns: re.Pattern[str]) -> bool:
    """Whether one of the file's documents has all of these. Not read as YAML: it may be broken, and
    is to be validated then.
    """
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        return False
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # whoever validates it says why
    return any(
        all(pattern.search(document) for pattern in patterns) for document in _START.split(text)
    )


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
