"""Real hosts that are gone, that refuse, that lack something or hold what is not ours: the whole
way from a manifest to the exit code. Nothing is changed, nothing is lost, and once the cause is
gone the same stack is applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import certificates, listeners, requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lifecycle.refused import check_errors, diagnostics
from tests.live.livelab import Lab, lab_in, pool

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
connection = pytest.importorskip("provisioner_plugins._libvirt.connection")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MIB = 2**20
CONNECTION = "host.yaml:7:3"
DISK = "Disk/data\npool: bad-hosts\nsize: 1MiB\nretention: delete\n"
MACHINE = """
VirtualMachine/bad-hosts
memory: {size: 16MiB}
disks: [{disk: data}]
power: stopped
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    """The program in the folder of an empty stack."""
    return lab_in(tmp_path, monkeypatch, capsys)


def test_a_host_that_is_gone_and_comes_back(lab: Lab, fresh_libvirt_session: LibvirtDaemon) -> None:
    daemon = fresh_libvirt_session
    lab.host(daemon.uri)
    lab.declare(pool(daemon, lab), DISK, MACHINE)
    lab.check_converged()
    daemon.kill()
    lab.check_refused(
        f"PRV5101 {CONNECTION} the libvirt daemon cannot be reached | Check that the daemon runs",
        commands=("plan", "apply", "destroy"),
    )
    daemon.start()
    assert 0 == lab("plan", "--detailed-exitcode").code


@pytest.mark.parametrize(
    ("uri", "more", "error"),
    [
        ("qemu+unix:///session?socket=/no/such/socket", "", "PRV5101 {} cannot be reached"),
        (
            "qemu+tcp://127.0.0.1:{closed}/session",
            ", insecure: true",
            "PRV5101 {} cannot be reached",
        ),
        ("qemu+tcp://127.0.0.1:{closed}/session", "", "PRV5105 host.yaml:7:21 insecure: true"),
        ("qemu+tls://127.0.0.1/session", ", tls: {{folder: no-pki}}", "PRV5110 {} no-pki"),
    ],
    ids=["no socket", "no port", "plain TCP", "no certificates"],
)
def test_a_connection_that_leads_nowhere(lab: Lab, uri: str, more: str, error: str) -> None:
    lab.host(uri.format(closed=listeners.free_port()), more.format())
    lab.declare("StoragePool/bad-hosts\ntype: dir\npath: /srv/bad-hosts\n")
    refused = lab("plan", "--json")
    assert 1 == refused.code
    check_errors(lab.root, diagnostics(refused), [error.format(CONNECTION)])


def test_wrong_credentials(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    for reason in (
        requirements.programs_missing("certtool"),
        requirements.daemon_unavailable(Flavour.SESSION),
    ):
        if reason is not None:
            pytest.skip(reason)
    authority = certificates.make_authority(tmp_path_factory.mktemp("tls") / "authority")
    listener = listeners.tls(authority, allowed="CN=ops")
    with LibvirtDaemon(Flavour.SESSION, listener=listener) as daemon:
        lab.declare(pool(daemon, lab))
        lab.host(listener.uri, f', tls: {{folder: "{authority.client("stranger")}"}}')
        refused = lab("plan", "--json")
        assert 1 == refused.code
        check_errors(lab.root, diagnostics(refused), [f"PRV5102 {CONNECTION} refused"])
        lab.host(listener.uri, f', tls: {{folder: "{authority.client("ops")}"}}')
        lab.check_converged()


def test_libvirt_too_old(
    lab: Lab, libvirt_session: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.host(libvirt_session.uri)
    lab.declare(pool(libvirt_session, lab))
    lab.check_converged()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "OLDEST", 99_001_000)
        lab.check_refused(f"PRV5103 {CONNECTION} libvirt is too old | 99.1.0 is needed")
    assert 0 == lab("plan", "--detailed-exitcode").code


def test_an_accelerator_that_is_not_there(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    """What does not need it is made; the machine is, once the manifest asks for what is there."""
    lab.host(libvirt_session.uri, accelerator="kvm")
    lab.declare(pool(libvirt_session, lab), DISK, MACHINE)
    failed = lab("apply", "--yes", "--json")
    assert 6 == failed.code
    assert ["VirtualMachine/bad-hosts"] == failed.lines[-1]["failed"]
    assert ["PRV5202"] == [item["code"] for item in failed.lines[-1]["diagnostics"]]
    assert [] == domains(libvirt_session)
    lab.host(libvirt_session.uri)
    lab.check_converged()
    assert ["bad-hosts"] == domains(libvirt_session)


def domains(daemon: LibvirtDaemon) -> list[str]:
    handle = libvirt.open(daemon.uri)
    try:
        return sorted(domain.name() for domain in handle.listAllDomains())
    finally:
        handle.close()


def volumes(daemon: LibvirtDaemon) -> list[str]:
    handle = libvirt.open(daemon.uri)
    try:
        return sorted(handle.storagePoolLookupByName("bad-hosts").listVolumes())
    finally:
        handle.close()


def image(path: Path, form: str, checksum: str) -> str:
    return (
        f"Image/base\npool: bad-hosts\nsource: {{file: {path.name}}}\nformat: {form}\n"
        f"checksum: sha256:{checksum}\n"
    )


def test_a_wrong_checksum(lab: Lab, libvirt_session: LibvirtDaemon, boot_image: BootImage) -> None:
    lab.host(libvirt_session.uri)
    file = boot_image.copy(lab.root / "base.qcow2")
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    lab.declare(pool(libvirt_session, lab), image(file, "qcow2", "0" * 64))
    failed = lab("apply", "--yes", "--json")
    assert 1 == failed.code
    (problem,) = diagnostics(failed)
    assert ("PRV5134", "Image/base") == (problem["code"], problem["address"])
    assert right in problem["detail"] + problem["summary"]
    lab.declare(pool(libvirt_session, lab), image(file, "qcow2", right))
    lab.check_converged()


def test_a_full_pool(lab: Lab, libvirt_system: LibvirtDaemon) -> None:
    folder = libvirt_system.directory / lab.root.name
    folder.mkdir()
    file = lab.root / "base.raw"
    file.write_bytes(b"x" * (8 * MIB))
    with handlerbench.mounted_tmpfs(libvirt_system.pid, folder, "2m"):
        lab.host(libvirt_system.uri)
        lab.declare(pool(libvirt_system, lab), image(file, "raw", sha256(file)))
        failed = lab("apply", "--yes", "--json")
        assert 6 == failed.code
        (problem,) = failed.lines[-1]["diagnostics"]
        assert ("PRV5114", "Image/base") == (problem["code"], problem["address"])
        assert [] == volumes(libvirt_system)
        file.write_bytes(b"x" * MIB)
        lab.declare(pool(libvirt_system, lab), image(file, "raw", sha256(file)))
        lab.check_converged()
        assert 0 == lab("destroy", "--yes").code


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def foreign(libvirt_session: LibvirtDaemon) -> Iterator[Callable[[], list[str]]]:
    """A machine and a pool that somebody else has made; gives their definitions."""
    folder = libvirt_session.directory / "theirs"
    folder.mkdir(exist_ok=True)
    handle = libvirt.open(libvirt_session.uri)
    machine = handle.defineXML(
        "<domain type='qemu'><name>bad-hosts</name><memory>16384</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    store = handle.storagePoolDefineXML(
        f"<pool type='dir'><name>bad-hosts</name><target><path>{folder}</path></target></pool>"
    )
    yield lambda: [machine.XMLDesc(), store.XMLDesc()]
    store.undefine()
    machine.undefine()
    handle.close()


def test_names_that_are_taken(
    lab: Lab, libvirt_session: LibvirtDaemon, foreign: Callable[[], list[str]]
) -> None:
    before = foreign()
    lab.host(libvirt_session.uri)
    lab.declare(pool(libvirt_session, lab), MACHINE.replace("disks: [{disk: data}]\n", ""))
    for command in (("plan",), ("apply", "--yes")):
        refused = lab(*command, "--json")
        assert 1 == refused.code
        check_errors(
            lab.root,
            diagnostics(refused),
            [
                "PRV2010 resources.yaml:4:9 the name 'bad-hosts' is taken",
                "PRV2010 resources.yaml:12:9 the name 'bad-hosts' is taken",
            ],
        )
    assert before == foreign()
