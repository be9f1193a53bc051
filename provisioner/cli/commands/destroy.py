"""``provisioner destroy``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import (
    apply_options,
    gate_options,
    global_options,
    selection_options,
    stack_argument,
    trust_option,
)
from provisioner.core.address import Address, AddressPattern


@click.command("destroy")
@stack_argument
@click.option(
    "--recorded",
    is_flag=True,
    help="Go by what was recorded, without reading the manifests.",
)
@selection_options
@gate_options
@trust_option
@apply_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    stack: Path,
    recorded: bool,
    target: tuple[AddressPattern, ...],
    exclude: tuple[AddressPattern, ...],
    max_impact: str | None,
    allow_data_loss: tuple[Address, ...],
    trust_site: tuple[str, ...],
    yes: bool,
    parallel: int | None,
) -> ExitCode:
    """Remove everything the stack has made.

    'provisioner plan --destroy' shows what that is, and does nothing.

    Protected resources are neither deleted nor replaced: such steps are held. A disk whose
    retention is 'keep' is only forgotten, protected or not: its data stays where it is, and the
    plan says where. Deleting any other data needs --allow-data-loss for each disk.
    """
    from provisioner.cli.applying import carry_out, confirm_plan
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import choices_of, print_plan
    from provisioner.cli.progress import progress
    from provisioner.service.destroy import make_destroy_plan

    terminal = invocation.terminal
    terminal.untouched = True
    workspace = open_workspace(invocation, stack)
    choices = choices_of(target, exclude, max_impact, allow_data_loss, trust_site=trust_site)
    with progress(terminal, steps=False) as sink:
        plan = make_destroy_plan(workspace, choices, sink, recorded_only=recorded)
    if not terminal.json:
        print_plan(terminal, plan, invocation.typed)
    confirm_plan(terminal, plan, yes=yes)
    return carry_out(terminal, workspace, plan, parallel, shown=True)
