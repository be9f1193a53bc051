"""Takes over everything that a daemon has, as discovery tells it, at the level of the plugin.

What the program does with manifests this does with specs: references become names, every spec is
brought into canonical form, compared with what is observed before and after it is taken over.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.identity import Stamp, identity
from provisioner.engine.diff import differences
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import (
    Change,
    Context,
    Discovered,
    Endpoint,
    Present,
    Resource,
    Session,
)
from provisioner_plugins.kvm import provider
from tests.live.handlerbench import NoSecrets

CATALOG = SchemaCatalog.installed()
_ORDER = ("StoragePool", "Network", "Image", "Disk", "VirtualMachine", "Snapshot")
_REQUIRED = {
    "StoragePool": "type",
    "Network": "mode",
    "Disk": "size",
    "VirtualMachine": "memory",
    "Snapshot": "machine",
}


@dataclass
class Estate:
    """All objects of a daemon as resources of one stack."""

    uri: str
    lineage: UUID

    @classmethod
    def of(cls, uri: str) -> Estate:
        return cls(uri, uuid4())

    def __post_init__(self) -> None:
        context = Context(Path("/"), SystemClock(), NoSecrets(), lambda *_: None)
        endpoint = Endpoint("lab", "kvm", {"uri": self.uri}, {"accelerator": "tcg"})
        self.session: Session = provider().open(endpoint, context)
        self.found: list[Discovered] = []
        self.resources: dict[Address, Resource] = {}
        self.recorded: dict[Address, Resource] = {}

    def close(self) -> None:
        self.session.close()

    def discover(self) -> None:
        """Read everything, and name it."""
        self.found = [item for kind in _ORDER for item in self.session.discover([kind])]
        told = [
            item for item in self.found if _REQUIRED.get(item.kind, "pool") in item.observed.spec
        ]
        names = {
            (item.kind, item.observed.external_id): f"x{number}" for number, item in enumerate(told)
        }
        related: dict[Address, Resource] = {}
        for item in told:
            address = Address(item.kind, names[item.kind, item.observed.external_id])
            resource = Resource(
                address,
                item.name,
                identity(self.lineage, address),
                Stamp(str(self.lineage), str(address)),
                dict(_named(item, names)),
                exact=True,
                related=related,
            )
            related[address] = resource
        for address, resource in list(related.items()):
            related[address] = replace(resource, spec=provider().normalise(resource))
        self.resources = related

    def changes(self) -> dict[str, list[tuple[Change, ...]]]:
        """What differs, by address; only of what differs."""
        known = {
            address: replace(
                resource,
                external_id=self.recorded[address].external_id,
                outputs=self.recorded[address].outputs,
            )
            if address in self.recorded
            else resource
            for address, resource in self.resources.items()
        }
        known = {address: replace(item, related=known) for address, item in known.items()}
        for address in known:
            known[address] = replace(known[address], related=known)
        answers = self.session.observe(list(known.values()))
        self.answers = answers
        result: dict[str, Any] = {}
        for address, resource in known.items():
            observed = answers[address]
            if not isinstance(observed, Present):
                result[str(address)] = observed
                continue
            before = self.recorded.get(address)
            found = differences(
                resource.spec,
                before.spec if before is not None else None,
                observed,
                CATALOG.kind(address.kind),
            )
            if found:
                result[str(address)] = found
        self.known = known
        return result

    def adopt(self) -> None:
        """Take everything over that nobody has."""
        deadline = Deadline.after(60, SystemClock())
        for address, resource in self.known.items():
            observed = self.answers[address]
            assert isinstance(observed, Present), (address, observed)
            assert observed.owner is None, (address, observed.owner)
            outcome = self.session.adopt(resource, observed, deadline)
            self.recorded[address] = replace(
                resource, external_id=outcome.external_id, outputs=outcome.outputs
            )


def _named(item: Discovered, names: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, Any]]:
    spec = copy.deepcopy(dict(item.observed.spec))
    for field, kind in (("pool", "StoragePool"), ("image", "Image"), ("machine", "VirtualMachine")):
        if field in spec:
            spec[field] = names[kind, spec[field]]
    if item.kind == "VirtualMachine":
        disks = spec.get("disks", {})
        if disks:
            spec["disks"] = {names["Disk", key]: disk for key, disk in disks.items()}
        for nic in spec.get("nics", {}).values():
            nic["network"] = names["Network", nic["network"]]
        for drive in spec.get("cdroms", {}).values():
            if "image" in drive:
                drive["image"] = names["Image", drive["image"]]
    yield from spec.items()
