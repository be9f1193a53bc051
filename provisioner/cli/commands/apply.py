"""``provisioner apply``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import folders
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import (
    adopt_option,
    apply_options,
    gate_options,
    global_options,
    selection_options,
    trust_option,
)
from provisioner.core.address import Address, AddressPattern


@click.command("apply")
@click.argument("what", metavar="[STACK|PLANFILE]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--stack",
    metavar="DIR",
    type=click.Path(path_type=Path),
    shell_complete=folders,
    help="With a plan file: the folder of its stack, if that is not the current one.",
)
@selection_options
@gate_options
@adopt_option
@trust_option
@apply_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    what: Path,
    stack: Path | None,
    target: tuple[AddressPattern, ...],
    exclude: tuple[AddressPattern, ...],
    max_impact: str | None,
    allow_data_loss: tuple[Address, ...],
    adopt: tuple[AddressPattern, ...],
    trust_site: tuple[str, ...],
    yes: bool,
    parallel: int | None,
) -> ExitCode:
    """Make the endpoints match the manifests.

    Without a plan file, a plan is made and shown, and applied once you confirm it. With a plan
    file, exactly that plan is applied, without asking, or refused if anything it touches has
    changed since.

    Ctrl-C stops after the steps under way; a second Ctrl-C abandons them. The next run first checks
    what was left half done.
    """
    from provisioner.cli.applying import carry_out, confirm_plan
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import choices_of, command_of, print_plan
    from provisioner.cli.progress import progress
    from provisioner.cli.render.plan import render_refusal
    from provisioner.service.plan import make_plan, read_plan

    terminal = invocation.terminal
    terminal.untouched = True
    if what.is_file():
        decided = {
            "--target": target,
            "--exclude": exclude,
            "--max-impact": max_impact,
            "--allow-data-loss": allow_data_loss,
            "--adopt": adopt,
            "--trust-site": trust_site,
            "--env": invocation.environment,
            "--var": invocation.variables,
        }
        given = [option for option, value in decided.items() if value]
        if given:
            raise click.UsageError(
                f"A plan file is applied exactly as it is, so {' and '.join(given)} cannot be given"
                " here: give such options to 'provisioner plan'."
            )
        plan = read_plan(what)
        workspace = open_workspace(invocation, stack or Path(), plan.environment)
        if plan.refused and not terminal.json:
            terminal.print(render_refusal(plan, command_of(plan, what, stack), terminal.width))
        return carry_out(terminal, workspace, plan, parallel, shown=False)
    if not what.exists():
        raise click.UsageError(f"{str(what)!r} is neither a stack's folder nor a plan file.")
    if stack is not None:
        raise click.UsageError("--stack is only for a plan file.")
    workspace = open_workspace(invocation, what)
    choices = choices_of(target, exclude, max_impact, allow_data_loss, adopt, trust_site=trust_site)
    with progress(terminal, steps=False) as sink:
        plan = make_plan(workspace, choices, sink)
    if not terminal.json:
        print_plan(terminal, plan, invocation.typed)
    confirm_plan(terminal, plan, yes=yes)
    return carry_out(terminal, workspace, plan, parallel, shown=True)
