"""``provisioner replicate run``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import file_options, journal_options, plans_argument
from provisioner.core.address import Address


@click.command("run")
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
    """Synchronise every machine of the named plans once; of all plans, if none is named.

    From the site where the machines run now, as the journals of the plans know, to the other one.
    Machines of a plan that is being carried out are left out.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.copies import copies_json, render_copies
    from provisioner.service.recovery.opening import Source
    from provisioner.service.recovery.replicating import replicate, sources

    terminal = invocation.terminal
    terminal.acts = True
    workspace = open_workspace(invocation, stack)
    names = [item.name for item in plans]
    with progress(terminal, steps=not terminal.json) as sink:
        chosen = sources(workspace, names, Source(None, file, trusted, journal), sink)
        copies = replicate(workspace, chosen, sink)
    terminal.report(copies.failed)
    if terminal.json:
        terminal.print_json(copies_json(copies))
    else:
        terminal.print(render_copies(copies, terminal.paint(terminal.out)))
    if copies.failed:
        return ExitCode.PARTIAL if copies.done else ExitCode.ERROR
    return ExitCode.HELD if copies.left_out else ExitCode.DONE
