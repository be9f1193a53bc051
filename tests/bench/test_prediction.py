"""A prediction is wrong by as much whether it is too short or too long, and a drill that took other
than predicted misses the goal.
"""

from __future__ import annotations

import pytest

pytest.importorskip("libvirt")

from tests.bench import prediction, report
from tests.bench.prediction import GOALS, PREDICTED, TAKEN, Drill
from tests.bench.process import Cost
from tests.bench.samples import Samples
from tests.lab.daemon import Flavour
from tests.lab.requirements import boot_image_unavailable, daemon_unavailable
from tests.lab.shop import MACHINES


@pytest.mark.parametrize(
    ("predicted", "verdict"), [(7.9, "MISS"), (8.1, "pass"), (11.9, "pass"), (12.1, "MISS")]
)
def test_a_prediction_is_within_a_fifth_of_the_drill_either_way(
    predicted: float, verdict: str
) -> None:
    samples = Samples()
    for phase, seconds in ((PREDICTED, predicted), (TAKEN, 10.0)):
        samples.add(phase, len(MACHINES), Cost(0.0, seconds, 0.0))
    _, row = report.goal_rows(samples, GOALS)
    assert verdict == row[-1]


def test_each_drill_stands_beside_its_prediction() -> None:
    rows = prediction.drill_rows([[Drill(40.0, 41.0, 9, 10.0), Drill(11.0, 12.0, 0, 10.0)]])
    expected = [("1", "9", "10.00", "4.00"), ("2", "0", "10.00", "1.10")]
    assert expected == [(row[0], *row[3:]) for row in rows[1:]]


@pytest.mark.live
@pytest.mark.slow
def test_a_drill_is_predicted_by_the_one_before() -> None:
    reason = daemon_unavailable(Flavour.SYSTEM) or boot_image_unavailable()
    if reason is not None:
        pytest.skip(reason)
    _, (drills,) = prediction.measure(1, lambda _: None, drills=2)
    first, second = drills
    assert (True, 0) == (first.assumed > 0, second.assumed)
    assert [True, True] == [drill.taken > 0 for drill in drills]
