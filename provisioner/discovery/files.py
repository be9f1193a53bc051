"""Where manifests of what was found go, and writing them: never over a file, and never half of one.
Called by :mod:`provisioner.service.discover`.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.discovery.drafts import Draft
from provisioner.discovery.texts import modeline
from provisioner.discovery.values import Choices
from provisioner.manifest.glance import stack_around

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}
_NAMED = 10


class Place:
    """Where the manifests go: files below the stack's folder ``root``."""

    def __init__(
        self, root: Path, below: Path, schemas: str | None, choices: Choices, *, new: bool
    ) -> None:
        self.root, self.new = root, new
        self._below = PurePosixPath(below.as_posix())
        self._schemas = schemas
        self._grouped = choices.grouped

    def folder(self, kind: str) -> PurePosixPath:
        """The folder of the manifests of a kind, relative to the stack's."""
        return self._below if self._grouped else self._below / f"{kind.lower()}s"

    def draft(self, draft: Draft) -> Path:
        """Where a draft is taken to stand while it is checked."""
        kind, name = draft.address
        name = f"{kind.lower()}s#{name}" if self._grouped else name
        return Path(self.folder(kind) / f"{name}.yaml")

    def file(self, draft: Draft) -> Path:
        """The file of a draft."""
        kind = draft.address.kind
        return Path(self._below / f"{kind.lower()}s.yaml") if self._grouped else self.draft(draft)

    def was_told(self, draft: Draft) -> bool:
        """Whether a file of its own that holds the reason why there is no manifest stands there
        already.
        """
        return not self._grouped and os.path.lexists(self.root / self.file(draft))

    def modeline(self, kind: str) -> str:
        """The first line of a file; nothing where the stack has no schemas."""
        if self._schemas is None:
            return ""
        folder = self.folder(kind)
        return modeline(os.path.relpath(f"{self._schemas}/{kind.lower()}.v1.json", folder))


def check_new(folder: Path) -> None:
    """See that a new stack can be made in a folder: it is not there, or holds at most hidden files
    such as ``.git``, and lies in no other stack. Raises ProvisionerError (PRV6052).
    """
    try:
        found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        found = []
    except OSError as problem:
        raise ProvisionerError(
            _unsuitable(f"{folder} cannot be used: {problem.strerror or problem}")
        ) from problem
    if found:
        shown = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        raise ProvisionerError(_unsuitable(f"{folder} is not empty", f"It contains {shown}."))
    around = stack_around(folder)
    if around is not None:
        raise ProvisionerError(
            _unsuitable(
                f"{folder} is inside the stack of {around}",
                "All manifests in a folder and its subfolders belong to one stack. To discover "
                "into it, name one of its hosts instead of a URI.",
            )
        )


def check_inside(folder: Path, root: Path) -> Path:
    """See that a folder is the stack's or lies in it, where its manifests are found; returns its
    path below the stack's. Raises ProvisionerError (PRV6052).
    """
    real, top = folder.resolve(), root.resolve()
    if not real.is_relative_to(top):
        raise ProvisionerError(
            _unsuitable(
                f"{folder} is outside of the stack in {root}",
                "What is discovered on a host of a stack becomes a part of that stack.",
                "Name the stack's folder or one inside of it; to make a new stack, name the host "
                "by its connection URI.",
            )
        )
    below = real.relative_to(top)
    if any(part.startswith(".") for part in below.parts):
        raise ProvisionerError(
            _unsuitable(
                f"{folder} is hidden",
                "Manifests in hidden folders are no part of a stack.",
            )
        )
    return below


def _unsuitable(
    summary: str, detail: str = "", hint: str = "Name an empty or a new folder: -o DIR"
) -> Diagnostic:
    return error("PRV6052", summary, detail=detail, hint=hint)


def check_free(root: Path, files: Iterable[Path]) -> None:
    """See that none of the files is there; raises ProvisionerError (PRV6053)."""
    taken = [str(path) for path in files if os.path.lexists(root / path)]
    if taken:
        raise ProvisionerError(_taken(root, taken))


def _taken(root: Path, taken: list[str]) -> Diagnostic:
    more = f", and {len(taken) - _NAMED} more" if len(taken) > _NAMED else ""
    return error(
        "PRV6053",
        f"{root} contains files that would be overwritten",
        detail=f"In the way: {', '.join(taken[:_NAMED])}{more}. Nothing was written.",
        hint="Move them away, or name another folder: -o DIR",
    )


def write_files(root: Path, texts: Mapping[Path, str]) -> None:
    """Write files below ``root``: all of them, or none. Each is written aside first and then put in
    its place, so that whatever ends the program leaves no half file.

    Raises ProvisionerError (PRV6053, PRV6054).
    """
    made: list[Path] = []
    aside: str | None = None
    try:
        _make_folder(root, made)
        aside = tempfile.mkdtemp(prefix=".discover-", dir=root)
        for number, (path, text) in enumerate(texts.items()):
            draft = Path(aside) / str(number)
            draft.write_text(text, encoding="utf-8")
            _make_folder((root / path).parent, made)
            _put(draft, root / path)
            made.append(root / path)
    except BaseException as problem:
        _clear(aside)
        _undo(made)
        if isinstance(problem, FileExistsError):
            raise ProvisionerError(_taken(root, [str(problem.filename2 or "")])) from problem
        if isinstance(problem, OSError):
            raise ProvisionerError(
                error(
                    "PRV6054",
                    f"the manifests cannot be written to {root}",
                    detail=f"{problem}. Nothing was written.",
                )
            ) from problem
        raise
    _clear(aside)


def _clear(aside: str | None) -> None:
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


def _put(draft: Path, path: Path) -> None:
    """Put a file in its place, unless another one is there."""
    try:
        path.hardlink_to(draft)
    except FileExistsError as problem:
        problem.filename2 = str(path)
        raise
    except OSError as problem:
        # A file system without links. Between the look and the move somebody else would have to
        # make a file of this name.
        if problem.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(
                errno.EEXIST, os.strerror(errno.EEXIST), str(draft), None, str(path)
            ) from problem
        draft.rename(path)


def _undo(made: list[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
