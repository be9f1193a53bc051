"""``provisioner dr status``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import journal_options, plan_argument
from provisioner.core.address import Address


@click.command("status")
@plan_argument
@journal_options
@global_options
@pass_invocation
def command(
    invocation: Invocation, plan: Address | None, *, journal: Path | None, stack: Path
) -> None:
    """Show the run under way, or the last one: steps, open questions, failures."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import source_of
    from provisioner.cli.render.runs import render_status, run_json
    from provisioner.service.recovery.running import is_orphaned, last_run

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    source = source_of(plan, journal)
    run = last_run(workspace, source)
    orphaned = run is not None and is_orphaned(workspace, source, run.record.id)
    if terminal.json:
        data = None if run is None else {**run_json(run), "orphaned": orphaned}
        terminal.print_json(data)
    elif run is None:
        terminal.print(["There was no run yet."])
    else:
        terminal.print(
            render_status(
                run,
                orphaned=orphaned,
                now=workspace.clock.now(),
                width=terminal.width,
                paint=terminal.paint(terminal.out),
            )
        )
