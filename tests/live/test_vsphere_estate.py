"""The law of discovery on a vCenter that people have filled by hand: discover, adopt, plan, and
there is nothing to do; nothing is restarted, and nothing changed but the mark. From then on only
edits appear, and what others do is drift, but for what the cluster itself does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim

vim = pytest.importorskip("pyVmomi").vim
handmade = pytest.importorskip("tests.live.vspherehandmade")
outside = pytest.importorskip("tests.conformance.provider.vmware_outside")

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("vsphere-estate")]

HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {{name: here}}
spec:
  provider: vcenter
  connection:
    server: {host}
    port: {port}
    username: {user}
    password: {{secretRef: "env://VSPHERE_PASSWORD"}}
    tls: {{caFile: "{ca}"}}
    cluster: DC0_C0
"""
STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: estate}\nspec: {}\n"
DRIFTED = 2
MARKS = re.compile(r"modified = [^\n]*|(\\n\\n)?\[provisioner \{[^\n]*\}\]")
"""When a machine was reconfigured last, and the mark in the description of a snapshot."""


class Folder:
    """A stack of the vCenter, and the program in it."""

    def __init__(self, vcsim: Vcsim, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "COLUMNS": "100",
            "VSPHERE_PASSWORD": vcsim.password,
            # What a URI says nothing of: the authorities that this machine trusts.
            "SSL_CERT_FILE": str(vcsim.ca),
        }

    def __call__(self, *arguments: str, cwd: Path | None = None, code: int = 0) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        assert code == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def manifest(self, kind: str, name: str) -> Path:
        """The file of an object, by what it is called on the vCenter."""
        pattern = re.compile(
            rf"^  (externalName|name): ['\"]?{re.escape(name)}['\"]?$", re.MULTILINE
        )
        (found,) = [
            path
            for path in sorted((self.folder / "found").rglob("*.yaml"))
            if f"kind: {kind}\n" in (text := path.read_text()) and pattern.search(text)
        ]
        return found

    def changes(self) -> list[str]:
        """What the plan would do, and to what."""
        return [f"{step['action']} {step['id']}" for step in self.plan()["steps"]]

    def plan(self) -> dict[str, Any]:
        """The plan as a document."""
        found: dict[str, Any] = json.loads(self("plan", "--json"))
        return found

    def drift(self, *, code: int = 0) -> dict[str, Any]:
        """What is not as it was applied, by address."""
        resources = json.loads(self("drift", "--json", code=code))["resources"]
        return {item["address"]: item for item in resources if item["condition"] != "converged"}


class Adopted(Folder):
    """The estate before and after it was discovered and taken over."""

    def __init__(self, vcsim: Vcsim, there: Any, folder: Path) -> None:
        super().__init__(vcsim, folder)
        self.estate = handmade.HandMade(there)
        self.before = self.estate.pictures()
        host = HOST.format(host=vcsim.host, port=vcsim.port, user=vcsim.user, ca=vcsim.ca)
        self.observing = folder.with_name(f"{folder.name}-observing")
        self.observing.mkdir()
        for place in (folder, self.observing):
            (place / "stack.yaml").write_text(STACK)
            (place / "host.yaml").write_text(host)
        self.found = json.loads(self("discover", "here", "-o", "found", "--json"))
        self("discover", "here", "-o", "found", "--observe", "--full", cwd=self.observing)
        self.observed = self("plan", cwd=self.observing)
        vcsim.reset_counts()
        self("adopt", "--yes")
        self.calls = vcsim.reset_counts()
        self.planned = json.loads(self("plan", "--json", "--detailed-exitcode"))
        self.after = self.estate.pictures()


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, datastores=2)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def adopted(vcsim: Vcsim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    with ExitStack() as stack:
        there = stack.enter_context(outside.connected(vcsim))
        yield Adopted(vcsim, there, tmp_path_factory.mktemp("estate"))


def test_everything_is_told(adopted: Adopted) -> None:
    """As a manifest, or as a comment that says why there is none."""
    machines = {machine["name"] for machine in adopted.before.values()} - {"golden image"}
    unique = machines - {"twin"}
    escaped = {"50%25 off": "50% off", "in%2fout": "in/out", "back%5cslash": "back\\slash"}
    names = {escaped.get(name, name).replace("%252f", "%2f") for name in unique}
    assert {*handmade.ODD_NAMES, "plain", "web server"} <= names
    for name in (*names, "/DC0/vm/front/twin", "/DC0/vm/back/twin"):
        assert adopted.manifest("VirtualMachine", name).is_file()
    for kind, name in (
        ("Folder", "/DC0/vm/front/inner"),
        ("ResourcePool", "gold"),
        ("PlacementRule", "keep the apps apart"),
        ("Network", "Büro"),
        ("Image", "/DC0/vm/golden image"),
        ("Snapshot", "after/upgrade"),
    ):
        assert adopted.manifest(kind, name).is_file()


def test_what_no_field_says_is_named(adopted: Adopted) -> None:
    text = adopted.manifest("VirtualMachine", "odd devices").read_text()
    sorts = ("VirtualPCIPassthrough", "VirtualSerialPort", "VirtualUSB", "VirtualUSBXHCIController")
    for sort in sorts:
        assert (
            f"# not expressed: kept as it is, for no field says it: a device of the sort {sort}"
            in text
        )
    old = adopted.manifest("VirtualMachine", "old scsi").read_text()
    assert "VirtualLsiLogicSASController" in old
    assert "# not expressed" not in adopted.manifest("VirtualMachine", "app-0").read_text()


def test_a_manifest_says_what_somebody_has_chosen(adopted: Adopted) -> None:
    text = adopted.manifest("VirtualMachine", "deeper").read_text()
    assert "  placement:\n    resourcePool: inner\n    folder: dc0-vm-front-inner\n" in text
    assert not any(word in text for word in ("shares", "reservation", "hotAdd", "topology"))
    shared = adopted.manifest("VirtualMachine", "shared").read_text()
    for line in ("shares: 333", "reservationMhz: 500", "limitMhz: 2000", "shares: low"):
        assert line in shared


def test_discover_adopt_and_there_is_nothing_to_do(adopted: Adopted) -> None:
    assert ([], [], []) == tuple(adopted.planned[key] for key in ("steps", "held", "pending"))


def test_what_is_only_observed_and_told_in_full_differs_in_nothing_either(adopted: Adopted) -> None:
    assert "Nothing to do" in adopted.observed


def test_nothing_is_restarted_and_only_marks_are_written(adopted: Adopted) -> None:
    def plain(pictures: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {
            moid: {name: MARKS.sub("", value) for name, value in picture.items()}
            for moid, picture in pictures.items()
        }

    assert plain(adopted.before) == plain(adopted.after)
    assert [] == [call for call in adopted.calls if re.match("Power|Reset|Reboot|Relocate", call)]


def test_an_edit_is_one_change(adopted: Adopted) -> None:
    path = adopted.manifest("VirtualMachine", "shared")
    path.write_text(path.read_text().replace("shares: 333", "shares: 444"))
    assert ["update VirtualMachine/shared"] == adopted.changes()
    adopted("apply", "--yes")
    assert [] == adopted.changes()
    config = adopted.estate.machine("shared").config
    assert (444, 2000) == (config.cpuAllocation.shares.shares, config.cpuAllocation.limit)


def test_an_update_keeps_what_no_field_says(adopted: Adopted) -> None:
    for name in ("odd devices", "keys"):
        path = adopted.manifest("VirtualMachine", name)
        path.write_text(path.read_text().replace("size: 64MiB", "size: 128MiB"))
    adopted("apply", "--yes")
    assert [] == adopted.changes()
    devices = [
        type(item).__name__ for item in adopted.estate.machine("odd devices").config.hardware.device
    ]
    for sort in ("VirtualSerialPort", "VirtualUSB", "VirtualPCIPassthrough"):
        assert 1 == sum(name.endswith(sort) for name in devices)
    keys = {item.key: item.value for item in adopted.estate.machine("keys").config.extraConfig}
    assert "db" == keys["guestinfo.role"]


def test_what_others_change_is_drift_with_its_cause_and_when_it_was_seen(adopted: Adopted) -> None:
    assert {} == adopted.drift()
    machine = adopted.estate.machine("app-3")
    handmade.finished(machine.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=96)))
    found = adopted.drift(code=DRIFTED)
    assert ["VirtualMachine/app-3"] == [*found]
    [field] = found["VirtualMachine/app-3"]["fields"]
    assert (["memory", "size"], "outside") == (field["path"], field["cause"])
    assert field["firstSeen"]
    [again] = adopted.drift(code=DRIFTED)["VirtualMachine/app-3"]["fields"]
    assert field["firstSeen"] == again["firstSeen"]
    handmade.finished(machine.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=64)))
    assert {} == adopted.drift()


def test_a_machine_that_the_cluster_moves_is_no_drift(adopted: Adopted) -> None:
    machine = adopted.estate.machine("app-4")
    hosts = [host for host in adopted.estate.there.compute.host if host != machine.runtime.host]
    handmade.finished(machine.RelocateVM_Task(vim.vm.RelocateSpec(host=hosts[0])))
    assert hosts[0] == machine.runtime.host
    assert {} == adopted.drift()
    assert [] == adopted.changes()


def test_a_machine_that_somebody_puts_into_another_folder_is(adopted: Adopted) -> None:
    machine, home = adopted.estate.machine("deeper"), adopted.estate.folders["front/inner"]
    handmade.finished(adopted.estate.folder.MoveIntoFolder_Task([machine]))
    assert ["update VirtualMachine/deeper"] == adopted.changes()
    adopted("apply", "--yes")
    assert home == machine.parent
    assert {} == adopted.drift()


def test_a_host_is_discovered_by_a_uri_and_taken_over(tmp_path: Path) -> None:
    """Most of what it has can carry no mark."""
    with simulated(Options(esx=True, machines=4, users=(("root", "lab-password"),))) as host:
        program = Folder(host, tmp_path)
        program("discover", f"esxi://root@{host.host}:{host.port}", "-o", "found")
        program.folder = tmp_path / "found"
        program("adopt", "--yes")
        assert [] == program.changes()
        assert {} == program.drift()
        found = json.loads(program("state", "list", "--json"))["resources"]
    kinds = [item["address"].partition("/")[0] for item in found]
    assert (4, 4) == (kinds.count("VirtualMachine"), kinds.count("Disk"))


def test_a_certificate_is_pinned_in_a_uri(vcsim: Vcsim, adopted: Adopted, tmp_path: Path) -> None:
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(vcsim.certificate.read_text())).hexdigest()
    uri = f"vcenter://{vcsim.user.replace('@', '%40')}@{vcsim.host}:{vcsim.port}?fingerprint={pin}"
    adopted("discover", uri, "-o", "pinned", "--match", "web server", cwd=tmp_path)
    hosts = "".join(path.read_text() for path in (tmp_path / "pinned").glob("*.yaml"))
    assert f"fingerprint: {pin}" in hosts


def test_a_vcenter_is_discovered_by_a_uri(vcsim: Vcsim, adopted: Adopted, tmp_path: Path) -> None:
    """Of which a new stack is made, whose password is still asked of the environment."""
    uri = f"vcenter://{vcsim.user.replace('@', '%40')}@{vcsim.host}:{vcsim.port}/DC0"
    adopted("discover", uri, "-o", "new", "--match", "web server", cwd=tmp_path)
    [machine] = (tmp_path / "new").rglob("*web-server.yaml")
    assert "externalName: web server" in machine.read_text()
    assert "env://VSPHERE_PASSWORD" in "".join(
        path.read_text() for path in (tmp_path / "new").rglob("*.yaml")
    )
