"""A round of the benchmark, on the smallest estate that there is."""

from tests.bench import phases
from tests.bench.samples import Samples


def test_a_round_measures_every_phase() -> None:
    found = Samples()
    phases.measure_round([5], found)
    expected = [("--help", 0), *((phase.name, 5) for phase in phases.PHASES)]
    assert expected == list(found)
    assert all(found.cpu(*key).least > 0 for key in found)


def test_goals_speak_of_phases_that_there_are() -> None:
    names = {"--help", *(phase.name for phase in phases.PHASES)}
    assert {name for goal in phases.GOALS for name, _ in goal.needs} <= names
