"""A stack of two sites with a recovery plan, of any size, for benchmarks: the same size gives the
same files.

Applications of ten machines in three tiers, of which each waits for the one before; a site has
ten hosts of the memory provider, or as many as there are applications. The groups find their
machines by labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.estate import API_VERSION, PER_FILE, Manifest, write_documents

APPLICATION = 10
"""Machines of an application: three, three and four in its tiers."""
HOSTS = 10
GROUPS = 20
STARTS = 8
"""Machines that start at once on a host."""
PLAN = "all"
HOSTS_FILE = "hosts.yaml"
_SITES = ("east", "west")


def write(folder: Path, machines: int) -> None:
    """Write a stack of so many machines at the first site into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "sites"}, "spec": {}}
    write_documents(folder / "stack.yaml", [stack])
    write_hosts(folder, machines)
    write_documents(folder / "policies.yaml", _policies(machines))
    resources = _resources(machines)
    number = 0
    while some := list(islice(resources, PER_FILE)):
        number += 1
        write_documents(folder / f"resources-{number:04}.yaml", some)


def write_hosts(folder: Path, machines: int, latency: Mapping[str, float] | None = None) -> None:
    """Write the hosts of such a stack; ``latency``: the seconds that calls to them take."""
    write_documents(
        folder / HOSTS_FILE,
        [
            _document(
                "Host",
                f"{site}-{host}",
                {
                    "provider": "memory",
                    "connection": {"path": f"{site}-{host}.jsonl", "latency": dict(latency or {})},
                },
            )
            for site in _SITES
            for host in range(_hosts(machines))
        ],
    )


def tier(number: int) -> int:
    """The tier, from 1, of the machine with this number, from 0."""
    return min(number % APPLICATION // 3, 2) + 1


def host_of(number: int, hosts: int) -> int:
    """The host of the machine with this number: each has as many of every tier."""
    return (number + _application(number)) % hosts


def _hosts(machines: int) -> int:
    return min(HOSTS, max(1, machines // APPLICATION))


def _application(number: int) -> int:
    return number // APPLICATION


def _resources(machines: int) -> Iterator[Manifest]:
    hosts = _hosts(machines)
    for site in _SITES:
        for host in range(hosts):
            place = {"host": f"{site}-{host}"}
            yield _document(
                "StoragePool", f"pool-{site}-{host}", {**place, "type": "dir", "path": "/disks"}
            )
            yield _document(
                "Network", f"lan-{site}-{host}", {**place, "mode": "bridge", "bridge": "br0"}
            )
    for number in range(machines):
        here = f"east-{host_of(number, hosts)}"
        name = f"vm-{number:05}"
        yield _document("Disk", f"{name}-root", {"pool": f"pool-{here}", "size": "10GiB"})
        yield _document(
            "VirtualMachine",
            name,
            {
                "placement": {"host": here},
                "cpu": {"count": 2},
                "memory": {"size": "2GiB"},
                "disks": [{"disk": f"{name}-root"}],
                "nics": [{"name": "lan", "network": f"lan-{here}"}],
            },
            {"group": f"g{_application(number) % GROUPS}", "tier": f"t{tier(number)}"},
        )


def _policies(machines: int) -> Iterator[Manifest]:
    hosts = range(_hosts(machines))
    for site in _SITES:
        yield _document("Site", site, {"hosts": [{"host": f"{site}-{host}"} for host in hosts]})
    pairs = {
        what: [
            {"first": f"{prefix}east-{host}", "second": f"{prefix}west-{host}"} for host in hosts
        ]
        for what, prefix in (("hosts", ""), ("pools", "pool-"), ("networks", "lan-"))
    }
    yield _document("SitePair", "both", {"first": "east", "second": "west", **pairs})
    groups = range(min(GROUPS, max(1, machines // APPLICATION)))
    for group in groups:
        yield _document(
            "ProtectionGroup",
            f"group-{group}",
            {
                "sitePair": "both",
                "selector": {"matchLabels": {"group": f"g{group}"}},
                "recoveryPointObjective": "10m",
            },
        )
    yield _document(
        "RecoveryPlan",
        PLAN,
        {
            "groups": [{"group": f"group-{group}"} for group in groups],
            "machines": [_planned(number) for number in range(machines)],
            "fencing": [{"command": {"argv": ["true"]}, "timeout": "1m"}],
            "parallelStarts": STARTS,
            "recoveryTimeObjective": "4h",
        },
    )


def _planned(number: int) -> Mapping[str, Any]:
    first = _application(number) * APPLICATION
    before = [
        {"machine": f"vm-{other:05}"}
        for other in range(first, number)
        if tier(other) == tier(number) - 1
    ]
    return {
        "machine": f"vm-{number:05}",
        "tier": tier(number),
        **({"after": before} if before else {}),
    }


def _document(
    kind: str, name: str, spec: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> Manifest:
    metadata: dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
