"""What is said of a field that libvirt cannot honour. Called by the rules of every kind."""

from __future__ import annotations

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, path_text


def unusable(path: Path, found: str, hint: str, code: str = "PRV2502") -> Diagnostic:
    """The diagnostic for the field at ``path`` of a spec; ``found`` is a sentence without its full
    stop that says what is in the way.
    """
    return error(
        code,
        f"{path_text(path)} cannot be used with libvirt here",
        detail=f"{found[:1].upper()}{found[1:]}.",
        hint=hint,
        path=path,
    )
