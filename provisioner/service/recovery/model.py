"""The values of runs of recovery plans that use-cases return and the command line renders; the one
place from which it imports them.
"""

from __future__ import annotations

from provisioner.workflows.events import (
    RunEnded,
    RunEvent,
    RunSink,
    RunStarted,
    RunStopping,
    TaskAnswered,
    TaskDone,
    TaskFailed,
    TaskHeld,
    TaskInterrupted,
    TaskProgress,
    TaskRetrying,
    TaskStarted,
    TaskWaiting,
)
from provisioner.workflows.nouns import ended, noun
from provisioner.workflows.recovery.answers import meaning, question_of
from provisioner.workflows.recovery.beside import Beside, given_up
from provisioner.workflows.recovery.leaving import leaves, may_roll_back
from provisioner.workflows.recovery.model import Mode, PlannedMachine, RecoveryPlan
from provisioner.workflows.recovery.modes.tasks import noun_of
from provisioner.workflows.recovery.passing import doubtful
from provisioner.workflows.recovery.room import Suspended, Wakes, suspended, wakes
from provisioner.workflows.recovery.standing import Standing, standing
from provisioner.workflows.recovery.unheard import (
    left_out,
    left_out_of,
    speaks_for_them,
    unheard,
    warnings_of,
)
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.runs import Outcome, Run, RunRecord, TaskState, What, person

__all__ = [
    "Beside",
    "Mode",
    "Outcome",
    "PlannedMachine",
    "RecoveryPlan",
    "Run",
    "RunEnded",
    "RunEvent",
    "RunRecord",
    "RunSink",
    "RunStarted",
    "RunStopping",
    "Runbook",
    "Standing",
    "Suspended",
    "Task",
    "TaskAnswered",
    "TaskDone",
    "TaskFailed",
    "TaskHeld",
    "TaskInterrupted",
    "TaskProgress",
    "TaskRetrying",
    "TaskStarted",
    "TaskState",
    "TaskWaiting",
    "Wakes",
    "What",
    "doubtful",
    "ended",
    "given_up",
    "leaves",
    "left_out",
    "left_out_of",
    "may_roll_back",
    "meaning",
    "noun",
    "noun_of",
    "person",
    "question_of",
    "speaks_for_them",
    "standing",
    "suspended",
    "unheard",
    "wakes",
    "warnings_of",
]
