"""``provisioner dr report``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named
from provisioner.cli.recoveryoptions import from_option, journal_options

FORMS = {".json": "json", ".md": "markdown", ".html": "html"}
"""By the end of a file's name."""
_RUN = re.compile(r"\d{8}T\d{6}Z-\d+")


@click.command("report")
@click.argument("names", metavar="[PLAN] [RUN]", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html"]),
    help="How to write it; left out: as the end of the name of -o says, else as text.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to FILE.",
)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The private key to sign it with; left out: recovery.signingKey of your configuration.",
)
@click.option("--unsigned", is_flag=True, help="Do not sign it: it then proves nothing.")
@click.option(
    "--verify",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Only tell whether the report in FILE, in JSON, is as somebody who is trusted signed it.",
)
@click.option(
    "--trusted",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Public keys that --verify believes; left out: recovery.trustedKeys of your "
    "configuration.",
)
@from_option
@journal_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    names: tuple[str, ...],
    *,
    form: str | None,
    output: Path | None,
    key: Path | None,
    unsigned: bool,
    verify: Path | None,
    trusted: Path | None,
    file: Path | None,
    journal: Path | None,
    stack: Path,
) -> None:
    """Write evidence of a run: who, when, what was achieved, what failed.

    RUN is the newest, unless given; 'dr history' lists them. Text is for reading here and needs no
    key. JSON is signed, and has every step. Markdown and the page of --format html, with the steps
    along their time, name the digest of that JSON and the key.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.recovery.markdown import render_markdown_report
    from provisioner.cli.render.recovery.page import render_page
    from provisioner.cli.render.recovery.report import render_report
    from provisioner.cli.terminal import json_lines
    from provisioner.cli.writing import write
    from provisioner.service.recovery.naming import only_plan
    from provisioner.service.recovery.opening import Source
    from provisioner.service.recovery.reporting import report_run, sign

    if verify is not None:
        if names or output is not None or form is not None:
            raise click.UsageError("--verify takes no PLAN, RUN, --format or -o.")
        _verify(invocation, stack, verify, trusted)
        return
    plan, run = _meant(names)
    terminal = invocation.terminal
    chosen = "json" if terminal.json else form or FORMS.get(output.suffix if output else "", "text")
    workspace = open_workspace(invocation, stack)
    name = named("RecoveryPlan")(plan).name if plan is not None else None
    source = only_plan(workspace, Source(name, file, trusted, journal))
    found = report_run(workspace, source, run)
    # What is read here and now needs no proof, unless somebody asks for one.
    silent = chosen == "text" and key is None
    evidence = sign(workspace, found, key, unsigned=unsigned or silent)
    match chosen:
        case "json":
            lines = json_lines(evidence.document)
        case "markdown":
            lines = render_markdown_report(evidence)
        case "html":
            lines = render_page(evidence)
        case _:
            paint = terminal.paint(terminal.out)
            lines = render_report(evidence, terminal.width, paint, whole=terminal.verbose)
    write(terminal, lines, output, f"report as {chosen}")


def _meant(names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Which plan and which run: either may be left out. Ids of runs are no names of plans."""
    runs = [name for name in names if _RUN.fullmatch(name)]
    plans = [name for name in names if not _RUN.fullmatch(name)]
    if len(plans) == 2 and not runs:
        # Whatever it is, the journal says that there is none of it.
        plans, runs = plans[:1], plans[1:]
    if len(runs) > 1 or len(plans) > 1:
        raise click.UsageError(f"Found {' '.join(names)}, expected a PLAN and a RUN at most.")
    return plans[0] if plans else None, runs[0] if runs else None


def _verify(invocation: Invocation, stack: Path, path: Path, trusted: Path | None) -> None:
    from provisioner.cli.opening import open_workspace
    from provisioner.service.recovery.reporting import verify

    terminal = invocation.terminal
    found = verify(open_workspace(invocation, stack), path, trusted)
    said = found.document
    if terminal.json:
        keys = ("plan", "run", "mode", "outcome")
        told = {key: said.get(key) for key in keys}
        terminal.print_json(
            {"file": str(path), "signedBy": found.signed_by, "digest": found.digest, **told}
        )
        return
    terminal.print(
        [
            f"{path}: the report of run {said.get('run')} ({said.get('mode')} of "
            f"{said.get('plan')}), as signed by {found.signed_by}.",
            f"Digest {found.digest}.",
        ]
    )
