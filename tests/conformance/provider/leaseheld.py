"""A program that holds a lease at an endpoint until it is killed, for test_leases.py.

``python -m tests.conformance.provider.leaseheld PROVIDER CONNECTION NAME HOLDER`` writes ``held``
when it does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Context, Endpoint
from provisioner.providers.registry import Registry


class NoSecrets:
    """There are none."""

    def resolve(self, reference: str) -> Any:
        raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))


def main(provider: str, connection: str, name: str, holder: str) -> None:
    clock = SystemClock()
    context = Context(Path.cwd(), clock, NoSecrets(), lambda *_: None)
    endpoint = Endpoint("host", provider, json.loads(connection))
    session: Any = Registry().get(provider).open(endpoint, context)
    lease = session.hold(name, holder, Deadline.after(30, clock))
    sys.stdout.write("lost\n" if lease.lost else "held\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
