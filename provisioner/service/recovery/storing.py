"""Storing recovery plans in signed files, in the direction in which they count now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.core.diagnostics import Diagnostic
from provisioner.service.model import EventSink
from provisioner.service.recovery.keys import signing_key
from provisioner.service.recovery.opening import Source, open_plan
from provisioner.service.workspace import Workspace
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.recovery.programs import embedding


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan that was stored: in which file, with which digest, signed by which key. ``found``:
    what its commands need that is not in it.
    """

    plan: RecoveryPlan
    path: Path
    digest: str
    key: str
    found: tuple[Diagnostic, ...] = ()


def store_plan(
    workspace: Workspace, name: str, path: Path, key: Path | None, sink: EventSink
) -> Compiled:
    """Compile a plan and write it to ``path``, signed with the key in the file ``key`` or with the
    user's own. Raises ProvisionerError; then nothing is written.
    """
    signing = signing_key(key, workspace.configuration, workspace.root)
    opened = open_plan(workspace, Source(name), sink)
    plan, found = embedding(opened.plan, opened.folder)
    return Compiled(plan, path, storing.write(plan, signing, path), signing.id, tuple(found))
