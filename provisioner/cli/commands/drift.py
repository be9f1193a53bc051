"""``provisioner drift``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import (
    global_options,
    report_options,
    selection_options,
    stack_argument,
)
from provisioner.core.address import AddressPattern


@click.command("drift")
@stack_argument
@selection_options
@report_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    stack: Path,
    target: tuple[AddressPattern, ...],
    exclude: tuple[AddressPattern, ...],
    *,
    sarif: Path | None,
    junit: Path | None,
) -> ExitCode:
    """Show where reality differs from what was applied.

    Compares what the last apply recorded with what the endpoints report now, and tells who could
    have made a difference, since when it is known, and what the next apply would do about it. A
    manifest that was edited but not applied is not drift: plan shows what it would change.
    Differences that the stack's spec.drift.ignore accepts are counted, and shown with --verbose.
    Exits with 2 if there is drift.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.planning import choices_of
    from provisioner.cli.progress import progress
    from provisioner.cli.render.drift import render_drift
    from provisioner.cli.render.driftjson import drift_json
    from provisioner.cli.reporting import Reports
    from provisioner.service.drift import detect_drift
    from provisioner.service.schema import Vocabulary

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    vocabulary = Vocabulary()
    reports = Reports(sarif, junit)
    with reports.written(), reports.about("drift", workspace) as checked:
        with progress(terminal, steps=False) as sink:
            report = detect_drift(workspace, choices_of(target, exclude), sink)
        if reports.wanted:
            checked.take_drift(report, workspace.loaded, vocabulary)
    terminal.report([*workspace.notices, *report.problems])
    if terminal.json:
        terminal.print_json(drift_json(report, vocabulary))
    else:
        paint = terminal.paint(terminal.out)
        terminal.print(
            render_drift(report, vocabulary, terminal.width, paint, verbose=terminal.verbose)
        )
    if report.drifted:
        return ExitCode.CHANGES
    return ExitCode.ERROR if report.has_errors else ExitCode.DONE
