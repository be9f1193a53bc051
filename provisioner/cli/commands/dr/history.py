"""``provisioner dr history``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import past_options

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("history")
@past_options
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N"
)
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    limit: int,
) -> None:
    """Show the runs of a plan, the newest first."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.runs import record_json, render_runs
    from provisioner.service.recovery.naming import only_plan
    from provisioner.service.recovery.running import names_of_runs, runs

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    source = only_plan(workspace, source)
    found = runs(workspace, source, limit)
    if terminal.json:
        terminal.print_json([record_json(record) for record in found])
    else:
        called = names_of_runs(workspace, source)
        terminal.print(render_runs(found, called, terminal.paint(terminal.out), terminal.width))
