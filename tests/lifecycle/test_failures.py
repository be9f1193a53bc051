"""A failed step holds back what needs it and nothing else; a retryable one is tried again."""

from provisioner.engine.events import Noticed, StepRetrying, StepSkipped
from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import ALL


def with_fault(scenario: Scenario, rule: str) -> None:
    connection = f"provider: memory, connection: {{faults: [{rule}]}}"
    scenario.write("host.yaml", HOST.replace("provider: memory", connection))


def test_a_failure_skips_only_what_depends_on_it(scenario: Scenario) -> None:
    with_fault(scenario, "{call: create, address: StoragePool/pool, effect: terminal}")
    scenario.declare(*ALL)
    report = scenario.apply()
    assert ("partial", ("Network/lan",), ("StoragePool/pool",)) == (
        report.outcome,
        report.done,
        report.failed,
    )
    assert {"Disk/web-root", "VirtualMachine/web"} == set(report.skipped)
    assert [
        ("Disk/web-root", "StoragePool/pool was not carried out"),
        ("VirtualMachine/web", "Disk/web-root was not carried out"),
    ] == [(e.step, e.reason) for e in scenario.events if isinstance(e, StepSkipped)]
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())


def test_a_retryable_failure_is_tried_again_and_said(scenario: Scenario) -> None:
    with_fault(scenario, "{call: create, address: Network/lan, effect: retryable, times: 2}")
    scenario.declare(*ALL)
    assert "done" == scenario.apply().outcome
    retries = [event for event in scenario.events if isinstance(event, StepRetrying)]
    assert [("Network/lan", 2), ("Network/lan", 3)] == [(e.step, e.attempt) for e in retries]


def test_a_lost_answer_makes_nothing_twice(scenario: Scenario) -> None:
    with_fault(scenario, "{call: create, effect: lost-answer, times: 4}")
    scenario.declare(*ALL)
    assert "done" == scenario.apply().outcome
    assert 4 == len(scenario.objects())
    assert [] == outline(scenario.plan())


def test_a_host_that_does_not_answer_at_once_is_tried_again_and_said(scenario: Scenario) -> None:
    with_fault(scenario, "{call: open, effect: retryable}")
    scenario.declare(*ALL)
    assert 4 == len(scenario.plan().steps)
    (notice,) = [event for event in scenario.events if isinstance(event, Noticed)]
    assert notice.text.endswith("; trying again in 0.05 s")
