"""Small stacks for tests: written to a folder, loaded, and compared with the places that the
text marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, SourceRange
from provisioner.manifest import loader
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Stack

MARK = "§"
"""Stands in a text right before the place that a diagnostic has to name."""

BASE = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: lab}
spec: {provider: memory}
"""

POOL = """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {name: images}
spec: {type: dir, path: /images}
"""

NETWORK = """\
apiVersion: provisioner/v1
kind: Network
metadata: {name: lan}
spec: {mode: nat, cidr: 10.20.0.0/24, dhcp: {}}
"""


class Remembered:
    """Documents that were read before, for as long as a test lives."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self.found = 0

    def find(self, key: str) -> str | None:
        line = self.lines.get(key)
        self.found += line is not None
        return line

    def keep(self, key: str, line: str) -> None:
        self.lines[key] = line


def load(root: Path, *arguments: Any, **options: Any) -> Stack:
    """Load a stack three times: without a cache, with an empty one and with what is in it then.
    Whatever a test is about, the three have to be the same.
    """
    plain = _outcome(root, *arguments, **options)
    known = Remembered()
    for _ in ("cold", "warm"):
        assert plain == _outcome(root, *arguments, known=known, **options)
    if isinstance(plain, Stack):
        return plain
    raise ProvisionerError(plain)


def _outcome(root: Path, *arguments: Any, **options: Any) -> Stack | tuple[Diagnostic, ...]:
    try:
        return loader.load(root, *arguments, **options)
    except ProvisionerError as problem:
        return problem.diagnostics


@cache
def catalog() -> SchemaCatalog:
    """The installed schemas, compiled once for all tests."""
    return SchemaCatalog.installed()


def write(folder: Path, files: Mapping[str, str]) -> dict[str, SourceRange]:
    """Write the files; the places that are marked in them, by ``name:line:column``."""
    places = {}
    for name, marked in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, line in enumerate(dedent(marked).split("\n"), 1):
            parts = line.split(MARK)
            column = 1
            for part in parts[:-1]:
                column += len(part)
                source = SourceRange(str(path), number, column)
                places[f"{name}:{number}:{column}"] = source
            lines.append("".join(parts))
        path.write_text("\n".join(lines), encoding="utf-8")
    return places


def load_stack(
    folder: Path, files: Mapping[str, str], environment: str | None = None, **variables: Any
) -> Stack:
    """Write the files and load them; the base (a Stack and a Host) is added where there is none."""
    _write_with_base(folder, files)
    return load(folder, catalog(), environment, variables)


def errors(
    folder: Path, files: Mapping[str, str], environment: str | None = None, **variables: Any
) -> list[Diagnostic]:
    """The errors of loading the files."""
    _write_with_base(folder, files)
    return errors_of(folder, environment, **variables)


def all_of(folder: Path, files: Mapping[str, str]) -> list[Diagnostic]:
    """Everything that is said when the files, which have mistakes, are loaded."""
    _write_with_base(folder, files)
    with pytest.raises(ProvisionerError) as problem:
        load(folder, catalog())
    return list(problem.value.diagnostics)


def errors_of(folder: Path, environment: str | None = None, **variables: Any) -> list[Diagnostic]:
    """The errors of loading a folder; none if it can be loaded."""
    try:
        load(folder, catalog(), environment, variables)
    except ProvisionerError as problem:
        found = problem.diagnostics
        return [item for item in found if item.severity is Severity.ERROR]
    return []


def places(folder: Path, found: list[Diagnostic]) -> list[str]:
    """``CODE file:line:column`` of each diagnostic, files relative to the folder."""
    return [f"{item.code} {_place(folder, item.source)}" for item in found]


def expected(folder: Path, files: Mapping[str, str], *codes: str) -> list[str]:
    """What :func:`places` should give: the codes with the marked places, in order."""
    marked = list(write(folder, files))
    assert len(codes) == len(marked), f"{len(codes)} codes for {len(marked)} marks"
    return [f"{code} {place}" for code, place in zip(codes, marked, strict=True)]


def check(
    folder: Path, text: str, *codes: str, environment: str | None = None, **variables: Any
) -> list[Diagnostic]:
    """Load ``text`` (beside the base) and see that exactly the marked errors are reported."""
    wanted = expected(folder, {"main.yaml": text}, *codes)
    _write_base(folder, text)
    found = errors_of(folder, environment, **variables)
    assert wanted == places(folder, found), [item.summary for item in found]
    return found


def one(folder: Path, text: str, code: str, **options: Any) -> Diagnostic:
    """Like :func:`check` for a single error."""
    (found,) = check(folder, text, code, **options)
    return found


def comparable(stack: Stack) -> Any:
    """What two stacks have to share to be the same: everything but where it was read."""
    nowhere = SourceRange("", 0, 0)
    return (
        stack.name,
        stack.max_impact,
        {
            address: replace(declaration, source=nowhere)
            for address, declaration in stack.declarations.items()
        },
        {name: replace(host, source=nowhere) for name, host in stack.hosts.items()},
    )


def _place(folder: Path, source: SourceRange | None) -> str:
    if source is None:
        return "-"
    return f"{Path(source.file).relative_to(folder)}:{source.line}:{source.column}"


def _write_with_base(folder: Path, files: Mapping[str, str]) -> None:
    write(folder, files)
    _write_base(folder, "\n".join(files.values()))


def _write_base(folder: Path, text: str) -> None:
    stack, host = BASE.split("---\n")
    parts = [
        part for part, kind in ((stack, "Stack"), (host, "Host")) if f"kind: {kind}\n" not in text
    ]
    if parts:
        (folder / "zz-base.yaml").write_text("---\n".join(parts), encoding="utf-8")
