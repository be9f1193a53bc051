"""``provisioner dr plan``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named
from provisioner.cli.recoveryoptions import file_options, journal_options

MODES = ("test", "migrate", "failover", "reprotect", "failback")


@click.command("plan")
@click.argument("names", metavar="[PLAN] MODE", nargs=-1, required=True)
@file_options
@journal_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    names: tuple[str, ...],
    *,
    file: Path | None,
    trusted: Path | None,
    journal: Path | None,
    stack: Path,
) -> None:
    """Show what would be done now, step by step, and how long it would take.

    MODE is test, migrate, failover, reprotect or failback. Nothing is done, and no endpoint is
    asked. Times are those of earlier runs, which the plan's journal has. Also shown is what would
    be done otherwise than in the last drill, and in the last run of this mode. Of many steps that
    do the like only a summary is shown, unless --verbose is given; --json has them all.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.recovery.outlook import render_outlook
    from provisioner.cli.render.recovery.outlookjson import outlook_json
    from provisioner.service.recovery.naming import only_plan
    from provisioner.service.recovery.opening import Source
    from provisioner.service.recovery.outlook import plan_run

    *plans, mode = names
    if mode not in MODES:
        raise click.UsageError(
            f"Found {mode!r}, expected a MODE as the last argument: {', '.join(MODES)}."
        )
    if len(plans) > 1:
        raise click.UsageError(f"Found {len(plans)} plans, expected one: {', '.join(plans)}.")
    plan = named("RecoveryPlan")(plans[0]) if plans else None
    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    name = plan.name if plan is not None else None
    if name is None and file is None:
        name = only_plan(workspace, Source(None)).name
    source = Source(name, file, trusted, journal)
    with progress(terminal, steps=False) as sink:
        planned = plan_run(workspace, source, mode, sink)
    if terminal.json:
        terminal.print_json(outlook_json(planned))
    else:
        paint = terminal.paint(terminal.out)
        terminal.print(render_outlook(planned, terminal.width, paint, whole=terminal.verbose))
