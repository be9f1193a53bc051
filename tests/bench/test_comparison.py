"""Rounds in turns, and the tables and the picture that come out of them."""

from pathlib import Path

import pytest

from tests.bench import comparison, phases, report, terraform
from tests.bench.comparison import CPU, NAMES, PEAK
from tests.bench.contender import OURS, Contender
from tests.bench.phases import APPLY, DESTROY, NO_OP_PLAN, VALIDATE, Phase
from tests.bench.process import Cost
from tests.bench.samples import Samples
from tests.bench.terraform import Tool

TOOL = Tool("/nowhere/terraform", "Terraform", "1.11.4")
THEIRS = terraform.contender(TOOL)
SIZES = (1_000, 10_000)


def samples() -> Samples:
    """Three rounds in which everything costs us a millisecond for each resource, twice as much
    without the cache, and Terraform 30, 10 and 20 times that.
    """
    found = Samples()
    for times in (30, 10, 20):
        for size in SIZES:
            for name in NAMES:
                for factor, ours in enumerate(OURS, 1):
                    found.add(*ours.key(name, size), Cost(factor * size / 1000, 1, 100))
                if THEIRS.phase(name, size) is not None:
                    found.add(*THEIRS.key(name, size), Cost(times * size / 1000, 2, 450))
    return found


def row(rows: report.Rows, name: str, size: str) -> tuple[str, ...]:
    return next(row for row in rows if row[:2] == (name, size))[2:]


def test_heading_names_the_quantity_and_the_contenders() -> None:
    rows = comparison.rows(samples(), THEIRS, SIZES, CPU)
    names = ("provisioner", "without cache")
    assert ("CPU seconds", "resources", *names, "Terraform", *(f"x {n}" for n in names)) == rows[0]
    assert len(NAMES) * len(SIZES) == len(rows) - 1


def test_a_row_has_medians_and_how_many_times_ours_theirs_is() -> None:
    assert ("1.00", "2.00", "20.00", "20.0", "10.0") == row(
        comparison.rows(samples(), THEIRS, SIZES, CPU), APPLY, "1,000"
    )
    assert ("100", "100", "450", "4.5", "4.5") == row(
        comparison.rows(samples(), THEIRS, SIZES, PEAK), APPLY, "1,000"
    )


def test_figures_on_a_state_of_ours_are_marked() -> None:
    assert ("10.00", "20.00", "200*", "20.0", "10.0") == row(
        comparison.rows(samples(), THEIRS, SIZES, CPU), NO_OP_PLAN, "10,000"
    )


@pytest.mark.parametrize("phase", [APPLY, DESTROY])
def test_what_was_not_measured_is_empty(phase: str) -> None:
    rows = comparison.rows(samples(), THEIRS, SIZES, CPU)
    assert ("10.00", "20.00", "", "", "") == row(rows, phase, "10,000")


def test_goals_are_leads_and_linear_cost() -> None:
    rows = report.goal_rows(samples(), comparison.goals(THEIRS))
    assert [
        ("no-op plan of 1,000: Terraform to us, CPU seconds", "at least 10 times", "pass"),
        ("apply of 1,000: Terraform to us, CPU seconds", "at least 20 times", "pass"),
        ("no-op plan of 1,000: Terraform to us, peak MiB", "at least 5 times", "MISS"),
        ("validate of 10,000: Terraform to us, CPU seconds", "at least 5 times", "pass"),
        ("no-op plan of 10,000: Terraform to us, CPU seconds", "at least 30 times", "MISS"),
        ("apply of 10,000 to that of 1,000, CPU seconds", "at most 12 times", "pass"),
        ("destroy of 10,000 to that of 1,000, CPU seconds", "at most 12 times", "pass"),
    ] == [(text, limit, verdict) for text, limit, *_, verdict in rows[1:]]


def test_contenders_take_turns_phase_by_phase(tmp_path: Path) -> None:
    order = tmp_path / "order"

    def contender(name: str, *its: str) -> Contender:
        def command(phase: str) -> phases.Command:
            note = 'echo "$0 $1 $GIVEN" >>"$2"'
            return lambda _: ["sh", "-c", note, name, phase, str(order)]

        found = tuple(Phase(phase, command(phase)) for phase in its)
        return Contender(
            name, lambda folder, _: folder.mkdir(), lambda _: found, {"GIVEN": f"to {name}"}
        )

    measured = Samples()
    pair = (contender("one", VALIDATE, APPLY, NO_OP_PLAN), contender("two", VALIDATE, NO_OP_PLAN))
    comparison.measure_round(pair, [5], measured)
    assert [
        "one validate to one",
        "two validate to two",
        "one apply to one",
        "one no-op plan to one",
        "two no-op plan to two",
    ] == order.read_text().splitlines()
    assert [
        ("one: validate", 5),
        ("two: validate", 5),
        ("one: apply", 5),
        ("one: no-op plan", 5),
        ("two: no-op plan", 5),
    ] == list(measured)


def test_a_round_beside_the_real_program_measures_every_phase() -> None:
    tool = terraform.find()
    if tool is None:
        pytest.skip(f"no {' or '.join(terraform.NAMES)} on the PATH")
    found, theirs = Samples(), terraform.contender(tool)
    comparison.measure_round([theirs], [5], found)
    assert [theirs.key(name, 5) for name in NAMES] == list(found)


def test_the_picture_shows_what_was_measured_and_says_what_was_not() -> None:
    picture = comparison.drawing(samples(), THEIRS, TOOL, SIZES)
    assert (
        "apply: Terraform 1,000: 20; provisioner 1,000: 1.0, 10,000: 10; without cache" in picture
    )
    assert "Hollow: on a state that the benchmark wrote" in picture
    assert "Hollow" not in comparison.drawing(samples(), THEIRS, TOOL, [1_000])


def test_the_page_shows_the_picture_and_how_to_run_it_again() -> None:
    text = comparison.text(TOOL, "comparison.svg")
    assert "](comparison.svg)" in text
    assert "`scripts/bench comparison --write`" in text
