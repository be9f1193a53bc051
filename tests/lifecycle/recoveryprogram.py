"""Two applied sites on the memory plugin, each in a file of its own, and the program that recovers
the shop between them: for tests of ``provisioner dr`` and ``replicate``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import HOSTS, declare

PLAN = """\
groups: [{group: shop}]
machines: [{machine: db, tier: 1}, {machine: web, tier: 2, after: [{machine: db}]}]
fencing: [{command: {argv: ['true']}, timeout: 1m}]
suspend: [{machine: batch}]"""
NAMES = {"east": "east-1", "west": "west-1"}


class Sites:
    """Two applied sites, their objects, and the program."""

    def __init__(self, cli: CommandLine) -> None:
        self.cli = cli

    def __call__(self, *arguments: str | Path) -> Mapping[str, object]:
        """Run a command of a recovery plan; returns the last JSON document that it printed."""
        done = self.cli(*arguments, "--json")
        self.code, self.codes = done.code, done.codes
        try:
            found = json.loads(done.out)
        except ValueError:
            found = done.lines[-1]
        assert isinstance(found, dict | list)
        return found if isinstance(found, dict) else {"all": found}

    def outside(self, site: str) -> Outside:
        name = NAMES[site]
        endpoint = Endpoint(name, "memory", {"path": f"{name}.jsonl"})
        return Outside(MemoryProvider().inventory(endpoint, self.cli.root))

    def running(self, site: str) -> list[str]:
        return sorted(item.name for item in self.outside(site).objects() if item.is_running)


@pytest.fixture
def sites(cli: CommandLine) -> Sites:
    hosts = HOSTS
    for name in NAMES.values():
        hosts = hosts.replace(
            f"{{name: {name}}}\nspec: {{provider: memory}}",
            f"{{name: {name}}}\nspec: {{provider: memory, connection: {{path: {name}.jsonl}}}}",
        )
    cli.write("hosts.yaml", hosts)
    cli.write("host.yaml", "")
    declare(cli, {"RecoveryPlan/shop": PLAN})
    assert 0 == cli("apply", "--yes").code
    return Sites(cli)
