"""``provisioner replicate status``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import file_options, journal_options, plans_argument
from provisioner.core.address import Address


@click.command("status")
@plans_argument
@file_options
@journal_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    plans: tuple[Address, ...],
    *,
    file: Path | None,
    trusted: Path | None,
    journal: Path | None,
    stack: Path,
) -> ExitCode:
    """Show how old the copies are, against their objectives.

    Exits with 1 if one is older than it may be, is missing, or does not get every write.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.copies import age_json, render_ages
    from provisioner.service.recovery.opening import Source
    from provisioner.service.recovery.replicating import ages, sources

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    names = [item.name for item in plans]
    with progress(terminal, steps=False) as sink:
        chosen = sources(workspace, names, Source(None, file, trusted, journal), sink)
        found = ages(workspace, chosen, sink)
    if terminal.json:
        terminal.print_json([age_json(item) for item in found])
    else:
        terminal.print(render_ages(found, terminal.paint(terminal.out), terminal.width))
    return ExitCode.ERROR if any(item.trouble for item in found) else ExitCode.DONE
