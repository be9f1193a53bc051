"""SIGKILL of the tool, or of the daemon, in the middle of what is asked of a real libvirt: at each
call that changes something. The next run ends with the same machine, and with nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from provisioner.cli.exitcodes import ExitCode
from provisioner.core.address import Address
from provisioner.core.identity import identity
from provisioner.state.sqlite import SqliteStore
from tests.faults.failpoints import STACK_NAME, STATE
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.launcher import runs
from tests.live.program import Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

RECORD = "reached.jsonl"
ROOT = Path(__file__).resolve().parents[2]
CHANGES = {
    "memory: {size: 16MiB}": "memory: {size: 16MiB}\n  autostart: true\n  description: changed",
    "size: 4MiB": "size: 8MiB",
    "dhcp: {}": "dhcp: {}, dns: {hosts: [{address: 10.77.0.9, names: [x]}]}",
    "name: web}": "name: web, labels: {tier: front}}",
    "#cloud-config": "#cloud-config\\n# changed",
}
CALLS: dict[str, dict[str, int]] = {
    "create": {
        "virNetworkDefineXML": 1,
        "virNetworkCreate": 1,
        "virNetworkSetAutostart": 1,
        "virStoragePoolDefineXML": 1,
        "virStoragePoolBuild": 1,
        "virStoragePoolCreate": 2,
        "virStoragePoolSetAutostart": 1,
        "virStorageVolCreateXML": 6,
        "virStorageVolUpload": 2,
        "virStreamSend": 3,
        "virStreamFinish": 4,
        "virDomainDefineXML": 1,
        "virDomainCreateWithFlags": 1,
    },
    "change": {
        "virNetworkUpdate": 1,
        "virNetworkDefineXML": 1,
        "virDomainBlockResize": 1,
        "virStorageVolCreateXML": 2,
        "virStorageVolUpload": 1,
        "virStreamSend": 1,
        "virStreamFinish": 2,
        "virDomainDefineXML": 1,
        "virDomainUpdateDeviceFlags": 1,
        "virDomainSetMetadata": 1,
        "virDomainSetAutostart": 1,
        "virStorageVolDelete": 1,
    },
    "restart": {
        "virDomainDefineXML": 1,
        "virDomainSetMetadata": 2,
        "virDomainDestroy": 1,
        "virDomainCreateWithFlags": 1,
    },
    "destroy": {
        "virDomainDestroy": 1,
        "virDomainUndefineFlags": 1,
        "virStorageVolDelete": 6,
        "virNetworkDestroy": 1,
        "virNetworkUndefine": 1,
        "virStoragePoolDestroy": 1,
        "virStoragePoolUndefine": 1,
    },
}
"""How often each call that changes something is made, while nothing goes wrong."""
THERE = {
    "domains": ["web"],
    "networks": ["lan"],
    "pools": ["disks"],
    "files": [
        "boot.ID.qcow2",
        "boot.ID.qcow2.sha256-ID",
        "data.ID.qcow2",
        "root.ID.qcow2",
        "web.ID.console.log",
        "web.ID.seed-ID.iso",
    ],
    "guests": ["web"],
}
GONE: dict[str, list[str]] = {name: [] for name in THERE}
LEFT = {"create": THERE, "change": THERE, "restart": THERE, "destroy": GONE}
"""What there is after each operation."""
SURVIVED = (
    *(
        ("create", call)
        for call in ("virNetworkDefineXML", "virStorageVolCreateXML", "virDomainDefineXML")
    ),
    *(
        ("change", call)
        for call in ("virNetworkUpdate", "virDomainBlockResize", "virDomainDefineXML")
    ),
    *(
        ("destroy", call)
        for call in ("virNetworkUndefine", "virStorageVolDelete", "virDomainUndefineFlags")
    ),
)
"""Calls under which the daemon dies in every run of the tests: of making, changing and deleting
each of network, volume and domain. Under the others with --slow.
"""
DEFECTS = ("Traceback", "PRV5004", "PRV9999")
"""What says that something is wrong with the tool: that its daemon dies is none of its defects."""
STARTED = libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE | libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART
"""Those that run, now and after the next boot; the flags of pools have the same numbers."""
MACHINE = Address("VirtualMachine", "web")
NETWORK = Address("Network", "lan")
COMMANDS = {
    "restart": ("apply", "--max-impact", "restart"),
    "destroy": ("destroy", "--allow-data-loss", "Disk/root", "--allow-data-loss", "Disk/data"),
}
STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {{name: test}}
spec: {{}}
---
apiVersion: provisioner/v1
kind: Host
metadata: {{name: here}}
spec: {{provider: kvm, connection: {{uri: "{uri}"}}, accelerator: tcg}}
---
apiVersion: provisioner/v1
kind: Network
metadata: {{name: lan}}
spec: {{mode: isolated, cidr: 10.77.0.0/24, dhcp: {{}}}}
---
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: disks}}
spec: {{type: dir, path: "{pool}"}}
---
apiVersion: provisioner/v1
kind: Image
metadata: {{name: boot}}
spec: {{pool: disks, source: {{file: boot.qcow2}}, format: qcow2}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: root}}
spec: {{pool: disks, image: boot, retention: delete}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: data}}
spec: {{pool: disks, size: 4MiB, format: qcow2, retention: delete}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: web}}
spec:
  memory: {{size: 16MiB}}
  disks: [{{disk: root}}, {{disk: data}}]
  nics: [{{name: lan, network: lan}}]
  cloudInit: {{userData: "#cloud-config\\n{{}}\\n"}}
  shutdownTimeout: 0s
"""


class Lab:
    """A stack on a daemon that has nothing else."""

    def __init__(self, daemon: LibvirtDaemon, folder: Path, boot: Path) -> None:
        self.daemon = daemon
        self.folder = folder
        self.pool = daemon.directory / "volumes"
        self.stack = Stack(folder, daemon.uri, self.pool, STACK)
        shutil.copy(boot, folder / "boot.qcow2")

    def prepare(self, operation: str) -> None:
        """What is there before an operation."""
        if operation == "create":
            return
        assert 0 == self.run("create").returncode
        (self.folder / RECORD).unlink()
        if operation == "change":
            for old, new in CHANGES.items():
                self.stack.edit(old, new)
        if operation == "restart":
            # Only a start can give it that. Nothing says that it is to run.
            self.stack.edit("size: 16MiB}", "size: 16MiB, max: 32MiB}")

    def run(self, operation: str, *kill: str) -> subprocess.CompletedProcess[str]:
        """Carry an operation out, a step at a time; ``kill``: where, and who is to die."""
        command = COMMANDS.get(operation, ("apply",))
        return subprocess.run(
            [
                *(sys.executable, "-m", "tests.faults.failpoints", RECORD, *kill),
                *(*command, "--yes", "--parallel", "1"),
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def calls(self) -> dict[str, int]:
        """The calls of the last run that change something."""
        lines = map(json.loads, (self.folder / RECORD).read_text().splitlines())
        points = (line["point"] for line in lines if line["point"].startswith("vir"))
        return dict(Counter(p.removesuffix(".after") for p in points if p.endswith(".after")))

    def found(self) -> dict[str, list[str]]:
        """Everything on the daemon, by name, and the files of the pool, less what differs from
        stack to stack.
        """
        connection = libvirt.open(self.daemon.uri)
        try:
            return {
                "domains": [domain.name() for domain in connection.listAllDomains()],
                "networks": [network.name() for network in connection.listAllNetworks(STARTED)],
                "pools": [pool.name() for pool in connection.listAllStoragePools(STARTED)],
                "files": sorted(
                    re.sub("[0-9a-f]{8,}", "ID", path.name)
                    for path in self.pool.rglob("*")
                    if path.is_file()
                ),
                "guests": [*self.daemon.guests()],
            }
        finally:
            connection.close()

    def uuids(self) -> set[UUID]:
        """Those of the domain and of the network."""
        connection = libvirt.open(self.daemon.uri)
        try:
            found = [*connection.listAllDomains(), *connection.listAllNetworks()]
            return {UUID(bytes=item.UUID()) for item in found}
        finally:
            connection.close()

    def check(self, operation: str) -> None:
        """All is as an undisturbed run leaves it."""
        assert LEFT[operation] == self.found()
        with closing(SqliteStore(self.folder / STATE, stack=STACK_NAME)) as store:
            state = store.read()
            assert () == state.open_intents
            assert [] == store.verify()
        if operation != "destroy":
            expected = {identity(state.lineage, address) for address in (MACHINE, NETWORK)}
            assert expected == self.uuids()
            assert [] == self.stack.steps()


@pytest.fixture
def lab(libvirt_system: LibvirtDaemon, boot_image: BootImage, tmp_path: Path) -> Lab:
    """A stack on the worker's daemon."""
    shutil.rmtree(libvirt_system.directory / "volumes", ignore_errors=True)
    return Lab(libvirt_system, tmp_path, boot_image.qcow2)


@pytest.fixture
def fresh_lab(fresh_libvirt_system: LibvirtDaemon, boot_image: BootImage, tmp_path: Path) -> Lab:
    """A stack on a daemon of the test's own."""
    return Lab(fresh_libvirt_system, tmp_path, boot_image.qcow2)


@pytest.mark.parametrize("operation", CALLS)
def test_these_are_the_calls_that_change_something(lab: Lab, operation: str) -> None:
    lab.prepare(operation)
    finished = lab.run(operation)
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    assert CALLS[operation] == lab.calls()
    lab.check(operation)


@pytest.mark.parametrize(
    ("operation", "call", "number"),
    [
        pytest.param(
            *(operation, call, number), marks=[] if number in (1, times) else pytest.mark.slow
        )
        for operation, calls in CALLS.items()
        for call, times in calls.items()
        for number in range(1, times + 1)
    ],
)
def test_the_tool_may_die_after_any_call(lab: Lab, operation: str, call: str, number: int) -> None:
    """The first and the last call of a sort; those between with --slow."""
    lab.prepare(operation)
    guests = lab.daemon.guests()
    died = lab.run(operation, "--kill", f"{call}.after", str(number))
    assert -signal.SIGKILL == died.returncode, died.stdout + died.stderr
    finish(lab, operation, call)
    if operation == "change":
        # The guest never noticed.
        assert guests == lab.daemon.guests()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("operation", "call"),
    [
        pytest.param(
            *(operation, call),
            marks=[] if (operation, call) in SURVIVED else pytest.mark.slow,
        )
        for operation, calls in CALLS.items()
        for call in calls
    ],
)
def test_the_daemon_may_die_under_any_call(
    fresh_lab: Lab, operation: str, call: str, when: str
) -> None:
    fresh_lab.prepare(operation)
    victim = str(fresh_lab.daemon.pid)
    with revived(fresh_lab.daemon):
        ended = fresh_lab.run(operation, "--kill", f"{call}.{when}", "1", "--victim", victim)
    assert [] == [word for word in DEFECTS if word in ended.stdout + ended.stderr]
    assert ended.returncode in map(int, ExitCode), ended.stderr
    assert str(fresh_lab.daemon.pid) != victim
    finish(fresh_lab, operation, call)


def finish(lab: Lab, operation: str, call: str) -> None:
    """The next run ends well. Where a pool was left without being started, nobody can know what
    lies in it: then one run starts it, and the one after does the rest.
    """
    finished = lab.run(operation)
    if call.startswith("virStoragePool") and finished.returncode == ExitCode.HELD:
        finished = lab.run(operation)
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    lab.check(operation)


@contextmanager
def revived(daemon: LibvirtDaemon) -> Iterator[None]:
    """A block in which the daemon is started again as soon as it is dead, once."""
    over = threading.Event()
    first = daemon.pid

    def watch() -> None:
        while not over.wait(0.05):
            if not runs(first):
                daemon.start()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@pytest.mark.parametrize("power", ["", "\n  power: stopped"], ids=["unsaid", "stopped"])
def test_a_machine_that_was_left_off_is_brought_back_unless_it_is_to_be_off(
    lab: Lab, power: str
) -> None:
    """Though its definition is what it is to be by then."""
    lab.prepare("restart")
    died = lab.run("restart", "--kill", "virDomainDestroy.after", "1")
    assert -signal.SIGKILL == died.returncode, died.stdout + died.stderr
    lab.stack.edit("max: 32MiB}", "max: 32MiB}" + power)
    [step] = lab.stack.plan()["steps"]
    assert ("update VirtualMachine/web", "live") == (
        f"{step['action']} {step['id']}",
        step["impact"],
    )
    assert "it was switched off for a change" in json.dumps(step)
    assert 0 == lab.run("change").returncode
    assert [] == lab.stack.steps()
    assert ([] if power else ["web"]) == [*lab.daemon.guests()]
