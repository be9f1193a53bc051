"""Nothing of a machine is left when it is gone, whatever it had and lost in the meantime."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.live.program import STACK_AND_HOST, Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

STACK = (
    STACK_AND_HOST
    + """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: one}}
spec: {{type: dir, path: "{pool}/one"}}
---
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: two}}
spec: {{type: dir, path: "{pool}/two"}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: root}}
spec: {{pool: one, size: 1MiB, format: qcow2, retention: delete}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: other}}
spec: {{pool: two, size: 1MiB, format: qcow2, retention: delete}}
"""
)
MACHINE = """\
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: {size: 64MiB}
  shutdownTimeout: 0s
"""
DISK = "  disks: [{disk: root}]\n"
SEED = '  cloudInit: {userData: "password: hunter2"}\n'
RESTART = ("apply", "--yes", "--max-impact", "restart")


@pytest.fixture
def stack(libvirt_session: LibvirtDaemon, tmp_path: Path) -> Stack:
    pool = libvirt_session.directory / f"pool-{tmp_path.name}"
    pool.mkdir()
    pool.chmod(0o777)
    return Stack(tmp_path, libvirt_session.uri, pool, STACK)


def declare(stack: Stack, *fields: str) -> None:
    """The machine with these fields, and what it needs; without fields no machine at all."""
    text = STACK.format(uri=stack.uri, pool=stack.pool)
    stack.write(text + (MACHINE + "".join(fields) if fields else ""))


def destroy(stack: Stack) -> None:
    """Destroy, and find the folders of the pools empty."""
    stack.run("destroy", "--yes", "--allow-data-loss=Disk/root", "--allow-data-loss=Disk/other")
    assert [] == files(stack.pool)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def firmware_files(daemon: LibvirtDaemon) -> list[str]:
    """Variables of firmware, and folders with the state of TPMs."""
    found = [path.name for path in daemon.directory.rglob("*_VARS.fd")]
    return found + [path.name for path in daemon.directory.rglob("tpm2*") if path.is_dir()]


def test_firmware_variables_and_tpm_that_it_has_no_more(
    stack: Stack, libvirt_session: LibvirtDaemon
) -> None:
    declare(stack, DISK, "  firmware: {type: uefi, tpm: true}\n")
    stack.run("apply", "--yes")
    assert ["web_VARS.fd", "tpm2"] == firmware_files(libvirt_session)
    declare(stack, DISK, "  firmware: {type: bios, tpm: false}\n")
    stack.run(*RESTART)
    destroy(stack)
    assert [] == firmware_files(libvirt_session)


def test_firmware_variables_of_somebody_else_are_not_taken_over(
    stack: Stack, libvirt_session: LibvirtDaemon
) -> None:
    declare(stack, DISK, "  firmware: {type: uefi}\n")
    stack.run("apply", "--yes")
    (variables,) = libvirt_session.directory.rglob("web_VARS.fd")
    clean = variables.read_bytes()
    destroy(stack)
    variables.write_bytes(bytes(len(clean)))
    variables.chmod(0o666)
    declare(stack, DISK, "  firmware: {type: uefi}\n")
    stack.run("apply", "--yes")
    assert b"_FVH" in variables.read_bytes(), "the variables are of a firmware again"
    destroy(stack)


def test_a_machine_that_libvirt_refused(stack: Stack) -> None:
    refused = "<cputune><shares>nonsense</shares></cputune>"
    declare(stack, SEED, DISK, f'  native: {{kvm: {{domain: ["{refused}"]}}}}\n')
    stack.run("apply", "--yes", expect=6)
    assert ["one/root", "two/other"] == [name.partition(".")[0] for name in files(stack.pool)]
    declare(stack)
    stack.run("apply", "--yes")
    destroy(stack)


def test_a_machine_whose_disks_are_in_another_pool_by_now(stack: Stack) -> None:
    """Its own files move along, so that no pool that it does not refer to holds any of them."""
    other = "  disks: [{disk: other}]\n"
    for fields, folder in (
        ((DISK, SEED), "one"),
        ((other, SEED.replace("2", "3")), "two"),
        ((DISK,), "one"),
        ((other,), "two"),
    ):
        declare(stack, *fields)
        stack.run("apply", "--yes")
        stack.run(*RESTART)
        assert [] == stack.plan()["steps"]
        own = [name for name in files(stack.pool) if "/web." in name]
        assert ["console.log", *["seed"] * ("cloudInit" in "".join(fields))] == (
            [re.sub(r"-[0-9a-f]{16}\.iso", "", name.split(".", 2)[2]) for name in own]
        )
        assert {folder} == {name.partition("/")[0] for name in own}
    declare(stack, "  cpu: {count: 1}\n")
    stack.run("apply", "--yes")
    stack.run(*RESTART)
    assert [] == [name for name in files(stack.pool) if "/web." in name]
    destroy(stack)


def test_a_machine_without_disks(stack: Stack) -> None:
    """Its pool is made before it and goes after it."""
    declare(stack, SEED.replace("}", ", pool: two}"))
    (step,) = [step for step in stack.plan()["steps"] if step["id"] == "VirtualMachine/web"]
    assert "StoragePool/two" in step["dependsOn"]
    stack.run("apply", "--yes")
    assert any(".seed-" in name for name in files(stack.pool / "two"))
    destroy(stack)


def test_a_seed_out_of_reach_is_told(stack: Stack, libvirt_session: LibvirtDaemon) -> None:
    declare(stack, SEED.replace("}", ", pool: two}"), "  power: stopped\n")
    stack.run("apply", "--yes")
    connection = libvirt.open(libvirt_session.uri)
    pool = connection.storagePoolLookupByName("two")
    pool.destroy()
    pool.undefine()
    declare(stack)
    said = stack.run(
        "apply", "--yes", "--max-impact", "replace", "--target", "VirtualMachine/*", expect=1
    )
    assert "was removed, but not its cloud-init disk" in said
    left = [name for name in files(stack.pool / "two") if name.startswith("web.")]
    assert 1 == len([name for name in left if ".seed-" in name])
    for name in left:
        (stack.pool / "two" / name).unlink()
    assert [] == connection.listAllDomains()
    connection.close()
    stack.run("apply", "--yes")
    destroy(stack)
