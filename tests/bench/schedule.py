"""What compiling a large recovery plan and scheduling its runbook costs, and how near its schedule
is to the least that its limits allow.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.schedule import schedule
from tests.bench import plans
from tests.bench.process import Cost
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal

MACHINES = 5_000
HOSTS = 10
STARTS = 8
"""Machines that start at once on a host."""
APPLICATION = 10
"""Machines of an application, in three tiers of which each waits for the one before."""
SCHEDULE = "schedule"
RUN = "the run, as scheduled"
LEAST = "the least that its limits allow"
COMPILE = "compile"

GOALS: tuple[Goal, ...] = (
    cpu_goal(f"schedule of {MACHINES:,} machines", SCHEDULE, MACHINES, 3.0),
    ratio_goal(
        "the run beside the greater of critical path and lanes",
        (RUN, MACHINES),
        (LEAST, MACHINES),
        1.05,
        lambda cost: cost.wall,
    ),
    cpu_goal(f"compiling a plan of {MACHINES:,} machines", COMPILE, MACHINES, 10.0),
)


def made(machines: int, seed: int = 1) -> tuple[Runbook, dict[str, float]]:
    """A failover of so many machines, four tasks each, and how long they take: definitions in
    moments, starts of some 20 s, gates of some 30 s with a long tail.
    """
    chance = random.Random(seed)
    tasks = [Task("fence", "Fence", "fence")]
    seconds = {"fence": 20.0}
    lanes = {f"starts of host{host}": STARTS for host in range(HOSTS)}
    gates: dict[tuple[int, int], list[str]] = {}
    for number in range(machines):
        application, tier = number // APPLICATION, min(number % APPLICATION // 3, 2)
        name, host = f"vm{number}", chance.randrange(HOSTS)
        before = gates.get((application, tier - 1), [])
        gate = f"{name}/gate"
        steps = [
            Task(f"{name}/define", "Define", "define", needs=("fence",)),
            Task(f"{name}/disks", "Promote", "promote", needs=(f"{name}/define",)),
            Task(
                f"{name}/start",
                "Start",
                "start",
                needs=(f"{name}/disks", *before),
                lane=f"starts of host{host}",
            ),
            Task(gate, "Wait until it is well", "gate", needs=(f"{name}/start",)),
        ]
        gates.setdefault((application, tier), []).append(gate)
        tasks += steps
        times = (0.5, 2.0, chance.uniform(10, 30), min(chance.lognormvariate(3.2, 0.5), 200))
        seconds |= {step.id: length for step, length in zip(steps, times, strict=True)}
    return Runbook("bench", "failover", tasks, lanes), seconds


def measure(rounds: int, say: Callable[[str], None], machines: int = MACHINES) -> Samples:
    """Schedule runbooks of so many machines, each time another."""
    samples = Samples()
    for number in range(1, rounds + 1):
        runbook, seconds = made(machines, number)
        began, cpu = time.perf_counter(), time.process_time()
        found = schedule(runbook, seconds)
        cost = Cost(time.process_time() - cpu, time.perf_counter() - began, 0.0)
        samples.add(SCHEDULE, machines, cost)
        samples.add(RUN, machines, Cost(0.0, found.makespan, 0.0))
        samples.add(LEAST, machines, Cost(0.0, found.bound, 0.0))
        say(
            f"  {len(runbook.tasks):>6,} tasks: {cost.cpu:.2f} s CPU; would run "
            f"{found.makespan:,.0f} s of at least {found.bound:,.0f} s (critical path "
            f"{found.critical_seconds:,.0f} s)"
        )
    return samples


def measure_compiling(
    samples: Samples, rounds: int, say: Callable[[str], None], machines: int = MACHINES
) -> None:
    """Compile a plan of so many machines; what it cost is added to the samples."""
    catalog = SchemaCatalog.installed()
    for _ in range(rounds):
        applied = plans.applied(machines)
        began, cpu = time.perf_counter(), time.process_time()
        plan = plans.compiled(applied, catalog)
        cost = Cost(time.process_time() - cpu, time.perf_counter() - began, 0.0)
        samples.add(COMPILE, machines, cost)
        say(f"  a plan of {len(plan.machines):,} machines: {cost.cpu:.2f} s CPU")
