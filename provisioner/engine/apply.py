"""Executes a plan and nothing else: checks that it still fits, then journals, calls and records
step by step.

Around every provider call stand two durable writes: the intent before it, and the outcome (with the
resource's entry) after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.calls import RunIsOver, StepCalls, StillNeeded, settles
from provisioner.engine.elsewhere import check_elsewhere
from provisioner.engine.events import (
    EventSink,
    Noticed,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepKept,
    StepSkipped,
    StepStarted,
)
from provisioner.engine.executor import DEFAULT_PARALLEL, Executor, Limits
from provisioner.engine.patience import STEP_SECONDS, seconds_for_step
from provisioner.engine.plan import Plan, Step, begun_in
from provisioner.engine.preflight import look_ahead
from provisioner.engine.rules import Rules
from provisioner.engine.sessions import Sessions
from provisioner.engine.stop import StopSignal
from provisioner.engine.verify import check_gate, check_objects, check_providers, check_records
from provisioner.state.model import EndpointRecord, State
from provisioner.state.store import LEASE, Store


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """How an apply went: addresses (step ids) by fate, and what was said about the failures.

    ``kept`` are predecessors that are still needed, which is no failure.
    """

    operation: str | None
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    stopped: bool = False

    @property
    def outcome(self) -> str:
        """``done``, ``partial`` (something was carried out, not all), ``failed`` or
        ``interrupted``.
        """
        if self.stopped:
            return "interrupted"
        if not (self.failed or self.skipped or self.abandoned):
            return "done"
        return "partial" if self.done else "failed"


class Applier:
    """Applies plans to one store."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        sink: EventSink,
        clock: Clock,
        actor: str,
        *,
        rules: Rules,
        stop: StopSignal | None = None,
        parallel: int | None = None,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        """``actor`` names who applies, for the lock and the history. ``parallel`` steps at once
        over all endpoints. ``step_seconds``: how long a step may take where its Host says nothing
        else.
        """
        self._store = store
        self._sessions = sessions
        self._sink = sink
        self._clock = clock
        self._actor = actor
        self._rules = rules
        self._stop = stop or StopSignal()
        self._parallel = parallel
        self._step_seconds = step_seconds

    def run(self, plan: Plan) -> ApplyReport:
        """Apply the plan; raises ProvisionerError if it is refused before anything was done."""
        check_gate(plan)
        purpose = "destroy" if plan.destroy else "apply"
        lock = self._store.lock(self._actor, purpose, LEASE)
        try:
            if lock.note is not None:
                self._sink(Noticed(lock.note))
            report = self._locked(plan, purpose)
        except BaseException:
            with suppress(ProvisionerError):
                lock.release()
            raise
        return _after(report, lock.release)

    def _locked(self, plan: Plan, purpose: str) -> ApplyReport:
        state = self._store.read()
        check_records(plan, state)
        check_providers(plan, self._sessions.registry)
        held = _left_out(plan)
        records = plan.refresh or plan.observed
        if not plan.steps and not records and not settles(plan, state.open_intents):
            self._record_endpoints(plan, state)
            return ApplyReport(None, held=held)
        self._sink(PhaseStarted("verify", len(plan.steps)))
        begun = begun_in(state.open_intents)
        verified = check_objects(plan, self._sessions, begun)
        check_elsewhere(plan, self._sessions)
        look_ahead(plan, self._sessions, begun, thorough=True)
        self._record_endpoints(plan, state)
        operation = self._store.begin(purpose, self._actor, plan.digest)
        report = ApplyReport(operation, held=held)
        try:
            calls = StepCalls(
                plan,
                state,
                verified,
                store=self._store,
                sessions=self._sessions,
                operation=operation,
                rules=self._rules,
                sink=self._sink,
                stop=self._stop,
            )
            calls.settle_interrupted()
            calls.refresh()
            report = self._execute(plan, operation, calls)
        except BaseException:
            with suppress(ProvisionerError):
                self._store.finish(operation, "failed", _summary(report))
            raise
        return _after(
            report, lambda: self._store.finish(operation, report.outcome, _summary(report))
        )

    def _record_endpoints(self, plan: Plan, state: State) -> None:
        """Remember how the plan's endpoints are reached, where that is not recorded yet."""
        changed = [
            record for name, record in plan.endpoints.items() if state.endpoints.get(name) != record
        ]
        if changed:
            self._store.record_endpoints(changed)

    def _execute(self, plan: Plan, operation: str, calls: StepCalls) -> ApplyReport:
        limits = _limits(plan.endpoints, self._parallel, self._step_seconds)
        told = _ToldSteps(calls, limits, self._clock, self._sink)
        self._sink(PhaseStarted("apply", len(plan.steps)))
        executor = Executor(
            plan.steps,
            carry_out=told.carry_out,
            skipped=told.skipped,
            gave_up=told.gave_up,
            limits=limits,
            clock=self._clock,
            stop=self._stop,
        )
        try:
            execution = executor.run()
        finally:
            calls.end()
        return ApplyReport(
            operation,
            tuple(step_id for step_id in execution.done if step_id not in told.kept),
            execution.failed,
            execution.skipped,
            execution.abandoned,
            tuple(step_id for step_id in execution.done if step_id in told.kept),
            _left_out(plan),
            tuple(told.problems),
            self._stop.stopping and bool(execution.skipped or execution.abandoned),
        )


class _ToldSteps:
    """Steps that are carried out with events about how each goes; called from several threads.

    ``kept`` are ids of steps whose predecessor has to stay, ``problems`` what the others failed of.
    """

    def __init__(self, calls: StepCalls, limits: Limits, clock: Clock, sink: EventSink) -> None:
        self.kept: set[str] = set()
        self.problems: list[Diagnostic] = []
        self._calls = calls
        self._limits = limits
        self._clock = clock
        self._sink = sink

    def carry_out(self, step: Step) -> bool:
        """Whether it succeeded."""
        began = self._clock.monotonic()
        allowed = self._limits.seconds(step.known.endpoint)
        try:
            self._sink(StepStarted(*_names(step)))
            notes = self._calls.carry_out(step, Deadline.after(allowed, self._clock))
        except RunIsOver:
            return False
        except StillNeeded as needed:
            self.kept.add(step.id)
            reason = needed.diagnostic.detail or needed.diagnostic.summary
            self._sink(StepKept(*_names(step), reason))
            return True
        except ProvisionerError as problem:
            for item in problem.diagnostics:
                self._failed(step, self._clock.monotonic() - began, item.about(step.address))
            return False
        self._sink(StepFinished(*_names(step), self._clock.monotonic() - began, notes))
        return True

    def skipped(self, step: Step, reason: str) -> None:
        """It is not begun."""
        self._sink(StepSkipped(*_names(step), reason))

    def gave_up(self, step: Step, seconds: float) -> None:
        """It has not come back in time."""
        self._failed(step, seconds, _no_answer(step, seconds))

    def _failed(self, step: Step, seconds: float, diagnostic: Diagnostic) -> None:
        self.problems.append(diagnostic)
        self._sink(StepFailed(*_names(step), seconds, diagnostic))


def _names(step: Step) -> tuple[str, str, str]:
    """What an event calls a step by."""
    return step.id, step.action.value, str(step.address)


def _after(report: ApplyReport, closing: Callable[[], None]) -> ApplyReport:
    """Close something when the steps have been carried out. That this fails (the disk is full, say)
    must not hide how they went.
    """
    try:
        closing()
    except ProvisionerError as problem:
        if report.outcome == "done":
            raise
        return replace(report, problems=(*report.problems, *problem.diagnostics))
    return report


def _left_out(plan: Plan) -> tuple[str, ...]:
    """What the plan has no step for, though something may have to be done."""
    unknown = (problem.address or problem.summary for problem in plan.undetermined)
    return (*(step.id for step in plan.held), *unknown)


def _summary(report: ApplyReport) -> dict[str, int]:
    return {
        "done": len(report.done),
        "failed": len(report.failed),
        "skipped": len(report.skipped),
        "abandoned": len(report.abandoned),
        "kept": len(report.kept),
    }


def _limits(
    endpoints: Mapping[str, EndpointRecord], parallel: int | None, step_seconds: float
) -> Limits:
    limits = {name: record.spec.get("limits", {}) for name, record in endpoints.items()}
    return Limits(
        parallel or DEFAULT_PARALLEL,
        {name: found["parallel"] for name, found in limits.items() if "parallel" in found},
        step_seconds,
        {name: seconds_for_step(record, step_seconds) for name, record in endpoints.items()},
    )


def _no_answer(step: Step, seconds: float) -> Diagnostic:
    return error(
        "PRV3003",
        f"{step.action.value} {step.address}: no answer after {seconds:.0f} s",
        detail="The call may still be under way. Its intent stays open: the next run looks first.",
        hint=f"Look at Host/{step.known.endpoint}, then run plan again. If it only takes longer, "
        "raise limits.stepTimeout in its manifest.",
        address=str(step.address),
    )
