"""``provisioner dr failover``."""

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


@click.command("failover")
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
    """Start the machines at the other site after a disaster.

    Unless each machine has a recovery point, nothing begins; those that have none can be left out.
    Then the old site is fenced: unless every check of that succeeds, nothing starts. What can
    still be reached of it is stopped and marked. Then the newest recovery point of each machine is
    started, tier by tier. What is lost is shown for each machine: all that it wrote between its
    newest recovery point and the fencing.

    With --from FILE, neither the old site nor manifests nor state are needed.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.model import Mode

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    question = "Fence {here} and start {plan} at {there}"
    return run_mode(
        invocation,
        workspace,
        found,
        Mode.FAILOVER,
        question=question,
        yes=yes,
        consent=consent,
        without=without,
        included=included,
    )
