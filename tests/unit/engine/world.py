"""A small world for engine tests: declarations made by hand, the memory provider, a store on disk.

Used where a test has to see what a run leaves behind. What the planner alone decides is tested with
:mod:`tests.unit.engine.made`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.diagnostics import SourceRange, error
from provisioner.engine.apply import Applier, ApplyReport
from provisioner.engine.events import Event
from provisioner.engine.plan import Plan
from provisioner.engine.prepare import prepare_plan
from provisioner.engine.request import PlanOptions
from provisioner.engine.sessions import Sessions
from provisioner.engine.stop import StopSignal
from provisioner.manifest.model import Declaration, HostDeclaration, Reference, Stack
from provisioner.providers.api import (
    Assessment,
    Change,
    Context,
    Description,
    Endpoint,
    HalfMade,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Terminal,
)
from provisioner.providers.capabilities import User
from provisioner.providers.registry import Registry
from provisioner.state.model import State
from provisioner.state.sqlite import SqliteStore
from provisioner_plugins.memory.objects import StoredObject
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.session import MemorySession
from tests.unit.engine.made import KINDS, MadeRules

SOURCE = SourceRange("made.yaml", 1, 1)
MEMORY_NAMES = {"Net": "Network", "Pool": "StoragePool", "Disk": "Disk", "Vm": "VirtualMachine"}
"""The invented kinds under the names that the memory provider serves."""


def declare(
    address: str, spec: Mapping[str, Any], *needs: str, host: str = "here", **rest: Any
) -> Declaration:
    """A declaration that refers to ``needs``; ``Kind/name:output`` refers to an output. ``rest``
    are other fields of it.
    """
    references = []
    for need in needs:
        target, _, output = need.partition(":")
        references.append(Reference(("needs", target), Address.parse(target), output or None))
    return Declaration(Address.parse(address), spec, SOURCE, host, tuple(references), **rest)


class Died(BaseException):
    """What ends a run at once, with nothing more recorded."""


class NoSecrets:
    """These stacks have none."""

    def resolve(self, reference: str) -> NoReturn:
        raise AssertionError(reference)


class WatchedSession:
    """A memory session whose changes are noted, and refused or interrupted where the test says."""

    def __init__(self, inner: MemorySession, world: World) -> None:
        self._inner = inner
        self._world = world

    def ask(self, call: str) -> None:
        """Refuse to answer for now, as often as the test says."""
        if self._world.busy[call]:
            self._world.busy[call] -= 1
            raise Retryable(error("PRV5999", f"busy: {call}"), after=0.0)

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        self.ask("observe")
        answers = self._inner.observe(targets)
        silent = self._world.unanswered
        return {key: value for key, value in answers.items() if str(key) not in silent}

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        return self._noted("create", resource, lambda: self._inner.create(resource, deadline))

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        return self._noted(
            "update",
            resource,
            lambda: self._inner.update(resource, observed, changes, restart, deadline),
        )

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        return self._noted(
            "adopt", resource, lambda: self._inner.adopt(resource, observed, deadline)
        )

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        self._noted("delete", resource, lambda: self._inner.delete(resource, deadline))

    def users(self, resources: Sequence[Resource]) -> Mapping[Address, Sequence[User]]:
        self.ask("users")
        return self._inner.users(resources)

    def close(self) -> None:
        self._inner.close()
        if self._world.closing is not None:
            raise self._world.closing

    def _noted(self, call: str, resource: Resource, work: Callable[[], Any]) -> Any:
        text = f"{call} {resource.address}"
        self._world.calls.append(text)
        self._world.handed.append(resource)
        self.ask(call)
        if text in self._world.refused:
            raise Terminal(error("PRV5999", f"refused: {text}"))
        result = work()
        if text in self._world.half_done:
            raise Terminal(error("PRV5999", f"half done: {text}"))
        if text in self._world.half_made:
            raise HalfMade(error("PRV5999", f"half made: {text}"))
        if text in self._world.deadly:
            raise Died(text)
        return result


class Watched:
    """The memory provider with watched sessions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._inner = MemoryProvider()

    def describe(self) -> Description:
        return self._inner.describe()

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        return self._inner.normalise(resource)

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        self._world.judged.append(resource)
        return self._inner.impact(resource, observed, changes)

    def open(self, endpoint: Endpoint, context: Context) -> Any:
        if endpoint.name in self._world.unreachable:
            raise Terminal(error("PRV5999", f"no way to Host/{endpoint.name}"))
        return WatchedSession(self._inner.open(endpoint, context), self._world)

    def outside(self, endpoint: str, root: Path) -> Outside:
        return Outside(self._inner.inventory(Endpoint(endpoint, "memory", {}), root))


class World:
    """One stack on the endpoints ``here`` and ``there``.

    ``refused`` calls (``create Disk/a``) fail before anything is done, ``half_done`` ones after it
    was, ``half_made`` ones too, which say so, and after ``deadly`` ones the run dies; of
    ``unanswered`` addresses observe says nothing,
    ``unreachable`` hosts refuse sessions; ``busy`` calls may be made again, so many times;
    ``closing`` is raised when a session is closed. ``calls``
    are those made, in order, ``handed`` the resources they were about, ``judged`` those whose
    changes were judged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.provider = Watched(self)
        self.rules = MadeRules({MEMORY_NAMES[name]: kind for name, kind in KINDS.items()})
        self.events: list[Event] = []
        self.stop = StopSignal()
        self.calls: list[str] = []
        self.handed: list[Resource] = []
        self.judged: list[Resource] = []
        self.refused: set[str] = set()
        self.half_done: set[str] = set()
        self.half_made: set[str] = set()
        self.deadly: set[str] = set()
        self.unanswered: set[str] = set()
        self.unreachable: set[str] = set()
        self.busy: Counter[str] = Counter()
        self.closing: Exception | None = None
        self.hosts = {
            name: HostDeclaration(name, "memory", {"provider": "memory"}, SOURCE)
            for name in ("here", "there")
        }

    def plan(self, *declarations: Declaration, **options: Any) -> Plan:
        """A plan for these declarations; ``options`` are those of :class:`PlanOptions`."""
        stack = Stack("test", self.root, None, {d.address: d for d in declarations}, self.hosts)
        with self._sessions() as sessions:
            return prepare_plan(
                stack,
                "test",
                None,
                self.state(),
                sessions,
                rules=self.rules,
                options=PlanOptions(**options),
                sink=self.events.append,
            )

    def apply(self, plan: Plan) -> ApplyReport:
        """Apply a plan."""
        self.calls.clear()
        self.handed.clear()
        store = self.store()
        try:
            with self._sessions() as sessions:
                return Applier(
                    store,
                    sessions,
                    self.events.append,
                    SystemClock(),
                    "tester",
                    rules=self.rules,
                    stop=self.stop,
                    step_seconds=20.0,
                ).run(plan)
        finally:
            store.close()

    def die(self, at: str, *declarations: Declaration, **options: Any) -> None:
        """Plan and apply, and die when the call ``at`` (``create Disk/a``) has had its effect."""
        self.deadly = {at}
        with pytest.raises(Died):
            self.apply(self.plan(*declarations, **options))
        self.deadly.clear()

    def made(self, *declarations: Declaration, **options: Any) -> ApplyReport:
        """Plan and apply, which has to succeed."""
        report = self.apply(self.plan(*declarations, **options))
        assert "done" == report.outcome, report.problems
        return report

    def store(self) -> SqliteStore:
        """The store; the caller closes it."""
        return SqliteStore(self.root / "state.db", stack="test")

    def state(self) -> State:
        """What is recorded."""
        store = self.store()
        try:
            return store.read()
        finally:
            store.close()

    def outside(self, endpoint: str = "here") -> Outside:
        """Somebody else on an endpoint."""
        return self.provider.outside(endpoint, self.root)

    def objects(self, endpoint: str = "here") -> list[StoredObject]:
        """What is on an endpoint, by kind and name."""
        return self.outside(endpoint).objects()

    def names(self, endpoint: str = "here") -> list[str]:
        """``Kind/name#generation`` of all that is on an endpoint, sorted."""
        return sorted(
            f"{item.kind}/{item.name}#{item.owner.generation if item.owner else 'foreign'}"
            for item in self.objects(endpoint)
        )

    def _sessions(self) -> Sessions:
        return Sessions(
            Registry({"memory": self.provider}),
            root=self.root,
            clock=SystemClock(),
            secrets=NoSecrets(),
            sink=self.events.append,
        )
