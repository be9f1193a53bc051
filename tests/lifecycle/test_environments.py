"""Environments of one stack: the same manifests, overlaid, with a state and a lineage each."""

from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Endpoint
from provisioner.service.apply import apply_plan
from provisioner.service.plan import PlanChoices, make_plan
from provisioner_plugins.memory.outside import Outside
from tests.lifecycle.scenario import Scenario, outline

STACK = """
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec:
  variables:
    place: {type: string, default: nowhere}
  environments:
    dev:
      variables: {place: dev}
    prod:
      variables: {place: prod}
      overlays:
        VirtualMachine/web:
          spec: {memory: {size: 4GiB}}
"""
HOST = """
apiVersion: provisioner/v1
kind: Host
metadata: {name: here}
spec: {provider: memory, connection: {path: "${var.place}.jsonl"}}
"""
WEB = "VirtualMachine/web\nmemory: {size: 1GiB}\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A stack whose environments have an endpoint each."""
    scenario = Scenario(tmp_path)
    scenario.write("stack.yaml", STACK)
    scenario.write("host.yaml", HOST)
    scenario.declare(WEB)
    return scenario


def apply(scenario: Scenario, environment: str) -> list[str]:
    workspace = scenario.workspace(environment)
    plan = make_plan(workspace, PlanChoices(), scenario.events.append)
    apply_plan(workspace, plan, scenario.events.append, scenario.stop)
    return outline(plan)


def memory(scenario: Scenario, environment: str) -> int | None:
    endpoint = Endpoint("here", "memory", {"path": f"{environment}.jsonl"})
    found = Outside(scenario.provider.inventory(endpoint, scenario.root)).find(
        "VirtualMachine", "web"
    )
    return found.spec["memory"]["size"] if found is not None else None


def test_each_is_applied_by_itself(scenario: Scenario) -> None:
    assert ["create VirtualMachine/web"] == apply(scenario, "dev")
    assert (2**30, None) == (memory(scenario, "dev"), memory(scenario, "prod"))
    assert ["create VirtualMachine/web"] == apply(scenario, "prod")
    assert (2**30, 4 * 2**30) == (memory(scenario, "dev"), memory(scenario, "prod"))
    assert ([], []) == (apply(scenario, "dev"), apply(scenario, "prod"))


def test_a_plan_of_one_is_none_of_another(scenario: Scenario) -> None:
    """They have lineages of their own: what one has made is foreign to the other."""
    apply(scenario, "dev")
    scenario.write("host.yaml", HOST.replace("${var.place}", "dev"))
    with pytest.raises(ProvisionerError) as caught:
        apply(scenario, "prod")
    assert ["PRV2011"] == [problem.code for problem in caught.value.diagnostics]
