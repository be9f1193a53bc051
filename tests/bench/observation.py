"""What reading a libvirt daemon costs the plan, beside the bare calls that nobody can do without,
taken within one process: neither Python's start nor the manifests are in these figures.

The plan's observation is the time between its phases ``observe`` and ``plan``: connecting, asking,
reading the XML, bringing it into canonical form. The bare calls are libvirt-python alone: connect,
list the domains and volumes, and ask for the XML of each. Between the two stands what any client
has to do that wants to know what the XML says: the bare calls and ElementTree.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
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
from tests.bench.process import Cost
from tests.bench.samples import Samples

BARE = "bare calls"
PARSED = "bare calls, XML parsed"
OBSERVATION = "observation"

_TIMES = 10
"""How often the figures of tens of milliseconds are taken in each round."""


def measure(stack: Path, uri: str, objects: int, samples: Samples) -> None:
    """Take the three figures of a stack that was applied, in turns, some times over. They have a
    process of their own, so that the caller's stays small.
    """
    program = [sys.executable, "-m", "tests.bench.observation", str(stack), uri, str(objects)]
    told = subprocess.run(program, stdout=subprocess.PIPE, check=True)
    for line in told.stdout.splitlines():
        phase, cpu, wall = json.loads(line)
        samples.add(phase, objects, Cost(cpu, wall, 0.0))


def main(stack: str, uri: str, objects: str) -> None:
    """Print each figure as it is taken: a JSON list of phase, CPU seconds and seconds."""
    # As the program itself does, in whose place this process observes.
    gc.set_threshold(COLLECT_EVERY)
    for _ in range(_TIMES):
        for phase, cost in (
            (BARE, _bare_calls(uri, int(objects), len)),
            (PARSED, _bare_calls(uri, int(objects), ElementTree.XML)),
            (OBSERVATION, _observation(Path(stack))),
        ):
            sys.stdout.write(json.dumps([phase, cost.cpu, cost.wall]) + "\n")


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


if __name__ == "__main__":
    main(*sys.argv[1:])
