"""What would fail in the middle of an apply is told before anything is done."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.live.livelab import Lab, lab_in, pool

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MIB = 2**20


@pytest.fixture
def lab(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    libvirt_session: LibvirtDaemon,
) -> Lab:
    """A stack with a pool, applied."""
    lab = lab_in(tmp_path, monkeypatch, capsys)
    lab.host(libvirt_session.uri)
    lab.base = pool(libvirt_session, lab)
    lab.declare(lab.base)
    assert 0 == lab("apply", "--yes").code
    return lab


def image(file: str, kind: str = "raw", checksum: str = "") -> str:
    """An image in the pool."""
    more = f"checksum: {checksum}\n" if checksum else ""
    return f"Image/looked-at\npool: bad-hosts\nsource: {{file: {file}}}\nformat: {kind}\n{more}"


def place(lab: Lab, field: str, value: str) -> str:
    """Where the value of a field stands in the manifests."""
    lines = (lab.root / "resources.yaml").read_text(encoding="utf-8").splitlines()
    number, line = next(
        (number, line) for number, line in enumerate(lines, 1) if f"{field}: {value}" in line
    )
    return f"resources.yaml:{number}:{line.index(f'{field}: {value}') + len(field) + 3}"


def test_a_file_that_is_not_there(lab: Lab) -> None:
    lab.declare(lab.base, image("missing.raw"))
    lab.check_refused(f"PRV5130 {place(lab, 'file', 'missing.raw')} missing.raw cannot be read")


def test_a_file_of_another_format(lab: Lab, boot_image: BootImage) -> None:
    lab.declare(lab.base, image(str(boot_image.qcow2)))
    lab.check_refused(f"PRV5131 {place(lab, 'format', 'raw')} is not of the format raw")


def test_a_disk_that_is_smaller_than_its_image(lab: Lab, boot_image: BootImage) -> None:
    disk = "Disk/looked-at\npool: bad-hosts\nimage: looked-at\nsize: 1MiB\n"
    lab.declare(lab.base, image(str(boot_image.qcow2), "qcow2"), disk)
    lab.check_refused(
        f"PRV5135 {place(lab, 'size', '1MiB')} Its size is 1MiB; Image/looked-at has 8MiB"
    )


def test_a_checksum_is_compared_before_the_first_step(lab: Lab) -> None:
    (lab.root / "big.raw").write_bytes(b"x" * 3 * MIB)
    right = hashlib.sha256(b"x" * 3 * MIB).hexdigest()
    lab.declare(lab.base, image("big.raw", checksum=f"sha256:{'0' * 64}"))
    # Planning reads no whole files.
    assert 0 == lab("plan").code
    lab.check_refused(
        f"PRV5134 nowhere big.raw has sha256:{right} | expected sha256:000",
        commands=("apply",),
    )
    lab.declare(lab.base, image("big.raw", checksum=f"sha256:{right}"))
    applied = lab("apply", "--yes")
    assert 0 == applied.code
    assert "Image/looked-at: checking its file, 100%" in applied.out
    # What is there already is asked for no file.
    (lab.root / "big.raw").unlink()
    assert 0 == lab("plan", "--detailed-exitcode").code


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("machineType: q36", "q36", "machineType names what the host does not have | 'q35'"),
        ("cpu: {model: Nehalm}", "Nehalm", "cpu.model names what | Did you mean 'Nehalem'?"),
        ("machineType: virt", "virt", "machineType names what | Choose one of these"),
    ],
)
def test_hardware_that_the_host_does_not_know(lab: Lab, text: str, value: str, words: str) -> None:
    lab.declare(
        lab.base, f"VirtualMachine/ahead\nmemory: {{size: 16MiB}}\n{text}\npower: stopped\n"
    )
    field = "model" if "model" in text else "machineType"
    lab.check_refused(f"PRV5210 {place(lab, field, value)} {words}")


def test_a_pool_in_the_folder_of_another_one(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    folder = libvirt_session.directory / f"{lab.root.name}-theirs"
    connection = libvirt.open(libvirt_session.uri)
    theirs = connection.storagePoolDefineXML(
        f"<pool type='dir'><name>theirs</name><target><path>{folder}</path></target></pool>"
    )
    try:
        lab.declare(lab.base, f"StoragePool/more\ntype: dir\npath: {folder}\n")
        lab.check_refused(
            f"PRV5127 {place(lab, 'path', str(folder))} is the folder of the pool theirs"
            " | provisioner adopt StoragePool/theirs"
        )
    finally:
        theirs.undefine()
        connection.close()


def test_a_snapshot_with_the_memory_of_a_machine_that_is_stopped(lab: Lab) -> None:
    lab.declare(
        lab.base,
        "VirtualMachine/ahead\nmemory: {size: 16MiB}\npower: stopped\n",
        "Snapshot/ahead\nmachine: ahead\nmemory: true\n",
    )
    lab.check_refused(f"PRV5205 {place(lab, 'memory', 'true')} the machine does not run")
