"""Discovery under test: an endpoint in a file on which others have made things, and stacks that are
made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from provisioner.core.identity import Stamp
from provisioner.engine.plan import Plan
from provisioner.providers.api import Endpoint
from provisioner.providers.registry import Registry
from provisioner.service.adopt import make_adoption_plan
from provisioner.service.apply import apply_plan
from provisioner.service.discover import Choices, Discovery, discover_host, discover_uri
from provisioner.service.model import Event, StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.scenario import CATALOG

OTHERS = Stamp("11111111-2222-3333-4444-555555555555", "VirtualMachine/theirs")


class Found:
    """One endpoint, and a stack in a folder beside it."""

    def __init__(self, root: Path) -> None:
        self.file = root / "endpoint.jsonl"
        self.folder = root / "stack"
        self.provider = MemoryProvider()
        self.events: list[Event] = []

    @property
    def uri(self) -> str:
        return f"memory://{self.file}"

    @property
    def outside(self) -> Outside:
        """Somebody else on the endpoint."""
        endpoint = Endpoint("any", "memory", {"path": str(self.file)})
        return Outside(self.provider.inventory(endpoint, self.file.parent))

    def workspace(self, folder: Path | None = None) -> Workspace:
        return Workspace(
            folder or self.folder,
            environ={},
            registry=Registry({"memory": self.provider}),
            catalog=CATALOG,
        )

    def discover(self, **choices: Any) -> Discovery:
        """A new stack of all that is there; it is valid."""
        made = discover_uri(
            self.workspace(self.file.parent),
            self.uri,
            self.folder,
            Choices(**choices),
            self.events.append,
        )
        validate(self.workspace())
        return made

    def discover_more(self, below: str = ".", host: str = "local", **choices: Any) -> Discovery:
        """What the stack lacks; it is valid then, too."""
        made = discover_host(
            self.workspace(), host, self.folder / below, Choices(**choices), self.events.append
        )
        validate(self.workspace())
        return made

    def document(self, kind: str, name: str) -> dict[str, Any]:
        """A manifest that was written."""
        return dict(yaml.safe_load(self.text(kind, name)))

    def text(self, kind: str, name: str) -> str:
        """The text of its file."""
        return (self.folder / f"{kind.lower()}s" / f"{name}.yaml").read_text("utf-8")

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        """Its spec."""
        spec: dict[str, Any] = self.document(kind, name)["spec"]
        return spec

    def adopt(self) -> Plan:
        """Take everything over; returns the plan that was carried out."""
        workspace = self.workspace()
        plan = make_adoption_plan(workspace, (), self.events.append)
        report = apply_plan(workspace, plan, self.events.append, StopSignal())
        assert ("done", ()) == (report.outcome, report.problems)
        return plan

    def plan(self) -> Plan:
        """What there is to do now."""
        return make_plan(self.workspace(), PlanChoices(), self.events.append)

    def machine(self, name: str = "web", spec: Mapping[str, Any] | None = None, **rest: Any) -> str:
        """A machine made by somebody else; returns its id."""
        whole = {"memory": {"size": 2**30}, **(spec or {})}
        return self.outside.add("VirtualMachine", name, whole, **rest).id
