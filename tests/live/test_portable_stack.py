"""One stack, three hypervisors: the folder stacks/three-tier as it stands goes to KVM, to a vCenter
and to an ESXi host. Nothing differs but the host's variables and, on vSphere, ``--env``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.vcsim import Vcsim

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("portable")]

STACK = Path(__file__).parents[2] / "stacks" / "three-tier"
ROOTS = ("balancer-root", "db-root", "web-root-1", "web-root-2", "web-root-3")
MACHINES = ["balancer", "db", "web-1", "web-2", "web-3"]
MORE = ("replicas:\n    count: 2\n", "replicas:\n    count: 3\n")


class Portable:
    """A copy of the stack, and the program in it. ``others`` tells the names of its machines that
    run, as somebody else sees them.
    """

    def __init__(
        self,
        folder: Path,
        environment: str | None,
        variables: dict[str, str],
        others: Callable[[], list[str]],
    ) -> None:
        self.folder = folder / "shop"
        self.others = others
        shutil.copytree(STACK, self.folder)
        self._options = [
            *([] if environment is None else [f"--env={environment}"]),
            *(f"--var={name}={value}" for name, value in variables.items()),
        ]

    def __call__(self, *arguments: str, code: int = 0) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments, *self._options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "100"},
            check=False,
        )
        assert code == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def steps(self) -> list[str]:
        """What the plan would do."""
        plan = json.loads(self("plan", "--json"))
        return [f"{step['action']} {step['id']}" for step in plan["steps"]]

    def edit(self, file: str, old: str, new: str) -> None:
        """As an author does."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture(params=["kvm", "vcenter", "esxi"])
def stack(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    boot_image: BootImage,
    monkeypatch: pytest.MonkeyPatch,
) -> Portable:
    if request.param == "kvm":
        return _on_kvm(request.getfixturevalue("libvirt_system"), tmp_path, boot_image)
    pytest.importorskip("pyVmomi")
    vcsim: Vcsim = request.getfixturevalue(f"vcsim_{request.param}")
    monkeypatch.setenv("VSPHERE_PASSWORD", vcsim.password)
    return _on_vsphere(vcsim, tmp_path, boot_image)


def _on_kvm(daemon: LibvirtDaemon, folder: Path, boot: BootImage) -> Portable:
    libvirt = pytest.importorskip("libvirt")
    connection = libvirt.open(daemon.uri)
    folder.chmod(0o755)
    variables = {
        "connection": daemon.uri,
        "folder": str(daemon.directory / "portable"),
        "image": str(boot.copy(daemon.directory / "guest.qcow2")),
    }
    return Portable(
        folder,
        None,
        variables,
        lambda: sorted(item.name() for item in connection.listAllDomains() if item.isActive()),
    )


def _on_vsphere(vcsim: Vcsim, folder: Path, boot: BootImage) -> Portable:
    from tests.faults.vspherestack import Outsider  # noqa: PLC0415 - imports pyvmomi

    image = folder / "guest.vmdk"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk"]
    options = ["-o", "subformat=streamOptimized", str(boot.raw), str(image)]
    subprocess.run([*command, *options], check=True)
    variables = {
        "server": vcsim.host,
        "port": str(vcsim.port),
        "user": vcsim.user,
        "authority": str(vcsim.ca),
        "image": str(image),
        "cluster": "DC0_C0",
    }
    outsider = Outsider(vcsim)
    before = {machine.uuid for machine in outsider.machines()}
    return Portable(
        folder,
        "esxi" if vcsim.options.esx else "vcenter",
        variables,
        lambda: sorted(
            item.name
            for item in outsider.machines()
            if item.power == "poweredOn" and item.uuid not in before
        ),
    )


def test_the_same_folder_on_every_hypervisor(stack: Portable) -> None:
    stack("validate")
    assert 12 == len([step for step in stack.steps() if step.startswith("create ")])
    stack("apply", "--yes")
    stack("plan", "--detailed-exitcode")
    stack.edit("disks.yaml", *MORE)
    stack.edit("machines.yaml", *MORE)
    growth = {"create Disk/web-root-3", "create VirtualMachine/web-3"}
    assert growth <= {*stack.steps()} <= {*growth, "update Network/lan"}
    stack("apply", "--yes")
    stack("plan", "--detailed-exitcode")
    assert MACHINES == stack.others()
    # The guest of the lab hears no request to shut down.
    stack.edit("machines.yaml", "  shutdownTimeout: 2m\n", "")
    stack.edit("machines.yaml", "power: running\n", "power: running\n  shutdownTimeout: 0s\n")
    stack.edit("disks.yaml", "  protect: true\n", "")
    stack("apply", "--yes")
    stack("destroy", "--yes", *(f"--allow-data-loss=Disk/{name}" for name in ROOTS))
    assert [] == stack.others()
    assert [] == json.loads(stack("state", "list", "--json"))["resources"]
