"""What tells whether two recovery plans say the same, whenever and by whom each was compiled, in
whichever direction it counts now, and whether or not it carries its programs along: a run is only
gone on with by the plan that began it.
"""

from __future__ import annotations

from provisioner.core.values import digest
from provisioner.workflows.recovery.documents import PROGRAMS, plan_json
from provisioner.workflows.recovery.model import RecoveryPlan


def fingerprint(plan: RecoveryPlan) -> str:
    """SHA-256 of what a plan says."""
    data = {
        key: value
        for key, value in plan_json(plan).items()
        if key not in ("compiled", "compiledBy", "sites", PROGRAMS)
    }
    return digest({**data, "sites": sorted(plan.sites)})
