"""With `quiesce` the file systems of a guest are at rest at the moment of a point: what its
programs had written is whole in the copy. Shown with a Linux guest, its agent, and ext4.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.lab.linux import LinuxGuest

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")
replicationbench = pytest.importorskip("tests.live.replicationbench")

from tests.live.handlerbench import wait_until  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SIZE = "16MiB"


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon,
    libvirt_session: LibvirtDaemon,
    linux_guest: LinuxGuest,
    tmp_path: Path,
) -> Iterator[Any]:
    """The guest runs and has its disk mounted."""
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.disk = {"pool": "images", "size": SIZE}
    raw, image = tmp_path / "ext4.raw", tmp_path / "ext4.qcow2"
    with raw.open("wb") as file:
        file.truncate(16 << 20)
    _run("mkfs.ext4", "-q", raw)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
    bench.near.boot_disk(SimpleNamespace(qcow2=image))
    boot = machinebench.linux_boot(linux_guest)
    spec = {**boot, "disks": [{"disk": "root"}], "guestAgent": True}
    bench.near.apply(machinebench.VM, "web", spec)
    wait_until(lambda: bench.near.session.ready(bench.near.machine()), 60)
    in_guest(bench, "mkdir /mnt; mount -t ext4 -o commit=300 /dev/vda /mnt")
    yield bench
    bench.close()


@pytest.mark.parametrize("quiesce", [True, False])
def test_a_quiesced_point_has_what_programs_had_written(
    sites: Any, tmp_path: Path, quiesce: bool
) -> None:
    replica = sites.replica(quiesce=quiesce)
    # Nothing asks for it to be written to the disk: it stays in the guest's memory for a while.
    in_guest(sites, "echo kept >/mnt/written")
    assert quiesce == sites.synchronise(replica).quiesced
    path = copy_of(sites.stage(replica), tmp_path)
    # A journal that has to be replayed is the mark of a file system that was not at rest.
    assert quiesce == ("needs_recovery" not in _run("dumpe2fs", "-h", path))
    assert quiesce == ("kept" in _run("debugfs", "-R", "cat /written", path))
    # The guest's programs write again.
    in_guest(sites, "echo more >/mnt/more; sync")
    sites.unstage(replica)


def in_guest(sites: Any, script: str) -> None:
    """Run a script in the guest; it has to succeed."""
    near = sites.near
    found = near.session.run(near.machine(), ("/bin/sh", "-c", script), near.deadline())
    assert 0 == found.code, found.output


def copy_of(disk: Path, folder: Path) -> Path:
    """What a disk holds, for tools that read raw images."""
    path = folder / "point.raw"
    _run("qemu-img", "convert", "-U", "-O", "raw", disk, path)
    return path


def _run(*argv: object) -> str:
    ended = subprocess.run([*map(str, argv)], check=True, capture_output=True, text=True)
    return ended.stdout
