"""Drift: where what is observed differs from what was recorded. Pure; reads nothing and writes
nothing.

:func:`find_drift` compares; :mod:`provisioner.engine.outlook` adds what the next apply would do,
and :mod:`provisioner.engine.sightings` since when it is known. :mod:`provisioner.service.drift`
calls them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.values import Json, Path, get_path
from provisioner.engine.decide import owned
from provisioner.engine.diff import differences
from provisioner.engine.prepare import Survey
from provisioner.engine.rules import Rules
from provisioner.engine.selection import Selection
from provisioner.engine.sessions import is_about_host
from provisioner.engine.subjects import Subject
from provisioner.manifest.model import IgnoreRule
from provisioner.providers.api import Absent, Change, Observation, Undetermined
from provisioner.state.model import FailedAttempt, JournalRecord

PREDECESSOR = "#"
"""In the id of a step that is about an object whose address another one has by now."""


NAME: Path = ("externalName",)
"""What stands for the object's own name; no field of a spec is called so."""


class Condition(StrEnum):
    """How a resource is found, in one word."""

    CONVERGED = "converged"
    """As it was recorded, or differing only in what is ignored."""
    DRIFTED = "drifted"
    RESTART_PENDING = "restart pending"
    """An apply has written it, and the guest has to be restarted for it."""
    HELD = "held"
    """It drifted, and the next apply may do nothing about it."""
    FAILED = "failed"
    """The last step that an apply took with it failed, or was interrupted."""
    UNKNOWN = "unknown"
    """It could not be determined."""


class Found(StrEnum):
    """What the endpoint has of a resource."""

    PRESENT = "present"
    ABSENT = "absent"
    FOREIGN = "foreign"
    """An object that does not carry our stamp has its name."""
    UNDETERMINED = "undetermined"


class Cause(StrEnum):
    """Who could have made a difference."""

    LAST_APPLY = "last apply"
    """A step that failed or was interrupted wanted it so."""
    RESTART_PENDING = "restart pending"
    """An apply has written it, and it waits."""
    OUTSIDE = "outside"
    """Anybody else."""


class Effect(StrEnum):
    """What the next apply would do about one field."""

    SET = "set"
    SET_LATER = "set-later"
    """Written now; in force after a restart."""
    WAIT = "wait"
    """Nothing: it waits for a restart already."""
    ACCEPT = "accept"
    """Nothing: the manifest wants what is there, which is then recorded."""
    LEAVE = "leave"
    """Nothing: no manifest speaks of it."""
    HOLD = "hold"
    """Nothing: the endpoint withholds the field."""
    OBJECT = "object"
    """Whatever it does with the object as a whole."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NextChange:
    """What the next apply would do about a field; ``value`` and ``impact`` where it sets it."""

    effect: Effect
    value: Json = None
    impact: Impact = Impact.NONE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What the next apply would do with a resource. ``action`` None: nothing.

    ``held``: why it would not be done. ``refused``: the gate forbids it, and with it the whole
    apply. ``unknown``: why it cannot be told.
    """

    action: Action | None = None
    impact: Impact = Impact.NONE
    reason: str = ""
    held: str | None = None
    refused: bool = False
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as recorded; ``running`` where the value in force is another one than
    the configured. The empty path stands for the resource as a whole: it is gone, not ours, or
    could not be determined.
    """

    path: Path
    recorded: Json = None
    observed: Json = None
    running: Json = None
    differs_running: bool = False
    cause: Cause | None = None
    """None where nothing is known of the resource."""
    first_seen: str = ""
    """RFC 3339, UTC: when drift found it first."""
    ignored: IgnoreRule | None = None
    next: NextChange | None = None

    @property
    def waits(self) -> bool:
        """Whether it is what an apply left waiting for a restart."""
        return self.cause is Cause.RESTART_PENDING


@dataclass(frozen=True, slots=True)
class ResourceDrift:
    """One resource that was recorded, or that an apply failed to make. ``problem`` says why it
    could not be determined, ``failure`` what went wrong last.
    """

    address: Address
    found: Found
    differences: tuple[Difference, ...] = ()
    problem: Diagnostic | None = None
    failure: FailedAttempt | None = None
    next: NextStep | None = None
    serial: int | None = None
    """The state serial of its record; None without one."""

    @property
    def condition(self) -> Condition:
        """Its state in one word: the first that fits of unknown, failed, held, drifted, restart
        pending, converged.
        """
        open_ones = self.open_differences
        if self.found is Found.UNDETERMINED:
            return Condition.UNKNOWN
        if self.failure is not None:
            return Condition.FAILED
        if any(not item.waits for item in open_ones):
            is_held = self.next is not None and self.next.held is not None
            return Condition.HELD if is_held else Condition.DRIFTED
        return Condition.RESTART_PENDING if open_ones else Condition.CONVERGED

    @property
    def is_unread(self) -> bool:
        """Whether nothing on its host could be read: ``problem`` is the host's then."""
        return self.problem is not None and is_about_host(self.problem)

    @property
    def open_differences(self) -> tuple[Difference, ...]:
        """Those that no rule ignores."""
        return tuple(item for item in self.differences if item.ignored is None)

    @property
    def whole(self) -> Difference | None:
        """The difference of the resource as a whole."""
        return next((item for item in self.differences if not item.path), None)

    @property
    def is_calm(self) -> bool:
        """Whether it is no drift: as recorded, or waiting for a restart that an apply left it
        waiting for.
        """
        return self.condition in (Condition.CONVERGED, Condition.RESTART_PENDING)


def find_drift(
    survey: Survey,
    attempts: Mapping[str, FailedAttempt],
    rules: Rules,
    *,
    ignore: Sequence[IgnoreRule] = (),
    selection: Selection | None = None,
) -> list[ResourceDrift]:
    """Compare every recorded resource with its observation, and add those that an apply failed to
    make; sorted by address. The survey must be one of recorded specs only. ``attempts`` are what
    did not succeed last, by step; ``selection`` says which of those are meant that nothing tells
    of but the journal.
    """
    failed = dict(_of_resources(attempts))
    found: dict[Address, ResourceDrift] = {}
    for address, subject in survey.subjects.items():
        attempt = failed.pop(address, None) or _interrupted(subject)
        if subject.retired or (subject.entry is None and attempt is None):
            continue
        compared = _compare(subject, survey.observations[address], attempt, rules)
        found[address] = _without_ignored(compared, ignore)
    told = {*survey.subjects, *survey.unselected}
    intents = {
        record.sequence
        for subject in (*survey.subjects.values(), *survey.unselected.values())
        for record in subject.interrupted
    }
    for address, attempt in failed.items():
        meant = selection is None or selection.means(address)
        if meant and address not in told and attempt.intent.sequence not in intents:
            found[address] = ResourceDrift(address, Found.ABSENT, failure=attempt)
    return [found[address] for address in sorted(found)]


def unread_hosts(resources: Iterable[ResourceDrift]) -> tuple[Diagnostic, ...]:
    """Why hosts could not be read, once for each."""
    found = {item.problem: None for item in resources if item.is_unread and item.problem}
    return tuple(found)


def _of_resources(
    attempts: Mapping[str, FailedAttempt],
) -> Iterator[tuple[Address, FailedAttempt]]:
    """Without those about predecessors, and about entries alone."""
    for step, attempt in attempts.items():
        address = Address.of(step)
        if PREDECESSOR not in step and address.name:
            yield address, attempt


def _interrupted(subject: Subject) -> FailedAttempt | None:
    """An intent about the object that is recorded under another name: a rename, say."""
    left = [record for record in subject.interrupted if "successor" not in record.detail]
    return FailedAttempt(left[-1], earlier=tuple(left[:-1])) if left else None


def _compare(
    subject: Subject, observed: Observation, attempt: FailedAttempt | None, rules: Rules
) -> ResourceDrift:
    entry = subject.entry
    serial = entry.serial if entry is not None else None
    result = ResourceDrift(subject.address, Found.PRESENT, failure=attempt, serial=serial)
    if isinstance(observed, Undetermined):
        whole = Difference(())
        return replace(
            result,
            found=Found.UNDETERMINED,
            differences=(whole,),
            problem=observed.diagnostic,
        )
    if isinstance(observed, Absent):
        whole = Difference((), cause=_cause_of_absence(attempt))
        differing = (whole,) if entry is not None else ()
        return replace(result, found=Found.ABSENT, differences=differing)
    if not (owned(subject, observed) or subject.is_watched):
        whole = Difference((), cause=Cause.OUTSIDE)
        differing = (whole,) if entry is not None else ()
        return replace(result, found=Found.FOREIGN, differences=differing)
    if entry is None:
        whole = Difference((), cause=Cause.LAST_APPLY)
        return replace(result, differences=(whole,))
    changes = differences(
        entry.spec, None, observed, rules.kind(subject.address.kind), entry.pending
    )
    found = tuple(_difference(item, attempt) for item in changes)
    if observed.name not in (None, entry.name):
        renamed = Difference(NAME, entry.name, observed.name, cause=Cause.OUTSIDE)
        found = (renamed, *found)
    return replace(result, differences=found)


def _cause_of_absence(attempt: FailedAttempt | None) -> Cause:
    deleting = any(record.action == Action.DELETE for record in _tried(attempt))
    return Cause.LAST_APPLY if deleting else Cause.OUTSIDE


def _difference(change: Change, attempt: FailedAttempt | None) -> Difference:
    return Difference(
        change.path,
        change.after,
        change.before,
        change.running,
        change.differs_running,
        _cause(change, attempt),
    )


def _cause(change: Change, attempt: FailedAttempt | None) -> Cause:
    if change.pending:
        return Cause.RESTART_PENDING
    there = [change.before] + ([change.running] if change.differs_running else [])
    for record in _tried(attempt):
        wanted = get_path(record.detail.get("spec", {}), change.path)
        if wanted != change.after and wanted in there:
            return Cause.LAST_APPLY
    return Cause.OUTSIDE


def _tried(attempt: FailedAttempt | None) -> Sequence[JournalRecord]:
    """What may have been done since a step with the resource succeeded last: any of the attempts
    may have got as far as that, not only the last.
    """
    return attempt.intents if attempt is not None else ()


def _without_ignored(drift: ResourceDrift, rules: Sequence[IgnoreRule]) -> ResourceDrift:
    """The resource with its differences marked that a rule ignores; the first that fits. What could
    not be determined is ignored by none.
    """
    fitting = [rule for rule in rules if rule.address.matches(drift.address)]
    if not fitting or drift.found is Found.UNDETERMINED:
        return drift
    marked = tuple(
        replace(item, ignored=next((r for r in fitting if r.field.matches(item.path)), None))
        for item in drift.differences
    )
    return replace(drift, differences=marked)
