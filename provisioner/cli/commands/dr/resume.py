"""``provisioner dr resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import source_options, yes_option

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("resume")
@source_options
@click.option(
    "--take-over",
    "consent",
    is_flag=True,
    help="You have made sure that no process carries the run out any more.",
)
@click.option(
    "--pass-over",
    metavar="TASK",
    multiple=True,
    help="This check is wrong, not its machine: go on as if it had succeeded. A gate or a step of "
    "the plan's author that has failed, by its id ('dr status'). Repeatable; the report says so.",
)
@yes_option
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    consent: bool,
    pass_over: tuple[str, ...],
    yes: bool,
) -> ExitCode:
    """Go on with a run that was interrupted or did not succeed.

    Each step first looks whether its work is done. It takes the plan that the run began with, which
    its journal has kept; with --from FILE only as a trusted key has signed it. Of a run that
    somebody has given up it is asked first.
    """
    from provisioner.cli.asking import confirm
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import carried_out, opened
    from provisioner.service.recovery.running import given_up_by, resume

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source, asking=False)
    who = given_up_by(found)
    if who:
        confirm(
            invocation.terminal,
            f"The last run of {found.plan.name} was given up by {who}. Go on with it nevertheless?",
            yes=yes,
            detail=f"The last run of {found.plan.name} was given up by {who}: what it had not done "
            "was to stay undone.",
            hint="If it is to be gone on with nevertheless, pass --yes.",
        )
    return carried_out(
        invocation.terminal,
        found,
        lambda means: resume(workspace, found, means, consent=consent, pass_over=pass_over),
    )
