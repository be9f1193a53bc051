"""Two sites on the memory plugin, with a shop of two machines at one of them, for tests of
recovery.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.scenario import Scenario

HOSTS = """
apiVersion: provisioner/v1
kind: Host
metadata: {name: east-1}
spec: {provider: memory}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: west-1}
spec: {provider: memory}
"""

RESOURCES: Mapping[str, str] = {
    "StoragePool/pool-east": "host: east-1\ntype: dir\npath: /east",
    "StoragePool/pool-west": "host: west-1\ntype: dir\npath: /west",
    "Network/lan-east": "host: east-1\nmode: nat\ncidr: 10.1.0.0/24\ndhcp: {}",
    "Network/lan-west": "host: west-1\nmode: nat\ncidr: 10.2.0.0/24\ndhcp: {}",
    "Image/base": "pool: pool-east\nformat: qcow2\nsource: {volume: base.qcow2}",
    "Disk/db-data": "pool: pool-east\nsize: 2GiB\nimage: base",
    "Disk/db-scratch": "pool: pool-east\nsize: 1GiB",
    "Disk/web-root": "pool: pool-east\nsize: 1GiB",
    "VirtualMachine/db": """\
metadata.labels: {app: shop}
placement: {host: east-1}
memory: {size: 1GiB}
disks: [{disk: db-data}, {disk: db-scratch}]
nics: [{name: lan, network: lan-east, address: 10.1.0.10}]
cloudInit: {userData: '#cloud-config'}""",
    "VirtualMachine/web": """\
metadata.labels: {app: shop}
placement: {host: east-1}
memory: {size: 1GiB}
disks: [{disk: web-root}]
nics: [{name: lan, network: lan-east}]
cdroms: [{name: setup, image: setup}]""",
    "Image/setup": "pool: pool-east\nformat: iso\nsource: {volume: setup.iso}",
    "VirtualMachine/batch": "placement: {host: west-1}\nmemory: {size: 1GiB}",
}
POLICIES: Mapping[str, str] = {
    "Site/east": "hosts: [{host: east-1}]",
    "Site/west": "hosts: [{host: west-1}]",
    "SitePair/both": """\
first: east
second: west
networks: [{first: lan-east, second: lan-west}]
pools: [{first: pool-east, second: pool-west}]""",
    "ProtectionGroup/shop": """\
sitePair: both
selector: {matchLabels: {app: shop}}
recoveryPointObjective: 10m
replication: {interval: 1m, keep: 5, quiesce: true}
excludeDisks: [{disk: db-scratch}]""",
    "RecoveryPlan/shop": """\
groups: [{group: shop}]
machines:
  - machine: db
    tier: 1
    health: {serial: {text: up}, timeout: 2m}
  - machine: web
    tier: 2
    after: [{machine: db}]
    real: [{site: west, nics: [{name: lan, address: 10.2.0.20}]}]
steps: [{name: tell, when: before, modes: [failover], command: {argv: [echo, go]}}]
fencing: [{prompt: 'Is the old site off?', timeout: 1m}]
approvals: [{role: operations, count: 2}]
suspend: [{machine: batch}]
parallelStarts: 3
recoveryTimeObjective: 30m
drillEvery: 30d
maxAge: 7d""",
}


def two_sites(root: Path, changes: Mapping[str, str] | None = None) -> Scenario:
    """A stack of two sites in ``root``, not applied yet. ``changes``: other specs, by address; an
    empty one takes the resource out.
    """
    scenario = Scenario(root)
    scenario.write("host.yaml", HOSTS)
    declare(scenario, changes)
    return scenario


def declare(scenario: Scenario | CommandLine, changes: Mapping[str, str] | None = None) -> None:
    """Declare the resources and policies with changes."""
    found = {**RESOURCES, **POLICIES, **(changes or {})}
    scenario.declare(*(f"{address}\n{spec}" for address, spec in found.items() if spec))


def two_running_sites(cli: CommandLine, changes: Mapping[str, str] | None = None) -> None:
    """Declare and apply the same for the program, each host with a file of its own."""
    hosts = HOSTS
    for name in ("east-1", "west-1"):
        hosts = hosts.replace(
            f"{{name: {name}}}\nspec: {{provider: memory}}",
            f"{{name: {name}}}\nspec: {{provider: memory, connection: {{path: {name}.jsonl}}}}",
        )
    cli.write("hosts.yaml", hosts)
    cli.write("host.yaml", "")
    declare(cli, changes)
    assert 0 == cli("apply", "--yes").code
