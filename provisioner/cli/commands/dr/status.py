"""``provisioner dr status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import past_options

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("status")
@past_options
@global_options
@pass_invocation
def command(invocation: Invocation, *, source: Source, stack: Path) -> None:
    """Show the run under way, or the last one: steps, open questions, failures."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.runs import render_status, room_json, run_json
    from provisioner.service.recovery.opening import commands_for, journal_path
    from provisioner.service.recovery.running import (
        is_orphaned,
        is_out_of_sight,
        last_run,
        making_room,
    )

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    run = last_run(workspace, source)
    orphaned = run is not None and is_orphaned(workspace, source, run.record.id)
    room = making_room(workspace, source)
    if terminal.json:
        told = {"orphaned": orphaned, "suspended": room_json(room)}
        data = None if run is None else {**run_json(run), **told}
        terminal.print_json(data)
    elif run is None:
        path = journal_path(workspace, source, source.name or "")
        terminal.print([f"There was no run yet, as the journal {path} knows."])
    else:
        terminal.print(
            render_status(
                run,
                commands_for(workspace, source, run.record.name),
                orphaned=orphaned,
                out_of_sight=is_out_of_sight(workspace, source, run.record.id),
                room=room,
                now=workspace.clock.now(),
                width=terminal.width,
                paint=terminal.paint(terminal.out),
            )
        )
