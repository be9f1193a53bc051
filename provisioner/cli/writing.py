"""Where a result goes: to the output, or into the file that ``-o`` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError, error


def write(terminal: Terminal, lines: Sequence[str], path: Path | None) -> None:
    """Write the lines of a result; raises ProvisionerError (PRV6028) if the file cannot be
    written.
    """
    if path is None:
        terminal.print(lines)
        return
    text = "".join(f"{line}\n" for line in lines)
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        raise ProvisionerError(
            error("PRV6028", f"{path} cannot be written", detail=str(problem))
        ) from problem
