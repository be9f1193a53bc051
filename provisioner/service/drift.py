"""Finding out where reality differs from what the last apply recorded. Changes nothing, takes no
lock and writes nothing down but when a difference was seen first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from provisioner.core.address import Address
from provisioner.core.diagnostics import (
    Diagnostic,
    ProvisionerError,
    Severity,
    note,
    warning,
)
from provisioner.engine.beside import LedAway, running_beside
from provisioner.engine.drift import (
    Cause,
    Condition,
    Difference,
    Effect,
    Found,
    NextChange,
    NextStep,
    ResourceDrift,
    find_drift,
    unread_hosts,
)
from provisioner.engine.observe import observe_what_answers
from provisioner.engine.prepare import survey
from provisioner.engine.rules import KindRules
from provisioner.engine.sightings import mark, with_first_seen
from provisioner.engine.subjects import endpoints_of
from provisioner.manifest.model import IgnoreRule
from provisioner.service.foresight import NextApply, NextPlan
from provisioner.service.model import EventSink, LockHolder, Stack, State
from provisioner.service.plan import PlanChoices, led_away_of
from provisioner.service.workspace import Workspace, expired
from provisioner.state import sightings
from provisioner.state.model import FailedAttempt

__all__ = [
    "Cause",
    "Condition",
    "Difference",
    "DriftReport",
    "Effect",
    "FailedAttempt",
    "Found",
    "IgnoreRule",
    "NextApply",
    "NextChange",
    "NextStep",
    "ResourceDrift",
    "RuleUse",
    "detect_drift",
    "unread_hosts",
]

WARNED_BEFORE = timedelta(days=14)
"""How long before its end a rule is warned of."""


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule that counts, and how many differences it covered."""

    rule: IgnoreRule
    matched: int


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All recorded resources, and those that an apply failed to make, sorted by address. ``apply``
    is None where nothing asked for a plan. ``problems`` are about the rules and the run.
    """

    resources: tuple[ResourceDrift, ...]
    stack: str = ""
    environment: str | None = None
    at: str = ""
    """RFC 3339, UTC."""
    rules: tuple[RuleUse, ...] = ()
    apply: NextApply | None = None
    problems: tuple[Diagnostic, ...] = ()

    @property
    def drifted(self) -> tuple[ResourceDrift, ...]:
        """Those that are not as they were left; see :attr:`ResourceDrift.is_calm`."""
        return tuple(item for item in self.resources if not item.is_calm)

    @property
    def ignored(self) -> int:
        """Number of differences that rules cover."""
        return sum(use.matched for use in self.rules)

    @property
    def has_errors(self) -> bool:
        """Whether a rule has expired. Drift counts for more where an exit code can tell one."""
        return any(item.severity is Severity.ERROR for item in self.problems)


def detect_drift(workspace: Workspace, choices: PlanChoices, sink: EventSink) -> DriftReport:
    """Compare every recorded resource that is selected with what its endpoint says now.

    An edit of a manifest that was not applied yet is no drift: of the manifests count the hosts,
    for how to connect, the rules about what is ignored, and, where something drifted, a plan that
    tells what the next apply would do about it.
    """
    workspace.require_state()
    name = workspace.stack_name()
    with workspace.store(name) as store:
        state = store.read()
        attempts = store.failed_attempts()
        holder = store.lock_holder()
    under_way = holder is not None and not holder.has_ended
    if under_way:  # what has no outcome yet is not interrupted
        attempts = {step: item for step, item in attempts.items() if item.failure is not None}
    stack = workspace.load_if_sound(
        state, "; no rule of drift.ignore counts, and what the next apply would do is not known"
    )
    now = workspace.clock.now()
    rules = stack.ignore if stack is not None else ()
    counting = [rule for rule in rules if rule.until >= now.date()]
    options = choices.options(workspace, destroy=False)
    compared = replace(
        state,
        endpoints=state.endpoints if stack is None else endpoints_of(stack, state),
        open_intents=() if under_way else state.open_intents,
    )
    with workspace.sessions(sink) as sessions:
        found = survey(
            None,
            compared,
            sessions,
            rules=workspace.catalog,
            options=options,
            sink=sink,
            observe=observe_what_answers,
        )
        resources = find_drift(
            found,
            attempts,
            workspace.catalog,
            ignore=counting,
            selection=options.selection,
        )
        led_away, illegible = _led_away(workspace, stack, state, choices)
        beside = running_beside(
            stack,
            found.subjects,
            found.observations,
            found.endpoints,
            sessions,
            led_away=led_away,
        )
        apply = None
        if any(_asks_for_a_plan(item) for item in resources):
            unread = unread_hosts(resources)
            foresee, apply = NextPlan(
                workspace, name, stack, state, choices, sessions, sink, unread
            ).look()
            resources = [
                foresee(item) if item.condition is not Condition.CONVERGED else item
                for item in resources
            ]
    resources = [item for item in resources if item.serial is not None or not item.is_calm]
    at = now.isoformat(timespec="seconds")
    resources, notes = _with_first_seen(workspace, state, resources, at)
    uses = tuple(RuleUse(rule, _matches(rule, resources)) for rule in counting)
    everything = not (choices.target or choices.exclude)
    return DriftReport(
        tuple(resources),
        name,
        workspace.environment,
        at,
        uses,
        apply,
        (
            *_about_rules(rules, now.date()),
            *(_idle(use.rule) for use in uses if everything and not use.matched),
            *illegible,
            *beside,
            *([_under_way(holder)] if holder is not None and under_way else []),
            *notes,
        ),
    )


def _led_away(
    workspace: Workspace, stack: Stack | None, state: State, choices: PlanChoices
) -> tuple[Mapping[Address, LedAway], list[Diagnostic]]:
    """What recovery plans have led away, and why a journal does not tell: it keeps nobody from
    seeing the rest.
    """
    if stack is None:
        return {}, []
    try:
        return led_away_of(workspace, stack, state, choices), []
    except ProvisionerError as problem:
        return {}, [replace(item, severity=Severity.WARNING) for item in problem.diagnostics]


def _asks_for_a_plan(item: ResourceDrift) -> bool:
    return item.condition not in (Condition.CONVERGED, Condition.UNKNOWN)


# Since when


def _with_first_seen(
    workspace: Workspace, state: State, resources: Sequence[ResourceDrift], at: str
) -> tuple[list[ResourceDrift], list[Diagnostic]]:
    def rules(item: ResourceDrift) -> KindRules:
        return workspace.catalog.kind(item.address.kind)

    sweep = sightings.Sweep(
        at,
        {
            str(item.address): [mark(item, one, rules(item)) for one in item.differences]
            for item in resources
        },
        {str(item.address) for item in resources if item.found is Found.UNDETERMINED},
        {str(address) for address in state.entries},
    )
    path = workspace.state_path.with_name(sightings.NAME)
    seen, notes = sightings.remember(path, str(state.lineage), sweep)
    found = [with_first_seen(item, seen[str(item.address)], rules(item)) for item in resources]
    return found, notes


# What is said of rules and of the run


def _about_rules(rules: Iterable[IgnoreRule], today: date) -> Iterator[Diagnostic]:
    for rule in rules:
        if rule.until < today:
            yield expired(rule)
        elif rule.until - today < WARNED_BEFORE:
            days = (rule.until - today).days
            when = "today" if not days else "tomorrow" if days == 1 else f"in {days} days"
            yield warning(
                "PRV2102",
                f"the rule that ignores {rule.field} of {rule.address} expires {when}",
                detail=f"Its reason is: {rule.reason}",
                hint="From then on it is an error.",
                source=rule.source,
            )


def _matches(rule: IgnoreRule, resources: Iterable[ResourceDrift]) -> int:
    return sum(one.ignored is rule for item in resources for one in item.differences)


def _idle(rule: IgnoreRule) -> Diagnostic:
    return note(
        "PRV2103",
        f"the rule that ignores {rule.field} of {rule.address} matched nothing",
        hint="Remove it if what it was for is over.",
        source=rule.source,
    )


def _under_way(holder: LockHolder) -> Diagnostic:
    return note(
        "PRV2104",
        f"{holder.owner} is at work on this stack ({holder.purpose})",
        detail="What it has done and not recorded yet is shown as drift.",
        hint="Look again when it is done.",
    )
