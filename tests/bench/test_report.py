"""Samples against goals, and the tables that show them."""

from tests.bench import report
from tests.bench.process import Cost
from tests.bench.samples import Goal, Samples, Spread, cpu_goal, lead_goal, memory_goal, ratio_goal


def samples() -> Samples:
    found = Samples()
    for cpu in (3.0, 1.0, 2.0):
        found.add("baseline", 10, Cost(1.0, 1.0, 10.0))
        found.add("plan", 10, Cost(cpu, cpu * 2, cpu * 100))
        found.add("within", 10, Cost(0.1234, 123.4, 0.0))
    return found


def verdict(goal: Goal) -> str:
    return report.goal_rows(samples(), [goal])[1][-1]


def test_spread() -> None:
    assert Spread(1.0, 2.0, 3.0) == samples().cpu("plan", 10)


def test_ratio_is_taken_round_by_round() -> None:
    found = Samples()
    for cpu in (1.0, 10.0):
        found.add("slow", 1, Cost(cpu * 2, 0, 0))
        found.add("fast", 1, Cost(cpu, 0, 0))
    assert Spread(2, 2, 2) == found.ratio(("slow", 1), ("fast", 1), lambda cost: cost.cpu)


def test_the_median_decides() -> None:
    assert verdict(cpu_goal("plan", "plan", 10, 2.0)) == "pass"
    assert verdict(cpu_goal("plan", "plan", 10, 1.9)) == "MISS"


def test_memory_goal() -> None:
    assert verdict(memory_goal("plan", "plan", 10, 200)) == "pass"
    assert verdict(memory_goal("plan", "plan", 10, 199)) == "MISS"


def test_ratio_goal() -> None:
    pair = (("plan", 10), ("baseline", 10))
    assert verdict(ratio_goal("plan", *pair, 2, lambda cost: cost.cpu)) == "pass"
    assert verdict(ratio_goal("plan", *pair, 3, lambda cost: cost.wall)) == "MISS"


def test_lead_goal() -> None:
    pair = (("plan", 10), ("baseline", 10))
    assert verdict(lead_goal("plan", *pair, 2, lambda cost: cost.cpu)) == "pass"
    assert verdict(lead_goal("plan", *pair, 2.1, lambda cost: cost.cpu)) == "MISS"


def test_a_goal_says_what_its_limit_is() -> None:
    pair = (("plan", 10), ("baseline", 10))
    assert "at most 2 times" == ratio_goal("", *pair, 2, lambda cost: cost.cpu).bound
    assert "at least 2 times" == lead_goal("", *pair, 2, lambda cost: cost.cpu).bound
    assert "at most 3 s CPU" == cpu_goal("", "plan", 10, 3).bound


def test_a_phase_that_was_not_measured_passes_nothing() -> None:
    assert verdict(cpu_goal("plan", "plan", 11, 2.0)) == "not measured"


def test_text_table() -> None:
    rows = report.phase_rows(samples(), "baseline")
    assert [
        "phase     size  CPU s: least  median  greatest  seconds  peak MiB  x baseline",
        "baseline    10          1.00    1.00      1.00     1.00        10        1.00",
        "plan        10          1.00    2.00      3.00     4.00       300        2.00",
        "within      10         0.123   0.123     0.123      123                  0.12",
    ] == report.text_table(rows).splitlines()


def test_markdown_table() -> None:
    assert ["| a | b |", "| --- | ---: |", "| 1 | 2 |"] == report.markdown_table(
        [("a", "b"), ("1", "2")]
    ).splitlines()


def test_a_page_says_that_it_is_generated() -> None:
    page = report.page("Title", "Text.", [[("a", "b"), ("1", "2")]], 3)
    assert page.startswith(f"# Title\n\n{report.GENERATED}\n\nText.\n\nMeasured with provisioner ")
    assert page.endswith("; 3 rounds.\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n")
