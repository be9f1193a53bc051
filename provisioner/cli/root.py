"""The root command. Its table names every command, so that ``--help`` imports none of them."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

import click

from provisioner import __version__
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
    "providers": "List the installed provider plugins",
    "schema": "Write the JSON Schemas for editors and programs",
    "completion": "Print a completion script for bash, zsh or fish",
    "version": "Print versions of the program and its environment",
}
"""Commands in the order in which a newcomer needs them, with their summaries."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is named. (Deriving from Group is click's way to
    do this.)"""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"provisioner.cli.commands.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; a usage error that suggests the nearest one if there
        is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"provisioner {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
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
