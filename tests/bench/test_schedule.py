"""The runbook that is scheduled: of the size that the goal speaks of, and near the bound."""

from tests.bench import schedule
from tests.bench.samples import Samples


def test_a_run_of_five_thousand_machines_is_near_the_least_that_its_limits_allow() -> None:
    runbook, _ = schedule.made(schedule.MACHINES)
    assert 20_001 == len(runbook.tasks)
    samples = schedule.measure(1, lambda _: None)
    goal = schedule.GOALS[1]
    found = goal.measured(samples)
    assert found is not None
    assert goal.met(found), found


def test_the_same_seed_gives_the_same_runbook() -> None:
    assert schedule.made(20, 3) == schedule.made(20, 3)


def test_the_plan_that_is_compiled_has_all_its_machines() -> None:
    samples = Samples()
    said: list[str] = []
    schedule.measure_compiling(samples, 1, said.append, machines=20)
    assert said[0].startswith("  a plan of 20 machines: ")
