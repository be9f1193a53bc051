"""``provisioner dr reprotect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named
from provisioner.cli.recoveryoptions import (
    leading_options,
    take_over_option,
    without_options,
    yes_option,
)
from provisioner.core.address import Address

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source

ALLOW_DATA_LOSS = "--allow-data-loss"


@click.command("reprotect")
@leading_options
@without_options
@click.option(
    ALLOW_DATA_LOSS,
    metavar="MACHINE",
    type=named("VirtualMachine"),
    multiple=True,
    help="Consent to the loss of what this machine, which still runs at the former site, has "
    "written there. Repeatable.",
)
@take_over_option
@yes_option
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    consent: bool,
    without: tuple[Address, ...],
    included: tuple[Address, ...],
    allow_data_loss: tuple[Address, ...],
    yes: bool,
) -> ExitCode:
    """Replicate in the other direction after a migration or failover.

    What is left of the machines at the former site is stopped, if it runs beside the recovered
    ones, and marked as not to start. Its disks become the copies: only what differs is moved.
    What runs at both sites is refused, unless you consent to lose what was written at the former
    one. Afterwards 'dr failback' can bring the machines home.
    """
    from dataclasses import replace

    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.discarding import discarded, since
    from provisioner.service.recovery.model import Mode
    from provisioner.service.recovery.running import check_reprotect

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    check_reprotect(found)
    lost = discarded(found, without, included, allow_data_loss)
    question = "Replicate {plan} from {here} to {there}, and stop what is left of it there"
    if lost:
        names = ", ".join(item.machine.name for item in lost)
        said = f"what {names} wrote at {found.plan.there}{since(found)} is given up"
        question += f"; {said}"
        notices = f"{ALLOW_DATA_LOSS}: {said}"
        found = replace(found, journal=found.journal.noting(notices))
    return run_mode(
        invocation,
        workspace,
        found,
        Mode.REPROTECT,
        question=question,
        yes=yes,
        consent=consent,
        without=without,
        included=included,
    )
