"""``provisioner dr check``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named, report_options
from provisioner.cli.recoveryoptions import file_options, journal_options
from provisioner.core.address import Address


@click.command("check")
@click.argument(
    "plan",
    required=False,
    type=named("RecoveryPlan"),
    shell_complete=addresses(kind="RecoveryPlan"),
)
@file_options
@journal_options
@report_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    plan: Address | None,
    stack: Path,
    *,
    file: Path | None,
    trusted: Path | None,
    journal: Path | None,
    sarif: Path | None,
    junit: Path | None,
) -> ExitCode:
    """Tell whether recovery plans would work now.

    Asks both sites, and changes nothing: whether everything is there that machines are to use, how
    old the newest recovery points are, when the last drill was, and whether anything is missing
    that a failover would need. Without PLAN, all plans are checked, and whether every machine is in
    one of them. With --from FILE, the stored plan is: from where it is kept, without manifests and
    state. Exits with 1 if one would not work.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.readiness import readiness_json, render_readiness
    from provisioner.cli.reporting import Reports
    from provisioner.service.recovery.checking import check_readiness, check_stored
    from provisioner.service.recovery.opening import Source

    if journal is not None and file is None:
        raise click.UsageError("--journal goes with --from FILE.")
    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    reports = Reports(sarif, junit)
    with reports.written(), reports.about("dr check", workspace) as checked:
        with progress(terminal, steps=False) as sink:
            name = plan.name if plan is not None else None
            found = (
                check_readiness(workspace, name, sink)
                if file is None
                else check_stored(workspace, Source(name, file, trusted, journal), sink)
            )
        checked.subjects = found.subjects
        checked.found.extend(found.found)
    terminal.report(found.found)
    if terminal.json:
        terminal.print_json(readiness_json(found))
    else:
        terminal.print(render_readiness(found, terminal.paint(terminal.out)))
    return ExitCode.DONE if found.ready else ExitCode.ERROR
