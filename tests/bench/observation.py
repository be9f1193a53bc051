"""What reading a libvirt daemon costs the plan, beside the bare calls that nobody can do without.

A private daemon holds as many stopped machines as disks. The plan's observation is the time between
its phases ``observe`` and ``plan``: connecting, asking, reading the XML, bringing it into canonical
form. The bare calls are libvirt-python alone: connect, list the domains and volumes, and ask for
the XML of each. Between the two stands what any client has to do that wants to know what the XML
says: the bare calls and ElementTree.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import libvirt

from provisioner.cli.main import COLLECT_EVERY
from provisioner.service.model import Event, PhaseStarted
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from tests.bench import libvirt_stack
from tests.bench.phases import provisioner
from tests.bench.process import Cost, run
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal
from tests.lab.daemon import Flavour, LibvirtDaemon

BARE = "bare calls"
PARSED = "bare calls, XML parsed"
OBSERVATION = "observation"
PLAN = "no-op plan"

_TIMES = 10
"""How often the figures of tens of milliseconds are taken in each round."""


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
    # As the program itself does, in whose place this process observes.
    gc.set_threshold(COLLECT_EVERY)
    with LibvirtDaemon(Flavour.SESSION) as daemon, tempfile.TemporaryDirectory() as scratch:
        stack, log = Path(scratch) / "stack", Path(scratch) / "log"
        libvirt_stack.write(stack, objects, daemon.uri, daemon.directory / "volumes")
        made = run([*provisioner("apply", "--yes"), str(stack)], log)
        say(f"{objects:,} machines and disks made in {made.wall:.0f} s, {made.cpu:.1f} s CPU")
        samples.add("apply", objects, made)
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            for _ in range(_TIMES):
                samples.add(BARE, objects, _bare_calls(daemon.uri, objects, len))
                samples.add(PARSED, objects, _bare_calls(daemon.uri, objects, ElementTree.XML))
                samples.add(OBSERVATION, objects, _observation(stack))
            command = [*provisioner("plan", "--detailed-exitcode"), str(stack)]
            samples.add(PLAN, objects, run(command, log))
        consents = [
            part for disk in libvirt_stack.disks(objects) for part in ("--allow-data-loss", disk)
        ]
        gone = run([*provisioner("destroy", "--yes"), *consents, str(stack)], log)
        samples.add("destroy", objects, gone)
    return samples


def _bare_calls(uri: str, objects: int, use: Callable[[str], object]) -> Cost:
    """Connect and read all; ``use`` is what is done with each document."""
    began, began_cpu = time.perf_counter(), time.process_time()
    connection = libvirt.open(uri)
    domains = [use(domain.XMLDesc()) for domain in connection.listAllDomains()]
    volumes = [
        use(volume.XMLDesc())
        for pool in connection.listAllStoragePools()
        for volume in pool.listAllVolumes()
        # The pool also holds the logs of the consoles, which the plan does not read.
        if volume.name().startswith(libvirt_stack.DISKS)
    ]
    connection.close()
    cost = Cost(time.process_time() - began_cpu, time.perf_counter() - began, 0.0)
    assert (objects, objects) == (len(domains), len(volumes))
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
