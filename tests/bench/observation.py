"""What reading a libvirt daemon costs the plan, beside the bare calls that nobody can do without.

A private daemon holds as many stopped machines as disks. The plan's observation is the time between
its phases ``observe`` and ``plan``: connecting, asking, reading the XML, bringing it into canonical
form. The bare calls are libvirt-python alone: connect, list the domains and volumes, and ask for
the XML of each.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import libvirt

from provisioner.service.model import Event, PhaseStarted
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from tests.bench import libvirt_stack
from tests.bench.phases import provisioner
from tests.bench.process import Cost, run
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal
from tests.lab.daemon import Flavour, LibvirtDaemon

BARE = "bare calls"
OBSERVATION = "observation"
PLAN = "no-op plan"


def goals(objects: int) -> tuple[Goal, ...]:
    """What a daemon with this many machines, and as many disks, is held against."""
    return (
        ratio_goal(
            f"observation of {objects:,} machines to the bare calls",
            (OBSERVATION, objects),
            (BARE, objects),
            2,
            lambda cost: cost.wall,
        ),
        cpu_goal(f"no-op plan of {objects:,} machines", PLAN, objects, 3.0),
    )


def measure(objects: int, rounds: int, say: Callable[[str], None]) -> Samples:
    """Make the machines, then take the three figures one after the other, ``rounds`` times."""
    samples = Samples()
    with LibvirtDaemon(Flavour.SESSION) as daemon, tempfile.TemporaryDirectory() as scratch:
        stack, log = Path(scratch) / "stack", Path(scratch) / "log"
        libvirt_stack.write(stack, objects, daemon.uri, daemon.directory / "volumes")
        made = run([*provisioner("apply", "--yes"), str(stack)], log)
        say(f"{objects:,} machines and disks made in {made.wall:.0f} s, {made.cpu:.1f} s CPU")
        samples.add("apply", objects, made)
        for number in range(1, rounds + 1):
            bare = _bare_calls(daemon.uri, objects)
            samples.add(BARE, objects, bare)
            observed = _observation(stack)
            samples.add(OBSERVATION, objects, observed)
            command = [*provisioner("plan", "--detailed-exitcode"), str(stack)]
            plan = run(command, log)
            samples.add(PLAN, objects, plan)
            say(
                f"round {number} of {rounds}: bare calls {bare.wall:.2f} s, "
                f"observation {observed.wall:.2f} s, plan {plan.cpu:.2f} s CPU"
            )
    return samples


def _bare_calls(uri: str, objects: int) -> Cost:
    began, began_cpu = time.perf_counter(), time.process_time()
    connection = libvirt.open(uri)
    domains = [domain.XMLDesc() for domain in connection.listAllDomains()]
    volumes = [
        volume.XMLDesc()
        for pool in connection.listAllStoragePools()
        for volume in pool.listAllVolumes()
    ]
    connection.close()
    cost = Cost(time.process_time() - began_cpu, time.perf_counter() - began, 0.0)
    assert (objects, objects) == (len(domains), len(volumes)), "the daemon holds something else"
    return cost


def _observation(stack: Path) -> Cost:
    reached: dict[str, tuple[float, float]] = {}

    def note(event: Event) -> None:
        if isinstance(event, PhaseStarted):
            reached[event.phase] = (time.process_time(), time.perf_counter())

    plan = make_plan(Workspace(stack, environ=os.environ), PlanChoices(), note)
    assert not plan.steps, "the stack was applied, so there is nothing to do"
    cpu, wall = (
        after - before for before, after in zip(reached["observe"], reached["plan"], strict=True)
    )
    return Cost(cpu, wall, 0.0)
