"""A recovery plan of many machines, as values: compiling it costs no reading of manifests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.diagnostics import SourceRange
from provisioner.core.identity import identity
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Declaration, HostDeclaration, Reference, Stack
from provisioner.providers.registry import Registry
from provisioner.state.model import Entry, State
from provisioner.workflows.recovery.compiling import compile_plan
from provisioner.workflows.recovery.model import RecoveryPlan

PLAN = "all"
_LINEAGE = UUID("6fa459ea-ee8a-4ca4-894e-db77e160355e")
_SOURCE = SourceRange("plans.yaml", 1, 1)
_TIERS = 5
_NOW = datetime(2026, 5, 4, tzinfo=UTC)


class Applied(NamedTuple):
    """A stack, and that it was applied."""

    stack: Stack
    state: State


def applied(machines: int) -> Applied:
    """So many machines at the site ``east``, each with a disk and a card, in five tiers."""
    made = _Made()
    for host, site in (("e", "east"), ("w", "west")):
        made.add("StoragePool", f"pool-{site}", {"type": "dir", "path": "/p"}, host)
        made.add("Network", f"lan-{site}", {"mode": "isolated"}, host)
    pool, network = Address("StoragePool", "pool-east"), Address("Network", "lan-east")
    for number in range(machines):
        disk = made.add("Disk", f"d{number}", {"pool": pool.name, "size": 1024}, "e", [pool])
        spec = {
            "memory": {"size": 1024},
            "disks": {disk.name: {}},
            "nics": {"lan": {"network": network.name}},
            "labels": {"app": "shop"},
        }
        made.add("VirtualMachine", f"m{number}", spec, "e", [disk, network])
    policies: dict[str, dict[str, Any]] = {
        "Site/east": {"hosts": {"e": {}}},
        "Site/west": {"hosts": {"w": {}}},
        "SitePair/both": {
            "first": "east",
            "second": "west",
            "networks": {"lan-east": {"second": "lan-west"}},
            "pools": {"pool-east": {"second": "pool-west"}},
        },
        "ProtectionGroup/all": {"sitePair": "both", "selector": {"matchLabels": {"app": "shop"}}},
        f"RecoveryPlan/{PLAN}": {
            "groups": {"all": {}},
            "machines": {f"m{number}": {"tier": 1 + number % _TIERS} for number in range(machines)},
        },
    }
    stack = Stack(
        "bench",
        Path(),
        None,
        made.declarations,
        {host: HostDeclaration(host, "memory", {"provider": "memory"}, _SOURCE) for host in "ew"},
        policies={
            Address.of(text): Declaration(Address.of(text), spec, _SOURCE, None)
            for text, spec in policies.items()
        },
    )
    return Applied(stack, State(_LINEAGE, 1, made.entries))


def compiled(found: Applied, catalog: SchemaCatalog) -> RecoveryPlan:
    """The plan of it."""
    stack, state = found
    return compile_plan(PLAN, stack, state, rules=catalog, registry=Registry(), now=_NOW)


class _Made:
    """What is declared, and recorded likewise."""

    def __init__(self) -> None:
        self.declarations: dict[Address, Declaration] = {}
        self.entries: dict[Address, Entry] = {}

    def add(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        host: str,
        needs: Iterable[Address] = (),
    ) -> Address:
        address, needed = Address(kind, name), tuple(needs)
        references = tuple(Reference(("",), target) for target in needed)
        self.declarations[address] = Declaration(address, spec, _SOURCE, host, references)
        uid = identity(_LINEAGE, address)
        self.entries[address] = Entry(
            address, "memory", host, name, uid, name, spec, dependencies=needed
        )
        return address
