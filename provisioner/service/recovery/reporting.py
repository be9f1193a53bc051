"""Reports of runs of recovery plans, for ``dr report``: signed evidence, and whether that holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner import __version__
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.recovery.keys import signing_key, trusted_keys
from provisioner.service.recovery.model import Mode, Run
from provisioner.service.recovery.opening import Source, named_journal
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery import evidence
from provisioner.workflows.recovery.evidence import Verified
from provisioner.workflows.recovery.report import (
    FENCE,
    GATE,
    Ended,
    Left,
    Recovered,
    Report,
    Said,
    Step,
    report,
)

__all__ = [
    "FENCE",
    "GATE",
    "Ended",
    "Evidence",
    "Left",
    "Recovered",
    "Report",
    "Said",
    "Step",
    "Verified",
    "report_run",
    "sign",
    "verify",
]

_LOOKED_BACK = 1000
"""Runs that are looked through for the one that cleared a drill away."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A report with its ``document``, of which ``digest`` is SHA-256 and ``key`` the id of the key
    that signed it; None if nobody did.
    """

    report: Report
    document: Mapping[str, Any]
    digest: str
    key: str | None


def report_run(workspace: Workspace, source: Source, run: str | None) -> Report:
    """The report of a run, or of the newest. Raises ProvisionerError: PRV7132 if there was none
    yet, PRV7003 if there is none of this id.
    """
    journal = named_journal(workspace, source)
    try:
        found = journal.run(run if run is not None else _newest(journal, source))
        return report(found, _cleared(journal, found))
    finally:
        journal.close()


def sign(
    workspace: Workspace, found: Report, key: Path | None, *, unsigned: bool = False
) -> Evidence:
    """The document of a report, signed with the key in the file ``key`` or with the user's own.
    Raises ProvisionerError (PRV7047) if there is none, unless ``unsigned`` asks for none.
    """
    signing = None if unsigned else signing_key(key, workspace.configuration, workspace.root)
    content = evidence.content(
        found,
        made=workspace.clock.now().isoformat(),
        made_by=workspace.actor,
        version=__version__,
    )
    return Evidence(
        found,
        evidence.signed(content, signing),
        evidence.content_digest(content),
        None if signing is None else signing.id,
    )


def verify(workspace: Workspace, path: Path, trusted: Path | None) -> Verified:
    """The report in a file whose signature holds. Raises ProvisionerError with the reason."""
    keys = trusted_keys(trusted, workspace.configuration, workspace.root)
    return evidence.verify(path, keys)


def _newest(journal: Journal, source: Source) -> str:
    last = journal.last()
    if last is None:
        raise ProvisionerError(
            error(
                "PRV7132",
                f"{source.name or 'the plan'}: there is nothing to report, no run was begun yet",
                detail=f"Looked into was the journal {journal.path}.",
                hint="Name the stored plan that was carried out with --from FILE, or another "
                "journal with --journal FILE.",
            )
        )
    return last.id


def _cleared(journal: Journal, run: Run) -> Run | None:
    """The last clean-up between a drill and the next one."""
    if run.record.mode != Mode.TEST:
        return None
    found = None
    for record in journal.runs(_LOOKED_BACK):
        if record.id == run.record.id:
            break
        if record.mode == Mode.TEST:
            found = None
        elif record.mode == Mode.CLEANUP and found is None:
            found = record.id
    return journal.run(found) if found is not None else None
