"""Reports for other programs, beside what a command prints: ``--sarif FILE``, ``--junit FILE``.

They are written however the command ends, unless it is interrupted or the program has a defect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.cli.render.findings import Checked
from provisioner.cli.render.junit import junit_document
from provisioner.cli.render.sarif import sarif_document
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.overwriting import WHAT_TO_DO, would_be_lost
from provisioner.service.validate import files_of
from provisioner.service.workspace import Workspace


@dataclass
class Reports:
    """Which reports are wanted, and what goes into them."""

    sarif: Path | None
    junit: Path | None
    checked: list[Checked] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to write: what only reports need is not worked out else."""
        return self.sarif is not None or self.junit is not None

    @contextmanager
    def written(self) -> Iterator[None]:
        """Write the reports at the end, also if that is a ProvisionerError. Raises ProvisionerError
        (PRV6040) if that fails, with what was to be reported."""
        try:
            yield
        except ProvisionerError as failure:
            problems = self._write()
            if problems:
                raise ProvisionerError([*failure.diagnostics, *problems]) from failure
            raise
        problems = self._write()
        if problems:
            raise ProvisionerError(problems)

    @contextmanager
    def about(self, command: str, workspace: Workspace) -> Iterator[Checked]:
        """One stack in one environment; what it fails with is among what was found."""
        checked = Checked(command, workspace.root, workspace.environment)
        self.checked.append(checked)
        if self.wanted:
            checked.subjects = [checked.file(name) for name in files_of(workspace.root)]
        try:
            yield checked
        except ProvisionerError as failure:
            checked.found.extend(failure.diagnostics)
            raise
        finally:
            if workspace.loaded is not None:
                checked.placed_in(workspace.loaded)

    def _write(self) -> list[Diagnostic]:
        problems = []
        if self.sarif is not None:
            text = json.dumps(sarif_document(self.checked), indent=2, ensure_ascii=False)
            problems += _put(self.sarif, f"{text}\n".encode(), r'\{\s*"\$schema":')
        if self.junit is not None:
            problems += _put(self.junit, junit_document(self.checked), r"<\?xml ")
        return problems


def _put(path: Path, data: bytes, opening: str) -> list[Diagnostic]:
    try:
        if would_be_lost(path, opening):
            return [
                error(
                    "PRV6040",
                    f"{path} is there already, and is no such report",
                    detail="Only an empty file or an older report of the same form is replaced.",
                    hint=WHAT_TO_DO,
                )
            ]
        path.write_bytes(data)
    except OSError as problem:
        return [
            error(
                "PRV6040",
                f"the report {path} cannot be written",
                detail=f"{problem.strerror or problem}.",
                hint="Name a file in a folder that exists and that you may write to.",
            )
        ]
    return []
