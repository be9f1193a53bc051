"""What a run found out about one stack, in the form from which reports for other programs are made.

Filled by :mod:`provisioner.cli.reporting`; :mod:`sarif` and :mod:`junit` beside it write it down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from provisioner.cli.render.drift import render_resource
from provisioner.cli.render.gate import consent
from provisioner.cli.render.values import Vocabulary
from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import (
    Diagnostic,
    Diagnostics,
    Severity,
    SourceRange,
    error,
    warning,
)
from provisioner.service.drift import DriftReport, ResourceDrift
from provisioner.service.model import Plan, Stack, Step

REFUSED = "PRV3002"
HELD = "PRV2040"
LOSS = "PRV2041"
DRIFT = "PRV2042"
"""Codes of what stands in reports; all but the first stand there only."""


@dataclass
class Checked:
    """One command's look at one stack in one environment.

    ``subjects`` are what was looked at, whether or not anything was found: files, or addresses.
    """

    command: str
    folder: Path
    environment: str | None
    subjects: list[str] = field(default_factory=list)
    found: Diagnostics = field(default_factory=Diagnostics)
    home: SourceRange | None = None
    """The place of what has no place of its own: that of the Stack manifest, once it is known."""

    @property
    def name(self) -> str:
        """``stacks/shop/prod``: the stack's folder in its repository and the environment. The same
        in every checkout, and whether or not the manifests can be read."""
        place = str(self._prefix)
        if place == ".":
            place = "stack" if self._repository is not None else self.folder.resolve().name
        return "/".join([place or "stack", self.environment or "default"])

    @cached_property
    def _repository(self) -> Path | None:
        folder = self.folder.resolve()
        return next((at for at in (folder, *folder.parents) if (at / ".git").exists()), None)

    @cached_property
    def _prefix(self) -> PurePosixPath:
        """The stack's folder as seen from the root of its repository, or where it is in none from
        the current folder, if it lies there."""
        folder = self.folder.resolve()
        here = Path.cwd()
        otherwise = here if folder.is_relative_to(here) else folder
        return PurePosixPath(folder.relative_to(self._repository or otherwise))

    def file(self, name: str) -> str:
        """A file that a diagnostic names, as seen from where :attr:`name` starts."""
        path = Path(name)
        below = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        return (self._prefix / below).as_posix()

    def by_subject(self) -> dict[str, list[Diagnostic]]:
        """What was found about each of the subjects. Errors about none of them, about a host that
        gives no answer say, stand under the command's name.
        """
        about: dict[str, list[Diagnostic]] = {name: [] for name in self.subjects}
        for found in self.found:
            names = [found.address] if found.address is not None else []
            names += [self.file(found.source.file)] if found.source is not None else []
            name = next((name for name in names if name in about), None)
            if name is None and found.severity is Severity.ERROR:
                name = self.command
            if name is not None:
                about.setdefault(name, []).append(found)
        return about

    def placed_in(self, stack: Stack) -> None:
        """Give everything without a place that of the resource which it is about."""
        self.home = stack.source
        self.found = Diagnostics(
            item.at(stack.locate(Address.of(item.address)))
            if item.source is None and item.address is not None
            else item
            for item in self.found
        )

    def take_plan(self, plan: Plan, stack: Stack | None) -> None:
        """Add a plan: every resource is a subject."""
        addresses = [str(address) for address in stack.declarations] if stack is not None else []
        steps = [str(step.consent_address) for step in (*plan.steps, *plan.held)]
        self.subjects = sorted({*addresses, *steps})
        self.found.extend([*plan.warnings, *plan.undetermined])
        self.found.extend(findings_of(plan, stack))

    def take_drift(self, report: DriftReport, stack: Stack | None, vocabulary: Vocabulary) -> None:
        """Add what drift found: every resource that was looked at is a subject."""
        self.subjects = [str(item.address) for item in report.resources]
        self.found.extend(report.problems)
        self.found.extend(_drifted(item, report, stack, vocabulary) for item in report.drifted)


def findings_of(plan: Plan, stack: Stack | None) -> Iterator[Diagnostic]:
    """What a reviewer has to see of a plan, at the manifests that bring it about: steps that the
    gate refuses, steps that lose data, steps that are held.
    """
    for step in plan.steps:
        what = f"{step.action.value} of {step.address}"
        loses = step.impact is Impact.DATA_LOSS
        if not plan.allows(step):
            summary = (
                f"{what} has the impact {step.impact.value}; allowed is {plan.max_impact.value}"
            )
            if loses:
                summary = f"{what} would lose data, and nobody consented to that"
            hint = f"To allow it: {consent(step)}"
            found = error(REFUSED, summary, detail=_reasons(step), hint=hint)
            yield _at(step, stack, found)
        elif loses:
            summary = f"{what} loses data, as was consented to"
            yield _at(step, stack, warning(LOSS, summary, detail=_reasons(step)))
    for step in plan.held:
        summary = f"{step.action.value} of {step.address} is held: {step.held}"
        yield _at(step, stack, warning(HELD, summary, detail=_reasons(step)))


def _drifted(
    item: ResourceDrift, report: DriftReport, stack: Stack | None, vocabulary: Vocabulary
) -> Diagnostic:
    """At the first field that differs, where it is declared."""
    if item.problem is not None:  # of a host that cannot be read it is each resource's
        return replace(item.problem, address=str(item.address))
    _, *lines = render_resource(item, vocabulary, 100, apply=report.apply)
    summary = f"{item.address} is not as the last apply left it: {item.condition.value}"
    detail = "\n".join(line.strip() for line in lines)
    found = error(DRIFT, summary, detail=detail, address=str(item.address))
    fields = [one.path for one in item.open_differences if one.path]
    place = stack.locate(item.address, fields[0] if fields else ()) if stack is not None else None
    return found.at(place)


def _reasons(step: Step) -> str:
    """Why the step is needed, and how it comes to its impact."""
    worst = [change.reason for change in step.changes if change.impact is step.impact]
    return "\n".join(dict.fromkeys(reason for reason in (step.reason, *worst) if reason))


def _at(step: Step, stack: Stack | None, found: Diagnostic) -> Diagnostic:
    """At the field with the worst change, else at the resource; nowhere if it is declared no
    more."""
    found = found.about(step.consent_address)
    if stack is None:
        return found
    worst = [change.path for change in step.changes if change.impact is step.impact]
    path = worst[0] if worst else ()
    return found.at(stack.locate(step.address, path) or stack.locate(step.consent_address))
