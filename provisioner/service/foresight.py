"""What the next apply would do about drift: a plan of the present manifests, made in memory and
thrown away. Called by :mod:`provisioner.service.drift` where something has drifted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity
from provisioner.engine.drift import ResourceDrift
from provisioner.engine.outlook import Outlook, without_outlook
from provisioner.engine.prepare import needs_of, prepare_plan, select
from provisioner.engine.sessions import Sessions, is_about_host
from provisioner.engine.subjects import Subject, collect
from provisioner.service.model import Event, EventSink, PhaseStarted, Plan, Stack, State
from provisioner.service.plan import PlanChoices, away_of
from provisioner.service.secrets import missing_secrets
from provisioner.service.workspace import Workspace

_PLANS = 3
"""How often a plan is tried, each time without what the one before stopped at."""

Foresee = Callable[[ResourceDrift], ResourceDrift]
"""Adds to a resource what the next apply would do with it."""


@dataclass(frozen=True, slots=True)
class NextApply:
    """The plan that tells what the next apply would do. ``problems``: what that stops at; what it
    would do otherwise was found by leaving it out. ``refused``: the gate forbids it.
    """

    planned: bool
    refused: bool = False
    problems: tuple[Diagnostic, ...] = ()

    @property
    def stops_at(self) -> list[str]:
        """What has to be settled before it does anything, as far as that has an address."""
        return list(dict.fromkeys(item.address for item in self.problems if item.address))


@dataclass(frozen=True, slots=True)
class NextPlan:
    """What a plan is made of; ``stack`` is None where the manifests have errors, ``name`` what the
    state calls it. ``unread`` are hosts that could not be read, of which no plan need try it again.
    """

    workspace: Workspace
    name: str
    stack: Stack | None
    state: State
    choices: PlanChoices
    sessions: Sessions
    sink: EventSink
    unread: tuple[Diagnostic, ...] = ()

    def look(self) -> tuple[Foresee, NextApply]:
        """Make the plan, without what keeps it from being made."""
        stack = self.stack
        if stack is None:
            why = "the manifests have errors"
            return partial(without_outlook, why=why), NextApply(planned=False)
        if stack.name != self.name:
            why = f"the manifests are those of another stack, {stack.name}"
            return partial(without_outlook, why=why), NextApply(planned=False)
        everything = collect(stack, self.state, self.workspace.catalog)
        moved = _moved(everything)
        left_out = _culprits(self.unread, everything)
        problems = list(self.unread)
        plan = self._as_far_as_it_goes(stack, everything, left_out, problems)
        if plan is None:
            why = "no plan can be made"
            return partial(without_outlook, why=why), NextApply(
                planned=False, problems=tuple(problems)
            )
        options = self._without(left_out).options(self.workspace, destroy=False)
        outlook = Outlook(plan, stack, select(everything, options), moved)
        reasons = _with_what_needs_them(left_out, everything)

        def foresee(drift: ResourceDrift) -> ResourceDrift:
            why = reasons.get(moved.get(drift.address, drift.address))
            return outlook.of(drift) if why is None else without_outlook(drift, why)

        return foresee, NextApply(
            planned=True, refused=bool(plan.refused), problems=tuple(problems)
        )

    def _as_far_as_it_goes(
        self,
        stack: Stack,
        everything: Mapping[Address, Subject],
        left_out: dict[Address, str],
        problems: list[Diagnostic],
    ) -> Plan | None:
        """The plan without what it stops at, which is added to ``left_out``, with the reason, and
        to ``problems``.
        """
        for _ in range(_PLANS):
            try:
                return self._plan(stack, left_out)
            except ProvisionerError as problem:
                errors = [item for item in problem.diagnostics if item.severity is Severity.ERROR]
                problems += errors
                culprits = _culprits(errors, everything)
                if culprits.keys() <= left_out.keys():
                    return None
                left_out |= culprits
        return None

    def _tell(self, event: Event) -> None:
        """Pass an event on; that things are read again is a phase of its own."""
        if not isinstance(event, PhaseStarted):
            self.sink(event)
        elif event.phase == "observe":
            self.sink(PhaseStarted("foresee", event.total))

    def _without(self, left_out: Collection[Address]) -> PlanChoices:
        patterns = (AddressPattern.parse(str(address)) for address in left_out)
        return replace(self.choices, exclude=(*self.choices.exclude, *patterns))

    def _plan(
        self,
        stack: Stack,
        left_out: Collection[Address],
    ) -> Plan:
        passed_over = {str(address) for address in left_out}
        missing = missing_secrets(stack, self.workspace.secrets)
        return prepare_plan(
            stack,
            stack.name,
            self.workspace.environment,
            self.state,
            self.sessions,
            rules=self.workspace.catalog,
            options=self._without(left_out).options(self.workspace, destroy=False),
            sink=self._tell,
            known=[item for item in missing if item.address not in passed_over],
            away=away_of(self.workspace, stack, self.state, self.choices),
        )


def _culprits(
    errors: Collection[Diagnostic], everything: Mapping[Address, Subject]
) -> dict[Address, str]:
    """The resources that errors are about, with the first one of each; of an error about a host all
    that is there, or is to come there.
    """
    found: dict[Address, str] = {}
    for item in errors:
        address = Address.of(item.address or "")
        about = {address} & everything.keys()
        if is_about_host(item):
            about = {it for it, subject in everything.items() if address.name in _hosts(subject)}
        for it in about:
            found.setdefault(it, f"{item.code}: {item.summary}")
    return found


def _with_what_needs_them(
    left_out: Mapping[Address, str], everything: Mapping[Address, Subject]
) -> dict[Address, str]:
    """Why a plan leaves resources out: something is wrong with them, or with what they need."""
    graph = needs_of(everything)
    reasons = dict(left_out)
    for address, why in left_out.items():
        for follower in graph.all_dependents([address]):
            reasons.setdefault(follower, f"it needs {address}, and {why}")
    return reasons


def _hosts(subject: Subject) -> set[str | None]:
    """Where it is, and where it is declared to be."""
    declared = subject.declaration.host if subject.declaration is not None else None
    return {subject.endpoint, declared}


def _moved(everything: Mapping[Address, Subject]) -> dict[Address, Address]:
    """By the address that each resource was recorded with, the one that it is declared with."""
    return {
        subject.entry.address: address
        for address, subject in everything.items()
        if subject.entry is not None
    }
