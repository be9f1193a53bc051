"""Which recovery plan is meant where none is named. Called by the commands that read what a journal
knows, and that show what would be done.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service import candidates
from provisioner.service.recovery.opening import FOLDER, Source
from provisioner.service.workspace import Workspace

PREFIX = "RecoveryPlan/"


def only_plan(workspace: Workspace, source: Source) -> Source:
    """The source, with the name of the only plan if it says nothing else. Raises ProvisionerError
    (PRV7088) where there is not exactly one.
    """
    if source.name is not None or source.file is not None or source.journal is not None:
        return source
    names = named_plans(workspace)
    if len(names) == 1:
        return replace(source, name=names[0])
    found = f"there are {len(names)}: {', '.join(names)}" if names else "the stack has none"
    raise ProvisionerError(
        error(
            "PRV7088",
            f"no recovery plan is named, and {found}",
            hint="Give its name, the file that holds it with --from FILE, or its journal with "
            "--journal FILE.",
        )
    )


def named_plans(workspace: Workspace) -> list[str]:
    """The names of the stack's plans, as far as its manifests can be read; where they name none,
    those that have a journal beside the state.
    """
    declared = candidates.declared_addresses(workspace.root)
    names = {item.removeprefix(PREFIX) for item in declared if item.startswith(PREFIX)}
    if not names:
        folder = workspace.state_path.parent / FOLDER
        names = {path.stem for path in folder.glob("*.db")}
    return sorted(names)
