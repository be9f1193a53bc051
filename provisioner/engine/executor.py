"""Runs steps in dependency order on a bounded number of threads, with a limit for each endpoint.

Knows nothing of providers and state: it is given a graph of steps and a function that carries one
out. A step that does not return by its deadline is given up (its thread is left behind), so that a
hanging call never hangs the run.
"""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.core.clock import Clock
from provisioner.engine.patience import GRACE_SECONDS, STEP_SECONDS
from provisioner.engine.plan import Step
from provisioner.engine.stop import StopSignal

DEFAULT_PARALLEL = 10
"""Steps under way at once, over all endpoints."""

ENDPOINT_PARALLEL = 8
"""Steps under way at once on one endpoint, where its Host says nothing else."""

_LONGEST_WAIT = 0.5
"""Seconds after which the waiting thread looks up. Python runs a signal's handler between two
instructions of the main thread: one that comes just before a wait begins is dealt with after it.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """``total`` steps at once; ``endpoints`` where a Host allows another number than the default;
    seconds for a step, and ``endpoint_seconds`` where a Host allows others.
    """

    total: int = DEFAULT_PARALLEL
    endpoints: Mapping[str, int] = field(default_factory=dict)
    step_seconds: float = STEP_SECONDS
    endpoint_seconds: Mapping[str, float] = field(default_factory=dict)
    grace_seconds: float = GRACE_SECONDS

    def seconds(self, endpoint: str) -> float:
        """How long a step on an endpoint may take."""
        return self.endpoint_seconds.get(endpoint, self.step_seconds)


@dataclass(frozen=True, slots=True)
class Execution:
    """How a run went, by step id. ``abandoned`` steps were still under way when the run ended."""

    done: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    abandoned: tuple[str, ...]


class Executor:
    """One run over one list of steps. ``carry_out`` returns whether the step succeeded. If it
    raises, nothing more is begun, and :meth:`run` raises the same when the steps under way have
    ended.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        *,
        carry_out: Callable[[Step], bool],
        skipped: Callable[[Step, str], None],
        gave_up: Callable[[Step, float], None],
        limits: Limits,
        clock: Clock,
        stop: StopSignal,
    ) -> None:
        self._steps = {step.id: step for step in steps}
        self._rank = {step_id: rank for rank, step_id in enumerate(self._steps)}
        self._carry_out = carry_out
        self._on_skip = skipped
        self._on_give_up = gave_up
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._missing: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {step_id: [] for step_id in self._steps}
        self._ready: dict[str, list[tuple[int, str]]] = {}
        self._running: dict[str, float] = {}
        self._busy: dict[str, int] = {}
        self._work: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, bool | BaseException] | None] = (
            queue.SimpleQueue()
        )
        self._defect: BaseException | None = None
        self._threads = 0
        self._done: list[str] = []
        self._failed: list[str] = []
        self._skipped: list[str] = []

    def run(self) -> Execution:
        """Run until nothing is left that can be run."""
        for step in self._steps.values():
            self._missing[step.id] = len(step.depends_on)
            for needed in step.depends_on:
                self._dependents[needed].append(step.id)
            if not step.depends_on:
                self._make_ready(step.id)
        self._stop.on_request(lambda: self._results.put(None))
        while True:
            if not self._stop.stopping and self._defect is None:
                self._dispatch()
            if not self._running or self._stop.abandoning:
                break
            self._collect()
        for _ in range(self._threads):
            self._work.put(None)
        abandoned = tuple(self._running)
        self._skip_the_rest()
        if self._defect is not None:
            raise self._defect
        return Execution(tuple(self._done), tuple(self._failed), tuple(self._skipped), abandoned)

    def _make_ready(self, step_id: str) -> None:
        endpoint = self._steps[step_id].known.endpoint
        heapq.heappush(self._ready.setdefault(endpoint, []), (self._rank[step_id], step_id))

    def _dispatch(self) -> None:
        """Start what may start: the earliest ready step of each endpoint with room, in turn."""
        started = True
        while started and len(self._running) < self._limits.total:
            started = False
            for endpoint, ready in self._ready.items():
                if len(self._running) >= self._limits.total:
                    return
                limit = self._limits.endpoints.get(endpoint, ENDPOINT_PARALLEL)
                if ready and self._busy.get(endpoint, 0) < limit:
                    self._start(heapq.heappop(ready)[1])
                    started = True

    def _start(self, step_id: str) -> None:
        step = self._steps[step_id]
        self._running[step_id] = self._clock.monotonic()
        self._busy[step.known.endpoint] = self._busy.get(step.known.endpoint, 0) + 1
        if self._threads < len(self._running):
            self._threads += 1
            threading.Thread(
                target=self._work_off, name=f"step-{self._threads}", daemon=True
            ).start()
        self._work.put(step)

    def _work_off(self) -> None:
        while (step := self._work.get()) is not None:
            try:
                self._results.put((step.id, self._carry_out(step)))
            except BaseException as problem:  # noqa: BLE001 - raised by the thread that waits
                self._results.put((step.id, problem))

    def _collect(self) -> None:
        """Wait for one result, a stop request, or the moment when a step has to be given up."""
        first = min(began + self._patience(step_id) for step_id, began in self._running.items())
        left = first - self._clock.monotonic()
        try:
            result = self._results.get(timeout=min(max(0.0, left), _LONGEST_WAIT))
        except queue.Empty:
            self._give_up()
            return
        if result is None:
            return
        step_id, succeeded = result
        if isinstance(succeeded, BaseException):
            self._defect = self._defect or succeeded
            succeeded = False
        if step_id not in self._running:
            return  # it was given up before it came back
        self._free(step_id)
        if succeeded:
            self._done.append(step_id)
            for dependent in self._dependents[step_id]:
                self._missing[dependent] -= 1
                if self._missing[dependent] == 0:
                    self._make_ready(dependent)
        else:
            self._failed.append(step_id)

    def _free(self, step_id: str) -> None:
        del self._running[step_id]
        self._busy[self._steps[step_id].known.endpoint] -= 1

    def _patience(self, step_id: str) -> float:
        endpoint = self._steps[step_id].known.endpoint
        return self._limits.seconds(endpoint) + self._limits.grace_seconds

    def _give_up(self) -> None:
        now = self._clock.monotonic()
        for step_id, began in list(self._running.items()):
            if now - began >= self._patience(step_id):
                self._free(step_id)
                self._threads -= 1  # its thread hangs; a new one takes its place
                self._failed.append(step_id)
                self._on_give_up(self._steps[step_id], now - began)

    def _skip_the_rest(self) -> None:
        settled = {*self._done, *self._failed, *self._running}
        failed = {*self._failed, *self._running}
        for step in self._steps.values():
            if step.id in settled:
                continue
            cause = next((needed for needed in step.depends_on if needed in failed), None)
            if cause is not None:
                failed.add(step.id)
                reason = f"{cause} was not carried out"
            else:
                reason = "the run was stopped"
            self._skipped.append(step.id)
            self._on_skip(step, reason)
