"""``provisioner dr reprotect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import (
    leading_options,
    take_over_option,
    without_options,
    yes_option,
)
from provisioner.core.address import Address

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("reprotect")
@leading_options
@without_options
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
    yes: bool,
) -> ExitCode:
    """Replicate in the other direction after a migration or failover.

    What is left of the machines at the former site is stopped, if it runs beside the recovered
    ones, and marked as not to start. Its disks become the copies: only what differs is moved.
    Afterwards 'dr failback' can bring the machines home.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.model import Mode
    from provisioner.service.recovery.running import check_reprotect

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    check_reprotect(found)
    question = "Replicate {plan} from {here} to {there}, and stop what is left of it there"
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
