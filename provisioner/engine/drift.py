"""Drift: where what is observed differs from what was recorded. Pure; reads nothing and writes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.values import Json, Path
from provisioner.engine.decide import owned
from provisioner.engine.diff import differences
from provisioner.engine.prepare import Survey
from provisioner.engine.rules import Rules
from provisioner.providers.api import Absent, Present, Undetermined


class Condition(StrEnum):
    """How a recorded resource is found."""

    CONVERGED = "converged"
    DRIFTED = "drifted"
    RESTART_PENDING = "restart pending"
    MISSING = "missing"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DriftedField:
    """One field: what was recorded and what is observed. ``running`` where the value in force is
    another one than the configured.
    """

    path: Path
    recorded: Json
    observed: Json
    running: Json = None
    differs_running: bool = False


@dataclass(frozen=True, slots=True)
class ResourceDrift:
    """One recorded resource. ``fields`` are set if it drifted or waits for a restart, ``problem``
    if it could not be determined.
    """

    address: Address
    condition: Condition
    fields: tuple[DriftedField, ...] = ()
    problem: Diagnostic | None = None


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All recorded resources, sorted by address."""

    resources: tuple[ResourceDrift, ...]

    @property
    def drifted(self) -> tuple[ResourceDrift, ...]:
        """Those that are not as recorded (a restart that apply itself left pending is no drift)."""
        calm = (Condition.CONVERGED, Condition.RESTART_PENDING)
        return tuple(item for item in self.resources if item.condition not in calm)


def find_drift(survey: Survey, rules: Rules) -> DriftReport:
    """Compare every recorded resource with its observation. The survey must be one of recorded
    specs only.
    """
    found: list[ResourceDrift] = []
    for address in sorted(survey.subjects):
        subject = survey.subjects[address]
        entry = subject.entry
        if entry is None:
            continue
        observed = survey.observations[address]
        if isinstance(observed, Undetermined):
            found.append(ResourceDrift(address, Condition.UNKNOWN, problem=observed.diagnostic))
        elif isinstance(observed, Absent):
            found.append(ResourceDrift(address, Condition.MISSING))
        elif not owned(subject, observed):
            found.append(ResourceDrift(address, Condition.FOREIGN))
        else:
            found.append(_compare(address, entry.spec, entry.pending, observed, rules))
    return DriftReport(tuple(found))


def _compare(
    address: Address,
    recorded: object,
    pending: tuple[str, ...],
    observed: Present,
    rules: Rules,
) -> ResourceDrift:
    assert isinstance(recorded, dict)
    changes = differences(recorded, None, observed, rules.kind(address.kind), pending)
    if not changes:
        return ResourceDrift(address, Condition.CONVERGED)
    fields = tuple(
        DriftedField(
            change.path, change.after, change.before, change.running, change.differs_running
        )
        for change in changes
    )
    ours = all(change.pending for change in changes)
    return ResourceDrift(address, Condition.RESTART_PENDING if ours else Condition.DRIFTED, fields)
