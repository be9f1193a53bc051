"""A random stack on its endpoints: what the property tests do and look at."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import note

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.core.values import Json
from provisioner.core.values import Path as FieldPath
from provisioner.engine.plan import Plan
from provisioner.engine.unknowns import OutputName, resolve
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.model import Declaration
from provisioner.providers.api import Endpoint, Resource
from provisioner.state.model import Entry, State
from provisioner_plugins.memory.description import DEFAULTS
from provisioner_plugins.memory.holding import Called, as_told, places, renamed
from provisioner_plugins.memory.objects import StoredObject
from provisioner_plugins.memory.outside import Outside
from tests.lifecycle.fitting_world import Document
from tests.lifecycle.generate import FILES, HOSTS, SECRET
from tests.lifecycle.oracle import Views, disagreements
from tests.lifecycle.scenario import CATALOG, Scenario

STACK = """
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {defaults: {host: here}}
"""


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where folders take no time: hundreds of stacks are written and none has to survive."""


def as_yaml(documents: Sequence[Mapping[str, Any]]) -> str:
    """The documents as a manifest file; JSON is YAML."""
    return "\n---\n".join(json.dumps(item, ensure_ascii=False, indent=1) for item in documents)


@contextmanager
def estate() -> Iterator[Estate]:
    """An estate in a folder of its own, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="estate-", dir=MEMORY) as folder:
        yield Estate(Path(folder))


class Estate:
    """A stack on two memory hosts that keep their objects in files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.connect()
        self.scenario.write("stack.yaml", STACK)
        for name, text in FILES.items():
            self.scenario.write(name, text)

    def connect(self, faults: Sequence[Mapping[str, Any]] = ()) -> None:
        """Begin anew, as another process would, with endpoints on which these calls go wrong."""
        self.scenario = Scenario(self.root, new=False)
        self.scenario.environ[SECRET] = "for machines only"
        connection = {"faults": [*faults]}
        hosts = [
            {
                "apiVersion": "provisioner/v1",
                "kind": "Host",
                "metadata": {"name": name},
                "spec": {
                    "provider": "memory",
                    "connection": {"path": f"{name}.jsonl", **connection},
                },
            }
            for name in HOSTS
        ]
        self.scenario.write("host.yaml", as_yaml(hosts))

    def declare(self, documents: Sequence[Document]) -> None:
        """Replace all resources."""
        text = as_yaml(documents)
        note(text)
        self.scenario.write("resources.yaml", text)

    def plan(self, *, destroy: bool = False) -> Plan:
        """A plan that may do anything, loss of data included."""
        make = self.scenario.plan_destroy if destroy else self.scenario.plan
        first = make(max_impact="replace")
        lost = {
            str(step.consent_address) for step in first.steps if step.impact is Impact.DATA_LOSS
        }
        if not lost:
            return first
        return make(max_impact="replace", consents=sorted(lost))

    def objects(self) -> dict[tuple[str, str], StoredObject]:
        """Everything on the endpoints, by host and id."""
        found = {}
        for host in HOSTS:
            endpoint = Endpoint(host, "memory", {"path": f"{host}.jsonl"})
            inventory = self.scenario.provider.inventory(endpoint, self.root)
            for item in Outside(inventory).objects():
                found[host, item.id] = item
        return found

    def made(self, item: StoredObject) -> Mapping[str, Any]:
        """The spec of an object with what it holds on to called as the state calls it now."""
        return self._called(item).spec

    def told(self, item: StoredObject) -> Mapping[str, Any]:
        """The same without what endpoints do not tell."""
        return as_told(self._called(item)).spec

    def recorded(self, entry: Entry, before: State) -> Mapping[str, Any]:
        """The spec that was recorded, with all that it refers to called as the state calls it
        now.
        """
        ids = {address: str(other.external_id) for address, other in before.entries.items()}
        kind, spec = entry.address.kind, entry.spec
        holds = {
            place.key: ids[place.address] for place in places(kind, spec) if place.address in ids
        }
        if kind == "Disk" and "image" in spec:
            image = ids.get(Address("Image", spec["image"]))
            names = {str(known.external_id): at.name for at, known in self._known().items()}
            spec = {**spec, "image": names.get(str(image), spec["image"])}
        return self.made(StoredObject("", kind, entry.name, None, spec, holds=holds))

    def _called(self, item: StoredObject) -> StoredObject:
        return renamed(item, Called(self._known(), lambda resource: str(resource.external_id)))

    def _known(self) -> dict[Address, Resource]:
        """What is recorded, called as the manifests call it: a rename that is held, too."""
        state = self.state()
        renamed_now = {
            Address(address.kind, declaration.renamed_from): address
            for address, declaration in self.declared().items()
            if declaration.renamed_from is not None and address not in state.entries
        }
        return {
            renamed_now.get(address, address): Resource(
                address,
                entry.name,
                entry.uid,
                Stamp(str(state.lineage), str(address), entry.generation),
                entry.spec,
                entry.external_id,
            )
            for address, entry in state.entries.items()
        }

    def outside(self, host: str) -> Outside:
        """Somebody else on one of the hosts."""
        endpoint = Endpoint(host, "memory", {"path": f"{host}.jsonl"})
        return Outside(self.scenario.provider.inventory(endpoint, self.root))

    def state(self) -> State:
        """What is recorded."""
        return self.scenario.state()

    def declared(self) -> Mapping[Address, Declaration]:
        """What the manifests declare."""
        return self.scenario.workspace().load().declarations

    def desired(self) -> dict[Address, Mapping[str, Any]]:
        """The specs that objects must have, by address: outputs put in, without the host."""
        declarations = self.declared()
        entries = self.state().entries

        def lookup(name: OutputName) -> Json:
            # A rename that is held has not happened: the record has the old name.
            old = declarations[name.address].renamed_from
            entry = entries.get(name.address) or entries.get(
                Address(name.address.kind, old or name.address.name)
            )
            return name.of(entry.outputs) if entry is not None else None

        return {
            address: resolve(without_host(declaration), lookup)
            for address, declaration in declarations.items()
        }


def without_host(declaration: Declaration) -> Mapping[str, Any]:
    """A desired spec without the field that names the host: no object holds it."""
    field = CATALOG.kind(declaration.address.kind).host_field
    spec = dict(declaration.spec)
    if field is not None and field[0] in spec:
        rest = spec.pop(field[0])
        if len(field) > 1:
            rest = {key: value for key, value in rest.items() if key != field[1]}
            if rest:
                spec[field[0]] = rest
    return spec


class OnMemory(KindInfo):
    """A kind with the defaults of the memory provider."""

    def default_of(self, path: FieldPath) -> Json:
        default: Any = DEFAULTS.get(self.kind, {})
        for part in path:
            default = default.get(part, default.get("*")) if isinstance(default, dict) else None
        found = super().default_of(path)
        return default if found is None and not isinstance(default, dict) else found


@cache
def on_memory(kind: str) -> OnMemory:
    """The rules of a kind on a memory endpoint."""
    return OnMemory(kind, CATALOG.kind(kind).schema)


def disagreement(address: Address, views: Views) -> list[str]:
    """Where an object is not what it has to be, in lines that name the resource."""
    return [f"{address} {line}" for line in disagreements(views, on_memory(address.kind))]
