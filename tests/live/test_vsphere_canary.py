"""The password of a vCenter and a secret in the user data of a machine reach the vCenter, and
nothing else: neither what the program writes nor what it says, also where the vCenter or pyvmomi
repeat them and where the program crashes.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.xdist_group("canary")]

PASSWORD = "c4n4ryVS1 <&> 'x\"é"
USER_DATA = "#cloud-config\npassword: c4n4ryUD2x\n"
CORES = ("c4n4ryVS1", "c4n4ryUD2x", base64.b64encode(USER_DATA.encode()).decode())
"""What is looked for: it survives every way to quote a text, or is how it is sent."""
STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {{name: shop}}
spec: {{}}
---
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
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: web}}
spec:
  power: stopped
  memory: {{size: 64MiB}}
  cloudInit: {{userData: {{secretRef: "env://USER_DATA"}}}}
"""
CRASHING = """\
import sys
from pyVmomi import vim
from provisioner.cli.main import main

def crash(self, userName, password, locale=None):
    raise ZeroDivisionError("Login(%r, %r)" % (userName, password))

vim.SessionManager.Login = crash
sys.exit(main())
"""
"""The program with a pyvmomi that fails as nobody expects it to, and tells all it knows."""


class Program:
    """The program in a stack's folder; ``said`` is all that it has said."""

    def __init__(self, vcsim: Vcsim, folder: Path) -> None:
        self.folder, self.written = folder / "stack", folder
        self.said: list[str] = []
        places = {"HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"}
        for name in ("stack", *places.values()):
            (folder / name).mkdir()
        text = STACK.format(host=vcsim.host, port=vcsim.port, user=vcsim.user, ca=vcsim.ca)
        (self.folder / "stack.yaml").write_text(text)
        self._environment = {
            **os.environ,
            **{name: str(folder / place) for name, place in places.items()},
            "VSPHERE_PASSWORD": PASSWORD,
            "USER_DATA": USER_DATA,
        }

    def __call__(self, *arguments: str, code: int = 0, crashing: bool = False) -> str:
        start = ["-c", CRASHING] if crashing else ["-m", "provisioner"]
        finished = subprocess.run(
            [sys.executable, *start, *arguments, "--verbose"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        text = finished.stdout + finished.stderr
        assert code == finished.returncode, text
        self.said.append(text)
        return text

    def tellers(self) -> list[str]:
        """What has said or written a secret."""
        files = [path for path in self.written.rglob("*") if path.is_file()]
        return [
            *(text for text in self.said if any(core in text for core in CORES)),
            *(str(path) for path in files if any(c.encode() in path.read_bytes() for c in CORES)),
        ]


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, users=(("keeper@vsphere.local", PASSWORD),))) as simulator:
        yield simulator


@pytest.fixture
def program(vcsim: Vcsim, tmp_path: Path) -> Program:
    return Program(vcsim, tmp_path)


def test_every_command_keeps_them(program: Program) -> None:
    for command in (
        ("validate",),
        ("plan", "-o", "first.plan"),
        ("apply", "first.plan", "--json"),
        ("plan", "--detailed-exitcode"),
        ("drift", "--json"),
        ("show", "VirtualMachine/web"),
        ("graph",),
        ("state", "show", "VirtualMachine/web", "--json"),
        ("state", "history"),
        ("state", "backup", "state.copy"),
        ("discover", "here", "-o", "found"),
        ("state", "forget", "VirtualMachine/web", "--yes"),
        ("adopt", "--yes"),
        ("destroy", "--yes", "--target", "VirtualMachine/web"),
    ):
        program(*command)
    assert [] == program.tellers()


def test_a_vcenter_that_repeats_them_in_a_fault_is_not_quoted(
    vcsim: Vcsim, program: Program
) -> None:
    said = {"property": f"userdata {USER_DATA} of somebody with {PASSWORD}"}
    with vcsim.fault("CreateVM_Task", Act.FAIL, fault="InvalidVmConfig", details=said):
        text = program("apply", "--yes", code=1)
    assert "InvalidVmConfig" in text
    # A run that does not need the user data knows nothing of them.
    said = {"property": f"somebody with {PASSWORD}"}
    with vcsim.fault("Login", Act.FAULT, fault="InvalidVmConfig", details=said):
        program("plan", code=1)
    assert [] == program.tellers()


def test_a_crash_with_a_password_in_it_is_reported_without(program: Program) -> None:
    text = program("plan", crashing=True, code=1)
    assert "(secret env://VSPHERE_PASSWORD)" in " ".join(text.split())
    program("discover", "here", "-o", "found", crashing=True, code=1)
    assert [] == program.tellers()


def test_a_password_that_is_wrong_is_not_told_either(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(program._environment, "VSPHERE_PASSWORD", "c4n4ryVS1-wrong")
    assert "PRV5302" in program("plan", code=1)
    assert [] == program.tellers()
