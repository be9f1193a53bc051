"""``provisioner replicate watch``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import file_options, journal_options, plans_argument
from provisioner.core.address import Address


@click.command("watch")
@plans_argument
@file_options
@journal_options
@click.option(
    "--rounds", type=click.IntRange(1), metavar="N", help="End after N rounds, without a Ctrl-C."
)
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
    rounds: int | None,
) -> ExitCode:
    """Synchronise every machine at its interval, until Ctrl-C.

    Continuous copies are kept alive: it is looked every few seconds whether they get every write.
    After each round the copies that are older than their objectives are named.
    """
    from provisioner.cli.applying import stopping
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.copies import age_json, late
    from provisioner.service.model import Noticed, StopSignal
    from provisioner.service.recovery.opening import Source
    from provisioner.service.recovery.replicating import Age, sources, watch

    terminal = invocation.terminal
    terminal.acts = True
    workspace = open_workspace(invocation, stack)
    names = [item.name for item in plans]
    stop = StopSignal()
    with progress(terminal, steps=True) as view, stopping(terminal, view, stop, begun=True) as sink:

        def tell(ages: Sequence[Age]) -> None:
            if terminal.json:
                found = [age_json(item) for item in ages]
                terminal.print_json({"event": "ages", "machines": found}, indent=None)
            for text in late(ages):
                sink(Noticed(text))

        chosen = sources(workspace, names, Source(None, file, trusted, journal), sink)
        copies = watch(workspace, chosen, sink, stop, tell, rounds=rounds)
    return ExitCode.PARTIAL if copies.failed else ExitCode.DONE
