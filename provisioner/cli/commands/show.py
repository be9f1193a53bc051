"""``provisioner show``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import form_options, global_options, stack_argument
from provisioner.core.address import Address


@click.command("show")
@click.argument(
    "what",
    metavar="[ADDRESS|PLANFILE|STACK]",
    default=".",
    shell_complete=addresses(files=True),
)
@stack_argument
@form_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is shown of a plan file to FILE, which may be an older such result.",
)
@global_options
@pass_invocation
def command(invocation: Invocation, what: str, stack: Path, output: Path | None) -> None:
    """Show a stack, one resource, or a plan file.

    An ADDRESS (such as VirtualMachine/web01) shows what is declared and what was recorded. No
    endpoint is contacted. A plan file is shown as 'plan' shows it, or in one of the other forms.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import command_of, print_plan
    from provisioner.cli.render import show as rendering
    from provisioner.service import show as service
    from provisioner.service.plan import read_plan
    from provisioner.service.schema import Vocabulary

    terminal = invocation.terminal
    paint = terminal.paint(terminal.out)
    path = Path(what)
    if path.is_file():
        form = invocation.form
        plan = read_plan(path)
        print_plan(terminal, plan, command_of(plan, path, None), form, output)
        return
    if invocation.form is not None or output is not None:
        if not path.exists() and not _is_address(what):
            raise click.UsageError(f"there is no file {what!r}.")
        options = [f"--{name}" for name in invocation.forms] + ["-o"] * (output is not None)
        raise click.UsageError(f"{' and '.join(options)} can only be given for a plan file.")
    if path.is_dir():
        view = service.view_stack(open_workspace(invocation, path))
        if terminal.json:
            terminal.print_json(rendering.stack_json(view))
        else:
            terminal.print(rendering.render_stack(view, paint, terminal.width))
    else:
        wanted = _address(what)
        resource = service.view_resource(open_workspace(invocation, stack), wanted)
        vocabulary = Vocabulary()
        if terminal.json:
            terminal.print_json(rendering.resource_json(resource, vocabulary))
        else:
            terminal.print(rendering.render_resource(resource, vocabulary, paint, terminal.width))


def _is_address(what: str) -> bool:
    try:
        Address.parse(what)
    except ValueError:
        return False
    return True


def _address(what: str) -> Address:
    try:
        return Address.parse(what)
    except ValueError as problem:
        raise click.UsageError(
            f"{what!r} is neither a stack's folder, nor a plan file, nor an address such as"
            " VirtualMachine/web01."
        ) from problem
