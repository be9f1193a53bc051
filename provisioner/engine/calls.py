"""Carries out one step: resolves outputs, journals the intent, calls the provider, records the
outcome.

Made by :class:`provisioner.engine.apply.Applier` for one run; its methods are called from several
threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Json, Path, get_path, is_marker, path_text
from provisioner.engine.decide import CREATE_FIRST
from provisioner.engine.events import EventSink, StepRetrying
from provisioner.engine.filling import filled
from provisioner.engine.plan import Known, Plan, Step, begun_in
from provisioner.engine.preflight import resources_of
from provisioner.engine.records import Intent, Records
from provisioner.engine.rules import Rules, targets_in
from provisioner.engine.sessions import Sessions, provider_failure
from provisioner.engine.stop import StopSignal
from provisioner.engine.subjects import retired_address
from provisioner.engine.unknowns import OutputName, resolve, unknowns
from provisioner.engine.verify import Verified, resource_of
from provisioner.providers.api import (
    Absent,
    HalfMade,
    InUse,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Session,
    Undetermined,
)
from provisioner.state.model import Entry, JournalRecord, State
from provisioner.state.store import Store

Result = TypeVar("Result")

MAX_ATTEMPTS = 8
LONGEST_WAIT = 60.0


class StillNeeded(Exception):
    """The predecessor in a replacement has to stay for now; its intent stays open."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic


class RunIsOver(Exception):
    """A call came back after its step had been given up and the run had ended."""


def settles(plan: Plan, intents: Iterable[JournalRecord]) -> bool:
    """Whether a plan has something to say about intents that are open: all but those of
    predecessors that it keeps.
    """
    known = {sequence for sequences in plan.interrupted.values() for sequence in sequences}
    return any(not record.detail or record.sequence in known for record in intents)


class StepCalls:
    """The provider calls and records of one run."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        verified: Verified,
        *,
        store: Store,
        sessions: Sessions,
        operation: str,
        rules: Rules,
        sink: EventSink,
        stop: StopSignal,
    ) -> None:
        self._plan = plan
        self._rules = rules
        self._observations = dict(verified.observations)
        self._absent = verified.absent
        self._begun = begun_in(state.open_intents)
        self._records = Records(store, operation, plan, state, rules=rules)
        self._sessions = sessions
        self._sink = sink
        self._interrupt = threading.Event()
        self._over = threading.Event()
        stop.on_request(self._interrupt.set)
        self._retired: dict[str, Intent] = {}
        self._related = resources_of(plan, self._begun)
        self._replaced = {step.address for step in plan.steps if step.action is Action.REPLACE}
        for step in plan.steps:
            # Those that move over to a successor are told what they still have of the predecessor.
            if step.removes_predecessor:
                left = retired_address(step.consent_address, step.known.generation)
                shared = self._related.setdefault(step.known.endpoint, {})
                shared[left] = self._resource_of(replace(step.known, address=left))

    def settle_interrupted(self) -> None:
        """Close what an earlier run left open and this plan has looked at; what a step deals with,
        when that is done.
        """
        self._records.settle_interrupted(self._plan)

    def refresh(self) -> None:
        """Write entries of resources that are as they should be."""
        entries = [self._first_entry(known) for known in self._plan.observed]
        waiting = {note.address for note in self._plan.pending}
        for known in self._plan.refresh:
            entry = self._records.entries[known.address]
            entries.append(
                replace(
                    entry,
                    name=known.name,
                    spec=known.spec,
                    dependencies=known.dependencies,
                    protect=known.protect,
                    manage=known.manage,
                    pending=entry.pending if known.address in waiting else (),
                )
            )
        if entries:
            self._records.refresh(entries)

    def _first_entry(self, known: Known) -> Entry:
        """Of an object that is only observed."""
        assert known.external_id is not None
        return Entry(
            address=known.address,
            provider=self._plan.endpoints[known.endpoint].provider,
            endpoint=known.endpoint,
            name=known.name,
            uid=UUID(known.uid),
            external_id=known.external_id,
            spec=known.spec,
            outputs=known.outputs,
            dependencies=known.dependencies,
            generation=known.generation,
            protect=known.protect,
            manage=known.manage,
        )

    def end(self) -> None:
        """The run is over: a call that comes back from now on writes nothing and goes no further.
        Its intent stays open, and the next run looks for what it did.
        """
        self._over.set()

    def carry_out(self, step: Step, deadline: Deadline) -> tuple[str, ...]:
        """Carry the step out; returns notes for the reader, raises ProvisionerError if it fails,
        StillNeeded if a predecessor has to stay, and RunIsOver if it was given up.
        """
        try:
            notes = self._carry_out(step, deadline)
        except StillNeeded:
            self._records.close_left(step.id)  # the intent of this run stays open in their place
            raise
        self._records.close_left(step.id)
        return notes

    def _carry_out(self, step: Step, deadline: Deadline) -> tuple[str, ...]:
        if step.action in (Action.CREATE, Action.REPLACE):
            return self._make(step, deadline)
        if step.action is Action.DELETE:
            return self._delete(step, deadline)
        if step.action is Action.FORGET:
            return self._forget(step)
        return self._change(step, deadline)

    # Each of the following journals before it calls.

    def _make(self, step: Step, deadline: Deadline) -> tuple[str, ...]:
        resource = self._resource(step)  # first: what cannot be made must not cost the predecessor
        if step.action is Action.REPLACE and step.replace_order == CREATE_FIRST:
            assert step.previous is not None
            self._retired[step.old_id] = self._records.intend_removal(step, step.previous)
        elif step.action is Action.REPLACE:
            self._remove_predecessor(step, deadline)
        known = replace(step.known, spec=resource.spec)
        absent = step.id in self._absent
        # Where there was none when it was looked for last, no earlier creation has made one.
        intent = self._records.intend_creation(
            step.id, known, begun=resource.begun and not absent, absent=absent
        )

        def create(session: Session, unanswered: bool) -> Outcome:
            begun = intent.has_begun(unanswered=unanswered)
            return session.create(replace(resource, begun=begun), deadline)

        outcome = self._call(step, intent, deadline, create, doing="creating")
        return self._record(step, intent, resource, outcome)

    def _remove_predecessor(self, step: Step, deadline: Deadline) -> None:
        old = step.previous
        assert old is not None
        intent = self._records.intend(step.id, Action.DELETE, old)
        resource = self._resource_of(old)
        self._call(
            step,
            intent,
            deadline,
            lambda session, _: session.delete(resource, deadline),
            doing="deleting",
            endpoint=old.endpoint,
        )
        if old.address != step.address:
            self._records.settle_renamed(intent, old.address, step.address)
        else:
            self._records.settle(intent, remove=[old.address])

    def _change(self, step: Step, deadline: Deadline) -> tuple[str, ...]:
        resource = self._resource(step)
        intent = self._records.intend(step.id, step.action, replace(step.known, spec=resource.spec))
        changes = [
            replace(change, after=get_path(resource.spec, change.path))
            if any(unknowns(change.after))
            else change
            for change in step.changes
        ]

        moves = not self._replaced.isdisjoint(step.known.dependencies)

        def change(session: Session, unanswered: bool) -> Outcome:
            # What was verified serves the first attempt; after that, and where it was asked before
            # its successor was there, only a fresh look will do.
            verified = None if moves or unanswered else self._observations.get(step.address)
            observed = verified or session.observe([resource])[resource.address]
            found = _present(step, observed)
            if step.action is Action.ADOPT:
                return session.adopt(resource, found, deadline)
            return session.update(resource, found, changes, step.restart, deadline)

        outcome = self._call(step, intent, deadline, change, doing="changing")
        return self._record(step, intent, resource, outcome)

    def _delete(self, step: Step, deadline: Deadline) -> tuple[str, ...]:
        intent = self._retired.get(step.id)
        if intent is None and step.is_of_predecessor:
            intent = self._records.intend_removal(step, step.known)
        elif intent is None:
            intent = self._records.intend(step.id, Action.DELETE, step.known)
        resource = self._resource_of(step.known)
        self._call(
            step,
            intent,
            deadline,
            lambda session, _: session.delete(resource, deadline),
            doing="deleting",
        )
        self._records.settle(intent, remove=[] if step.removes_predecessor else [step.address])
        return ()

    def _forget(self, step: Step) -> tuple[str, ...]:
        intent = self._records.intend(step.id, Action.FORGET, step.known)
        self._records.settle(intent, remove=[step.address])
        return ()

    def _resource_of(self, known: Known) -> Resource:
        shared = self._related.get(known.endpoint, {})
        return resource_of(known, self._plan.lineage, shared, self._begun)

    def _resource(self, step: Step) -> Resource:
        """The resource with all outputs put in; raises ProvisionerError (PRV3004) if one is still
        not known, and if one does not fit.
        """
        missing: set[str] = set()

        def give(marker: Mapping[str, Any], _: Path) -> Any:
            value = resolve(marker, self._lookup)
            missing.update(f"{name.address}.{name.output}" for name in unknowns(value))
            return None if is_marker(value) else value

        shared = self._related[step.known.endpoint]
        record = self._plan.endpoints[step.known.endpoint]
        resource = filled(
            replace(shared[step.address], spec=step.known.spec),
            give,
            rules=self._rules.kind(step.address.kind),
            provider=self._sessions.registry.get(record.provider),
        )
        if missing:
            raise ProvisionerError(
                error(
                    "PRV3004",
                    f"{step.address} needs {', '.join(sorted(missing))}, which is not known yet",
                    detail="The resource that gives it was applied, but its endpoint does not "
                    "tell this value.",
                    hint="Run apply again when it is there, or write the value itself.",
                )
            )
        shared[step.address] = resource
        return resource

    def _still_pending(self, step: Step, outcome: Outcome) -> tuple[str, ...]:
        """What waits for a restart now: what this step wrote, and what waited before and still
        does; a restart, or a new object, leaves nothing of that.
        """
        waiting = [path_text(path) for path in outcome.pending]
        if not step.restart and step.action not in (Action.CREATE, Action.REPLACE):
            notes = (note for note in self._plan.pending if note.address == step.address)
            waiting += [path_text(note.path) for note in notes]
        return tuple(dict.fromkeys(waiting))

    def _still_needed(self, step: Step, outcome: Outcome) -> tuple[Address, ...]:
        """What the object depends on now: also what the values refer to that are in force until a
        restart.
        """
        known, before = step.known, step.previous
        if before is None or step.action in (Action.CREATE, Action.REPLACE):
            return known.dependencies
        in_force = [(path, get_path(before.spec, path)) for path in outcome.pending]
        if not step.restart:
            in_force += [(change.path, change.running) for change in step.changes]
            in_force += [
                (note.path, note.running)
                for note in self._plan.pending
                if note.address == step.address
            ]
        in_use = targets_in(self._rules.kind(step.address.kind).references, in_force)
        return tuple(sorted({*known.dependencies, *in_use.intersection(before.dependencies)}))

    def _lookup(self, name: OutputName) -> Json:
        """An output as it is recorded, by this run or by an earlier one."""
        entry = self._records.entries.get(name.address)
        return name.of(entry.outputs) if entry is not None else None

    def _call(
        self,
        step: Step,
        intent: Intent,
        deadline: Deadline,
        call: Callable[[Session, bool], Result],
        *,
        doing: str,
        endpoint: str | None = None,
    ) -> Result:
        """Call the provider, again while it says that it may work later and there is time; closes
        the intent on failure. ``call`` is told whether an attempt before it gave no answer.
        """
        record = self._plan.endpoints[endpoint or step.known.endpoint]
        attempt = 1
        called = unanswered = False
        while True:
            try:
                session = self._sessions.get(record)
                called = True
                result = call(session, unanswered)
            except Retryable as problem:
                self._check_not_over()
                unanswered = called
                wait = min(problem.after * 2 ** (attempt - 1), LONGEST_WAIT)
                if (
                    attempt == MAX_ATTEMPTS
                    or wait > deadline.remaining()
                    or self._interrupt.is_set()
                ):
                    told = problem.diagnostic
                    self._records.fail(intent, told, called=called, unanswered=unanswered)
                    raise provider_failure(problem, f"{doing} {step.address}") from problem
                attempt += 1
                self._sink(
                    StepRetrying(step.id, str(step.address), attempt, wait, problem.diagnostic)
                )
                self._interrupt.wait(wait)
            except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
                self._check_not_over()
                if isinstance(problem, InUse) and step.is_of_predecessor:
                    told = problem.diagnostic
                    self._records.fail(intent, told, called=True, unanswered=unanswered)
                    raise StillNeeded(problem.diagnostic) from problem
                failure = provider_failure(problem, f"{doing} {step.address}")
                told = failure.diagnostics[0]
                if isinstance(problem, HalfMade):
                    intent = intent._replace(begun=True)
                self._records.fail(intent, told, called=called, unanswered=unanswered)
                raise failure from problem
            else:
                self._check_not_over()
                return result

    def _check_not_over(self) -> None:
        if self._over.is_set():
            raise RunIsOver

    def _record(
        self, step: Step, intent: Intent, resource: Resource, outcome: Outcome
    ) -> tuple[str, ...]:
        known = step.known
        pending = self._still_pending(step, outcome)
        entry = Entry(
            address=step.address,
            provider=self._plan.endpoints[known.endpoint].provider,
            endpoint=known.endpoint,
            name=known.name,
            uid=resource.uid,
            external_id=outcome.external_id,
            spec=resource.spec,
            outputs=outcome.outputs,
            dependencies=self._still_needed(step, outcome),
            generation=known.generation,
            protect=known.protect,
            manage=known.manage,
            pending=pending,
        )
        if step.renamed_from is not None:
            self._records.settle_renamed(intent, step.renamed_from, step.address, put=[entry])
        else:
            self._records.settle(intent, put=[entry])
        shared = self._related[known.endpoint]
        shared[step.address] = replace(
            resource, external_id=outcome.external_id, outputs=outcome.outputs, begun=False
        )
        return (*outcome.notes, *(f"{path} waits for a restart" for path in _told(step, outcome)))


def _told(step: Step, outcome: Outcome) -> Iterator[str]:
    """What waits, in the words of the plan: a provider may also name what it had to change for
    that, of which the author never wrote.
    """
    planned = [change.path for change in step.changes]
    told = [
        path
        for path in outcome.pending
        if any(path[: len(item)] == item[: len(path)] for item in planned)
    ]
    return map(path_text, told or outcome.pending)


def _present(step: Step, observed: Observation) -> Present:
    if isinstance(observed, Undetermined):
        raise ProvisionerError(observed.diagnostic)
    if isinstance(observed, Absent):
        raise ProvisionerError(
            error(
                "PRV3005",
                f"{step.address} vanished while the plan was being applied",
                hint="Run plan again: it will be created anew.",
            )
        )
    return observed
