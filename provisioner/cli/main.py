"""Entry point of the ``provisioner`` program: runs a command and turns every end into an exit
code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

from provisioner.cli.crash import crash_diagnostic
from provisioner.cli.exitcodes import ExitCode, exit_code_of
from provisioner.cli.invocation import Invocation
from provisioner.cli.root import root
from provisioner.cli.streams import hold_standard_streams
from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error

COLLECT_EVERY = 1_000_000
"""New objects between two looks for garbage in cycles. A run makes trees of plain data, which hold
none: with Python's default of 700 a quarter of all time goes there with 10,000 resources.
"""


def main() -> int:
    """Run with the arguments and the environment of this process; returns the exit code."""
    hold_standard_streams()
    gc.set_threshold(COLLECT_EVERY)
    code = run(sys.argv[1:])
    if threading.active_count() > 1:
        # A loop that a plugin needs, or a call that was given up. Python would wait for what that
        # hangs in, daemon or not, where it is an executor of a plugin.
        _end_now(code)
    return code


def _end_now(code: int) -> NoReturn:
    """End without waiting for threads. What is to be done at the end is done: a command that is
    still asked for a secret is ended then.
    """
    try:
        atexit._run_exitfuncs()
    finally:
        os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; nothing is raised out of here, whatever happens."""
    terminal = Terminal(os.environ)
    try:
        code = _invoke(list(arguments), terminal)
    finally:
        terminal.flush()
    lost = terminal.lost_output()
    if lost is not None:
        terminal.report([lost])
        if not terminal.acts and code != ExitCode.INTERRUPTED:
            code = ExitCode.ERROR
    return int(code)


def _invoke(arguments: list[str], terminal: Terminal) -> int:
    invocation = Invocation(terminal, os.environ, tuple(arguments))
    try:
        result = root.main(
            args=arguments,
            prog_name="provisioner",
            obj=invocation,
            standalone_mode=False,
        )
        return result if isinstance(result, int) else ExitCode.DONE
    except click.exceptions.NoArgsIsHelpError as help_page:
        terminal.note([help_page.format_message()])
        return ExitCode.ERROR
    except click.ClickException as problem:
        # Raised while reading arguments, so --json may not have been seen yet.
        terminal.json |= "--json" in arguments
        terminal.report([_usage_error(problem)])
        return ExitCode.ERROR
    except (click.Abort, KeyboardInterrupt) as end:
        # click turns Ctrl-C into its own exception, too; the other way to it is an answer of no.
        asked = isinstance(end, click.Abort) and not isinstance(
            end.__cause__ or end.__context__, KeyboardInterrupt
        )
        done = "Interrupted; nothing was done." if terminal.untouched else "Interrupted."
        terminal.note(["Nothing was changed." if asked else done])
        return ExitCode.INTERRUPTED
    except ProvisionerError as failure:
        terminal.report(failure.diagnostics)
        return exit_code_of(failure.diagnostics)
    except Exception as problem:  # noqa: BLE001 - the last resort: a person never sees a traceback
        # click writes its own pages (--help) without Terminal. What such a write left in the
        # buffer fails again here.
        terminal.flush()
        if isinstance(problem, OSError) and terminal.is_lost:
            return ExitCode.DONE
        report = crash_diagnostic(problem, arguments, terminal.verbose, invocation.redactor)
        terminal.report([report])
        return ExitCode.ERROR


def _usage_error(problem: click.ClickException) -> Diagnostic:
    # click lists choices on lines of their own.
    summary = " ".join(problem.format_message().split())
    hint = ""
    if isinstance(problem, click.UsageError) and problem.ctx is not None:
        hint = f"'{problem.ctx.command_path} --help' shows what it takes."
    return error("PRV6001", summary.rstrip("."), hint=hint)
