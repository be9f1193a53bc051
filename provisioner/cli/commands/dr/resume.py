"""``provisioner dr resume``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import source_options
from provisioner.core.address import Address


@click.command("resume")
@source_options
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
    plan: Address | None,
    *,
    file: Path | None,
    trusted: Path | None,
    journal: Path | None,
    stack: Path,
    consent: bool,
) -> ExitCode:
    """Go on with a run that was interrupted or did not succeed.

    Each step first looks whether its work is done. It takes the plan that the run began with: the
    stored one with --from FILE, or what the manifests still say.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import carried_out, opened, source_of
    from provisioner.service.recovery.running import resume

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source_of(plan, journal, file, trusted))
    return carried_out(
        invocation.terminal,
        found.plan.name,
        lambda means: resume(workspace, found, means, consent=consent),
    )
