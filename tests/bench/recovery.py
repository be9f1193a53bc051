"""What a recovery plan of many machines costs, in whole processes, and how near to the least that
its limits allow a failover is: scheduled for all of them, and carried out for some.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes import runbook_of
from provisioner.workflows.recovery.signing import TrustedKeys
from provisioner.workflows.runs import Run
from provisioner.workflows.schedule import schedule
from tests.bench import recovery_stack
from tests.bench.least import least
from tests.bench.phases import provisioner
from tests.bench.process import Cost, run
from tests.bench.recovery_stack import PLAN
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal

T = TypeVar("T")

MACHINES = 5_000
CARRIED_OUT = 1_000
"""Machines of the plan that is carried out."""
LATENCY = {"create": 2.0, "promote": 0.5, "power": 1.0, "*": 0.01}
"""Seconds that calls take in what is carried out."""
LIKELY: Mapping[str, float] = {"check": 20.0, "release": 0.5, "promote": 2.0, "start": 20.0}
"""Seconds that the tasks of what is only scheduled take, by their actions; others take MOMENT."""
MOMENT = 0.1

COMPILE = "dr compile"
AGAIN = "dr compile again"
READ = "read and verify"
BUILD = "build the runbook of a failover"
SCHEDULE = "schedule it"
SCHEDULED = "the failover, as scheduled"
REPLICATE = "replicate run"
FAILOVER = "dr failover"
OF_ITS_TASKS = "its tasks, as scheduled"
LEAST = "the least that its limits allow"


def _seconds(cost: Cost) -> float:
    return cost.wall


GOALS: tuple[Goal, ...] = (
    cpu_goal(f"dr compile of {MACHINES:,} machines", COMPILE, MACHINES, 10.0),
    ratio_goal(
        f"schedule of {MACHINES:,} beside the least",
        (SCHEDULED, MACHINES),
        (LEAST, MACHINES),
        1.05,
        _seconds,
    ),
    ratio_goal(
        f"failover of {CARRIED_OUT:,} beside the schedule of its tasks",
        (FAILOVER, CARRIED_OUT),
        (OF_ITS_TASKS, CARRIED_OUT),
        1.05,
        _seconds,
    ),
    ratio_goal(
        f"failover of {CARRIED_OUT:,} beside the least",
        (FAILOVER, CARRIED_OUT),
        (LEAST, CARRIED_OUT),
        1.05,
        _seconds,
    ),
)


def measure(
    rounds: int,
    say: Callable[[str], None],
    machines: int = MACHINES,
    carried_out: int = CARRIED_OUT,
) -> Samples:
    """Compile and schedule a plan of ``machines``, and carry out one of ``carried_out``."""
    samples = Samples()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-recovery-") as folder:
            _compile(Path(folder), machines, samples, say)
        with tempfile.TemporaryDirectory(prefix="bench-recovery-") as folder:
            _carry_out(Path(folder), carried_out, samples, say)
    return samples


def _compile(folder: Path, machines: int, samples: Samples, say: Callable[[str], None]) -> None:
    stack = _applied(folder, machines)
    _call(stack, "dr", "key", "ops")
    compiling = ("dr", "compile", PLAN, "-o", "plan.dr", "--key", "ops")
    # What was read for the apply was kept by it: the plan of a pipeline finds nothing.
    cost = _call(stack, *compiling, "--no-cache")
    samples.add(COMPILE, machines, cost)
    samples.add(AGAIN, machines, _call(stack, *compiling))
    trusted = TrustedKeys.read(stack / "ops.pub")
    stored = _timed(
        samples,
        READ,
        machines,
        lambda: storing.read(stack / "plan.dr", trusted, datetime.now(UTC)),
    )
    runbook = _timed(samples, BUILD, machines, lambda: runbook_of(stored.plan, Mode.FAILOVER))
    seconds = {task.id: LIKELY.get(task.action, MOMENT) for task in runbook.tasks}
    found = _timed(samples, SCHEDULE, machines, lambda: schedule(runbook, seconds))
    bound = least(runbook, seconds)
    samples.add(SCHEDULED, machines, Cost(0.0, found.makespan, 0.0))
    samples.add(LEAST, machines, Cost(0.0, bound, 0.0))
    say(
        f"  {machines:>6,} machines: compiled in {cost.cpu:.1f} s CPU; {len(runbook.tasks):,} "
        f"tasks would run {found.makespan:,.0f} s of at least {bound:,.0f} s"
    )


def _carry_out(folder: Path, machines: int, samples: Samples, say: Callable[[str], None]) -> None:
    stack = _applied(folder, machines)
    samples.add(REPLICATE, machines, _call(stack, "replicate", "run"))
    recovery_stack.write_hosts(stack, machines, LATENCY)
    cost = _call(stack, "dr", "failover", PLAN, "--yes", "--journal", "runs.db")
    done = _last(stack / "runs.db")
    seconds = {state.task: state.seconds or 0.0 for state in done.tasks.values()}
    makespan, bound = schedule(done.runbook, seconds).makespan, least(done.runbook, seconds)
    taken = done.seconds or 0.0
    samples.add(FAILOVER, machines, cost._replace(wall=taken))
    samples.add(OF_ITS_TASKS, machines, Cost(0.0, makespan, 0.0))
    samples.add(LEAST, machines, Cost(0.0, bound, 0.0))
    say(
        f"  {machines:>6,} machines: failed over in {taken:,.1f} s ({cost.cpu:.1f} s CPU); their "
        f"tasks as scheduled {makespan:,.1f} s, of at least {bound:,.1f} s"
    )


def _last(path: Path) -> Run:
    journal = Journal(path)
    last = journal.last()
    assert last is not None
    return journal.run(last.id)


def _applied(folder: Path, machines: int) -> Path:
    stack = folder / "stack"
    recovery_stack.write(stack, machines)
    _call(stack, "apply", "--yes")
    return stack


def _call(stack: Path, *arguments: str) -> Cost:
    """A command in the folder of the stack."""
    program = provisioner(*arguments)
    inside = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(stack), *program]
    return run(inside, stack.parent / "log")


def _timed(samples: Samples, phase: str, machines: int, work: Callable[[], T]) -> T:
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    samples.add(phase, machines, Cost(time.process_time() - cpu, time.perf_counter() - began, 0.0))
    return found
