"""The root command. Its table names every command, so that ``--help`` imports none of them."""

from __future__ import annotations

from typing import Any

import click

from provisioner import __version__
from provisioner.cli.lazy import LazyGroup
from provisioner.cli.options import global_options

COMMANDS = {
    "init": "Create a new stack that is ready to apply",
    "validate": "Check the manifests and report every error at once",
    "plan": "Show what apply would do",
    "apply": "Make the endpoints match the manifests",
    "destroy": "Remove everything the stack has made",
    "discover": "Write manifests of what is on a host",
    "adopt": "Take over objects that exist already and that nobody owns",
    "drift": "Show where reality differs from what was applied",
    "graph": "Draw which resource depends on which",
    "show": "Show a stack, one resource, or a plan file",
    "state": "Inspect and maintain what was recorded",
    "console": "Connect to a machine's serial or graphical console",
    "snapshot": "Revert a machine to a snapshot",
    "replicate": "Copy the machines of recovery plans to the other site",
    "dr": "Recover machines at another site",
    "providers": "List the installed provider plugins",
    "schema": "Write the JSON Schemas for editors and programs",
    "completion": "Print a completion script for bash, zsh or fish",
    "version": "Print versions of the program and its environment",
}
"""Commands in the order in which a newcomer needs them, with their summaries."""


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"provisioner {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    package="provisioner.cli.commands",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'provisioner COMMAND --help' explains a command. Exit codes: 0 done, 1 error, "
    "2 changes, 3 plan is stale, 4 held steps remain, 5 refused by the gate, 6 applied in part.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@global_options
def root(**_: Any) -> None:
    """Provision virtual machines from YAML manifests: validate, plan, apply.

    A stack is a folder of manifests. Commands take it as their argument, and default to the current
    folder.
    """
