"""Checking a stack as far as that goes without an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity
from provisioner.engine.prepare import check_stack
from provisioner.manifest.folder import manifest_files
from provisioner.service.model import Stack
from provisioner.service.secrets import missing_secrets
from provisioner.service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Validity:
    """A stack without errors, and what is worth a warning all the same."""

    stack: Stack
    warnings: tuple[Diagnostic, ...]


def validate(workspace: Workspace) -> Validity:
    """Load the stack, draw its graph, and let the providers read it.

    Raises ProvisionerError with every error. A secret that is not there is only a warning: the
    machine on which manifests are checked need not be the one that may know it.
    """
    stack = workspace.load()
    errors = check_stack(stack, workspace.registry, workspace.catalog)
    missing = [
        replace(item, severity=Severity.WARNING)
        for item in missing_secrets(stack, workspace.secrets)
    ]
    found = stack.in_order([*stack.warnings, *missing, *errors])
    if errors:
        raise ProvisionerError(found)
    return Validity(stack, tuple(found))


def files_of(folder: Path) -> list[str]:
    """The files below a stack's folder that may be manifests, as diagnostics name them; none if
    there is no folder to look into.
    """
    try:
        found = manifest_files(folder)
    except ProvisionerError:
        return []
    return [str(folder / path) for path in sorted([*found.files, *found.closed])]
