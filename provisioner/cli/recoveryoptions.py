"""Options and arguments of the commands of recovery: which plan is meant, and where its journal
is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from provisioner.cli.completing import addresses
from provisioner.cli.options import named, stack_option
from provisioner.core.address import Address

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
    return from_option(command)


def from_option(command: Command) -> Command:
    """``--from`` alone."""
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
        help="The journal of the plan's runs, if it is neither beside the state nor, with --from "
        "FILE, FILE.runs.db.",
    )(command)
    return decorated


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All that says which plan is meant and where its journal is, for commands that go on with a
    run: they get it as ``source``, and ``stack``.
    """
    command = click.option(
        "--allow-age",
        is_flag=True,
        help="Take a stored plan that is older than its maxAge. The report says so.",
    )(_with_source(command))
    return plan_argument(file_options(journal_options(command)))


def leading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and which way the plan leads, for commands that begin a run."""
    return click.option(
        "--running-at",
        metavar="SITE",
        help="The machines run at this site: where neither a journal nor the hosts tell.",
    )(source_options(command))


def past_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for commands that only read a journal, or say something to the run in it: they take
    the only plan where none is named.
    """
    return plan_argument(file_options(journal_options(_with_source(command, required=False))))


def _with_source(command: Callable[..., Any], *, required: bool = True) -> Callable[..., Any]:
    """Hands the plan, the files and what was said of them on as one value. ``required``: one of
    them is named.
    """

    @wraps(command)
    def wrapper(
        *args: Any,
        plan: Address | None,
        file: Path | None,
        trusted: Path | None,
        journal: Path | None,
        allow_age: bool = False,
        running_at: str | None = None,
        **rest: Any,
    ) -> Any:
        from provisioner.service.recovery.opening import Source  # noqa: PLC0415

        if required and plan is None and file is None and journal is None:
            raise click.UsageError("Missing argument 'PLAN': name a recovery plan, or --from FILE.")
        name = plan.name if plan is not None else None
        source = Source(name, file, trusted, journal, allow_age, running_at)
        return command(*args, source=source, **rest)

    return wrapper


def without_options(command: Command) -> Command:
    """``--without`` and ``--with``: which machines of a plan a run is about."""
    command = click.option(
        "--with",
        "included",
        metavar="MACHINE",
        type=named("VirtualMachine"),
        multiple=True,
        help="Bring in again this machine, which an earlier run left out: it is where the others "
        "are now. Repeatable.",
    )(command)
    decorated: Command = click.option(
        "--without",
        metavar="MACHINE",
        type=named("VirtualMachine"),
        multiple=True,
        help="Leave this machine out, for instance because it has no recovery point; what needs it "
        "starts without it. Later runs leave it out, too, until the others are back at its site. "
        "Repeatable.",
    )(command)
    return decorated


def take_over_option(command: Command) -> Command:
    """``--take-over``, for commands that begin a run."""
    decorated: Command = click.option(
        "--take-over",
        "consent",
        is_flag=True,
        help="You have made sure that no other run of the plan is carried out any more, whatever "
        "hosts say: if it is after all, it is put out there.",
    )(command)
    return decorated


def yes_option(command: Command) -> Command:
    """``--yes``."""
    decorated: Command = click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)
    return decorated
