"""``provisioner validate``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import folders
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, report_options


@click.command("validate")
@click.argument(
    "what",
    metavar="[STACK|FILE...]",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=folders,
)
@click.option(
    "--changed",
    is_flag=True,
    help="The arguments are files that were changed: check the stacks that they belong to, each in"
    " all of its environments.",
)
@report_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    what: tuple[Path, ...],
    *,
    changed: bool,
    sarif: Path | None,
    junit: Path | None,
) -> ExitCode:
    """Check the manifests and report every error at once.

    No endpoint is contacted. A secret that is not set is a warning here, and an error for plan and
    apply.

    With --changed, a file belongs to the stack in the nearest folder above it that holds a Stack
    manifest, whatever kind of file it is, and also if it was deleted; files whose deletion is
    staged in git need not be named.
    """
    from provisioner.cli.reporting import Reports
    from provisioner.cli.validating import validate_changed, validate_one

    reports = Reports(sarif, junit)
    if changed:
        if invocation.environment is not None:
            raise click.UsageError("--changed checks every environment, so --env cannot be given.")
        return validate_changed(invocation, what, reports)
    if len(what) > 1:
        raise click.UsageError("Name one stack's folder, or changed files with --changed.")
    return validate_one(invocation, what[0] if what else Path(), reports)
