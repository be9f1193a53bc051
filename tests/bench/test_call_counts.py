"""How often an endpoint is asked does not depend on how many resources live on it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.providers.registry import Registry
from provisioner.service.apply import apply_plan
from provisioner.service.destroy import make_destroy_plan
from provisioner.service.drift import detect_drift
from provisioner.service.model import Event, StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from provisioner_plugins.memory.provider import MemoryProvider
from tests.bench import estate

SIZES = [5, 50, 500]
READ_ONCE = {"open": 1, "observe": 1}


class Bench:
    """An estate whose endpoint counts the calls of one use-case at a time."""

    def __init__(self, folder: Path, size: int) -> None:
        estate.write(folder, size)
        self.folder = folder
        self.provider = MemoryProvider()

    def workspace(self) -> Workspace:
        # A new provider for each use-case, as in a process of its own; the endpoint is a file.
        self.provider = MemoryProvider()
        registry = Registry({"memory": self.provider})
        return Workspace(self.folder, environ={}, actor="bench", registry=registry)

    @property
    def calls(self) -> Mapping[str, int]:
        return self.provider.calls(estate.HOST)

    def apply(self, *, destroy: bool = False) -> Mapping[str, int]:
        make = make_destroy_plan if destroy else make_plan
        planning = self.workspace()
        plan = make(planning, PlanChoices(), ignore)
        # The state that the plan was made for, as a plan file makes it.
        with planning.store(plan.stack) as store:
            store.read()
        report = apply_plan(self.workspace(), plan, ignore, StopSignal())
        assert "done" == report.outcome
        return self.calls


def ignore(_: Event) -> None:
    """Events are of no interest here."""


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def bench(tmp_path: Path, size: int) -> Bench:
    return Bench(tmp_path, size)


def test_first_plan(bench: Bench) -> None:
    make_plan(bench.workspace(), PlanChoices(), ignore)
    assert READ_ONCE == bench.calls


def test_apply_reads_once_and_makes_each_resource_once(bench: Bench, size: int) -> None:
    assert {**READ_ONCE, "create": size} == bench.apply()


def test_no_op_plan(bench: Bench) -> None:
    bench.apply()
    plan = make_plan(bench.workspace(), PlanChoices(), ignore)
    assert () == plan.steps
    assert READ_ONCE == bench.calls


def test_drift(bench: Bench) -> None:
    bench.apply()
    detect_drift(bench.workspace(), PlanChoices(), ignore)
    assert READ_ONCE == bench.calls


def test_destroy_reads_once_and_removes_each_resource_once(bench: Bench, size: int) -> None:
    bench.apply()
    kept = estate.Shape.of(size).groups
    calls = bench.apply(destroy=True)
    assert READ_ONCE == {name: calls[name] for name in READ_ONCE}
    assert size - kept == calls["delete"], "all but the disks, which are kept and not touched"
