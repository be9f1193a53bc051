"""Rules of the Stack manifest about drift that is known and accepted for a time."""

from datetime import UTC, datetime

import pytest

from provisioner.core.diagnostics import Severity
from provisioner.service.drift import Condition, DriftReport
from tests.conformance.stores import ManualClock
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL

MIB = 1024**2
TODAY = "2026-03-01"


@pytest.fixture
def drifting(scenario: Scenario) -> Scenario:
    """The machine has other memory, other labels and another number of processors."""
    clock = ManualClock()
    assert TODAY == f"{clock.now():%Y-%m-%d}"
    scenario.clock = clock
    scenario.declare(*ALL)
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), 128 * MIB)
    scenario.outside.change("VirtualMachine", "web", ("cpu", "count"), 2)
    return scenario


def ignore(scenario: Scenario, *rules: tuple[str, str, str]) -> None:
    """Each an address, a field and a date."""
    lines = [
        f"      - {{address: '{address}', field: '{field}', reason: it is known, until: {until}}}"
        for address, field, until in rules
    ]
    head = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: test}\nspec:\n"
    body = "  drift:\n    ignore:\n" + "\n".join(lines) + "\n" if lines else "  {}\n"
    scenario.write("stack.yaml", head + body)


def drifted(report: DriftReport) -> dict[str, list[str]]:
    """What counts: by resource, its fields."""
    return {
        str(item.address): [".".join(one.path) for one in item.open_differences]
        for item in report.drifted
    }


def codes(report: DriftReport) -> list[tuple[str, str]]:
    return [(item.code, item.severity.value) for item in report.problems]


FAR = "2027-01-31"


def test_what_a_rule_names_is_not_counted(drifting: Scenario) -> None:
    ignore(drifting, ("VirtualMachine/w*", "memory.size", FAR))
    report = drifting.drift()
    assert {"VirtualMachine/web": ["cpu.count"]} == drifted(report)
    assert ([1], 1, []) == ([use.matched for use in report.rules], report.ignored, codes(report))


def test_a_resource_of_which_everything_is_ignored_is_converged(drifting: Scenario) -> None:
    ignore(drifting, ("VirtualMachine", "memory.*", FAR), ("VirtualMachine/web", "cpu.**", FAR))
    report = drifting.drift()
    assert {Condition.CONVERGED} == {item.condition for item in report.resources}
    assert (2, None) == (report.ignored, report.apply)


def test_a_field_alone_does_not_cover_what_is_below(drifting: Scenario) -> None:
    ignore(drifting, ("*/web", "memory", FAR), ("*/web", "*", FAR))
    assert {"VirtualMachine/web": ["cpu.count", "memory.size"]} == drifted(drifting.drift())


def test_only_the_whole_resource_covers_that_it_is_gone(drifting: Scenario) -> None:
    drifting.outside.remove("VirtualMachine", "web")
    ignore(drifting, ("VirtualMachine/web", "*.**", FAR))
    assert {"VirtualMachine/web": [""]} == drifted(drifting.drift())
    ignore(drifting, ("VirtualMachine/web", "**", FAR))
    assert {} == drifted(drifting.drift())


def test_what_cannot_be_determined_is_never_ignored(drifting: Scenario) -> None:
    ignore(drifting, ("*", "**", FAR))
    rule = {"call": "observe", "address": "Disk/*", "effect": "undetermined"}
    drifting.provider.faults("here").add(rule)
    assert [Condition.UNKNOWN] == [item.condition for item in drifting.drift().drifted]


def test_a_rule_counts_until_the_end_of_its_day(drifting: Scenario) -> None:
    ignore(drifting, ("VirtualMachine/web", "**", TODAY))
    report = drifting.drift()
    assert ({}, [("PRV2102", "warning")]) == (drifted(report), codes(report))
    assert isinstance(drifting.clock, ManualClock)
    drifting.clock.move((datetime(2026, 3, 2, tzinfo=UTC) - drifting.clock.now()).total_seconds())
    report = drifting.drift()
    assert {"VirtualMachine/web": ["cpu.count", "memory.size"]} == drifted(report)
    assert ([("PRV2101", "error")], True) == (codes(report), report.has_errors)


def test_an_expired_rule_is_an_error_at_its_line(drifting: Scenario) -> None:
    ignore(drifting, ("*", "**", FAR), ("VirtualMachine/web", "memory.size", "2026-02-28"))
    (problem,) = drifting.drift().problems
    assert problem.source is not None
    assert ("stack.yaml", 8, Severity.ERROR) == (
        problem.source.file.rpartition("/")[2],
        problem.source.line,
        problem.severity,
    )


@pytest.mark.parametrize(
    ("until", "said"),
    [("2026-03-14", ["PRV2102"]), ("2026-03-15", [])],
)
def test_a_rule_that_is_about_to_expire_is_warned_of(
    drifting: Scenario, until: str, said: list[str]
) -> None:
    ignore(drifting, ("*", "**", until))
    assert said == [code for code, _ in codes(drifting.drift())]


def test_a_rule_that_matched_nothing_is_said(drifting: Scenario) -> None:
    ignore(drifting, ("Network", "**", FAR), ("*", "**", FAR))
    assert [("PRV2103", "note")] == codes(drifting.drift())
    assert [] == codes(drifting.drift(target=["Disk/*"]))


def test_the_first_rule_that_fits_counts(drifting: Scenario) -> None:
    ignore(drifting, ("*", "memory.size", FAR), ("*", "**", FAR))
    assert [1, 1] == [use.matched for use in drifting.drift().rules]


def test_a_plan_knows_nothing_of_rules(drifting: Scenario) -> None:
    ignore(drifting, ("*", "**", FAR))
    assert ["update VirtualMachine/web"] == outline(drifting.plan())


def test_without_manifests_nothing_is_ignored(drifting: Scenario) -> None:
    ignore(drifting, ("*", "**", FAR))
    drifting.write("bad.yaml", "kind: Netwrk\n")
    assert {"VirtualMachine/web": ["cpu.count", "memory.size"]} == drifted(drifting.drift())
