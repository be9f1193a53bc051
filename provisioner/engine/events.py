"""What happens during an operation, as values; the command line shows them, ``--json`` prints them
a line each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from provisioner.core.diagnostics import Diagnostic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the operation began: ``load``, ``observe``, ``plan``, ``verify``,
    ``apply``.
    """

    phase: str
    total: int = 0
    """Resources or steps concerned; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something about the operation as a whole that its reader should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A provider warns of an endpoint; said once a run."""

    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step is about to begin; its intent is made durable before the provider is called."""

    step: str
    action: str
    address: str


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Something slow inside a step goes on; ``total`` is 0 where the end is not known."""

    address: str
    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class StepRetrying:
    """The endpoint could not do it now; the step is tried again after ``after`` seconds."""

    step: str
    address: str
    attempt: int
    after: float
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step was carried out and recorded."""

    step: str
    action: str
    address: str
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed; what does not depend on it goes on."""

    step: str
    action: str
    address: str
    seconds: float
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step was not begun: something it depends on failed, or the run is being stopped."""

    step: str
    action: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepKept:
    """The predecessor in a replacement was not deleted: others need it still."""

    step: str
    action: str
    address: str
    reason: str


Event: TypeAlias = (
    PhaseStarted
    | Noticed
    | Warned
    | StepStarted
    | StepProgress
    | StepRetrying
    | StepFinished
    | StepFailed
    | StepSkipped
    | StepKept
)
EventSink: TypeAlias = Callable[[Event], None]


def event_json(event: DataclassInstance) -> dict[str, Any]:
    """Plain data of an event, of this module or of runs of runbooks: ``event`` names it, the other
    keys are its fields.
    """
    name = type(event).__name__
    words = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
    data: dict[str, Any] = {"event": words}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Diagnostic):
            value = value.as_json()
        elif isinstance(value, tuple):
            value = list(value)
        data[field.name] = value
    return data
