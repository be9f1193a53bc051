"""The runbook after a migration or failover: what is left at the former site becomes the replica of
what runs now.
"""

from __future__ import annotations

from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes.tasks import (
    LONG,
    SYNCS,
    Draft,
    begin,
    of_machine,
    of_plan,
)
from provisioner.workflows.runbook import OnFailure, Runbook


def reprotect_runbook(plan: RecoveryPlan) -> Runbook:
    """Replicate from ``plan.here``, where the machines run now, to ``plan.there``, where they ran
    before: their old selves there are stopped and marked, and their old disks are used again.
    """
    draft = Draft(plan, str(Mode.REPROTECT))
    began = begin(draft, [plan.here, plan.there])
    seeded = []
    for machine in plan.machines:
        name = machine.address.name
        off = draft.add(
            of_machine(
                "yield",
                machine,
                f"the former {name} at {plan.there} is off",
                [began],
                on_failure=OnFailure.HOLD,
                stage="former site",
                lasting=False,
                site=plan.there,
            )
        )
        marked = draft.add(
            of_machine(
                "stand-by",
                machine,
                f"mark the former {name} as not to start",
                [off],
                on_failure=OnFailure.HOLD,
                stage="former site",
                lasting=False,
                site=plan.there,
            )
        )
        seeded.append(
            draft.add(
                of_machine(
                    "seed",
                    machine,
                    f"first synchronisation of {name} to {plan.there}",
                    [marked],
                    lane=f"{SYNCS}/{plan.objects[plan.there][machine.address].endpoint}",
                    seconds=LONG,
                    on_failure=OnFailure.HOLD,
                    stage="replication",
                )
            )
        )
    draft.add(
        of_plan(
            "protected",
            f"every machine has a recovery point at {plan.there}",
            seeded,
            action="protected",
            stage="replication",
        )
    )
    return draft.finished()
