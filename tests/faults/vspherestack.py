"""A stack on a vSphere simulator whose calls go wrong: planned and applied through the service
layer, and what the simulator then holds, as somebody else sees it who logs in for himself.
"""

from __future__ import annotations

import json
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import SoapStubAdapter, vim, vmodl

from provisioner.core.actions import Impact
from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.engine.apply import ApplyReport
from provisioner.engine.events import Event, StepRetrying
from provisioner.engine.plan import Plan
from provisioner.engine.stop import StopSignal
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Retryable
from provisioner.providers.registry import Registry
from provisioner.service.adopt import make_adoption_plan
from provisioner.service.apply import apply_plan
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from provisioner.state.sqlite import SqliteStore
from tests.lab.vcsim import Vcsim
from tests.live.vspherelab import connection_to, provider_of

CATALOG = SchemaCatalog.installed()
_CHOICES = PlanChoices(max_impact=Impact.REPLACE)
_STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: test}\nspec: {}\n"
_HOST = "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: here}\nspec: "
_RESOURCE = "---\napiVersion: provisioner/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: "


@dataclass(frozen=True)
class Ended:
    """How an apply ended. ``outcome`` is that of the report, ``refused`` where nothing was done;
    ``retried`` are the codes of what was tried again within it.
    """

    outcome: str
    problems: tuple[Diagnostic, ...] = ()
    retried: tuple[str, ...] = ()

    @property
    def codes(self) -> list[str]:
        """Of the problems."""
        return [problem.code for problem in self.problems]


@dataclass
class VsphereStack:
    """A stack in a folder, with its machines on a simulator. ``read`` seconds are waited for an
    answer, ``step`` seconds for a step; ``user`` is who the stack logs in as.
    """

    vcsim: Vcsim
    root: Path
    read: float = 10.0
    step: float = 60.0
    user: str | None = None
    connection: dict[str, Any] = field(default_factory=dict)
    on_retry: Callable[[StepRetrying], None] | None = None
    declared: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "stack.yaml").write_text(_STACK)
        self.configure()

    def configure(self, **connection: Any) -> None:
        """Write the Host anew, with these settings of the connection, too."""
        self.connection.update(connection)
        timeouts = {"read": f"{round(self.read * 1000)}ms"}
        user = self.user or self.vcsim.user
        settings = connection_to(self.vcsim, username=user, timeouts=timeouts, **self.connection)
        spec = {
            "provider": provider_of(self.vcsim).describe().name,
            "connection": settings,
            "limits": {"stepTimeout": f"{round(self.step * 1000)}ms"},
        }
        (self.root / "host.yaml").write_text(_HOST + json.dumps(spec) + "\n")

    def declare(self, resources: dict[str, Any]) -> None:
        """Replace all resources: specs by address."""
        self.declared = resources
        text = ""
        for address, spec in resources.items():
            kind, _, name = address.partition("/")
            text += _RESOURCE.format(kind=kind, name=name) + json.dumps(spec) + "\n"
        (self.root / "resources.yaml").write_text(text)

    def plan(self) -> Plan:
        """A plan of everything."""
        return self._plan(self._workspace(), adopting=False)

    def steps(self) -> list[str]:
        """What a plan would do, with what it holds back or cannot tell."""
        plan = self.plan()
        told = [f"{step.action.value} {step.id}" for step in plan.steps]
        held = [f"({step.action.value} {step.id}: {step.held})" for step in plan.held]
        return [*told, *held, *(str(item) for item in plan.undetermined)]

    def apply(self, *, adopting: bool = False, between: Callable[[], None] | None = None) -> Ended:
        """Plan, and apply the plan; ``between`` comes after the plan was made."""
        events: list[Event] = []

        def sink(event: Event) -> None:
            events.append(event)
            if isinstance(event, StepRetrying) and self.on_retry is not None:
                self.on_retry(event)

        workspace = self._workspace()
        report: ApplyReport | None = None
        problems: tuple[Diagnostic, ...] = ()
        try:
            plan = self._plan(workspace, adopting=adopting)
            if between is not None:
                between()
            report = apply_plan(workspace, plan, sink, StopSignal())
        except ProvisionerError as refused:
            problems = refused.diagnostics
        retried = tuple(item.diagnostic.code for item in events if isinstance(item, StepRetrying))
        if report is None:
            return Ended("refused", problems, retried)
        return Ended(report.outcome, (*report.problems, *problems), retried)

    def verify(self) -> None:
        """The state is sound and has no open intents."""
        store = SqliteStore(self._workspace().state_path, stack="test")
        try:
            assert () == store.read().open_intents
            assert [] == store.verify()
        finally:
            store.close()

    def _workspace(self) -> Workspace:
        provider = provider_of(self.vcsim)
        return Workspace(
            self.root,
            None,
            {},
            environ={"VSPHERE_PASSWORD": self.vcsim.password},
            actor="tester",
            registry=Registry({provider.describe().name: provider}),
            catalog=CATALOG,
        )

    def _plan(self, workspace: Workspace, *, adopting: bool) -> Plan:
        def ignore(_: Event) -> None:
            return

        if adopting:
            everything = (AddressPattern("*", "*"),)
            plan = make_adoption_plan(workspace, everything, ignore)
        else:
            plan = make_plan(workspace, _CHOICES, ignore)
        # As a plan file does: it has to fit the state.
        with workspace.store(plan.stack) as store:
            store.read()
        return plan


@dataclass(frozen=True)
class Found:
    """A machine as somebody else sees it."""

    name: str
    uuid: str
    path: str
    power: str
    memory: int
    note: str
    moid: str


class Outsider:
    """Somebody else at the same simulator, with an account of his own."""

    def __init__(self, vcsim: Vcsim) -> None:
        self._vcsim = vcsim
        self._user, self._password = vcsim.options.users[-1]

    def machines(self) -> list[Found]:
        """All machines of all folders, by path."""
        with self.logged_in() as content:
            entities = _entities(content)
        found = [
            Found(
                read["name"],
                read["config.instanceUuid"],
                _path(entities, moid),
                read["runtime.powerState"],
                read["config.hardware.memoryMB"],
                read.get("config.annotation", ""),
                moid,
            )
            for moid, read in entities.items()
            if "config.instanceUuid" in read
        ]
        return sorted(found, key=lambda item: (item.path, item.moid))

    def names(self) -> list[str]:
        """Of all there is, one for each object."""
        with self.logged_in() as content:
            return [read["name"] for read in _entities(content).values()]

    def named(self, name: str) -> list[Found]:
        """The machines of a name."""
        return [item for item in self.machines() if item.name == name]

    def make(self, name: str, *, folder: str = "", on: bool = False, **more: Any) -> str:
        """Make a machine by hand; its managed object id. ``folder`` lies in the machines' own,
        ``more`` is of its configuration.
        """
        with self.logged_in() as content:
            datacenter = content.rootFolder.childEntity[0]
            parent = datacenter.vmFolder
            if folder:
                kept = {item.name: item for item in parent.childEntity}
                parent = kept.get(folder) or parent.CreateFolder(folder)
            pool = datacenter.hostFolder.childEntity[0].resourcePool
            files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
            config = vim.vm.ConfigSpec(name=name, files=files, memoryMB=64, numCPUs=1, **more)
            made = _result(parent.CreateVM_Task(config, pool))
            if on:
                _result(made.PowerOnVM_Task())
            return str(made._GetMoId())

    def make_folder(self, path: str) -> None:
        """Make folders below one another for machines; those that are there are used."""
        with self.logged_in() as content:
            parent = content.rootFolder.childEntity[0].vmFolder
            for name in path.split("/"):
                found = [item for item in parent.childEntity if item.name == name]
                parent = found[0] if found else parent.CreateFolder(name)

    def remove(self, *moids: str) -> None:
        """Remove machines by hand."""
        with self.logged_in() as content:
            for moid in moids:
                machine = vim.VirtualMachine(moid, content.rootFolder._stub)
                with suppress(vim.fault.InvalidPowerState):
                    _result(machine.PowerOffVM_Task())
                _result(machine.Destroy_Task())

    def clear(self) -> None:
        """Remove all machines by hand."""
        self.remove(*(item.moid for item in self.machines()))

    def change(self, moid: str, *, off: bool = False, **config: Any) -> None:
        """Change a machine by hand; ``off``: one that runs, and has to be off for it."""
        with self.logged_in() as content:
            machine = vim.VirtualMachine(moid, content.rootFolder._stub)
            if off:
                _result(machine.PowerOffVM_Task())
            _result(machine.ReconfigVM_Task(vim.vm.ConfigSpec(**config)))
            if off:
                _result(machine.PowerOnVM_Task())

    @contextmanager
    def logged_in(self) -> Iterator[Any]:
        """The service's content."""
        stub = SoapStubAdapter(
            self._vcsim.host,
            self._vcsim.port,
            version="vim.version.v8_0_3_0",
            sslContext=ssl.create_default_context(cafile=self._vcsim.ca),
            httpConnectionTimeout=30.0,
        )
        try:
            content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
            content.sessionManager.Login(self._user, self._password, None)
            yield content
            content.sessionManager.Logout()
        finally:
            stub.DropConnections()


def _result(task: Any) -> Any:
    """What a task gave; raises what it failed with."""
    while (info := task.info).state not in ("success", "error"):
        time.sleep(0.01)
    if info.error is not None:
        raise info.error
    return info.result


def _entities(content: Any) -> dict[str, dict[str, Any]]:
    """What one request reads of the inventory, by managed object id."""
    collector = vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(content.rootFolder, [], recursive=True)
    below = collector.TraversalSpec(
        name="all", type=vim.view.ContainerView, path="view", skip=False
    )
    wanted = {
        vim.ManagedEntity: ["name", "parent"],
        vim.VirtualMachine: [
            *("name", "parent", "runtime.powerState", "config.instanceUuid"),
            *("config.annotation", "config.hardware.memoryMB"),
        ],
    }
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[below])],
        propSet=[
            collector.PropertySpec(type=kind, pathSet=paths) for kind, paths in wanted.items()
        ],
    )
    answer = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
    view.DestroyView()
    return {
        item.obj._GetMoId(): {prop.name: prop.val for prop in item.propSet}
        for item in answer.objects
    }


def _path(entities: dict[str, dict[str, Any]], moid: str) -> str:
    read = entities.get(moid)
    if read is None:
        return ""
    above = read.get("parent")
    return ("" if above is None else _path(entities, above._GetMoId())) + "/" + str(read["name"])


def twice(machines: list[Found]) -> list[str]:
    """Names and identities that more than one machine has."""
    counts = Counter(word for item in machines for word in (item.name, item.uuid))
    return sorted(word for word, times in counts.items() if times > 1)


def without_waiting(patch: pytest.MonkeyPatch) -> None:
    """Have what may work later be tried again at once: the seconds in between tell a test
    nothing.
    """

    def made(self: Retryable, diagnostic: Diagnostic, after: float = 1.0) -> None:
        Exception.__init__(self, diagnostic.summary)
        self.diagnostic, self.after = diagnostic, min(after, 0.01)

    patch.setattr(Retryable, "__init__", made)
