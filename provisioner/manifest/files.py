"""Files that manifests name: their canonical paths, and the content of those that stand for text.

Used by the canonical form through :class:`provisioner.manifest.canonical.LocalFiles`. A path is
relative to the manifest in which it stands and becomes relative to the stack's folder, so that the
same stack in another place is the same; a path out of that folder becomes absolute. A file whose
content becomes part of the spec has to lie in the stack's folder: manifests of others must not be
able to hand a guest what else is on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from provisioner.core.diagnostics import (
    Diagnostic,
    ProvisionerError,
    SourceRange,
    error,
    shortened,
    warning,
)
from provisioner.manifest.canonical import Findings, Place
from provisioner.manifest.placeholders import escaped
from provisioner.manifest.problems import Problem
from provisioner.manifest.reports import Reports
from provisioner.manifest.source import SourceFile, read_bytes

TEXT_LIMIT = 1024 * 1024
"""Bytes that a file whose content becomes part of a spec may have."""


@dataclass(slots=True)
class TextFiles:
    """The text files of a stack; each is read once."""

    root: FilePath
    reports: Reports
    _texts: dict[str, SourceFile | ProvisionerError] = field(default_factory=dict)
    _looked_for: set[str] = field(default_factory=set)

    def canonical(self, folder: FilePath, text: str) -> str:
        """A path relative to the stack's folder if it lies there, else absolute; with ``/``,
        without ``..`` where it can be.
        """
        # Absolute first: from within the stack's folder, ".." leads out of a path that is ".".
        path = os.path.normpath((folder / text).absolute())
        relative = os.path.relpath(path, self.root)
        inside = relative != os.pardir and not relative.startswith(os.pardir + os.sep)
        return FilePath(relative if inside else path).as_posix()

    def read(self, path: str) -> SourceFile:
        """The text of a file by its canonical path; raises ProvisionerError (PRV1240, PRV1241,
        PRV1243).
        """
        if path not in self._texts:
            try:
                self._texts[path] = self._read(path)
            except ProvisionerError as problem:
                self._texts[path] = problem
        known = self._texts[path]
        if isinstance(known, ProvisionerError):
            raise known
        return known

    def note_absence(self, path: str, source: Callable[[], SourceRange]) -> None:
        """Warn once if a file that will be needed later is not there, or nobody can tell."""
        if path in self._looked_for:
            return
        self._looked_for.add(path)
        try:
            (self.root / path).stat()
        except (OSError, ValueError) as problem:
            gone = isinstance(problem, FileNotFoundError)
            self.reports.add(
                [
                    warning(
                        "PRV1242",
                        f"there is no file {shortened(path)}"
                        if gone
                        else f"the file {shortened(path)} cannot be looked at",
                        detail="" if gone else _reason(problem),
                        source=source(),
                        hint="Paths are relative to the manifest. "
                        "The file is needed when the plan is applied.",
                    )
                ]
            )

    def _read(self, path: str) -> SourceFile:
        whole = self.root / path
        name = str(whole)
        try:
            inside = FilePath(os.path.realpath(whole)).is_relative_to(os.path.realpath(self.root))
        except (OSError, ValueError) as problem:
            raise ProvisionerError(_unusable(path, "no file has such a name", problem)) from problem
        if not inside:
            raise ProvisionerError(
                error(
                    "PRV1240",
                    f"the file {shortened(path)} lies outside of the stack's folder",
                    detail="Its content becomes part of the manifest, so it has to lie with it.",
                    hint="Copy it into the stack's folder; for a secret use 'secretRef: "
                    "file://PATH'.",
                )
            )
        try:
            data = read_bytes(whole, name, TEXT_LIMIT)
            return SourceFile(name, data.decode("utf-8"))
        except UnicodeDecodeError as problem:
            raise ProvisionerError(
                error(
                    "PRV1243",
                    f"the file {shortened(path)} is not UTF-8 text",
                    detail=f"Byte 0x{data[problem.start]:02X} at offset {problem.start} is none.",
                    hint="Convert it to UTF-8.",
                )
            ) from problem
        except ProvisionerError as problem:
            cause = problem.diagnostics[0]
            raise ProvisionerError(_unusable(path, cause.summary, cause.detail)) from problem


def _unusable(path: str, summary: str, reason: str | Exception) -> Diagnostic:
    return error(
        "PRV1241",
        f"the file {shortened(path)} cannot be used: {summary}",
        detail=reason if isinstance(reason, str) else _reason(reason),
        hint="Paths are relative to the manifest in which they stand.",
    )


def _reason(problem: Exception) -> str:
    text = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
    return f"{text[:1].upper()}{text[1:]}."


@dataclass(slots=True)
class ManifestFiles:
    """The files that one resource's document names."""

    files: TextFiles
    folder: FilePath
    place: Callable[[Place], SourceRange]
    holds_escapes: bool = False
    """Whether ``${`` of a file that was read had to be escaped."""
    were_asked: bool = False
    """Whether the document names a file at all."""

    def locate(self, text: str, path: Place, _findings: Findings) -> str:
        """The canonical path; a warning if there is no such file yet."""
        self.were_asked = True
        canonical = self.files.canonical(self.folder, text)
        self.files.note_absence(canonical, lambda: self.place(path))
        return canonical

    def content(self, text: str, path: Place, findings: Findings) -> str:
        """The file's text. Nothing in it is replaced: it may be a script with its own
        ``${...}``.
        """
        self.were_asked = True
        try:
            file = self.files.read(self.files.canonical(self.folder, text))
        except ProvisionerError as problem:
            found = problem.diagnostics[0]
            findings.problems.append(
                Problem(path, found.code, found.summary, found.hint, found.detail)
            )
            return ""
        if "${" not in file.text:
            return file.text
        self.holds_escapes = True
        return escaped(file.text)
