"""``provisioner dr test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named
from provisioner.cli.recoveryoptions import leading_options, take_over_option
from provisioner.core.address import Address

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


def _point(text: str) -> tuple[Address, str]:
    machine, equals, point = text.partition("=")
    if not equals or not point:
        raise click.BadParameter(f"{text!r} is not of the form MACHINE=POINT.")
    return named("VirtualMachine")(machine), point


@click.command("test")
@leading_options
@click.option(
    "--point",
    metavar="MACHINE=POINT",
    type=_point,
    multiple=True,
    help="Start this machine from this recovery point ('replicate status --json' lists them); left "
    "out: the newest. Repeatable.",
)
@take_over_option
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    source: Source,
    stack: Path,
    consent: bool,
    point: tuple[tuple[Address, str], ...],
) -> ExitCode:
    """Start copies of the machines at the other site, cut off from everything.

    A drill: isolated networks are made and proven to be isolated before anything is powered on,
    and the copies write to throw-away disks. The machines themselves go on and are not touched, and
    replication goes on. The copies stay until 'dr cleanup', and
    there is no second drill before.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.recovering import opened, run_mode
    from provisioner.service.recovery.model import Mode
    from provisioner.service.recovery.points import check_points
    from provisioner.service.recovery.standing import check_no_drill

    workspace = open_workspace(invocation, stack)
    found = opened(invocation, workspace, source)
    check_no_drill(found)
    points = dict(point)
    with progress(invocation.terminal, steps=False) as sink:
        check_points(workspace, found, points, sink)
    return run_mode(invocation, workspace, found, Mode.TEST, points=points, consent=consent)
