"""Replication between hosts that are reached through ssh."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import requirements
from tests.lab.bootsector import BootImage, counter
from tests.lab.certificates import make_authority
from tests.lab.daemon import LibvirtDaemon
from tests.lab.listeners import free_port
from tests.lab.ssh import SshServer

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")

from provisioner.providers.api import Terminal  # noqa: E402
from provisioner.providers.capabilities import Way  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server, and an ssh program on the path that knows its host key and no other."""
    reason = requirements.programs_missing("sshd", "ssh", "nc")
    if reason is not None:
        pytest.skip(reason)
    with SshServer() as server:
        wrapper = tmp_path / "bin" / "ssh"
        wrapper.parent.mkdir()
        known = f"-o UserKnownHostsFile={server.known_hosts} -o GlobalKnownHostsFile=/dev/null"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {known} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        yield server


@pytest.mark.slow
def test_through_ssh(
    fresh_libvirt_session: LibvirtDaemon,
    libvirt_session: LibvirtDaemon,
    boot_image: BootImage,
    ssh: SshServer,
) -> None:
    def reach(daemon: LibvirtDaemon) -> str:
        socket = daemon.uri.partition("socket=")[2]
        return f"qemu+ssh://{ssh.user}@127.0.0.1:{ssh.port}/session?socket={socket}"

    key, port = {"keyFile": str(ssh.key)}, free_port()
    there = {"listen": "127.0.0.1", "ports": {"from": port, "to": port}}
    bench = replicationbench.TwoSites(
        fresh_libvirt_session,
        libvirt_session,
        reach,
        near_with={"ssh": key},
        far_with={"ssh": key, "replication": there},
    )
    bench.start(boot_image)
    replica = bench.replica()
    bench.synchronise(replica)
    written = bench.written()
    bench.synchronise(replica)
    assert 65536 == bench.state(replica).moved
    assert written <= bench.count_at(replica)
    replica = bench.replica(Way.CONTINUOUS)
    bench.synchronise(replica)
    assert bench.state(replica).in_step
    assert written <= counter(bench.stage(replica))
    assert bench.state(replica).in_step
    bench.unstage(replica)
    os.kill(fresh_libvirt_session.guests()["web"], signal.SIGKILL)
    bench.near.until_stopped()
    assert not bench.state(replica).in_step
    bench.far.session.suspend(replica, None, bench.far.deadline())
    assert bench.written() == counter(bench.promote(replica))
    bench.close()


def test_qemu_writes_to_another_host_only_where_an_address_was_named_for_it(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    elsewhere = {"replication": {"shell": "ssh://elsewhere.example"}}
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session, near_with=elsewhere)
    bench.start(boot_image)
    with pytest.raises(Terminal, match="cannot write to it"):
        bench.synchronise(bench.replica(Way.CONTINUOUS))
    bench.close()


def test_what_is_written_to_another_host_is_encrypted_and_taken_from_those_it_knows(
    fresh_libvirt_session: LibvirtDaemon,
    libvirt_session: LibvirtDaemon,
    boot_image: BootImage,
    tmp_path: Path,
) -> None:
    reason = requirements.programs_missing("certtool")
    if reason is not None:
        pytest.skip(reason)
    authority = make_authority(tmp_path / "ca")
    serving = for_qemu(authority.serving("far", "127.0.0.1"), authority.certificate)
    near = fresh_libvirt_session.directory / "c" / "libvirt" / "qemu.conf"
    known = for_qemu(authority.client("near"), authority.certificate)
    settings = near.read_text()
    near.write_text(f'{settings}nbd_tls_x509_cert_dir = "{known}"\nnbd_tls = 1\n')
    fresh_libvirt_session.restart()
    port = free_port()
    there = {"listen": "127.0.0.1", "ports": {"from": port, "to": port}}
    bench = replicationbench.TwoSites(
        fresh_libvirt_session,
        libvirt_session,
        far_with={"replication": {**there, "certificates": str(serving)}},
    )
    bench.start(boot_image)
    replica = bench.replica(Way.CONTINUOUS)
    bench.synchronise(replica)
    assert bench.state(replica).in_step
    bench.discard()
    # Another authority's certificate is none.
    other = make_authority(tmp_path / "other")
    for_qemu(other.client("near"), other.certificate, known)
    with pytest.raises(Terminal, match="mirror the disks"):
        bench.synchronise(replica)
    bench.discard()
    bench.close()


def for_qemu(folder: Path, authority: Path, to: Path | None = None) -> Path:
    """The certificates of a folder under the names that QEMU looks for."""
    target = to or folder / "qemu"
    target.mkdir(exist_ok=True)
    shutil.copyfile(authority, target / "ca-cert.pem")
    for role in ("server", "client"):
        for part in ("cert", "key"):
            source = folder / f"{role}{part}.pem"
            if source.exists():
                shutil.copyfile(source, target / f"{role}-{part}.pem")
    return target
