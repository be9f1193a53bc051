"""Finds the manifest files in a stack's folder.

Called by :mod:`provisioner.manifest.documents`. What cannot be looked into is reported and the rest
is found all the same.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, SourceRange, error

SUFFIXES = (".yaml", ".yml")

_Identity: TypeAlias = tuple[int, int]
"""Device and inode."""


class Found(NamedTuple):
    """The manifest files of a folder, relative to it and sorted, and what could not be looked into,
    where there may be more.
    """

    files: list[Path]
    closed: dict[Path, Diagnostic]


def manifest_files(root: Path) -> Found:
    """The manifest files below ``root``; raises ProvisionerError (PRV1001, PRV1002) if that is no
    folder.

    Hidden files and folders are skipped. A folder that is reached a second time through a symbolic
    link is left out, so loops of folders do no harm.
    """
    try:
        status = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ProvisionerError(_no_folder(f"there is no folder {root}")) from None
    except OSError as problem:
        raise ProvisionerError(_closed(root, problem)) from problem
    if not stat.S_ISDIR(status.st_mode):
        raise ProvisionerError(_no_folder(f"{root} is a file, expected a stack's folder"))
    closed: dict[Path, Diagnostic] = {}
    files = sorted(_walk(root, Path(), {(status.st_dev, status.st_ino)}, closed))
    return Found(files, closed)


def _walk(
    root: Path, below: Path, seen: set[_Identity], closed: dict[Path, Diagnostic]
) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as problem:
        closed[below] = _closed(root / below, problem)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            identity = _folder_identity(entry)
        except OSError as problem:
            closed[below / entry.name] = _closed(Path(entry.path), problem, link=entry.is_symlink())
            continue
        if identity is None:
            if entry.name.endswith(SUFFIXES):
                yield below / entry.name
        elif identity not in seen:
            seen.add(identity)
            yield from _walk(root, below / entry.name, seen, closed)


def _folder_identity(entry: os.DirEntry[str]) -> _Identity | None:
    """The identity of a folder, None for anything else; raises OSError for a link that cannot be
    followed, unless nothing is there.
    """
    if not entry.is_dir():
        return None
    status = entry.stat()
    return status.st_dev, status.st_ino


def _no_folder(summary: str) -> Diagnostic:
    return error(
        "PRV1001",
        summary,
        hint="Name the folder of a stack, or run 'provisioner init' to make one.",
    )


def _closed(path: Path, problem: OSError, *, link: bool = False) -> Diagnostic:
    return error(
        "PRV1002",
        "the link cannot be followed" if link else "the folder cannot be read",
        detail=f"{problem.strerror or problem}.",
        source=SourceRange(str(path), 1, 1),
        hint="There may be manifests behind it. Mend the link, or remove it."
        if link
        else "There may be manifests in it. Check that you may read it, or move it away.",
    )
