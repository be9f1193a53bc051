"""``provisioner adopt``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import apply_options, global_options, pattern, stack_option
from provisioner.cli.render.text import wrap
from provisioner.core.address import AddressPattern


@click.command("adopt")
@click.argument(
    "what",
    metavar="[ADDRESS]...",
    nargs=-1,
    type=pattern,
    shell_complete=addresses(),
)
@stack_option("The folder of the stack, if that is not the current one.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan to FILE, for 'provisioner apply FILE', and do nothing else.",
)
@apply_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    what: tuple[AddressPattern, ...],
    stack: Path,
    output: Path | None,
    yes: bool,
    parallel: int | None,
) -> ExitCode:
    """Take over objects that exist already and that nobody owns.

    ADDRESS is a resource of the manifests, with wildcards if you like ('VirtualMachine/web*');
    without one, all of them are meant. Each object that exists gets the mark of this stack, and is
    recorded. Nothing else is done to it, nothing restarts, and nothing is made that is not there:
    what differs from the manifest is shown by the next plan.
    """
    from provisioner.cli.applying import carry_out, confirm_plan
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import print_plan, written_to
    from provisioner.cli.progress import progress
    from provisioner.service.adopt import make_adoption_plan
    from provisioner.service.plan import write_plan

    terminal = invocation.terminal
    terminal.untouched = True
    workspace = open_workspace(invocation, stack)
    with progress(terminal, steps=False) as sink:
        plan = make_adoption_plan(workspace, what, sink)
    if output is not None:
        write_plan(workspace, plan, output)
    if not plan.steps and not plan.held and not terminal.json:
        text = (
            "Nothing to adopt. What is declared and there is recorded already, or is only observed."
        )
        terminal.note(wrap(text, terminal.width))
    elif output is not None or not terminal.json:
        print_plan(terminal, plan, invocation.typed)
    if output is not None:
        if not terminal.json:
            written_to(terminal, plan, output)
        return ExitCode.DONE
    if not plan.steps and not terminal.json:
        return ExitCode.HELD if plan.held else ExitCode.DONE
    confirm_plan(terminal, plan, yes=yes)
    return carry_out(terminal, workspace, plan, parallel, shown=True)
