"""``provisioner dr failback``."""

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


@click.command("failback")
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
    """Bring the machines back home.

    A migration in the other direction, for machines that 'dr migrate' or 'dr failover' has brought
    to the other site and that 'dr reprotect' has protected there.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.model import Mode
    from provisioner.service.recovery.running import check_failback

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    check_failback(found)
    question = "Shut {plan} down at {here} and bring it home to {there}"
    return run_mode(
        invocation,
        workspace,
        found,
        Mode.MIGRATE,
        question=question,
        yes=yes,
        consent=consent,
        without=without,
        included=included,
    )
