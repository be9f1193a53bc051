"""Checks that are passed over: a person says that a gate, or a step of the plan's author, is wrong
and not the machine, so that a run goes on as if it had succeeded.

Called by :mod:`provisioner.service.recovery` when it goes on with a run. What proves that nothing
runs twice is never passed over: fences, consents, looks at hosts, starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.workflows.journal import Note
from provisioner.workflows.runs import PASSED_OVER, Run, TaskState, What

PASSABLE = ("gate/", "step/")
"""How the ids of tasks begin that may be passed over."""
REFUSED = "PRV7084"
"""The code with which a question fails that a person has not answered with yes."""
_SHOWN = 10


def passable(run: Run) -> tuple[TaskState, ...]:
    """The tasks of a run that nobody carries out which may be passed over now: gates and steps of
    the author that have failed or were given up.
    """
    return tuple(
        state
        for state in run.tasks.values()
        if state.task.startswith(PASSABLE)
        and (state.what in (What.FAILED, What.INTERRUPTED) or state.is_under_way)
    )


def doubtful(run: Run) -> tuple[TaskState, ...]:
    """Of these, the failed ones that may be wrong: the answer of a person is none, and a run that
    is gone on with asks again.
    """
    return tuple(
        state
        for state in passable(run)
        if state.what is What.FAILED
        and not (state.diagnostic is not None and state.diagnostic.code == REFUSED)
    )


def passing_over(tasks: Iterable[str], actor: str) -> Callable[[Run], list[Note]]:
    """What is noted with the resumption of a run, so that ``tasks`` count as done. Raises
    ProvisionerError (PRV7103) if one of them may not be passed over.
    """
    chosen = tuple(dict.fromkeys(tasks))

    def noting(run: Run) -> list[Note]:
        allowed = [state.task for state in passable(run)]
        refused = [task for task in chosen if task not in allowed]
        if refused:
            raise _refused(run, refused, allowed)
        return [_note(run, task, actor) for task in chosen]

    return noting


def _note(run: Run, task: str, actor: str) -> Note:
    # Observed: what it took tells nobody how long such a check takes.
    detail = {"result": {PASSED_OVER: True}, "observed": True, "again": True}
    return Note(What.DONE, task, run.runbook.by_id[task].action, detail=detail, actor=actor)


def _refused(run: Run, refused: Sequence[str], allowed: Sequence[str]) -> ProvisionerError:
    found = ", ".join(f"{task} ({_found(run, task)})" for task in refused)
    may = ", ".join(allowed[:_SHOWN]) + (" and so on" if len(allowed) > _SHOWN else "")
    return ProvisionerError(
        error(
            "PRV7103",
            f"not to be passed over: {found}",
            detail="Only gates (gate/...) and steps of the plan's author (step/...) that have "
            "failed or were given up are passed over; nothing that proves that a machine runs at "
            "one site alone. Nothing was changed.",
            hint=f"These may be: {may}."
            if allowed
            else "There is none in this run now. 'provisioner dr status' shows what has failed.",
        )
    )


def _found(run: Run, task: str) -> str:
    state = run.tasks.get(task)
    if state is None:
        return "no step of the run"
    if not task.startswith(PASSABLE):
        return "neither a gate nor a step of the author"
    return "it did not begin" if state.begun is None else f"it is {state.what}"
