"""Where a result goes: to the output, or into the file that ``-o`` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.overwriting import WHAT_TO_DO, would_be_lost

OPENINGS = {
    "plan as text": r"(Destroy: )?Stack ",
    "plan as JSON": r'\{\s*"format":\s*"provisioner\.plan-view/',
    "plan as markdown": r"<!-- provisioner plan ",
    "plan as html": r"<!DOCTYPE html>",
    "plan as gitlab": r'\{\s*"create":',
    "plan as terraform": r'\{\s*"format_version":',
    "graph as text": r"layer 1\r?\n|0 resources|[^\w:]*[A-Z][A-Za-z0-9]*/",
    "graph as JSON": r'\{\s*"stack":',
    "graph as svg": r"<\?xml ",
    "graph as dot": r"digraph ",
    "graph as mermaid": r"flowchart ",
    "report as text": r"Report of the run: ",
    "report as json": r'\{\s*"format":\s*"provisioner\.recovery-report/',
    "report as markdown": r"<!-- provisioner report ",
    "report as html": r"<!DOCTYPE html>",
}
"""How each result begins: by that an older one is known, which may be replaced."""


def write(terminal: Terminal, lines: Sequence[str], path: Path | None, what: str) -> None:
    """Write the lines of a result, one of :data:`OPENINGS`; raises ProvisionerError (PRV6028) if
    the file cannot be written, or is there already and is something else than an older such result.
    """
    if path is None:
        terminal.print(lines)
        return
    text = "".join(f"{line}\n" for line in lines)
    try:
        if would_be_lost(path, OPENINGS[what]):
            raise ProvisionerError(
                error(
                    "PRV6028",
                    f"{path} is there already, and is no {what}",
                    detail="Only an empty file or an older result of the same form is replaced.",
                    hint=WHAT_TO_DO,
                )
            )
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        raise ProvisionerError(
            error("PRV6028", f"{path} cannot be written", detail=str(problem))
        ) from problem
