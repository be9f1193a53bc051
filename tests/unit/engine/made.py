"""Rules of a few invented kinds, a pure provider for them, and subjects made by hand: what the
planner's tests are made of.

A ``Net`` and a ``Pool`` have unique names, a ``Disk`` may be made before its predecessor goes and
holds data, a ``Vm`` refers to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, NoReturn
from uuid import UUID

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import SourceRange
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Json, Path
from provisioner.engine.plan import Plan
from provisioner.engine.planner import make_plan
from provisioner.engine.request import PlanOptions, PlanRequest
from provisioner.engine.subjects import Subject, collect, endpoints_of
from provisioner.manifest.annotations import ReferenceField
from provisioner.manifest.model import Declaration, HostDeclaration, Reference, Stack
from provisioner.providers.api import (
    Absent,
    Assessment,
    Change,
    Context,
    Description,
    Endpoint,
    Naming,
    Observation,
    Present,
    Resource,
)
from provisioner.state.model import EndpointRecord, Entry, JournalPhase, JournalRecord, State

LINEAGE = UUID("6f0f4c1e-5c57-4d0e-9b0a-3f5d0f0a7b11")
SOURCE = SourceRange("made.yaml", 1, 1)
NAMING = {"Net": Naming.UNIQUE, "Pool": Naming.UNIQUE, "Disk": Naming.FREE, "Vm": Naming.UNIQUE}


@dataclass(frozen=True)
class MadeKind:
    """Rules of one kind. ``impacts`` are by the first key of a path, ``live`` where it is missing;
    ``sets`` are owned as a whole; ``write_only`` paths may not be told; ``numbers`` take nothing
    but whole numbers.
    """

    impacts: Mapping[str, Impact] = field(default_factory=dict)
    defaults: Mapping[Path, Json] = field(default_factory=dict)
    sets: frozenset[Path] = frozenset()
    write_only: frozenset[Path] = frozenset()
    host_field: Path | None = ("host",)
    impact_on_delete: Impact = Impact.REPLACE
    retention_field: str | None = None
    borrowed_fields: tuple[Path, ...] = ()
    references: tuple[ReferenceField, ...] = ()
    numbers: frozenset[Path] = frozenset()

    def impact_of(self, path: Path) -> Impact:
        return self.impacts.get(path[0], Impact.LIVE)

    def default_of(self, path: Path) -> Json:
        return self.defaults.get(path)

    def owned_whole(self, path: Path) -> bool:
        return path in self.sets

    def decides(self, path: Path, output: str) -> bool:
        return output in path

    def fitted(self, path: Path, value: Json) -> Json:
        if path in self.numbers and not isinstance(value, int):
            raise ValueError(f"found {value!r}, expected a whole number")
        return value

    def is_sensitive(self, path: Path) -> bool:
        return path[-1] == "password"

    def is_write_only(self, path: Path) -> bool:
        return any(path[: len(other)] == other for other in self.write_only)


KINDS: Mapping[str, MadeKind] = {
    "Net": MadeKind({"mode": Impact.REPLACE, "mtu": Impact.RESTART}),
    "Pool": MadeKind({"path": Impact.REPLACE}, impact_on_delete=Impact.LIVE),
    "Disk": MadeKind(
        {"format": Impact.DATA_LOSS, "alias": Impact.REPLACE},
        defaults={("retention",): "delete"},
        write_only=frozenset({("retention",)}),
        impact_on_delete=Impact.DATA_LOSS,
        retention_field="retention",
        borrowed_fields=(("source", "volume"), ("source", "item")),
        references=(
            ReferenceField(("image",), ("Disk",), keeps=True),
            ReferenceField(("pool",), ("Pool",), host_from=True),
        ),
    ),
    "Vm": MadeKind(
        {"machine": Impact.REPLACE, "firmware": Impact.RESTART},
        defaults={("cpu",): 1},
        sets=frozenset({("disks",), ("labels",)}),
        write_only=frozenset({("seed",)}),
        references=(
            ReferenceField(("disks", "*"), ("Disk",), exclusive=True),
            ReferenceField(("net",), ("Net",)),
            ReferenceField(("seed", "pool"), ("Pool",)),
        ),
    ),
}


class MadeRules:
    """Rules of all invented kinds."""

    def __init__(self, kinds: Mapping[str, MadeKind] = KINDS, digest: str = "made-rules") -> None:
        self.kinds = kinds
        self.digest = digest

    def kind(self, name: str) -> MadeKind:
        return self.kinds[name]


class MadeProvider:
    """Judges by the schema, with a reason; never connects. ``judged`` are the resources that it was
    asked about.
    """

    def __init__(
        self,
        name: str = "made",
        impacts: Mapping[Path, Impact] | None = None,
        version: str = "1.2.3",
        wording: str = "changes",
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """``impacts`` overrule the schema; ``wording`` is how it gives its reasons."""
        self._defaults = defaults or {}
        self._name = name
        self._impacts = dict(impacts or {})
        self._version = version
        self._wording = wording
        self.judged: list[Resource] = []

    def describe(self) -> Description:
        return Description(
            self._name,
            self._version,
            (1, 0),
            NAMING,
            {},
            {},
            unmarked=frozenset({"Pool"}),
            defaults=self._defaults,
        )

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        return resource.spec

    def impact(
        self,
        resource: Resource,
        observed: Present,  # noqa: ARG002 - of the contract
        changes: Sequence[Change],
    ) -> Sequence[Assessment]:
        self.judged.append(resource)
        return [
            Assessment(
                self._impacts.get(change.path, change.impact), f"{change.path[-1]} {self._wording}"
            )
            for change in changes
        ]

    def open(self, endpoint: Endpoint, context: Context) -> NoReturn:  # noqa: ARG002 - likewise
        raise AssertionError("a plan is made without connecting")


def declared(
    text: str, spec: Mapping[str, Any] | None = None, *needs: str, host: str = "here", **rest: Any
) -> Declaration:
    """A declaration that refers to ``needs`` (``Kind/name``, or ``Kind/name:output``)."""
    references = []
    for need in needs:
        target, _, output = need.partition(":")
        references.append(Reference((target,), Address.parse(target), output or None))
    address = Address.parse(text)
    return Declaration(address, spec or {}, SOURCE, host, tuple(references), **rest)


def recorded(text: str, spec: Mapping[str, Any] | None = None, *needs: str, **rest: Any) -> Entry:
    """An entry with the direct dependencies ``needs``; ``rest`` are other fields of it."""
    address = Address.parse(text)
    generation = rest.get("generation", 0)
    values: dict[str, Any] = {
        "provider": "made",
        "endpoint": "here",
        "name": address.name,
        "uid": identity(LINEAGE, address, generation),
        "external_id": f"id-of-{text}",
        "serial": 3,
        **rest,
    }
    return Entry(
        address=address,
        spec=spec or {},
        dependencies=tuple(map(Address.parse, needs)),
        **values,
    )


def intent(text: str, action: str = "create", sequence: int = 7, **rest: Any) -> JournalRecord:
    """An intent without an outcome; ``rest`` are parts of its detail."""
    address = Address.parse(text)
    generation = rest.get("generation", 0)
    detail = {
        "endpoint": "here",
        "name": address.name,
        "uid": str(identity(LINEAGE, address, generation)),
        "generation": generation,
        "spec": {},
        "external_id": None,
        "dependencies": [],
        **rest,
    }
    return JournalRecord(
        sequence, "run", text, JournalPhase.INTENT, action, address, "2026-01-01", detail
    )


def ours(
    text: str, spec: Mapping[str, Any] | None = None, generation: int = 0, **rest: Any
) -> Present:
    """An object with our stamp; ``rest`` are other fields of the observation."""
    values: dict[str, Any] = {"external_id": f"id-of-{text}", "fingerprint": f"print-{text}"}
    return Present(owner=Stamp(str(LINEAGE), text, generation), spec=spec or {}, **values | rest)


def foreign(
    text: str, spec: Mapping[str, Any] | None = None, owner: Stamp | None = None
) -> Present:
    """An object that is nobody's, or that of ``owner``."""
    return Present(f"id-of-{text}", owner, spec or {}, f"print-{text}")


@dataclass(frozen=True)
class Situation:
    """What a plan is made of: what is declared, recorded and found (by address as text; what is not
    named there is absent), and what an earlier run left open.
    """

    declarations: tuple[Declaration, ...] = ()
    entries: tuple[Entry, ...] = ()
    found: Mapping[str, Observation] = field(default_factory=dict)
    intents: tuple[JournalRecord, ...] = ()
    hosts: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"here": {}, "there": {}}
    )
    provider: MadeProvider = field(default_factory=MadeProvider)
    rules: MadeRules = field(default_factory=MadeRules)

    @property
    def state(self) -> State:
        """What was recorded."""
        endpoints = {name: EndpointRecord(name, "made", spec) for name, spec in self.hosts.items()}
        entries = {entry.address: entry for entry in self.entries}
        return State(LINEAGE, 5, entries, endpoints, self.intents)

    @property
    def stack(self) -> Stack:
        """What is desired."""
        hosts = {
            name: HostDeclaration(name, "made", spec, SOURCE) for name, spec in self.hosts.items()
        }
        declarations = {item.address: item for item in self.declarations}
        return Stack("made", FilePath("/made"), None, declarations, hosts)

    def subjects(self, options: PlanOptions | None = None) -> dict[Address, Subject]:
        """Every subject, without anything left out."""
        destroy = options.destroy if options else False
        return collect(self.stack, self.state, self.rules, destroy=destroy)

    def request(
        self, options: PlanOptions | None = None, unselected: Sequence[str] = ()
    ) -> PlanRequest:
        """What the planner is handed."""
        options = options or PlanOptions(now="2026-01-01T00:00:00+00:00", tool_version="0.1")
        left_out = frozenset(map(Address.parse, unselected))
        subjects = self.subjects(options)
        return PlanRequest(
            name="made",
            environment=None,
            stack=self.stack,
            state=self.state,
            subjects={a: s for a, s in subjects.items() if a not in left_out},
            observations={address: self.found.get(str(address), Absent()) for address in subjects},
            endpoints=endpoints_of(self.stack, self.state),
            providers={"made": self.provider},
            rules=self.rules,
            options=options,
            unselected={a: s for a, s in subjects.items() if a in left_out},
        )

    def plan(self, unselected: Sequence[str] = (), **options: Any) -> Plan:
        """The plan; ``options`` are those of :class:`PlanOptions`."""
        chosen = replace(
            PlanOptions(now="2026-01-01T00:00:00+00:00", tool_version="0.1"), **options
        )
        return make_plan(self.request(chosen, unselected))


def outline(plan: Plan) -> list[str]:
    """The steps in order, ``replace Disk/a``; held ones in brackets."""
    return [
        *(f"{step.action.value} {step.id}" for step in plan.steps),
        *(f"({step.action.value} {step.id})" for step in plan.held),
    ]
