"""What has to be done about one subject: the heart of the planner, pure, one resource at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.core.actions import Action, Impact, Permission, worst
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp
from provisioner.core.values import Path, get_path, path_text
from provisioner.engine import withholding
from provisioner.engine.diff import differences, with_defaults
from provisioner.engine.plan import RestartPending
from provisioner.engine.rules import KindRules
from provisioner.engine.subjects import Subject
from provisioner.providers.api import (
    Absent,
    Assessment,
    Change,
    Naming,
    Observation,
    Present,
    Provider,
    Undetermined,
)

_COMPLETED = "an earlier run began to make it"
_CLEARED = "an earlier run failed to make it, and a part of it may be there"
_TAKEN_BACK = "it carries our stamp, but was not recorded"
_TAKEN_BACK_WITH_DATA = "it was made by this stack before, and is taken back with its data"
CREATE_FIRST = "create-first"
DELETE_FIRST = "delete-first"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about one subject. ``action`` None: nothing."""

    action: Action | None = None
    changes: tuple[Change, ...] = ()
    impact: Impact = Impact.NONE
    reason: str = ""
    restart: bool = False
    deferred: tuple[Path, ...] = ()
    pending: tuple[RestartPending, ...] = ()
    replace_order: str | None = None
    held: str | None = None
    kept: str | None = None
    """Why a predecessor has to stay, where nothing can be done about it now."""
    undetermined: Diagnostic | None = None
    """Why it could not be found out, where a step of the same plan may change that."""
    problem: Diagnostic | None = None


NOTHING = Decision()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the caller allows."""

    max_impact: Impact
    adopt: tuple[AddressPattern, ...] = ()
    maintenance: frozenset[str] = frozenset()
    """Hosts on which nothing may be done now."""
    only_adopt: bool = False
    """Whether nothing is to be done but to take over what ``adopt`` names."""

    def adopts(self, subject: Subject) -> bool:
        """Whether the object of a subject may be taken over."""
        return any(pattern.matches(subject.address) for pattern in self.adopt)


def decide(
    subject: Subject,
    spec: Mapping[str, Any],
    observation: Observation,
    provider: Provider,
    *,
    rules: KindRules,
    policy: Policy,
) -> Decision:
    """Decide about one subject. ``spec`` is its desired spec with all known outputs put in."""
    if policy.only_adopt and (subject.declaration is None or not policy.adopts(subject)):
        return NOTHING
    if isinstance(observation, Undetermined):
        return Decision(problem=observation.diagnostic.about(subject.address))
    if policy.only_adopt:
        decision = _adoption(subject, observation, rules, policy, provider)
        return _hold(subject, observation, decision, policy)
    if subject.declaration is None:
        decision = _removal(subject, observation, rules)
    elif isinstance(observation, Absent):
        reason = "it was removed outside" if subject.entry is not None else ""
        decision = Decision(Action.CREATE, reason=reason)
    elif _is_another(subject, observation):
        decision = Decision(problem=_other_name(subject))
    elif owned(subject, observation) or subject.is_watched:
        decision = _change(subject, spec, observation, provider, rules=rules, policy=policy)
    else:
        decision = _foreign(subject, observation, policy, provider)
    return _hold(subject, observation, decision, policy)


def _adoption(
    subject: Subject,
    observation: Observation,
    rules: KindRules,
    policy: Policy,
    provider: Provider,
) -> Decision:
    """What there is to do about a declared resource where nothing may be done but to adopt."""
    if not isinstance(observation, Present) or subject.is_watched or _is_half_made(subject):
        return NOTHING
    if not owned(subject, observation):
        return _foreign(subject, observation, policy, provider)
    return _unrecorded(rules) if subject.entry is None else NOTHING


def _is_another(subject: Subject, observed: Present) -> bool:
    """Whether the manifest names another object than the one that is recorded, whatever that is
    called by now.
    """
    declaration, entry = subject.declaration, subject.entry
    return (
        declaration is not None
        and entry is not None
        and declaration.external_name not in (None, entry.name, observed.name)
    )


def _other_name(subject: Subject) -> Diagnostic:
    assert subject.declaration is not None
    return error(
        "PRV2013",
        f"{subject.address} is recorded as the object {subject.resource.name!r}",
        detail=f"externalName says {subject.declaration.external_name!r}: that is another object.",
        hint="Put the old name back. To let go of the recorded object: provisioner state forget "
        f"{subject.address}",
        address=str(subject.address),
        path=("externalName",),
    )


def owned(subject: Subject, observed: Present) -> bool:
    """Whether the object carries the stamp of this resource (or of the one it was renamed from).

    What only an interrupted run knows of has to be that very generation: another one that was found
    under its name or identifier has a place of its own.
    """
    stamp = observed.owner
    if stamp is None or stamp.lineage != subject.resource.stamp.lineage:
        return False
    leftover = subject.declaration is None and subject.entry is None
    if leftover and stamp.generation != subject.generation:
        return False
    return stamp.address in _own_addresses(subject)


def _own_addresses(subject: Subject) -> set[str]:
    names = {subject.resource.stamp.address}
    if subject.entry is not None:
        names.add(str(subject.entry.address))
    if subject.declaration is not None and subject.declaration.renamed_from is not None:
        names.add(str(Address(subject.address.kind, subject.declaration.renamed_from)))
    return names


def _foreign(subject: Subject, observed: Present, policy: Policy, provider: Provider) -> Decision:
    if policy.adopts(subject):
        if observed.owner is not None:
            return Decision(problem=_stamped_by_others(subject, observed.owner))
        return Decision(Action.ADOPT, reason=_why_adopted(subject, provider), impact=Impact.NONE)
    if observed.owner is not None:
        return Decision(problem=_stamped_by_others(subject, observed.owner))
    problem = error(
        "PRV2010",
        f"the name {subject.resource.name!r} is taken on Host/{subject.endpoint} by an object "
        "that is not ours",
        detail="An object without our stamp is never changed or deleted.",
        hint="Give the resource another name, or take the object over: 'provisioner adopt "
        f"{subject.address}', or 'provisioner adopt' for everything that is nobody's.",
        address=str(subject.address),
        path=_name_field(subject),
    )
    return Decision(problem=problem)


def _why_adopted(subject: Subject, provider: Provider) -> str:
    if subject.address.kind not in provider.describe().unmarked:
        return "it exists and has no owner"
    what = f"no {subject.address.kind} on Host/{subject.endpoint} can carry a mark"
    return f"it exists; {what}, so make sure that no other stack has it"


def _name_field(subject: Subject) -> Path:
    """The field that gives the name under which the object is looked for."""
    declaration = subject.declaration
    named = declaration is not None and declaration.external_name is not None
    return ("externalName",) if named else ("name",)


def _stamped_by_others(subject: Subject, owner: Stamp) -> Diagnostic:
    same = owner.lineage == subject.resource.stamp.lineage
    whose = (
        f"{owner.address} of this stack"
        if same
        else f"{owner.address} of another stack, or of another environment of this one"
    )
    theirs = Address.of(owner.address)
    hint = (
        f"If it was renamed, write 'renamedFrom: {theirs.name}' in its metadata."
        if same and theirs.kind == subject.address.kind
        else "Give the resource another name, for example one with the environment's in it, or "
        "have the other one forget the object first."
    )
    return error(
        "PRV2011",
        f"the name {subject.resource.name!r} is taken on Host/{subject.endpoint} by {whose}",
        detail="" if same else f"Its lineage is {owner.lineage}.",
        hint=hint,
        address=str(subject.address),
        path=_name_field(subject),
    )


def _removal(subject: Subject, observation: Observation, rules: KindRules) -> Decision:
    if not isinstance(observation, Present):
        # What the object had beside itself, or a part of it, may be there: only its provider knows.
        begun = {record.action for record in subject.interrupted}
        if Action.DELETE in begun:
            reason = "an earlier run failed to delete it, and a part of it may be there"
            return Decision(Action.DELETE, reason=reason)
        if Action.CREATE in begun:
            return Decision(Action.DELETE, reason=_CLEARED)
        if subject.entry is None:
            return NOTHING
        return Decision(Action.FORGET, reason="it is already gone")
    if not owned(subject, observation):
        if subject.entry is None:
            return NOTHING
        watched = "it was only observed" if subject.is_watched else None
        reason = watched or "the object found under its name is not ours"
        return Decision(Action.FORGET, reason=reason)
    lost = _impact_of_deletion(observation, rules)
    if subject.retired:
        made = any(record.action == Action.CREATE for record in subject.interrupted)
        if made:
            reason = "an interrupted run made it"
            return Decision(Action.DELETE, impact=lost, reason=reason)
        return Decision(
            Action.DELETE,
            impact=predecessor_impact(lost),
            reason="its successor has replaced it",
        )
    if Permission.DELETE not in subject.manage:
        return Decision(Action.FORGET, reason="it is left alone (metadata.manage has no delete)")
    kept = _why_kept(subject, rules)
    if kept is not None:
        return Decision(Action.FORGET, reason=kept)
    return Decision(Action.DELETE, impact=lost, reason=_why_deleted(subject, observation))


def _why_deleted(subject: Subject, observed: Present) -> str:
    unknown = "an interrupted run made it and nothing declares it"
    along = f"with it goes {', '.join(observed.goes_along)}" if observed.goes_along else ""
    return "; ".join(filter(None, ("" if subject.entry is not None else unknown, along)))


def _impact_of_deletion(observed: Present, rules: KindRules) -> Impact:
    return Impact.DATA_LOSS if observed.holds_data else rules.impact_on_delete


def _why_kept(subject: Subject, rules: KindRules) -> str | None:
    """Why a recorded object stays when nothing declares it any more; None if it goes."""
    if subject.entry is None:
        return None
    spec, field = subject.resource.spec, rules.retention_field
    for borrowed in rules.borrowed_fields:
        name = get_path(spec, borrowed)
        if name is not None:
            said = " ".join(map(str, name.values())) if isinstance(name, Mapping) else name
            return f"it was there before, and stays ({path_text(borrowed)}: {said})"
    if field is not None and (spec.get(field) or rules.default_of((field,))) == "keep":
        return "its data is kept (retention: keep)"
    return None


def predecessor_impact(impact_on_delete: Impact) -> Impact:
    """Of deleting what has a successor: guests have moved over, only data can be lost."""
    return impact_on_delete if impact_on_delete is Impact.DATA_LOSS else Impact.NONE


def _change(
    subject: Subject,
    spec: Mapping[str, Any],
    observed: Present,
    provider: Provider,
    *,
    rules: KindRules,
    policy: Policy,
) -> Decision:
    entry = subject.entry
    recorded, pending = (entry.spec, entry.pending) if entry is not None else (None, ())
    wanted = spec
    if recorded is not None and recorded != spec:
        defaults = provider.describe().defaults.get(subject.address.kind, {})
        wanted = with_defaults(spec, recorded, defaults)
    changes: list[Change] = differences(wanted, recorded, observed, rules, pending)
    if changes:
        assessments = provider.impact(replace(subject.resource, spec=spec), observed, changes)
        changes = [
            _judged(change, assessment)
            for change, assessment in zip(changes, assessments, strict=True)
        ]
    moved = _moved(subject, rules)
    if moved is not None:
        changes.append(moved)
    impact = worst([change.impact for change in changes])
    free, kept = withholding.parted(changes, observed)
    if _is_half_made(subject) and not impact.exceeds(Impact.RESTART):
        held = withholding.why(kept, observed)
        return Decision(Action.CREATE, reason=_COMPLETED, held=held)
    bookkeeping = _bookkeeping(subject, rules)
    if not changes:
        return bookkeeping
    if impact.exceeds(Impact.RESTART):
        impact = worst([impact, _impact_of_deletion(observed, rules)])  # the predecessor is deleted
        decision = _replacement(subject, provider, tuple(changes), impact, moved is not None)
        return replace(decision, held=withholding.why_not_replaced(observed))
    rest = _update(subject, free, policy, bookkeeping)
    if not kept:
        return rest
    if rest.action is not None:
        told = filter(None, (rest.reason, withholding.told(kept, observed)))
        return replace(rest, reason="; ".join(told))
    held = withholding.why(kept, observed)
    return replace(rest, action=Action.UPDATE, changes=tuple(kept), impact=impact, held=held)


def _is_half_made(subject: Subject) -> bool:
    """Whether nobody can tell how far its creation came: it may be there in full and still lack
    what nothing observes, such as the first start of a machine.
    """
    return any(record.action == Action.CREATE for record in subject.interrupted)


def _judged(change: Change, assessment: Assessment) -> Change:
    impact, reason = assessment.impact, assessment.reason
    in_force = change.differs_running and change.running == change.after
    if in_force and not impact.exceeds(Impact.RESTART):
        impact, reason = Impact.NONE, "what is in force is right already"
    return replace(change, impact=impact, reason=reason, deferrable=assessment.deferrable)


def _moved(subject: Subject, rules: KindRules) -> Change | None:
    declaration = subject.declaration
    if declaration is None or subject.entry is None or declaration.host == subject.entry.endpoint:
        return None
    return Change(
        rules.host_field or ("host",),
        subject.entry.endpoint,
        declaration.host,
        Impact.REPLACE,
        "it moves to another host",
    )


def _bookkeeping(subject: Subject, rules: KindRules) -> Decision:
    """What has to be done about an object that is as it should be: record it, or write its new
    address on it.
    """
    if subject.entry is not None and subject.entry.address != subject.address:
        return Decision(Action.RENAME, reason=f"it was {subject.entry.address}")
    if subject.entry is None and not subject.is_watched:
        return _unrecorded(rules)
    return NOTHING


def _unrecorded(rules: KindRules) -> Decision:
    with_data = rules.retention_field is not None
    return Decision(Action.ADOPT, reason=_TAKEN_BACK_WITH_DATA if with_data else _TAKEN_BACK)


def _replacement(
    subject: Subject, provider: Provider, changes: tuple[Change, ...], impact: Impact, moved: bool
) -> Decision:
    kind = subject.address.kind
    names_allow = moved or provider.describe().naming[kind] is Naming.FREE
    chosen = subject.declaration.replace_order if subject.declaration is not None else None
    if chosen == CREATE_FIRST and not names_allow:
        return Decision(
            problem=error(
                "PRV2012",
                f"{subject.address} cannot be replaced by creating first",
                detail=f"Two objects of kind {kind} cannot have the same name on "
                f"Host/{subject.endpoint}.",
                hint="Remove 'replace: create-first' from its metadata, or give the resource a "
                "new name.",
                address=str(subject.address),
                path=("replace",),
            )
        )
    order = chosen or (CREATE_FIRST if names_allow else DELETE_FIRST)
    causes = [change for change in changes if change.impact.exceeds(Impact.RESTART)]
    reason = next((change.reason for change in causes if change.reason), "")
    return Decision(Action.REPLACE, changes, impact, reason, replace_order=order)


def _update(
    subject: Subject, changes: Sequence[Change], policy: Policy, bookkeeping: Decision
) -> Decision:
    may_restart = not Impact.RESTART.exceeds(policy.max_impact)
    carried: list[Change] = []
    deferred: list[Path] = []
    pending: list[RestartPending] = []
    for change in changes:
        if change.impact is Impact.RESTART and change.deferrable and not may_restart:
            if change.differs_running and change.before == change.after:
                pending.append(
                    RestartPending(
                        subject.address, change.path, change.running, change.after, change.reason
                    )
                )
                continue
            deferred.append(change.path)
        carried.append(change)
    if not carried:
        return replace(bookkeeping, pending=tuple(pending))
    effective = [Impact.LIVE if c.path in deferred else c.impact for c in carried]
    impact = worst(effective)
    action = Action.RENAME if bookkeeping.action is Action.RENAME else Action.UPDATE
    return Decision(
        action,
        tuple(carried),
        impact,
        bookkeeping.reason,
        restart=impact is Impact.RESTART,
        deferred=tuple(deferred),
        pending=tuple(pending),
    )


def _hold(
    subject: Subject, observation: Observation, decision: Decision, policy: Policy
) -> Decision:
    if decision.action is None or decision.problem is not None or decision.held is not None:
        return decision
    declaration, entry = subject.declaration, subject.entry
    protected = declaration.protect if declaration is not None else bool(entry and entry.protect)
    lets_go = decision.action in (Action.DELETE, Action.REPLACE)
    if decision.action is Action.FORGET:
        # What is kept but no longer recorded would be protected no more.
        lets_go = isinstance(observation, Present) and owned(subject, observation)
    if protected and lets_go:
        return replace(decision, held="it is protected (metadata.protect)")
    forbidden = _forbidden(subject, decision.action, observation)
    if forbidden is not None:
        return replace(decision, held=forbidden)
    hosts = {subject.endpoint, declaration.host if declaration is not None else subject.endpoint}
    for host in sorted(name for name in hosts if name in policy.maintenance):
        if decision.action is not Action.FORGET:
            return replace(decision, held=f"Host/{host} is in maintenance")
    return decision


_NEEDED = {
    Action.CREATE: (Permission.CREATE,),
    Action.UPDATE: (Permission.UPDATE,),
    Action.RENAME: (Permission.UPDATE,),
    Action.REPLACE: (Permission.CREATE, Permission.DELETE),
}


def _forbidden(subject: Subject, action: Action, observation: Observation) -> str | None:
    """Why ``metadata.manage`` does not allow an action; None: it does."""
    missing = [need.value for need in _NEEDED.get(action, ()) if need not in subject.manage]
    if not missing:
        return None
    if subject.manage == {Permission.OBSERVE}:
        near = observation.near if isinstance(observation, Absent) else ()
        instead = f", and it is not there; what is called nearly so: {', '.join(near)}"
        return f"it is only observed (metadata.manage){instead if near else ''}"
    return f"metadata.manage has no {' and no '.join(missing)}"
