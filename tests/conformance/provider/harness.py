"""A stack in a folder with one Host, taken through plan and apply by the real engine.

Tests write manifests, converge, and ask for plans; where a law is about the calls themselves,
:meth:`Harness.resource` gives what the engine would hand to the session.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import path_text
from provisioner.engine.apply import Applier, ApplyReport
from provisioner.engine.plan import BEGUN, Known, Plan, Step, intent_detail
from provisioner.engine.prepare import prepare_plan
from provisioner.engine.request import PlanOptions
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import endpoint_value
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load
from provisioner.manifest.model import Stack
from provisioner.providers.api import Context, Observation, Present, Resource, Session
from provisioner.providers.registry import Registry
from provisioner.service.layout import CachePlace
from provisioner.service.memories import memories
from provisioner.service.secrets import ReferencedSecrets
from provisioner.state.model import EndpointRecord, Entry
from provisioner.state.sqlite import SqliteStore
from tests.conformance.provider.cases import (
    MissingValueError,
    base,
    filled,
    merged,
    surroundings,
)
from tests.conformance.provider.qcow2 import empty_qcow2
from tests.conformance.provider.under_test import ProviderUnderTest
from tests.lab.appliances import ova

HOST = "endpoint"
SECRETS = {"CONFORMANCE_ONE": "#cloud-config\n# one\n", "CONFORMANCE_TWO": "#cloud-config\n# two\n"}
FILES = {
    "image-a.raw": b"a" * 2**20,
    "image-b.raw": b"b" * 2**20,
    "a.iso": b"i" * 2**20,
    "b.iso": b"j" * 2**20,
    "appliance.ova": ova(),
    "image.qcow2": empty_qcow2(2**20),
    "user-data-a.cfg": b"#cloud-config\nhostname: a\n",
    "user-data-b.cfg": b"#cloud-config\nhostname: b\n",
    "network-a.cfg": b"version: 2\n",
    "network-b.cfg": b"version: 2\nethernets: {}\n",
}


class Harness:
    """One stack on one endpoint. ``lineage``: that of a stack of which this plays the part at
    another endpoint.
    """

    def __init__(
        self,
        under_test: ProviderUnderTest,
        folder: Path,
        catalog: SchemaCatalog,
        name: str,
        *,
        lineage: UUID | None = None,
    ) -> None:
        self.under_test = under_test
        self.provider = under_test.provider
        self.folder = folder
        self.catalog = catalog
        self.name = name
        self.clock = SystemClock()
        self.context = Context(
            folder, self.clock, ReferencedSecrets(SECRETS, folder), lambda *_args, **_rest: None
        )
        self.store = SqliteStore(
            folder / ".provisioner" / "state.db",
            stack=name,
            new_lineage=lambda: lineage or uuid4(),
        )
        self._number = 0
        (folder / "files").mkdir(parents=True)
        for file, content in FILES.items():
            (folder / "files" / file).write_bytes(content)
        self.values = {
            "checksumA": _checksum("image-a.raw"),
            "checksumB": _checksum("image-b.raw"),
            **under_test.values,
        }
        provider_name = self.provider.describe().name
        self._write("Stack", name, {}, {})
        self._write("Host", HOST, {}, {"provider": provider_name, **under_test.host})

    # Manifests

    def subject(self, kind: str) -> Address:
        """An address that no test used before."""
        self._number += 1
        return Address(kind, f"{self.name}-{kind.lower()[:7]}-{self._number}")

    def write(
        self,
        address: Address,
        spec: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        *,
        named: str | None = None,
    ) -> None:
        """Write the manifest of a resource; raises MissingValueError for a ``$word`` without a
        value. ``named``: what ``$name`` stands for, if not for its name.
        """
        values = {**self.values, "name": named or address.name}
        self._write(
            address.kind, address.name, filled(metadata or {}, values), filled(spec, values)
        )

    def rewrite(
        self, address: Address, like: Address, rest: Mapping[str, Any] | None = None
    ) -> None:
        """Write the smallest manifest of a kind with ``rest`` laid over it. If ``address`` is not
        ``like``, it says that it was renamed.
        """
        metadata = {} if address == like else {"renamedFrom": like.name}
        self.write(address, merged(base(address.kind), rest or {}), metadata, named=like.name)

    def erase(self, address: Address) -> None:
        """Remove the manifest of a resource."""
        self._file(address.kind, address.name).unlink(missing_ok=True)

    def abandon(self, address: Address) -> None:
        """Drop all that is recorded of a resource, and the object behind the provider's back."""
        operation = self.store.begin("forget", "the suite", None)
        for left in self.store.read().open_intents:
            self.store.settle(left.sequence, failure={})
        intent = self.store.intend(operation, str(address), "forget", address, {})
        self.store.settle(intent, remove=[address])
        self.store.finish(operation, "done", {})
        if self.under_test.outside.picture(*address) is not None:
            self.under_test.outside.remove(*address)

    def intend_creation(self, resource: Resource) -> None:
        """Have the journal say that an earlier run began to make a resource, and no more."""
        made = Known(
            resource.address,
            HOST,
            resource.name,
            str(resource.uid),
            resource.stamp.generation,
            resource.spec,
        )
        operation = self.store.begin("apply", "the suite", None)
        detail = {**intent_detail(made), BEGUN: True}
        self.store.intend(operation, str(made.address), "create", made.address, detail)

    def surround(self, only: Collection[Address] | None = None) -> None:
        """Make what cases may refer to (None: all of it), as far as there is such a thing on the
        endpoint.
        """
        given, served = self.under_test.surroundings, self.provider.describe().kinds
        for address, spec in surroundings().items():
            if only is not None and address not in only:
                continue
            chosen = given.get(address, spec)
            if chosen is not None and address.kind in served:
                with suppress(MissingValueError):
                    self.write(address, chosen)
        self.converge()

    def load(self) -> Stack:
        """The stack as it is written now."""
        return load(self.folder, self.catalog, describe=lambda _name: self.provider.describe())

    # Plan and apply

    def plan(
        self,
        *,
        consents: Iterable[Address] | None = None,
        adopt: Iterable[Address] = (),
        max_impact: Impact = Impact.DATA_LOSS,
    ) -> Plan:
        """A plan. If nothing else is said everything is allowed, loss of data too; ``consents``
        are the only ones whose data may go.
        """
        stack = self.load()
        state = self.store.read()
        allowed = {*stack.declarations, *state.entries} if consents is None else {*consents}
        with self._sessions() as sessions:
            return prepare_plan(
                stack,
                stack.name,
                None,
                state,
                sessions,
                rules=self.catalog,
                options=PlanOptions(
                    max_impact=max_impact,
                    consents=tuple(allowed),
                    adopt=tuple(AddressPattern(item.kind, item.name) for item in adopt),
                ),
                sink=lambda _event: None,
            )

    def apply(self, plan: Plan) -> ApplyReport:
        """Carry a plan out, whatever becomes of its steps."""
        with self._sessions() as sessions:
            applier = Applier(
                self.store,
                sessions,
                lambda _event: None,
                self.clock,
                "the suite",
                rules=self.catalog,
            )
            return applier.run(plan)

    def carry_out(self, plan: Plan) -> None:
        """Carry a plan out; every step has to succeed."""
        report = self.apply(plan)
        assert "done" == report.outcome, [
            f"{item.code} {item.summary} {item.detail}" for item in report.problems
        ]

    def converge(self) -> Plan:
        """Plan, apply, and see that there is nothing left to do; returns what was done."""
        plan = self.plan()
        self.carry_out(plan)
        self.expect_nothing_to_do()
        return plan

    def expect_nothing_to_do(self) -> None:
        """The next plan is empty, and nothing waits for a restart."""
        plan = self.plan()
        assert [] == [told(step) for step in (*plan.steps, *plan.held)]
        assert [] == [f"{item.address} {path_text(item.path)}" for item in plan.pending]

    # Calls

    def session(self) -> Session:
        """A session of the suite's own; the caller closes it."""
        stack = self.load()
        host = stack.hosts[HOST]
        endpoint = endpoint_value(EndpointRecord(HOST, host.provider, host.spec))
        return self.provider.open(endpoint, self.context)

    def deadline(self, seconds: float = 120.0) -> Deadline:
        """A deadline from now."""
        return Deadline.after(seconds, self.clock)

    def resource(self, address: Address) -> Resource:
        """What the engine hands to a session for a declared resource."""
        return self.resources()[address]

    def resources(self) -> dict[Address, Resource]:
        """The same for every declared resource; each is related to all."""
        stack = self.load()
        state = self.store.read()
        related: dict[Address, Resource] = {}
        for address, declaration in stack.declarations.items():
            entry = state.entries.get(address)
            host_field = self.catalog.kind(address.kind).host_field
            plain = Resource(
                address=address,
                name=entry.name if entry else declaration.object_name,
                uid=entry.uid if entry else identity(state.lineage, address),
                stamp=Stamp(str(state.lineage), str(address), entry.generation if entry else 0),
                spec=_without(declaration.spec, host_field),
                external_id=entry.external_id if entry else None,
                outputs=entry.outputs if entry else {},
                exact=declaration.external_name is not None,
                related=related,
            )
            related[address] = replace(plain, spec=self.provider.normalise(plain))
        return related

    def observe(self, address: Address) -> Observation:
        """What the endpoint has of a declared resource, through a session of its own."""
        session = self.session()
        try:
            return session.observe([self.resource(address)])[address]
        finally:
            session.close()

    def present(self, address: Address) -> Present:
        """The same, where it has to be there."""
        found = self.observe(address)
        assert isinstance(found, Present), found
        return found

    def entry(self, address: Address) -> Entry:
        """What state has recorded of a resource."""
        return self.store.read().entries[address]

    def close(self) -> None:
        """Free the state."""
        self.store.close()

    def _sessions(self) -> Sessions:
        registry = Registry({self.provider.describe().name: self.provider})
        # So that whatever somebody does outside is done behind the back of a memory.
        caches = self.folder / ".provisioner"
        return Sessions(
            registry,
            root=self.folder,
            clock=self.clock,
            secrets=self.context.secrets,
            sink=lambda _event: None,
            memories=memories(CachePlace(caches / "files", caches / "key"), self.folder),
        )

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / f"{kind}.{name}.yaml"

    def _write(
        self, kind: str, name: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]
    ) -> None:
        document = {
            "apiVersion": "provisioner/v1",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "spec": spec,
        }
        # JSON is YAML.
        self._file(kind, name).write_text(json.dumps(document), "utf-8")


def told(step: Step) -> str:
    """A step as a failing test shows it."""
    changes = [
        f"{path_text(item.path)}: {item.before!r} -> {item.after!r}" for item in step.changes
    ]
    return f"{step.action.value} {step.id} {step.reason} {'; '.join(changes)}"


def actions(plan: Plan) -> dict[Address, Action]:
    """What a plan does, by address."""
    return {step.address: step.action for step in plan.steps}


def _checksum(file: str) -> str:
    return f"sha256:{hashlib.sha256(FILES[file]).hexdigest()}"


def _without(spec: Mapping[str, Any], path: tuple[str, ...] | None) -> Mapping[str, Any]:
    if path is None or path[0] not in spec:
        return spec
    rest = {key: value for key, value in spec.items() if key != path[0]}
    if len(path) > 1 and (inner := _without(spec[path[0]], path[1:])):
        rest[path[0]] = inner
    return rest
