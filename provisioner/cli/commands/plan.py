"""``provisioner plan``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import (
    adopt_option,
    form_options,
    gate_options,
    global_options,
    report_options,
    selection_options,
    stack_argument,
    trust_option,
)
from provisioner.core.address import Address, AddressPattern


@click.command("plan")
@stack_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan to FILE, for 'provisioner apply FILE'.",
)
@click.option("--destroy", is_flag=True, help="Plan the removal of everything recorded.")
@selection_options
@gate_options
@adopt_option
@trust_option
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit with 2 for changes, 4 for held steps only, 5 if the gate refuses the plan.",
)
@report_options
@form_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    stack: Path,
    output: Path | None,
    destroy: bool,
    target: tuple[AddressPattern, ...],
    exclude: tuple[AddressPattern, ...],
    max_impact: str | None,
    allow_data_loss: tuple[Address, ...],
    adopt: tuple[AddressPattern, ...],
    trust_site: tuple[str, ...],
    detailed_exitcode: bool,
    sarif: Path | None,
    junit: Path | None,
) -> ExitCode:
    """Show what apply would do.

    Reads the manifests, the state and the endpoints, and changes none of them. Steps are listed
    with the most severe impact first: data-loss, replace, restart, live (the guest keeps running),
    none. With --markdown, --html, --gitlab or --terraform the plan is shown in that form; -o
    writes the plan file all the same.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import choices_of, print_plan, written_to
    from provisioner.cli.progress import progress
    from provisioner.cli.reporting import Reports
    from provisioner.service.destroy import make_destroy_plan
    from provisioner.service.plan import make_plan, write_plan

    terminal = invocation.terminal
    form = invocation.form
    workspace = open_workspace(invocation, stack)
    choices = choices_of(target, exclude, max_impact, allow_data_loss, adopt, trust_site=trust_site)
    reports = Reports(sarif, junit)
    with reports.written(), reports.about("plan", workspace) as checked:
        with progress(terminal, steps=False) as sink:
            make = make_destroy_plan if destroy else make_plan
            plan = make(workspace, choices, sink)
        if reports.wanted:
            checked.take_plan(plan, workspace.loaded)
        if output is not None:
            write_plan(workspace, plan, output)
    print_plan(terminal, plan, invocation.typed, form)
    if output is not None and not terminal.json:
        written_to(terminal, plan, output)
    return _detailed(plan.steps, plan.held, plan.refused) if detailed_exitcode else ExitCode.DONE


def _detailed(
    steps: tuple[object, ...], held: tuple[object, ...], refused: tuple[object, ...]
) -> ExitCode:
    if refused:
        return ExitCode.REFUSED
    if steps:
        return ExitCode.CHANGES
    return ExitCode.HELD if held else ExitCode.DONE
