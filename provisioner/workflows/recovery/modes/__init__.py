"""Makes the runbook of a recovery plan in a mode. Pure: from the same plan comes the same runbook.

Called by :mod:`provisioner.service.recovery`. The order in which machines come up is in
:mod:`.rising`, shared by drills, migrations and failovers.
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.core.address import Address
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes.drill import cleanup_runbook, drill_runbook
from provisioner.workflows.recovery.modes.real import (
    failover_runbook,
    migrate_runbook,
    rollback_runbook,
)
from provisioner.workflows.recovery.modes.reprotection import reprotect_runbook
from provisioner.workflows.runbook import Runbook

ROLLBACK = "rollback"
"""The mode of what :func:`rollback_runbook` makes; nobody asks for it by a command of its own."""

__all__ = [
    "ROLLBACK",
    "cleanup_runbook",
    "drill_runbook",
    "failover_runbook",
    "migrate_runbook",
    "reprotect_runbook",
    "rollback_runbook",
    "runbook_of",
]


def runbook_of(plan: RecoveryPlan, mode: Mode, without: Collection[Address] = ()) -> Runbook:
    """The runbook of a plan in a mode. For ``reprotect`` the plan is turned already: ``here`` is
    where its machines run now. ``without``: machines that a migration, failover or reprotection
    leaves out; a drill is one of all. Raises ProvisionerError (PRV7070, PRV7071) if the plan lacks
    something that the mode needs.
    """
    match mode:
        case Mode.TEST:
            return drill_runbook(plan)
        case Mode.CLEANUP:
            return cleanup_runbook(plan)
        case Mode.MIGRATE:
            return migrate_runbook(plan, without)
        case Mode.FAILOVER:
            return failover_runbook(plan, without)
        case Mode.REPROTECT:
            return reprotect_runbook(plan, without)
