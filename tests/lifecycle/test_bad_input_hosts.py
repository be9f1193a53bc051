"""Endpoints that cannot be reached or do not answer in full: every one of them is told, at its
manifest, and nothing is taken for absent. What real hosts say is in tests/live/test_bad_hosts.py.
"""

from __future__ import annotations

import json

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.refused import check_errors, diagnostics
from tests.lifecycle.stacks import ALL
from tests.lifecycle.unharmed import unharmed

COMMANDS = (("plan",), ("apply", "--yes"), ("destroy", "--yes"))
HERE = "host.yaml:4:26"
"""Where the connection stands in the manifest that :class:`CommandLine` writes."""


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (
            {"call": "open", "effect": "terminal", "times": 0},
            f"PRV5902 {HERE} the endpoint refuses the call to open Host/here",
        ),
        (
            {"call": "open", "effect": "retryable", "times": 0, "seconds": 0},
            f"PRV5903 {HERE} the endpoint is too busy for the call to open Host/here",
        ),
        (
            {"call": "observe", "address": "Disk/*", "effect": "terminal", "times": 0},
            "PRV5902 nowhere the endpoint refuses the call to observe Disk/web-root",
        ),
        (
            {"call": "observe", "address": "Disk/*", "effect": "undetermined", "times": 0},
            "PRV5906 nowhere gave half an answer to the call to observe Disk/web-root",
        ),
    ],
    ids=["refused", "busy", "lost while reading", "half an answer"],
)
def test_nothing_is_done(applied: CommandLine, rule: dict[str, object], error: str) -> None:
    with unharmed(applied):
        applied.faults(rule)
        for command in COMMANDS:
            refused = applied(*command, "--json")
            assert 1 == refused.code
            check_errors(applied.root, diagnostics(refused), [error])


def test_every_host_is_told_and_the_others_are_left_alone(applied: CommandLine) -> None:
    """One that works is not begun with while two others are unknown."""
    faults = json.dumps([{"call": "open", "effect": "terminal", "times": 0}])
    with unharmed(applied):
        applied.write(
            "stack.yaml",
            "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: test}\n"
            "spec: {defaults: {host: here}}\n",
        )
        for name in ("far", "farther"):
            applied.write(
                f"{name}.yaml",
                f"apiVersion: provisioner/v1\nkind: Host\nmetadata: {{name: {name}}}\n"
                f"spec:\n  provider: memory\n  connection: {{faults: {faults}}}\n",
            )
        applied.declare(
            *ALL,
            "StoragePool/a\nhost: far\ntype: dir\npath: /srv/a\n",
            "StoragePool/b\nhost: farther\ntype: dir\npath: /srv/b\n",
            "StoragePool/c\ntype: dir\npath: /srv/c\n",
        )
        for command in COMMANDS[:2]:
            refused = applied(*command, "--json")
            assert 1 == refused.code
            check_errors(
                applied.root,
                diagnostics(refused),
                [
                    "PRV5902 far.yaml:6:3 to open Host/far",
                    "PRV5902 farther.yaml:6:3 to open Host/farther",
                ],
            )
