"""What showing a plan costs: a fleet of machines is planned once, and its plan file and its graph
are rendered in every form, in processes of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import fleet
from tests.bench.phases import provisioner
from tests.bench.process import run
from tests.bench.samples import Goal, Samples, cpu_goal

MACHINES = 1_000
RESOURCES = len(list(fleet.resources(MACHINES)))
SECONDS = 5.0
PLAN = "fleet.plan"

FORMS = {
    "plan as text": ("show", PLAN),
    "plan as JSON": ("show", PLAN, "--json"),
    "plan as Markdown": ("show", PLAN, "--markdown"),
    "plan as HTML": ("show", PLAN, "--html"),
    "plan in Terraform's form": ("show", PLAN, "--terraform"),
    "graph of the plan, SVG": ("graph", "--plan", PLAN, "--format", "svg"),
    "the same, unfolded": ("graph", "--plan", PLAN, "--format", "svg", "--unfold"),
    "graph of the stack, SVG": ("graph", "--format", "svg"),
}

GOALS: tuple[Goal, ...] = tuple(
    cpu_goal(f"{name}, {MACHINES:,} machines", name, RESOURCES, SECONDS)
    for name in ("plan as HTML", "graph of the plan, SVG", "graph of the stack, SVG")
)


def measure(rounds: int, say: Callable[[str], None], machines: int = MACHINES) -> Samples:
    """Plan once, then render in all forms, ``rounds`` times over."""
    samples = Samples()
    size = len(list(fleet.resources(machines)))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, log = Path(scratch) / "fleet", Path(scratch) / "log"
        fleet.write(folder, machines)
        run(provisioner("plan", str(folder), "-o", str(folder / PLAN)), log)
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            for name, arguments in FORMS.items():
                words = [str(folder / PLAN) if word == PLAN else word for word in arguments]
                words += [] if PLAN in arguments else [str(folder)]
                cost = run(provisioner(*words), log)
                samples.add(name, size, cost)
                say(f"  {size:>6,} {name}: {cost.cpu:.2f} s CPU, {cost.peak:.0f} MiB")
    return samples
