"""After a run that died, the next one looks before it acts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.outside import Outside
from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import ALL, LAN, WEB

APPLY = """
import sys
from pathlib import Path
from tests.lifecycle.scenario import Scenario
Scenario(Path(sys.argv[1]), new=False).apply()
"""


@pytest.fixture
def killed(tmp_path: Path) -> Scenario:
    """A stack whose first apply is to be killed in the middle of a creation."""
    return Scenario(tmp_path)


def die(scenario: Scenario, effect: str, address: str) -> None:
    fault = f"{{call: create, address: {address}, effect: {effect}}}"
    connection = (
        f"provider: memory, connection: {{path: {scenario.root}/objects.jsonl, faults: [{fault}]}}"
    )
    scenario.write("host.yaml", HOST.replace("provider: memory", connection))
    result = subprocess.run(
        [sys.executable, "-c", APPLY, str(scenario.root)],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert -signal.SIGKILL == result.returncode
    connection = f"provider: memory, connection: {{path: {scenario.root}/objects.jsonl}}"
    scenario.write("host.yaml", HOST.replace("provider: memory", connection))


def outside(scenario: Scenario) -> Outside:
    path = str(scenario.root / "objects.jsonl")
    endpoint = Endpoint("here", "memory", {"path": path})
    return Outside(scenario.provider.inventory(endpoint, scenario.root))


def names(scenario: Scenario) -> list[str]:
    return sorted(f"{item.kind}/{item.name}" for item in outside(scenario).objects())


def test_killed_before_the_effect(killed: Scenario) -> None:
    killed.declare(*ALL)
    die(killed, "kill-before", "VirtualMachine/web")
    assert ["VirtualMachine/web"] == [str(r.address) for r in killed.state().open_intents]
    assert ["create VirtualMachine/web"] == outline(killed.plan())
    assert "done" == killed.apply().outcome
    assert () == killed.state().open_intents
    assert [] == outline(killed.plan())


def test_killed_after_the_effect(killed: Scenario) -> None:
    killed.declare(*ALL)
    die(killed, "kill-after", "VirtualMachine/web")
    plan = killed.plan()
    assert ["create VirtualMachine/web"] == outline(plan)
    assert "an earlier run began to make it" == plan.steps[0].reason
    assert "done" == killed.apply(plan).outcome
    assert 4 == len(names(killed))
    assert [] == outline(killed.plan())


@pytest.mark.parametrize("edit", ["", "autostart: true\n"])
def test_a_machine_that_was_not_started_yet_is_started(killed: Scenario, edit: str) -> None:
    """Its manifest says nothing of power: only creation starts it."""
    killed.declare(*ALL)
    die(killed, "kill-after", "VirtualMachine/web")
    outside(killed).change("VirtualMachine", "web", ("power",), "stopped")
    killed.declare(*ALL[:-1], WEB + edit)
    assert "done" == killed.apply().outcome
    found = outside(killed).find("VirtualMachine", "web")
    assert found is not None
    assert "stopped" != found.spec.get("power")
    assert [] == outline(killed.plan())


def test_killed_after_the_effect_and_no_longer_declared(killed: Scenario) -> None:
    killed.declare(LAN)
    die(killed, "kill-after", "Network/lan")
    killed.declare()
    plan = killed.plan(max_impact="replace")
    assert ["delete Network/lan"] == outline(plan)
    assert "an interrupted run made it and nothing declares it" == plan.steps[0].reason
    assert "done" == killed.apply(plan).outcome
    assert [] == names(killed)
    assert () == killed.state().open_intents
