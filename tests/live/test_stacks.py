"""The worked stacks run as they stand, through the program, on real daemons; the plans that they
must give are golden files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.golden_support import CheckGolden
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

pytestmark = pytest.mark.live

STACKS = Path(__file__).parents[2] / "stacks"
VOLATILE = ("createdAt", "digest", "fingerprint", "lineage", "schemas", "toolVersion", "uid")


class WorkedStack:
    """A copy of a worked stack with its variables set for this machine."""

    def __init__(self, name: str, folder: Path, daemon: LibvirtDaemon, image: BootImage) -> None:
        self.folder = folder / name
        shutil.copytree(STACKS / name, self.folder)
        self.variables = {
            "connection": daemon.uri,
            "folder": str(daemon.directory / "stack-disks"),
            # A name of the same length in each run, since long values go on a line of their own.
            "image": str(image.copy(daemon.directory / "guest.qcow2")),
        }
        self.connection = libvirt.open(daemon.uri)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command on the stack; what it prints."""
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "provisioner",
                *arguments,
                *(f"--var={name}={value}" for name, value in self.variables.items()),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "80"},
            check=False,
        )
        assert expect == result.returncode, result.stdout + result.stderr
        return result.stdout

    def portable(self, text: str) -> str:
        """A text without what differs from machine to machine and from run to run."""
        for name, value in self.variables.items():
            text = text.replace(value, f"<{name}>")
        return re.sub(r'(, plan |"id": ")[0-9a-f]{12,}', r"\1<id>", text)

    def machines(self) -> list[str]:
        """The names of the machines that run."""
        return sorted(
            domain.name() for domain in self.connection.listAllDomains() if domain.isActive()
        )


Copy = Callable[[str, LibvirtDaemon], WorkedStack]


@pytest.fixture
def copy(tmp_path: Path, boot_image: BootImage) -> Copy:
    """Makes a copy of a worked stack for a daemon."""
    tmp_path.chmod(0o755)
    return lambda name, daemon: WorkedStack(name, tmp_path, daemon, boot_image)


def stable(value: Any) -> Any:
    """A plan's JSON without what is drawn or measured."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE}
    return [stable(item) for item in value] if isinstance(value, list) else value


def test_quickstart(copy: Copy, libvirt_session: LibvirtDaemon, check_golden: CheckGolden) -> None:
    stack = copy("quickstart", libvirt_session)
    check_golden("stacks/quickstart.txt", stack.portable(stack.run("plan")))
    stack.run("apply", "--yes")
    assert ["hello"] == stack.machines()
    stack.run("plan", "--detailed-exitcode")
    stack.run("destroy", "--yes", "--allow-data-loss=Disk/hello-root")
    assert ([], []) == (
        stack.connection.listAllDomains(),
        stack.connection.listAllStoragePools(),
    )
    assert [] == list(Path(stack.variables["folder"]).iterdir())


def test_three_tier(copy: Copy, libvirt_system: LibvirtDaemon, check_golden: CheckGolden) -> None:
    stack = copy("three-tier", libvirt_system)
    check_golden("stacks/three-tier.txt", stack.portable(stack.run("plan")))
    data = stable(json.loads(stack.run("plan", "--json")))
    check_golden(
        "stacks/three-tier.json",
        stack.portable(json.dumps(data, indent=2, ensure_ascii=False)) + "\n",
    )
    stack.run("apply", "--yes")
    assert ["balancer", "db", "web-1", "web-2"] == stack.machines()
    stack.run("plan", "--detailed-exitcode")
    leases = stack.connection.networkLookupByName("lan").XMLDesc()
    assert {"10.20.0.10", "10.20.0.21", "10.20.0.22", "10.20.0.30"} == set(
        re.findall(r"<host mac=.* ip='([0-9.]+)'", leases)
    )


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_environments(
    copy: Copy, libvirt_session: LibvirtDaemon, check_golden: CheckGolden, environment: str
) -> None:
    stack = copy("environments", libvirt_session)
    option = f"--env={environment}"
    plan = stack.portable(stack.run("plan", option))
    check_golden(f"stacks/environments-{environment}.txt", plan)
    stack.run("apply", "--yes", option)
    stack.run("plan", "--detailed-exitcode", option)
    assert [] != stack.machines()


def test_environments_side_by_side(copy: Copy, libvirt_session: LibvirtDaemon) -> None:
    stack = copy("environments", libvirt_session)
    for environment in ("dev", "prod"):
        stack.run("apply", "--yes", f"--env={environment}")
    for environment in ("dev", "prod"):
        stack.run("plan", "--detailed-exitcode", f"--env={environment}")
