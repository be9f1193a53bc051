"""``provisioner dr rollback``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import source_options, take_over_option, yes_option

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("rollback")
@source_options
@click.option(
    "--trust-site",
    "off_site",
    metavar="SITE",
    help="Somebody has made sure that the site which the machines were to go to is off, or cut "
    "off, and stays so: counts where its hosts give no answer. The report says so.",
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
    off_site: str | None,
    yes: bool,
) -> ExitCode:
    """Start the machines where they ran, if a migration or failover was given up.

    Only while none of them runs at the other site: that is looked at first. If that site gives no
    answer, somebody has to say that it is off (--trust-site). Marks are taken away,
    the machines are started in order, and those that had to make room go on.
    """
    from provisioner.cli.asking import confirm
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.recovering import carried_out, opened
    from provisioner.service.recovery.model import noun_of
    from provisioner.service.recovery.running import check_rollback, rollback, undone_by

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source, asking=False)
    what = noun_of(undone_by(found, check_rollback(found)))
    confirm(
        invocation.terminal,
        f"Start {found.plan.name} again where it ran before the {what}?",
        yes=yes,
    )
    return carried_out(
        invocation.terminal,
        found,
        lambda means: rollback(workspace, found, means, off_site, consent=consent),
    )
