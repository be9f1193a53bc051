"""Calls that hang: to their deadline, and beyond it. What does not need them goes on, and what
comes of them later is understood.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engine import apply
from provisioner.engine.apply import Applier, ApplyReport
from provisioner.engine.executor import Limits
from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import ALL

STEP = 0.4
GRACE = 0.4


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A stack with a network, a pool, a disk and a machine."""
    scenario = Scenario(tmp_path)
    scenario.declare(*ALL)
    return scenario


def apply_in_a_hurry(scenario: Scenario) -> ApplyReport:
    """Apply with steps that may take less than a second."""
    plan = scenario.plan()
    workspace = scenario.workspace()
    with (
        workspace.store(plan.stack) as store,
        workspace.sessions(scenario.events.append) as sessions,
    ):
        applier = Applier(
            store,
            sessions,
            scenario.events.append,
            workspace.clock,
            "tester",
            rules=workspace.catalog,
            step_seconds=STEP,
        )
        return applier.run(plan)


def with_fault(scenario: Scenario, rule: str) -> None:
    connection = f"provider: memory, connection: {{faults: [{rule}]}}"
    scenario.write("host.yaml", HOST.replace("provider: memory", connection))


def test_until_its_deadline(scenario: Scenario) -> None:
    """The provider gives up in time: the step has failed, and is made by the next run."""
    with_fault(scenario, "{call: create, address: Network/lan, effect: hang, times: 1}")
    report = apply_in_a_hurry(scenario)
    assert ("partial", ("Network/lan",)) == (report.outcome, report.failed)
    assert {"StoragePool/pool", "Disk/web-root"} == set(report.done)
    assert ["PRV5904"] == [problem.code for problem in report.problems]
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())


def test_beyond_its_deadline(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that heeds no deadline is given up. It may still have its effect, when nobody waits
    for it any more: the next run finds what it made and makes nothing twice.
    """
    hurried = apply._limits

    def limits(*arguments: object) -> Limits:
        return replace(hurried(*arguments), grace_seconds=GRACE)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(apply, "_limits", limits)
    late = 4 * (STEP + GRACE)
    with_fault(scenario, f"{{call: create, address: Network/lan, effect: delay, seconds: {late}}}")
    began = time.monotonic()
    report = apply_in_a_hurry(scenario)
    assert time.monotonic() - began < late
    assert ("partial", ("Network/lan",)) == (report.outcome, report.failed)
    assert ("VirtualMachine/web",) == report.skipped
    assert ["PRV3003"] == [problem.code for problem in report.problems]
    assert ["Network/lan"] == [str(intent.address) for intent in scenario.state().open_intents]
    assert "Network/lan" not in scenario.objects()

    time.sleep(late)
    assert "Network/lan" in scenario.objects()
    plan = scenario.plan()
    assert ["create Network/lan", "create VirtualMachine/web"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert ["Disk/web-root", "Network/lan", "StoragePool/pool", "VirtualMachine/web"] == (
        scenario.objects()
    )
    assert () == scenario.state().open_intents
    assert [] == outline(scenario.plan())
