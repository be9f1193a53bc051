"""The runbook after a migration or failover: what is left at the former site becomes the replica of
what runs now.
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.core.address import Address
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes.tasks import (
    FORMER,
    LONG,
    SYNCS,
    Draft,
    begin,
    give_back,
    of_machine,
    of_plan,
)
from provisioner.workflows.runbook import OnFailure, Runbook


def reprotect_runbook(plan: RecoveryPlan, without: Collection[Address] = ()) -> Runbook:
    """Replicate from ``plan.here``, where the machines run now, to ``plan.there``, where they ran
    before: their old selves there are stopped and marked, and their old disks are used again.
    Machines that had to make room there go on. ``without``: machines of the plan that were left
    out when it turned, and run there still.
    """
    draft = Draft(plan, str(Mode.REPROTECT), without=frozenset(without))
    began = begin(draft, [plan.here, plan.there])
    looked = draft.add(
        draft.of_all(
            of_plan(
                FORMER,
                f"see what is still on at {plan.there}",
                [began],
                action=FORMER,
                on_failure=OnFailure.GO_ON,
                stage="former site",
                site=plan.there,
            )
        )
    )
    seeded = []
    yielded = []
    for machine in draft.machines:
        name = machine.address.name
        off = draft.add(
            of_machine(
                "yield",
                machine,
                f"the former {name} at {plan.there} is off",
                [began],
                after=[looked],
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
        yielded.append(marked)
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
        draft.of_all(
            of_plan(
                "protected",
                f"every machine has a recovery point at {plan.there}",
                seeded,
                action="protected",
                stage="replication",
            )
        )
    )
    give_back(draft, plan.there, [began], yielded)
    return draft.finished()
