"""How near to what a drill takes the prediction of it is: drills of a shop on two libvirt daemons,
each predicted by those before it.

One drill is as short as the shop's guests let it be, some seconds, so that whatever else the
machine does shows in the figures.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import report
from tests.bench.process import Cost
from tests.bench.samples import Goal, Samples, Spread
from tests.lab.daemon import Flavour
from tests.lab.shop import MACHINES, Shop
from tests.lab.sites import TwoSites

DRILLS = 6
"""Drills in a round; the last one is held against its prediction."""
PREDICTED = f"drill {DRILLS}, as predicted"
TAKEN = f"drill {DRILLS}"
PLAN = "shop"

_SIZE = len(MACHINES)


def difference(predicted: float, taken: float) -> float:
    """By how many hundredths of what was ``taken`` the prediction was wrong, either way."""
    return 100 * abs(predicted - taken) / taken


def _differences(samples: Samples) -> Spread:
    pairs = zip(*(samples.seconds(phase, _SIZE) for phase in (PREDICTED, TAKEN)), strict=True)
    return Spread.of([difference(*pair) for pair in pairs])


GOALS: tuple[Goal, ...] = (
    Goal(
        f"prediction of drill {DRILLS} beside it",
        20.0,
        "% off",
        ((PREDICTED, _SIZE), (TAKEN, _SIZE)),
        _differences,
    ),
)


class Drill(NamedTuple):
    """A drill: seconds that were ``predicted`` before it, by the medians and where each step takes
    as long as 95 of 100 do at most, how many steps nothing was known of, and seconds ``taken``.
    """

    predicted: float
    p95: float
    assumed: int
    taken: float


def measure(
    rounds: int, say: Callable[[str], None], drills: int = DRILLS
) -> tuple[Samples, Sequence[Sequence[Drill]]]:
    """Let a shop of its own be drilled in each round; returns also every drill of each round."""
    samples, found = Samples(), []
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        with (
            tempfile.TemporaryDirectory(prefix="bench-prediction-", dir="/var/tmp") as folder,
            TwoSites(Flavour.SYSTEM) as sites,
            Shop(sites, Path(folder)) as shop,
        ):
            shop.begin()
            told = [_drill(shop, say, number) for number in range(1, drills + 1)]
        samples.add(PREDICTED, _SIZE, Cost(0.0, told[-1].predicted, 0.0))
        samples.add(TAKEN, _SIZE, Cost(0.0, told[-1].taken, 0.0))
        found.append(told)
    return samples, found


def _drill(shop: Shop, say: Callable[[str], None], number: int) -> Drill:
    foreseen = json.loads(shop.run("dr", "plan", PLAN, "test", "--json"))
    shop.run("dr", "test", PLAN)
    shop.run("dr", "cleanup", PLAN)
    runs = json.loads(shop.run("dr", "history", PLAN, "--json"))
    taken = _seconds(next(run for run in runs if run["mode"] == "test"))
    drill = Drill(foreseen["seconds"], foreseen["p95Seconds"], foreseen["assumed"], taken)
    say(f"  drill {number}: predicted {drill.predicted:.2f} s, took {taken:.2f} s")
    return drill


def _seconds(run: dict[str, Any]) -> float:
    started, ended = (datetime.fromisoformat(run[name]) for name in ("started", "ended"))
    return (ended - started).total_seconds()


def drill_rows(rounds: Sequence[Sequence[Drill]]) -> report.Rows:
    """A row for each drill, below the heading."""
    rows: list[tuple[str, ...]] = [
        ("drill", "predicted s", "95 of 100 s", "steps unknown", "taken s", "predicted / taken")
    ]
    for number, drills in enumerate(rounds, 1):
        before = f"{number}." if len(rounds) > 1 else ""
        rows += [
            (
                f"{before}{drill}",
                report.figure(found.predicted),
                report.figure(found.p95),
                str(found.assumed),
                report.figure(found.taken),
                report.figure(found.predicted / found.taken),
            )
            for drill, found in enumerate(drills, 1)
        ]
    return rows
