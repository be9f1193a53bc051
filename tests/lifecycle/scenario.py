"""A stack under test: manifests as text, the memory plugin behind them, and the use-cases of the
service layer in between.

Each test of this folder writes manifests, plans, applies, lets somebody else change things, and
says what must come of it. Objects live in this process only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.clock import Clock
from provisioner.engine.apply import ApplyReport
from provisioner.engine.events import Event
from provisioner.engine.plan import Plan
from provisioner.engine.stop import StopSignal
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Endpoint
from provisioner.providers.registry import Registry
from provisioner.service.apply import apply_plan
from provisioner.service.destroy import make_destroy_plan
from provisioner.service.drift import DriftReport, detect_drift
from provisioner.service.layout import CachePlace
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.state import forget
from provisioner.service.workspace import Workspace
from provisioner.state.model import State
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider

CATALOG = SchemaCatalog.installed()
"""Read once for all tests: it takes longer than many of them."""

STACK = """
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {}
"""

HOST = """
apiVersion: provisioner/v1
kind: Host
metadata: {name: here}
spec: {provider: memory}
"""


class Scenario:
    """One stack in one folder with a memory provider of its own."""

    def __init__(self, root: Path, *, new: bool = True) -> None:
        """``new`` writes the stack and its host; otherwise they are there already."""
        self.root = root
        self.provider = MemoryProvider()
        self.events: list[Event] = []
        self.environ: dict[str, str] = {}
        self.stop = StopSignal()
        self.clock: Clock | None = None
        """That of the machine, if None."""
        self.cache: CachePlace | None = None
        """Where things are kept for later runs, if they are."""
        if new:
            self.write("stack.yaml", STACK)
            self.write("host.yaml", HOST)

    def write(self, name: str, text: str) -> None:
        """Write a file of the stack; an empty text removes it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            path.write_text(dedent(text), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)

    def declare(self, *resources: str) -> None:
        """Replace all resources by these: ``Kind/name`` and, below it, metadata and spec."""
        documents = []
        for resource in resources:
            address, _, body = dedent(resource).strip().partition("\n")
            kind, _, name = address.partition("/")
            metadata = [line for line in body.splitlines() if line.startswith("metadata.")]
            spec = [line for line in body.splitlines() if not line.startswith("metadata.")]
            documents.append(
                "\n".join(
                    [
                        "apiVersion: provisioner/v1",
                        f"kind: {kind}",
                        "metadata:",
                        f"  name: {name}",
                        *(f"  {line.removeprefix('metadata.')}" for line in metadata),
                        "spec:" if spec else "spec: {}",
                        *(f"  {line}" for line in spec),
                    ]
                )
            )
        self.write("resources.yaml", "\n---\n".join(documents) + "\n" if documents else "")

    def workspace(self, environment: str | None = None) -> Workspace:
        """The stack's folder as use-cases see it."""
        return Workspace(
            self.root,
            environment,
            {},
            environ=self.environ,
            actor="tester",
            clock=self.clock,
            registry=Registry({"memory": self.provider}),
            catalog=CATALOG,
            cache=self.cache,
        )

    def plan(self, **choices: Any) -> Plan:
        """Make a plan."""
        return self._plan(make_plan, choices)

    def plan_destroy(self, **choices: Any) -> Plan:
        """Make a plan that removes everything."""
        return self._plan(make_destroy_plan, choices)

    def _plan(self, make: Callable[..., Plan], choices: Mapping[str, Any]) -> Plan:
        workspace = self.workspace()
        plan = make(workspace, _choices(choices), self.events.append)
        # As a plan file does: somebody applies it later.
        with workspace.store(plan.stack) as store:
            store.read()
        return plan

    def apply(self, plan: Plan | None = None, **choices: Any) -> ApplyReport:
        """Apply a plan, or a new one."""
        return apply_plan(
            self.workspace(), plan or self.plan(**choices), self.events.append, self.stop
        )

    def forget(self, pattern: str) -> None:
        """Take entries out of the state."""
        forget(self.workspace(), AddressPattern.parse(pattern))

    def drift(self, **choices: Any) -> DriftReport:
        """Compare what was recorded with what is there."""
        return detect_drift(self.workspace(), _choices(choices), self.events.append)

    def state(self) -> State:
        """What is recorded."""
        workspace = self.workspace()
        with workspace.store("test") as store:
            return store.read()

    @property
    def outside(self) -> Outside:
        """Somebody else on the same endpoint."""
        return Outside(self.provider.inventory(Endpoint("here", "memory", {}), self.root))

    def objects(self) -> list[str]:
        """What is on the endpoint: ``Kind/name``, sorted."""
        return sorted(f"{item.kind}/{item.name}" for item in self.outside.objects())


def _choices(given: Mapping[str, Any]) -> PlanChoices:
    """Choices with patterns, addresses and impacts written as text."""
    values = dict(given)
    for key in ("target", "exclude", "adopt"):
        values[key] = tuple(AddressPattern.parse(text) for text in values.get(key, ()))
    values["consents"] = tuple(Address.parse(text) for text in values.get("consents", ()))
    if "max_impact" in values:
        values["max_impact"] = Impact(values["max_impact"])
    return PlanChoices(**values)


def outline(plan: Plan) -> list[str]:
    """The steps in short: ``create Network/lan``; held ones in brackets."""
    return [f"{step.action.value} {step.id}" for step in plan.steps] + [
        f"({step.action.value} {step.id}: {step.held})" for step in plan.held
    ]
