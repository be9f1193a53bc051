"""Replication of the machines of recovery plans: now, again and again, and how old the copies
are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.sessions import Sessions, provider_failure
from provisioner.manifest.protection import PLAN
from provisioner.providers.api import ProviderError
from provisioner.providers.capabilities import ReplicaState, Way
from provisioner.service.model import (
    EventSink,
    Noticed,
    StepFailed,
    StepFinished,
    StepStarted,
    StopSignal,
)
from provisioner.service.recovery.compiling import loaded
from provisioner.service.recovery.model import PlannedMachine
from provisioner.service.recovery.opening import (
    PAUSING,
    Opened,
    Source,
    open_plan,
    reopened,
)
from provisioner.service.workspace import Workspace
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions import Estate, synchronise
from provisioner.workflows.recovery.clocks import ahead
from provisioner.workflows.recovery.modes.tasks import LONG, PARALLEL_SYNCS
from provisioner.workflows.recovery.readiness import rough

ACTION = "synchronise"
LOOK_AT_CONTINUOUS = 10.0
"""Seconds after which it is looked again whether a continuous replica still gets every write."""
HEED = 0.5
"""Seconds after which it is looked whether somebody is in a hurry."""
SHORTEST = 1.0
"""Seconds between two synchronisations of a machine, at least."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One machine that was synchronised. ``moved``: bytes, -1 where that is not known."""

    plan: str
    machine: Address
    point: str
    taken: datetime | None
    moved: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Copies:
    """What one synchronisation of everything came to. ``left_out``: why machines were passed
    over.
    """

    done: tuple[Copied, ...]
    failed: tuple[Diagnostic, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Age:
    """How old the copy of a machine is. ``age`` in seconds, None if there is no point, it is dated
    in the future, or the copy is as old as the last write. ``trouble`` says what is wrong, else it
    is empty.
    """

    plan: str
    machine: PlannedMachine
    site: str
    state: ReplicaState
    age: float | None
    trouble: str

    @property
    def points(self) -> int:
        """How many recovery points there are."""
        return len(self.state.points)


def plan_names(workspace: Workspace, sink: EventSink) -> list[str]:
    """The names of all recovery plans of a stack. Raises ProvisionerError (PRV7030) if it has
    none.
    """
    stack, _ = loaded(workspace, sink)
    names = sorted(address.name for address in stack.policies if address.kind == PLAN)
    if not names:
        raise ProvisionerError(
            error(
                "PRV7030",
                "the stack has no recovery plan",
                hint="Add a RecoveryPlan, or name a stored one with --from FILE.",
            )
        )
    return names


def sources(
    workspace: Workspace, names: Sequence[str], source: Source, sink: EventSink
) -> list[Source]:
    """Which plans are meant: those named, the one of a file, or all of the stack."""
    if source.file is not None:
        return [source]
    chosen = list(names) or plan_names(workspace, sink)
    if source.journal is not None and len(chosen) != 1:
        raise ProvisionerError(
            error(
                "PRV7088",
                f"--journal is that of one plan, and {len(chosen)} are meant",
                hint="Name the plan whose journal it is.",
            )
        )
    return [Source(name, None, source.trusted, source.journal) for name in chosen]


def replicate(workspace: Workspace, chosen: Sequence[Source], sink: EventSink) -> Copies:
    """Synchronise every machine of these plans once; what fails is in the result."""
    opened = [open_plan(workspace, source, sink) for source in chosen]
    with workspace.sessions(sink) as sessions:
        return _Round(workspace, sessions, sink).run(_machines(opened))


def ages(workspace: Workspace, chosen: Sequence[Source], sink: EventSink) -> list[Age]:
    """How old the copies of all machines of these plans are. Raises ProvisionerError."""
    found = []
    opened = [open_plan(workspace, source, sink) for source in chosen]
    with workspace.sessions(sink) as sessions:
        for item in opened:
            found += ages_of(item, Estate(item.plan, sessions), workspace.clock.now())
    return found


def ages_of(opened: Opened, estate: Estate, now: datetime) -> list[Age]:
    """How old the copies of a plan's machines are. Raises ProvisionerError."""
    plan = opened.plan
    try:
        states = estate.replica_states(plan.machines)
    except ProviderError as problem:
        raise provider_failure(problem, "looking for recovery points") from problem
    return [
        _age(plan.name, machine, plan.there, states[machine.address], now)
        for machine in plan.machines
    ]


def _age(plan: str, machine: PlannedMachine, site: str, state: ReplicaState, now: datetime) -> Age:
    newest = state.points[-1] if state.points else None
    age = later = None
    if newest is not None and newest.taken is not None:
        later = ahead(newest.taken, now)
        age = max(0.0, (now - newest.taken).total_seconds()) if later is None else None
    trouble = state.problem
    if newest is None:
        trouble = trouble or "no recovery point"
    elif machine.way is Way.CONTINUOUS and not state.in_step:
        trouble = trouble or "does not get every write"
    elif later is not None and not state.in_step:
        trouble = trouble or f"dated {rough(later)} in the future: clocks differ"
    elif age is not None and age > machine.point_objective:
        trouble = trouble or "older than its objective"
    return Age(plan, machine, site, state, age, trouble)


def watch(
    workspace: Workspace,
    chosen: Sequence[Source],
    sink: EventSink,
    stop: StopSignal,
    tell: Callable[[Sequence[Age]], None],
    *,
    rounds: int | None = None,
) -> Copies:
    """Synchronise each machine at its interval, and see to it that continuous replicas get every
    write, until ``stop`` or for so many ``rounds``; ``tell`` hears the ages after each round.
    Returns what the last round of each machine came to.
    """
    wake = threading.Event()
    stop.on_request(wake.set)
    due: dict[Address, float] = {}
    done: dict[Address, Copied] = {}
    failed: dict[Address, Diagnostic] = {}
    clock = workspace.clock
    told = 0
    opened = [open_plan(workspace, source, sink) for source in chosen]
    with workspace.sessions(sink) as sessions:
        work = _Round(workspace, sessions, sink, stop)
        while not stop.stopping:
            # Anew each time: a migration turns the direction.
            opened = [reopened(item) for item in opened]
            began = clock.monotonic()
            ready = [
                (item, machine)
                for item, machine in _machines(opened)
                if due.get(machine.address, began) <= began
            ]
            copies = work.run(ready, quiet=True)
            for _, machine in ready:
                due[machine.address] = began + _pause(machine)
                failed.pop(machine.address, None)
            done |= {one.machine: one for one in copies.done}
            failed |= {Address.of(item.address or ""): item for item in copies.failed}
            if ready:
                tell(_told(opened, sessions, clock.now(), sink))
                told += 1
            if told == rounds:
                break
            wake.wait(max(0.05, min(due.values(), default=began) - clock.monotonic()))
    return Copies(tuple(done.values()), tuple(failed.values()))


def _told(
    opened: Sequence[Opened], sessions: Sessions, now: datetime, sink: EventSink
) -> list[Age]:
    found: list[Age] = []
    for item in opened:
        try:
            found += ages_of(item, Estate(item.plan, sessions), now)
        except ProvisionerError as problem:
            sink(Noticed(problem.diagnostics[0].summary))
    return found


def _pause(machine: PlannedMachine) -> float:
    if machine.way is Way.CONTINUOUS:
        return LOOK_AT_CONTINUOUS
    return max(SHORTEST, machine.interval)


def _machines(opened: Sequence[Opened]) -> Iterator[tuple[Opened, PlannedMachine]]:
    """Each machine once, also where several plans have it."""
    seen: set[Address] = set()
    for item in opened:
        for machine in item.plan.machines:
            if machine.address not in seen:
                seen.add(machine.address)
                yield item, machine


class _Round:
    """Synchronisations of machines, some at once."""

    def __init__(
        self,
        workspace: Workspace,
        sessions: Sessions,
        sink: EventSink,
        stop: StopSignal | None = None,
    ) -> None:
        self._stop = stop
        self._workspace = workspace
        self._sessions = sessions
        self._sink = sink

    def run(
        self,
        machines: Iterable[tuple[Opened, PlannedMachine]],
        *,
        quiet: bool = False,
    ) -> Copies:
        """One of each. ``quiet``: continuous replicas that are in step are not spoken of."""
        done: list[Copied] = []
        failed: list[Diagnostic] = []
        left_out: list[str] = []
        lock = threading.Lock()
        given_now = list(machines)
        # One for each plan: an estate works out what is on its endpoints once.
        plans = {id(item.plan): item.plan for item, _ in given_now}
        estates = {key: Estate(plan, self._sessions) for key, plan in plans.items()}

        def work(given: tuple[Opened, PlannedMachine]) -> None:
            item, machine = given
            busy = _busy(item)
            if busy:
                with lock:
                    left_out.append(busy)
                return
            found = self._one(item, estates[id(item.plan)], machine, quiet=quiet)
            with lock:
                if isinstance(found, Copied):
                    done.append(found)
                elif found is not None:
                    failed.append(found)

        pool = ThreadPoolExecutor(PARALLEL_SYNCS, thread_name_prefix="synchronise")
        try:
            under_way = {pool.submit(work, given) for given in given_now}
            while under_way and not (self._stop is not None and self._stop.abandoning):
                ended, under_way = wait(under_way, timeout=HEED)
                for future in ended:
                    future.result()
        finally:
            # Who is in a hurry does not wait for data that are on their way.
            pool.shutdown(wait=False, cancel_futures=True)
        for text in sorted(set(left_out)):
            self._sink(Noticed(text))
        return Copies(
            tuple(sorted(done, key=lambda one: (one.plan, one.machine))),
            tuple(failed),
            tuple(sorted(set(left_out))),
        )

    def _one(
        self, item: Opened, estate: Estate, machine: PlannedMachine, *, quiet: bool
    ) -> Copied | Diagnostic | None:
        clock, name = self._workspace.clock, str(machine.address)
        began = clock.monotonic()
        told = False
        try:
            if quiet and machine.way is Way.CONTINUOUS:
                before = estate.replica_states([machine])[machine.address]
                if before.in_step and not before.problem:
                    return None
            told = True
            self._sink(StepStarted(name, ACTION, name))
            point = synchronise(estate, machine, Deadline.after(LONG, clock))
            moved = estate.replica_states([machine])[machine.address].moved
        except (ProvisionerError, ProviderError) as problem:
            failure = provider_failure(problem, f"synchronising {name}")
            found = item.commands.completed(failure.diagnostics[0].about(machine.address))
            seconds = clock.monotonic() - began
            if told:
                self._sink(StepFailed(name, ACTION, name, seconds, found))
            return found
        seconds = clock.monotonic() - began
        self._sink(StepFinished(name, ACTION, name, seconds))
        return Copied(estate.plan.name, machine.address, point.id, point.taken, moved, seconds)


def _busy(item: Opened) -> str:
    """Why nobody else moves data of a plan now; empty if nothing is in the way."""
    last = item.journal.last()
    if last is None or not last.is_open or last.mode not in PAUSING:
        return ""
    return (
        f"{item.plan.name} is left out: its {noun(last.mode)} of {last.started:%Y-%m-%d %H:%M} UTC "
        "has not ended"
    )
