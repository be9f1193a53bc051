"""What a person sees of a defect: PRV9999 and a report file, never a traceback. Called by
:mod:`main`."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from provisioner import __version__
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.redaction import Redactor


def crash_report(problem: BaseException, arguments: Sequence[str]) -> str:
    """The text of a report: versions, arguments without the values of variables, the trace without
    local values."""
    trace = "".join(traceback.format_exception(problem))
    return (
        f"provisioner {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{datetime.now(UTC).isoformat(timespec='seconds')}\n"
        f"arguments: {' '.join(_without_values(arguments))}\n\n{trace}"
    )


def _without_values(arguments: Sequence[str]) -> list[str]:
    """Values of ``--var`` may be confidential."""
    cleaned: list[str] = []
    previous = ""
    for argument in arguments:
        text = argument
        if previous == "--var":
            text = argument.partition("=")[0] + "=..."
        elif argument.startswith("--var="):
            text = "--var=" + argument.removeprefix("--var=").partition("=")[0] + "=..."
        cleaned.append(text)
        previous = argument
    return cleaned


def crash_diagnostic(
    problem: BaseException, arguments: Sequence[str], verbose: bool, redactor: Redactor
) -> Diagnostic:
    """PRV9999; the report goes to a file, or with ``--verbose`` to the error stream. Neither holds
    a secret that the redactor knows."""
    report = redactor.text(crash_report(problem, arguments))
    if verbose:
        sys.stderr.write(report)
        where = "The report is above."
    else:
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="provisioner-crash-", suffix=".txt", delete=False, encoding="utf-8"
            ) as file:
                file.write(report)
            where = f"A report was written to {file.name}."
        except OSError as failure:
            where = f"No report could be written ({failure}); --verbose shows it instead."
    return error(
        "PRV9999",
        "internal error: this is a bug in provisioner",
        detail=redactor.text(f"{type(problem).__name__}: {problem}") + f"\n{where}",
        hint="State and endpoints are as the last finished step left them. Please report the bug.",
    )
