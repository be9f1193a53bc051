"""``provisioner dr cancel``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import past_options

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("cancel")
@past_options
@click.option(
    "--take-over",
    "consent",
    is_flag=True,
    help="You have made sure that no process carries the run out any more.",
)
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    consent: bool,
) -> None:
    """Ask the run under way to end, or give up the last one.

    Steps under way are awaited, and nothing more is begun. Afterwards 'dr status' says how far it
    came, 'dr resume' goes on, and 'dr rollback' undoes a run of which nothing has started at the
    other site yet.

    A run that has ended and did not succeed is given up: what it has not done stays undone, and
    other runs may begin where it stands. What it leaves is said: machines that are off, marked
    as not to start, or suspended to make room.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.runs import (
        record_json,
        render_left,
        render_room,
        render_way_back,
        room_json,
    )
    from provisioner.service.recovery.model import noun_of
    from provisioner.service.recovery.naming import only_plan
    from provisioner.service.recovery.opening import commands_for
    from provisioner.service.recovery.running import cancel, making_room

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    source = only_plan(workspace, source)
    run = cancel(workspace, source, consent=consent)
    record = run.record
    room = making_room(workspace, source)
    if terminal.json:
        terminal.print_json({**record_json(record), "suspended": room_json(room)})
        return
    what = "is asked to end" if record.is_open else "has ended here"
    if run.given_up:
        what = "is given up"
    lines = [f"The {noun_of(run)} of {record.name} {what} (run {record.id})."]
    if not record.is_open:
        commands = commands_for(workspace, source, record.name)
        lines += render_left(run, terminal.width)
        lines += render_room(run, room, commands, terminal.width)
        lines += render_way_back(run, commands, terminal.width, alone=True)
    terminal.print(lines)
