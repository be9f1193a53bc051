"""What one run of apply writes down: intents before provider calls, their outcomes, and entries.

Made and used by :class:`provisioner.engine.calls.StepCalls`, from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.engine.plan import BEGUN, Known, Plan, Step, intent_detail, stamp_address
from provisioner.engine.renames import Renamed, followed
from provisioner.engine.rules import Rules
from provisioner.state.model import Entry, JournalRecord, State
from provisioner.state.store import Store

_CUT_SHORT = {"summary": "the run ended before the outcome was recorded"}


class Intent(NamedTuple):
    """An intent that was written: its number in the journal, and what it says."""

    sequence: int
    step: str
    action: Action
    known: Known
    address: Address
    """The one on the object's stamp."""
    successor: Address | None = None
    """The resource whose address the object had once."""
    begun: bool = False
    """Of a creation: whether an earlier one has no outcome."""
    absent: bool = False
    """Of a creation: whether there was no object of the name when it was written."""

    def has_begun(self, *, unanswered: bool) -> bool:
        """Whether the object is there, if it is, by a creation of ours. ``unanswered``: an attempt
        to make it gave no answer.
        """
        return self.begun or (unanswered and self.absent)


class Records:
    """The records of one run: ``entries`` by address, as they are by now."""

    def __init__(
        self, store: Store, operation: str, plan: Plan, state: State, *, rules: Rules
    ) -> None:
        self.entries: dict[Address, Entry] = dict(state.entries)
        self._store = store
        self._operation = operation
        self._rules = rules
        self._opened = {record.sequence: record for record in state.open_intents}
        self._left: dict[str, list[int]] = {}
        # Whatever is renamed is written into the entries of others: they must not be written at the
        # same time. Other runs write as many as they like at once.
        self._recording: AbstractContextManager[object] = (
            threading.Lock() if any(step.renamed_from for step in plan.steps) else nullcontext()
        )

    def settle_interrupted(self, plan: Plan) -> None:
        """Close what an earlier run left open and this plan has looked at; what a step deals with,
        when that is done.
        """
        acting = {step.id for step in (*plan.steps, *plan.held)}
        for sequence, record in list(self._opened.items()):
            if not record.detail:  # a refresh of entries
                self._close(sequence)
        for step_id, sequences in plan.interrupted.items():
            self._left[step_id] = [number for number in sequences if number in self._opened]
            if step_id not in acting:
                self.close_left(step_id)

    def close_left(self, step_id: str) -> None:
        """Close what an earlier run left open of what a step deals with."""
        for sequence in self._left.pop(step_id, ()):
            self._close(sequence)

    def _close(self, sequence: int, failure: Mapping[str, Any] = _CUT_SHORT) -> None:
        del self._opened[sequence]
        self._store.settle(sequence, failure=failure)

    def intend(self, step_id: str, action: Action, known: Known) -> Intent:
        """Write down what is about to be done."""
        return self._write_intent(Intent(0, step_id, action, known, stamp_address(known.address)))

    def intend_creation(self, step_id: str, known: Known, *, begun: bool, absent: bool) -> Intent:
        """Write down that an object is about to be made; ``begun`` and ``absent``: see
        :class:`Intent`.
        """
        address = stamp_address(known.address)
        return self._write_intent(
            Intent(0, step_id, Action.CREATE, known, address, begun=begun, absent=absent)
        )

    def intend_removal(self, step: Step, old: Known) -> Intent:
        """Write down that a predecessor is about to go: it is found by the address on its stamp,
        and belongs to the resource that has replaced it.
        """
        left = self._left.get(step.id)
        stamped = self._opened[left[0]].address if left else stamp_address(old.address)
        step_id = step.id if step.is_of_predecessor else step.old_id
        return self._write_intent(
            Intent(0, step_id, Action.DELETE, old, stamped, step.consent_address)
        )

    def _write_intent(self, intent: Intent) -> Intent:
        detail = intent_detail(intent.known, intent.successor)
        if intent.has_begun(unanswered=True):
            detail[BEGUN] = True
        sequence = self._store.intend(
            self._operation, intent.step, intent.action.value, intent.address, detail
        )
        return intent._replace(sequence=sequence)

    def fail(self, intent: Intent, failure: Diagnostic, *, called: bool, unanswered: bool) -> None:
        """Note a failure. If the provider was called and no entry tells of the object, of which
        there may now be a part, an intent stays open, so that the next plan looks for it; what the
        endpoint refused to make at once proves nothing about an object of the name.
        """
        begun = intent.has_begun(unanswered=unanswered)
        known = intent.known
        entry = self.entries.get(intent.address)
        is_told_of = entry is not None and (entry.endpoint, str(entry.uid)) == (
            known.endpoint,
            known.uid,
        )
        if called and (begun or not is_told_of):
            self._write_intent(intent._replace(begun=begun, absent=False))
        self._store.settle(intent.sequence, failure=failure.as_json())

    def refresh(self, entries: Sequence[Entry]) -> None:
        """Write entries for which nothing was done."""
        first = entries[0].address
        sequence = self._store.intend(self._operation, "refresh", "refresh", first, {})
        self._settle(sequence, entries, ())

    def settle(
        self, intent: Intent, *, put: Sequence[Entry] = (), remove: Sequence[Address] = ()
    ) -> None:
        """Write down that what was intended is done."""
        self._settle(intent.sequence, put, remove)

    def settle_renamed(
        self, intent: Intent, old: Address, new: Address, put: Sequence[Entry] = ()
    ) -> None:
        """The same, where a resource is called otherwise from now on: entries that refer to it, and
        the intents about its predecessors, are written anew with that name.
        """
        moved = [
            record
            for record in list(self._opened.values())
            if record.detail.get("successor") == str(old)
        ]
        for record in moved:
            self._move(record, new)
        with self._recording:
            self._write(intent.sequence, (*put, *self._following({old: new})), (old,))
        for record in moved:
            self._close(record.sequence, {"summary": f"{old} is called {new} from now on"})

    def _move(self, record: JournalRecord, new: Address) -> None:
        detail = {**record.detail, "successor": str(new)}
        sequence = self._store.intend(
            self._operation, record.step, record.action, record.address, detail
        )
        self._opened[sequence] = replace(record, sequence=sequence, detail=detail)
        for left in self._left.values():
            if record.sequence in left:
                left[left.index(record.sequence)] = sequence

    def _following(self, renamed: Renamed) -> Iterator[Entry]:
        for address, entry in self.entries.items():
            now = followed(entry, renamed, self._rules.kind(address.kind))
            if now is not entry:
                yield now

    def _settle(self, sequence: int, put: Sequence[Entry], remove: Sequence[Address]) -> None:
        with self._recording:
            self._write(sequence, put, remove)

    def _write(self, sequence: int, put: Sequence[Entry], remove: Sequence[Address]) -> None:
        self._store.settle(sequence, put=put, remove=remove)
        for address in remove:
            self.entries.pop(address, None)
        for entry in put:
            self.entries[entry.address] = entry
