"""What ``validate`` does: one stack in one environment, or every stack that files belong to in all
of its environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.cli.deleted import deleted_files
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation
from provisioner.cli.opening import open_workspace
from provisioner.cli.render.diagnostics import diagnostics_json
from provisioner.cli.render.text import count
from provisioner.cli.reporting import Reports
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity
from provisioner.service.candidates import environments
from provisioner.service.changed import stacks_of
from provisioner.service.model import Stack
from provisioner.service.validate import validate


@dataclass(frozen=True, slots=True)
class _Result:
    """One stack in one environment; ``stack`` is None where it has errors."""

    folder: Path
    environment: str | None
    stack: Stack | None
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not any(item.severity is Severity.ERROR for item in self.diagnostics)

    def as_json(self) -> dict[str, object]:
        stack = self.stack
        known: dict[str, object] = {}
        if stack is not None:
            known = {
                "stack": stack.name,
                "environment": stack.environment,
                "files": len(stack.files),
                "resources": len(stack.declarations),
                "hosts": len(stack.hosts),
            }
        return {"valid": self.valid, **known, "diagnostics": diagnostics_json(self.diagnostics)}

    def sentence(self) -> str:
        """``Valid: shop, 4 resources on 1 host in 2 files.``"""
        assert self.stack is not None
        return (
            f"Valid: {self.stack.name}, {count(len(self.stack.declarations), 'resource')} on "
            f"{count(len(self.stack.hosts), 'host')} in {count(len(self.stack.files), 'file')}."
        )


def validate_one(invocation: Invocation, folder: Path, reports: Reports) -> ExitCode:
    """Check one stack and tell what was found."""
    with reports.written():
        result = _validate(invocation, folder, invocation.environment, reports)
    terminal = invocation.terminal
    if terminal.json:
        # Diagnostics are the result of this command, so they go to the output.
        terminal.print_json(result.as_json())
    else:
        terminal.report(result.diagnostics)
        if result.valid:
            terminal.print([result.sentence()])
    return ExitCode.DONE if result.valid else ExitCode.ERROR


def validate_changed(invocation: Invocation, files: Sequence[Path], reports: Reports) -> ExitCode:
    """Check the stacks that the files belong to, and those of files whose deletion is staged."""
    here = Path.cwd()
    affected = stacks_of([*files, *deleted_files(invocation.environ)], here)
    with reports.written():
        results = [
            _validate(invocation, folder, environment, reports)
            for folder in affected.stacks
            for environment in _environments(folder)
        ]
    valid = not affected.strays and all(result.valid for result in results)
    terminal = invocation.terminal
    if terminal.json:
        stacks = [
            {"folder": str(result.folder), "environment": result.environment, **result.as_json()}
            for result in results
        ]
        document = {"valid": valid, "stacks": stacks}
        terminal.print_json({**document, "diagnostics": diagnostics_json(affected.strays)})
    else:
        terminal.report(affected.strays)
        _tell(invocation, results)
        if not results and valid:
            terminal.print(["Nothing to validate: no changed file belongs to a stack."])
    return ExitCode.DONE if valid else ExitCode.ERROR


def _tell(invocation: Invocation, results: Sequence[_Result]) -> None:
    """What is wrong in several environments is told with the first of them only."""
    terminal = invocation.terminal
    told: set[Diagnostic] = set()
    for result in results:
        where = str(result.folder) + (
            f", environment {result.environment}" * bool(result.environment)
        )
        new = [item for item in result.diagnostics if item not in told]
        told.update(new)
        terminal.report(new)
        if result.valid:
            terminal.print([f"{where}: {result.sentence()}"])
        else:
            errors = sum(item.severity is Severity.ERROR for item in result.diagnostics)
            terminal.print([f"{where}: not valid, {count(errors, 'error')}."])


def _environments(folder: Path) -> Sequence[str | None]:
    """Those that the stack declares; none of them if it declares none. A broken Stack manifest is
    told about when it is validated."""
    try:
        return environments(folder) or [None]
    except Exception:  # noqa: BLE001 - a guess at what may be broken in any way
        return [None]


def _validate(
    invocation: Invocation, folder: Path, environment: str | None, reports: Reports
) -> _Result:
    try:
        workspace = open_workspace(invocation, folder, environment)
        with reports.about("validate", workspace) as checked:
            report = validate(workspace)
            checked.found.extend(report.warnings)
        return _Result(folder, environment, report.stack, list(report.warnings))
    except ProvisionerError as failure:
        return _Result(folder, environment, None, list(failure.diagnostics))
