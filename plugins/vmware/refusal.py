"""What is said of a field that vSphere cannot honour. Called by the rules of every kind."""

from __future__ import annotations

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, path_text


def unusable(path: Path, found: str, hint: str) -> Diagnostic:
    """The diagnostic for the field at ``path`` of a spec; ``found`` is a sentence without its full
    stop that says what is in the way.
    """
    return error(
        "PRV2551",
        f"{path_text(path)} cannot be used with vSphere here",
        detail=f"{found[:1].upper()}{found[1:]}.",
        hint=hint,
        path=path,
    )


def out_of_range(path: Path, found: str, limit: str, source: str) -> Diagnostic:
    """The diagnostic for a value that no such endpoint takes; ``limit`` says which it takes, and
    ``source`` where that is written.
    """
    return error(
        "PRV2552",
        f"{path_text(path)} is {found}, which vSphere does not take",
        detail=f"{limit} ({source}).",
        hint="Choose a value within the limit.",
        path=path,
    )
