"""Carrying a plan out."""

from __future__ import annotations

from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.apply import Applier, ApplyReport
from provisioner.service.model import EventSink, Plan, StopSignal
from provisioner.service.secrets import missing_secrets_of_plan
from provisioner.service.workspace import Workspace

__all__ = ["ApplyReport", "apply_plan"]


def apply_plan(
    workspace: Workspace,
    plan: Plan,
    sink: EventSink,
    stop: StopSignal,
    parallel: int | None = None,
) -> ApplyReport:
    """Carry out exactly this plan; steps that fail are in the report.

    Raises ProvisionerError, before anything was done, if the gate refuses the plan, it is stale, a
    secret that it needs is missing, or somebody else works on the state.
    """
    if plan.lineage != str(workspace.lineage):
        # It was made elsewhere, in a stack that had a state by then.
        workspace.require_state(
            f"The plan was made for the stack {plan.stack}: name its folder with --stack DIR."
        )
    elif not (workspace.has_state or plan.steps or plan.observed or plan.interrupted):
        return ApplyReport(None, held=tuple(step.id for step in plan.held))
    missing = missing_secrets_of_plan(plan, workspace.secrets)
    if missing:
        raise ProvisionerError(missing)
    with workspace.store(plan.stack) as store, workspace.sessions(sink) as sessions:
        applier = Applier(
            store,
            sessions,
            sink,
            workspace.clock,
            workspace.actor,
            rules=workspace.catalog,
            stop=stop,
            parallel=parallel,
        )
        return applier.run(plan)
