"""Options and arguments that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from provisioner.cli import completing
from provisioner.cli.invocation import Invocation
from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern

Command = TypeVar("Command", bound=Callable[..., Any])


def _invocation(context: click.Context) -> Invocation:
    found = context.find_object(Invocation)
    assert found is not None, "main() puts it there"
    return found


def _set_environment(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        _invocation(context).environment = value


def _add_variables(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> None:
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            problem = f"{value!r} is not of the form NAME=VALUE."
            raise click.BadParameter(problem, ctx=context, param=parameter)
        _invocation(context).variables[name] = text


def _set_no_cache(context: click.Context, _: click.Parameter, value: bool) -> None:
    _invocation(context).no_cache |= value


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    _invocation(context).terminal.json |= value


def _set_no_color(context: click.Context, _: click.Parameter, value: bool) -> None:
    _invocation(context).terminal.no_color |= value


def _set_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    _invocation(context).terminal.verbose |= value


_GLOBAL = (
    click.option(
        "--env",
        metavar="NAME",
        callback=_set_environment,
        shell_complete=completing.environments,
        expose_value=False,
        help="The stack's environment; each has a state of its own.",
    ),
    click.option(
        "--var",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_add_variables,
        shell_complete=completing.variables,
        expose_value=False,
        help="Set a variable of the stack. May be repeated.",
    ),
    click.option(
        "--no-cache",
        is_flag=True,
        callback=_set_no_cache,
        expose_value=False,
        help="Read manifests and hosts anew, and keep nothing of them.",
    ),
    click.option(
        "--json",
        is_flag=True,
        callback=_set_json,
        expose_value=False,
        help="Print JSON; diagnostics become JSON lines on stderr.",
    ),
    click.option(
        "--no-color",
        is_flag=True,
        callback=_set_no_color,
        expose_value=False,
        help="No colours (also off with NO_COLOR or in a pipe).",
    ),
    click.option(
        "--verbose",
        is_flag=True,
        callback=_set_verbose,
        expose_value=False,
        help="Show more: each phase, and tracebacks of internal errors.",
    ),
)


def global_options(command: Command) -> Command:
    """The options that every command takes, before or after its name."""
    for option in reversed(_GLOBAL):
        command = option(command)
    return command


def stack_argument(command: Command) -> Command:
    """``STACK``: the folder of the stack, the present one if left out."""
    decorated: Command = click.argument(
        "stack",
        metavar="[STACK]",
        default=".",
        type=click.Path(path_type=Path),
        shell_complete=completing.folders,
    )(command)
    return decorated


def stack_option(text: str) -> Callable[[Command], Command]:
    """``--stack DIR``, for commands whose arguments are something else; ``text`` is its help."""
    return click.option(
        "--stack",
        metavar="DIR",
        default=".",
        type=click.Path(path_type=Path),
        shell_complete=completing.folders,
        help=text,
    )


def pattern(text: str) -> AddressPattern:
    """Read an address with globs, as ``--target`` takes it; a usage error if it is none."""
    try:
        return AddressPattern.parse(text)
    except ValueError as problem:
        raise click.BadParameter(f"{problem}.") from problem


def address(text: str) -> Address:
    """Read ``Kind/name``; a usage error if it is none."""
    try:
        return Address.parse(text)
    except ValueError as problem:
        raise click.BadParameter(f"{problem}, such as VirtualMachine/web01.") from problem


def named(kind: str) -> Callable[[str], Address]:
    """Read the name of a resource of this kind, ``web01``, or its whole address."""

    def read(text: str) -> Address:
        return address(text if "/" in text else f"{kind}/{text}")

    return read


_SELECTION = (
    click.option(
        "--target",
        metavar="PATTERN",
        type=pattern,
        multiple=True,
        shell_complete=completing.addresses(),
        help="Only these, e.g. 'VirtualMachine/web*', and what they depend on. Repeatable.",
    ),
    click.option(
        "--exclude",
        metavar="PATTERN",
        type=pattern,
        multiple=True,
        shell_complete=completing.addresses(),
        help="Not these, nor what depends on them. Repeatable.",
    ),
)

_GATE = (
    click.option(
        "--max-impact",
        metavar="IMPACT",
        type=click.Choice([impact.value for impact in Impact if impact is not Impact.DATA_LOSS]),
        help="The worst that may happen to a running guest: none, live, restart or replace.",
    ),
    click.option(
        "--allow-data-loss",
        metavar="ADDRESS",
        type=address,
        multiple=True,
        shell_complete=completing.addresses(recorded_only=True),
        help="Consent to the loss of this resource's data. Repeatable.",
    ),
)

_ADOPT = click.option(
    "--adopt",
    metavar="PATTERN",
    type=pattern,
    multiple=True,
    shell_complete=completing.addresses(),
    help="Take over objects that exist already and that nobody owns. Repeatable.",
)

_TRUST = click.option(
    "--trust-site",
    metavar="SITE",
    multiple=True,
    help="Somebody has made sure that this site is off: what it protects starts here, although "
    "the site cannot be asked. One that answers is believed more. Repeatable.",
)

_REPORTS = tuple(
    click.option(
        option,
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"Write what was found to FILE, too, as {form}.",
    )
    for option, form in (("--sarif", "SARIF 2.1.0"), ("--junit", "JUnit XML"))
)


_FORMS = {
    "markdown": "Show the plan as Markdown for a pull request, below 60,000 characters.",
    "html": "Show the plan as one page that needs nothing else, with its graph.",
    "gitlab": "Show the counts that GitLab reads (artifacts:reports:terraform).",
    "terraform": "Show the plan as JSON in Terraform's form, for policy tools.",
}


def _choose_form(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        _invocation(context).forms.append(str(parameter.name))


def form_options(command: Command) -> Command:
    """``--markdown``, ``--html``, ``--gitlab``, ``--terraform``: how a plan is shown. What was
    chosen is in :attr:`Invocation.form`.
    """
    for name, text in reversed(_FORMS.items()):
        option = click.option(
            f"--{name}", is_flag=True, callback=_choose_form, expose_value=False, help=text
        )
        command = option(command)
    return command


def selection_options(command: Command) -> Command:
    """``--target`` and ``--exclude``."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


def gate_options(command: Command) -> Command:
    """``--max-impact`` and ``--allow-data-loss``."""
    for option in reversed(_GATE):
        command = option(command)
    return command


def adopt_option(command: Command) -> Command:
    """``--adopt``."""
    return _ADOPT(command)


def trust_option(command: Command) -> Command:
    """``--trust-site``."""
    return _TRUST(command)


def apply_options(command: Command) -> Command:
    """``--yes`` and ``--parallel``: how a plan is carried out."""
    command = click.option(
        "--parallel",
        metavar="N",
        type=click.IntRange(1, 256),
        default=None,
        help="How many steps run at once, over all endpoints.",
    )(command)
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def report_options(command: Command) -> Command:
    """``--sarif`` and ``--junit``: reports for other programs."""
    for option in reversed(_REPORTS):
        command = option(command)
    return command
