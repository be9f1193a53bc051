"""``provisioner snapshot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from provisioner.cli.asking import confirm
from provisioner.cli.completing import addresses
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named, stack_argument
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error


@click.group("snapshot")
@global_options
def command(**_: Any) -> None:
    """Revert a machine to a snapshot.

    Snapshots are created and deleted by apply, from manifests of kind Snapshot.
    """


@command.command("revert")
@click.argument(
    "name",
    metavar="NAME",
    type=named("Snapshot"),
    shell_complete=addresses(recorded_only=True, kind="Snapshot"),
)
@stack_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_invocation
def revert(invocation: Invocation, name: Address, stack: Path, yes: bool) -> None:
    """Revert the machine of the snapshot NAME to it.

    Everything the machine has written to its disks since then is lost.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.service import snapshot as service

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    confirm(
        terminal,
        f"Revert to {name} and lose everything written since?",
        yes=yes,
        detail="Everything the machine has written since the snapshot would be lost.",
    )
    try:
        with progress(terminal, steps=True) as sink:
            service.revert(workspace, name, sink)
    except KeyboardInterrupt:
        raise ProvisionerError(
            error(
                "PRV6016",
                f"interrupted while reverting to {name}",
                detail="The endpoint may still be working on it.",
                hint="'provisioner plan' shows what is there now.",
            )
        ) from None
    terminal.acts = True
    terminal.report(list(workspace.notices))
    if terminal.json:
        terminal.print_json({"event": "reverted", "snapshot": str(name)}, indent=None)
    else:
        terminal.print([f"Reverted to {name}."])
