"""``provisioner dr cleanup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import leading_options, take_over_option

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("cleanup")
@leading_options
@take_over_option
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    consent: bool,
) -> ExitCode:
    """Remove what a drill has made, and prove it.

    Machines, throw-away disks and isolated networks of the last drill are removed, however far it
    came, also if its process was killed; machines that had to make room go on. At the end
    everything that a drill makes is looked for: unless nothing is left, this fails.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.model import Mode

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    return run_mode(invocation, workspace, found, Mode.CLEANUP, consent=consent)
