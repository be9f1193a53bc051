"""Options and arguments of the commands of recovery: which plan is meant, and where its journal
is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from provisioner.cli.completing import addresses
from provisioner.cli.options import named, stack_option

Command = TypeVar("Command", bound=Callable[..., Any])


def plan_argument(command: Command) -> Command:
    """``[PLAN]``: the name of a recovery plan."""
    decorated: Command = click.argument(
        "plan",
        metavar="[PLAN]",
        required=False,
        type=named("RecoveryPlan"),
        shell_complete=addresses(kind="RecoveryPlan"),
    )(command)
    return decorated


def plans_argument(command: Command) -> Command:
    """``[PLAN]...``: names of recovery plans."""
    decorated: Command = click.argument(
        "plans",
        metavar="[PLAN]...",
        nargs=-1,
        type=named("RecoveryPlan"),
        shell_complete=addresses(kind="RecoveryPlan"),
    )(command)
    return decorated


def file_options(command: Command) -> Command:
    """``--from`` and ``--trusted``: a stored plan."""
    command = click.option(
        "--trusted",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Public keys whose plans are believed; left out: recovery.trustedKeys of your "
        "configuration.",
    )(command)
    decorated: Command = click.option(
        "--from",
        "file",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Take the plan from this signed file; neither manifests nor state are needed.",
    )(command)
    return decorated


def journal_options(command: Command) -> Command:
    """``--journal`` and ``--stack``: where the journal of a plan is."""
    command = stack_option("Folder of the stack, with its state.")(command)
    decorated: Command = click.option(
        "--journal",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The journal of the plan's runs, if it is not beside the state.",
    )(command)
    return decorated


def source_options(command: Command) -> Command:
    """All of them."""
    return plan_argument(file_options(journal_options(command)))


def yes_option(command: Command) -> Command:
    """``--yes``."""
    decorated: Command = click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)
    return decorated
