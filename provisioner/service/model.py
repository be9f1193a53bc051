"""The values that use-cases return and the command line renders; the one place from which it
imports them."""

from __future__ import annotations

from provisioner.engine.events import (
    Event,
    EventSink,
    Noticed,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepKept,
    StepProgress,
    StepRetrying,
    StepSkipped,
    StepStarted,
    Warned,
    event_json,
)
from provisioner.engine.plan import (
    ABSENT_FINGERPRINT,
    Kept,
    Known,
    Plan,
    RestartPending,
    Step,
)
from provisioner.engine.planfile import plan_json
from provisioner.engine.stop import StopSignal
from provisioner.manifest.model import Declaration, Reference, Stack
from provisioner.providers.api import Change
from provisioner.state.model import Entry, JournalRecord, LockHolder, OperationRecord, State

__all__ = [
    "ABSENT_FINGERPRINT",
    "Change",
    "Declaration",
    "Entry",
    "Event",
    "EventSink",
    "JournalRecord",
    "Kept",
    "Known",
    "LockHolder",
    "Noticed",
    "OperationRecord",
    "PhaseStarted",
    "Plan",
    "Reference",
    "RestartPending",
    "Stack",
    "State",
    "Step",
    "StepFailed",
    "StepFinished",
    "StepKept",
    "StepProgress",
    "StepRetrying",
    "StepSkipped",
    "StepStarted",
    "StopSignal",
    "Warned",
    "event_json",
    "plan_json",
]
