"""``provisioner validate``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, stack_argument
from provisioner.cli.render.diagnostics import diagnostics_json
from provisioner.cli.render.text import count
from provisioner.core.diagnostics import ProvisionerError, Severity


@click.command("validate")
@stack_argument
@global_options
@pass_invocation
def command(invocation: Invocation, stack: Path) -> ExitCode:
    """Check the manifests and report every error at once.

    No endpoint is contacted. A secret that is not set is a warning here, and an error for plan and
    apply.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service.validate import validate

    terminal = invocation.terminal
    summary: dict[str, object] = {}
    try:
        report = validate(open_workspace(invocation, stack))
        diagnostics = list(report.warnings)
        summary = {
            "stack": report.stack.name,
            "environment": report.stack.environment,
            "files": len(report.stack.files),
            "resources": len(report.stack.declarations),
            "hosts": len(report.stack.hosts),
        }
    except ProvisionerError as failure:
        diagnostics = list(failure.diagnostics)
    valid = not any(item.severity is Severity.ERROR for item in diagnostics)
    if terminal.json:
        # Diagnostics are the result of this command, so they go to the output.
        terminal.print_json(
            {"valid": valid, **summary, "diagnostics": diagnostics_json(diagnostics)}
        )
    else:
        terminal.report(diagnostics)
        if valid:
            files, resources, hosts = (summary[key] for key in ("files", "resources", "hosts"))
            assert isinstance(files, int)
            assert isinstance(resources, int)
            assert isinstance(hosts, int)
            terminal.print(
                [
                    f"Valid: {summary['stack']}, {count(resources, 'resource')} on "
                    f"{count(hosts, 'host')} in {count(files, 'file')}."
                ]
            )
    return ExitCode.DONE if valid else ExitCode.ERROR
