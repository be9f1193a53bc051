"""Makes the runbook of a recovery plan in a mode. Pure: from the same plan comes the same runbook.

Called by :mod:`provisioner.service.recovery`. The order in which machines come up is in
:mod:`.rising`, shared by drills, migrations and failovers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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

BUILDERS: Mapping[Mode, Callable[[RecoveryPlan], Runbook]] = {
    Mode.TEST: drill_runbook,
    Mode.CLEANUP: cleanup_runbook,
    Mode.MIGRATE: migrate_runbook,
    Mode.FAILOVER: failover_runbook,
    Mode.REPROTECT: reprotect_runbook,
}

__all__ = [
    "BUILDERS",
    "ROLLBACK",
    "cleanup_runbook",
    "drill_runbook",
    "failover_runbook",
    "migrate_runbook",
    "reprotect_runbook",
    "rollback_runbook",
    "runbook_of",
]


def runbook_of(plan: RecoveryPlan, mode: Mode) -> Runbook:
    """The runbook of a plan in a mode. For ``reprotect`` the plan is turned already: ``here`` is
    where its machines run now. Raises ProvisionerError (PRV7070, PRV7071) if the plan lacks
    something that the mode needs.
    """
    return BUILDERS[mode](plan)
