"""``provisioner dr status``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import past_options
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("status")
@past_options
@global_options
@pass_invocation
def command(invocation: Invocation, *, source: Source, stack: Path) -> None:
    """Show the sites and their roles, and the run under way, or the last one.

    Of a run: steps, open questions, failures. Hosts are asked what runs there once a run has led
    the machines to the other site, while none is under way; a silent one is waited for ten seconds.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.places import places_json, render_places
    from provisioner.cli.render.runs import no_run_json, render_status, room_json, run_json
    from provisioner.service.recovery.naming import only_plan
    from provisioner.service.recovery.opening import commands_for, journal_path
    from provisioner.service.recovery.places import places
    from provisioner.service.recovery.running import (
        is_orphaned,
        is_out_of_sight,
        last_run,
        making_room,
    )

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    source = only_plan(workspace, source)
    run = last_run(workspace, source)
    orphaned = run is not None and is_orphaned(workspace, source, run.record.id)
    where, problems = None, list[Diagnostic]()
    with progress(terminal, steps=False) as sink:
        try:
            where = places(workspace, source, run, sink)
        except ProvisionerError as problem:
            # What is known of the run is told nevertheless.
            problems = [replace(item, severity=Severity.WARNING) for item in problem.diagnostics]
    terminal.report(problems)
    commands = commands_for(workspace, source, run.record.name if run is not None else "")
    room = making_room(workspace, source)
    if terminal.json:
        data = run_json(run, commands) if run is not None else no_run_json()
        data["orphaned"] = orphaned
        terminal.print_json({**data, "suspended": room_json(room), **places_json(where)})
        return
    paint = terminal.paint(terminal.out)
    if where is not None:
        terminal.print(render_places(where, commands, terminal.width, paint))
    if run is None:
        path = journal_path(workspace, source, source.name or "")
        terminal.print([f"There was no run yet, as the journal {path} knows."])
    else:
        terminal.print(
            render_status(
                run,
                commands,
                orphaned=orphaned,
                out_of_sight=is_out_of_sight(workspace, source, run.record.id),
                room=room,
                now=workspace.clock.now(),
                width=terminal.width,
                paint=paint,
            )
        )
