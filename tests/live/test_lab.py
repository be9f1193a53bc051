"""The lab itself: daemons that start side by side and leave nothing behind, guests that boot."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import bootsector, cache, certificates, listeners, requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.domain import boot_domain, disk_element, linux_domain
from tests.lab.launcher import LabError, runs
from tests.lab.linux import LinuxGuest
from tests.lab.seed import write_seed
from tests.lab.serial import SerialLog, SerialTimeoutError
from tests.lab.ssh import SshServer

libvirt = pytest.importorskip("libvirt")
agent = pytest.importorskip("tests.lab.agent")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NAT = """
<network>
  <name>lab</name>
  <forward mode="nat"/>
  <bridge stp="off"/>
  <ip address="192.168.77.1" prefix="24">
    <dhcp><range start="192.168.77.10" end="192.168.77.99"/></dhcp>
  </ip>
</network>
"""


@contextlib.contextmanager
def connected(uri: str) -> Iterator[Any]:
    connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], deadline: float) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.05)


def start_boot_guest(daemon: LibvirtDaemon, image: BootImage, name: str, kind: str) -> SerialLog:
    log = SerialLog(daemon.directory / f"{name}.log")
    disk = image.copy(daemon.directory / f"{name}.{kind}")
    with connected(daemon.uri) as connection:
        connection.defineXML(boot_domain(name, disk, log.path)).create()
    return log


def lab_mounts() -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if "lab-" in line]


def test_a_session_daemon_is_unprivileged(libvirt_session):
    with connected(libvirt_session.uri) as connection:
        assert connection.getURI() == libvirt_session.uri
        assert [] == connection.listAllDomains()
    with pytest.raises(libvirt.libvirtError, match="unexpected qemu URI path '/system'"):
        libvirt.open(libvirt_session.uri.replace("/session?", "/system?"))


@pytest.mark.parametrize("flavour", list(Flavour))
def test_kvm_is_not_offered_unless_asked_for(flavour):
    if reason := requirements.daemon_unavailable(flavour):
        pytest.skip(reason)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("needs a /dev/kvm that this user may open")
    with LibvirtDaemon(flavour) as daemon, connected(daemon.uri) as connection:
        capabilities = ET.fromstring(connection.getCapabilities())
        offered = {domain.get("type") for domain in capabilities.iterfind("guest/arch/domain")}
    assert {"qemu"} == offered


def test_a_system_daemon_has_a_network_of_its_own(libvirt_system):
    bridge = "labbr0"
    network = ET.fromstring(NAT)
    element = network.find("bridge")
    assert element is not None
    element.set("name", bridge)
    with connected(libvirt_system.uri) as connection:
        connection.networkCreateXML(ET.tostring(network, encoding="unicode"))
        inside = connection.listAllInterfaces()
        assert not Path("/sys/class/net", bridge).exists()
        assert "eth0" not in [interface.name() for interface in inside]


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_the_boot_guest_counts_on_its_disk(libvirt_session, boot_image, kind):
    log = start_boot_guest(libvirt_session, boot_image, f"counts-{kind}", kind)
    first = int(log.wait_for(r"LAB-SEQ ([0-9a-f]{8})", 10)[1], 16)
    assert 1 == first
    assert [2, 3] == [log.wait_for_next(5), log.wait_for_next(5)]
    wait_until(
        lambda: bootsector.counter(libvirt_session.directory / f"counts-{kind}.{kind}") > 3, 5
    )


def test_the_boot_guest_goes_on_from_its_disk(libvirt_session, boot_image):
    log = start_boot_guest(libvirt_session, boot_image, "resumes", "raw")
    log.wait_for("LAB-SEQ 00000003", 10)
    with connected(libvirt_session.uri) as connection:
        domain = connection.lookupByName("resumes")
        domain.destroy()
        count = bootsector.counter(libvirt_session.directory / "resumes.raw")
        after = log.mark()
        domain.create()
    assert count + 1 == int(log.wait_for(r"LAB-SEQ ([0-9a-f]{8})", 10, after=after)[1], 16)


def test_the_boot_guest_counts_without_a_writable_disk(libvirt_session, boot_image):
    disk = boot_image.copy(libvirt_session.directory / "still.raw")
    log = SerialLog(libvirt_session.directory / "still.log")
    domain = ET.fromstring(boot_domain("still", disk, log.path))
    element = domain.find("devices/disk")
    assert element is not None
    ET.SubElement(element, "readonly")
    with connected(libvirt_session.uri) as connection:
        connection.createXML(ET.tostring(domain, encoding="unicode"))
        # The block on the disk stays 0, so every second begins with 1 again.
        log.wait_for(r"(LAB-SEQ 00000001\s+){2}", 10)
    assert 0 == bootsector.counter(disk)


def test_the_boot_guest_answers_on_its_console(libvirt_session, boot_image):
    start_boot_guest(libvirt_session, boot_image, "answers", "raw").wait_for("LAB-SEQ", 10)
    with connected(libvirt_session.uri) as connection:
        stream = connection.newStream()
        connection.lookupByName("answers").openConsole(None, stream, 0)
        stream.send(b"x")
        received = b""
        end = time.monotonic() + 10
        while b"[x]" not in received and time.monotonic() < end:
            received += stream.recv(256)
        stream.abort()
    assert b"[x]" in received


@pytest.mark.parametrize("flavour", list(Flavour))
def test_a_guest_survives_its_daemon(flavour, boot_image):
    if reason := requirements.daemon_unavailable(flavour):
        pytest.skip(reason)
    with LibvirtDaemon(flavour) as daemon:
        log = start_boot_guest(daemon, boot_image, "survives", "qcow2")
        log.wait_for("LAB-SEQ", 10)
        guest, libvirtd = daemon.guests()["survives"], daemon.pid
        daemon.kill()
        assert not runs(libvirtd)
        with pytest.raises(LabError, match="is not running"):
            _ = daemon.pid
        alone = log.wait_for_next(5)
        daemon.start()
        with connected(daemon.uri) as connection:
            assert connection.lookupByName("survives").isActive()
        daemon.restart()
        assert {"survives": guest} == daemon.guests()
        assert alone < log.wait_for_next(5)
        counts = log.sequences()
        assert list(range(1, len(counts) + 1)) == counts


@pytest.mark.parametrize("flavour", list(Flavour))
def test_stop_leaves_nothing_behind(flavour, boot_image):
    if reason := requirements.daemon_unavailable(flavour):
        pytest.skip(reason)
    before = lab_mounts()
    with LibvirtDaemon(flavour) as daemon:
        start_boot_guest(daemon, boot_image, "ends", "raw").wait_for("LAB-SEQ", 10)
        if flavour is Flavour.SYSTEM:
            with connected(daemon.uri) as connection:
                connection.networkCreateXML(NAT)
        below = daemon.processes()
        assert {daemon.pid, daemon.guests()["ends"]} <= set(below)
        assert before == lab_mounts()
    assert [] == [pid for pid in below if runs(pid)]
    assert before == lab_mounts()
    assert not daemon.directory.exists()


def test_an_aborted_run_leaves_nothing_behind(boot_image, tmp_path):
    if reason := requirements.daemon_unavailable(Flavour.SESSION):
        pytest.skip(reason)
    program = """
import sys, time
from pathlib import Path
from tests.lab import bootsector
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.live.test_lab import start_boot_guest
daemon = LibvirtDaemon(Flavour.SESSION)
daemon.start()
start_boot_guest(daemon, bootsector.build(), "aborted", "raw").wait_for("LAB-SEQ", 10)
print(daemon.directory, *daemon.processes(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as run:
        assert run.stdout is not None
        directory, *numbers = run.stdout.readline().split()
        below = [int(number) for number in numbers]
        assert 2 <= len([pid for pid in below if runs(pid)])
        os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not any(runs(pid) for pid in below), 10)
    wait_until(lambda: not Path(directory).exists(), 10)


def test_daemons_run_side_by_side(libvirt_session, boot_image):
    if reason := requirements.daemon_unavailable(Flavour.SYSTEM):
        pytest.skip(reason)
    with LibvirtDaemon(Flavour.SYSTEM) as one, LibvirtDaemon(Flavour.SYSTEM) as two:
        daemons = [libvirt_session, one, two]
        logs = [start_boot_guest(daemon, boot_image, "same", "raw") for daemon in daemons]
        for daemon in (one, two):
            with connected(daemon.uri) as connection:
                # The same bridge and the same addresses, in two networks.
                connection.networkCreateXML(NAT)
        for log in logs:
            log.wait_for("LAB-SEQ 00000002", 10)
        assert 3 == len({daemon.guests()["same"] for daemon in daemons})
        hosts = set()
        for daemon in daemons:
            with connected(daemon.uri) as connection:
                hosts.add(ET.fromstring(connection.getCapabilities()).findtext("host/uuid"))
        assert 3 == len(hosts)


def test_the_linux_guest_gets_its_seed_and_a_lease(libvirt_system, linux_guest, tmp_path):
    log = SerialLog(tmp_path / "linux.log")
    seed = write_seed(
        tmp_path / "seed.iso", "#cloud-config\nhostname: web01\n", "instance-id: i-1\n"
    )
    domain = linux_domain("web01", linux_guest, log.path, seed=seed, network="lab", agent=True)
    with connected(libvirt_system.uri) as connection:
        network = connection.networkCreateXML(NAT)
        guest = connection.createXML(domain)
        # printf '#cloud-config\nhostname: web01\n' | sha256sum
        digest = "44e0ba155d9ecd939ad051079c8aec4ca8f3c41be65c9d1fed4832a94444876f"
        log.wait_for(f"LAB-SEED hostname=web01 instance=i-1 sha256={digest}\\s", 30)
        lease = log.wait_for(r"LAB-DHCP nic=eth0 mac=(\S+) address=(\S+)/24 router=(\S+)", 30)
        assert "192.168.77.1" == lease[3]
        # The guest has its answer before the server has told libvirt of it.
        wait_until(network.DHCPLeases, 10)
        leases = [(entry["mac"], entry["ipaddr"]) for entry in network.DHCPLeases()]
        assert [(lease[1], lease[2])] == leases
        assert {} == agent.ask(guest, "guest-ping", 20)
        assert {"host-name": "web01"} == agent.ask(guest, "guest-get-host-name", 5)


def test_the_linux_guest_reports_live_changes(
    libvirt_session, linux_guest: LinuxGuest, boot_image, tmp_path
):
    log = SerialLog(tmp_path / "linux.log")
    disk = ET.tostring(disk_element(boot_image.copy(tmp_path / "d.raw"), "vdb"), encoding="unicode")
    with connected(libvirt_session.uri) as connection:
        guest = connection.createXML(linux_domain("changes", linux_guest, log.path))
        facts = log.wait_for(r"LAB-LINUX cpus=1 mem_kib=(\d+) uptime=\d+ disks= nics=\s", 30)
        assert 80 * 1024 < int(facts[1]) < 128 * 1024
        guest.setVcpus(2)
        log.wait_for("LAB-LINUX cpus=2 ", 20, after=log.mark())
        guest.attachDevice(disk)
        log.wait_for(r"LAB-LINUX .* disks=vda:16384 ", 20, after=log.mark())
        guest.blockResize("vdb", 16 << 20, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        log.wait_for(r"LAB-LINUX .* disks=vda:32768 ", 20, after=log.mark())
        guest.detachDevice(disk)
        log.wait_for(r"LAB-LINUX .* disks= ", 20, after=log.mark())
        guest.setMemory(100 * 1024)
        log.wait_for(r"LAB-LINUX cpus=2 mem_kib=[67]\d{4} ", 20, after=log.mark())
        guest.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
        log.wait_for("LAB-POWER-BUTTON", 20)
        wait_until(lambda: "changes" not in libvirt_session.guests(), 20)


def test_what_is_built_outlives_the_run():
    # The program's own caches are in a folder that goes with the run.
    assert not cache.directory().is_relative_to(os.environ["XDG_CACHE_HOME"])


def test_a_missing_marker_is_reported_with_the_log(tmp_path):
    log = SerialLog(tmp_path / "serial.log")
    assert log.sequence() is None
    log.path.write_bytes(b"LAB-SEQ 0000000a\r\nLAB-SEQ 0000000b\r\nLAB-SEQ 0000")
    assert [10, 11] == log.sequences()
    assert 11 == log.sequence()
    with pytest.raises(SerialTimeoutError, match=r"'LAB-UP' was not printed.*LAB-SEQ 0000000b"):
        log.wait_for("LAB-UP", 0.1)


def test_tls_wants_a_certificate_with_the_allowed_name(tmp_path):
    reason = requirements.daemon_unavailable(Flavour.SESSION)
    if reason := reason or requirements.programs_missing("certtool"):
        pytest.skip(reason)
    authority = certificates.make_authority(tmp_path / "ca")
    listener = listeners.tls(authority, allowed="CN=allowed")
    with LibvirtDaemon(Flavour.SESSION, listener=listener):
        with connected(f"{listener.uri}?pkipath={authority.client('allowed')}") as connection:
            assert connection.isEncrypted()
        with pytest.raises(libvirt.libvirtError, match="Unable to read TLS confirmation"):
            libvirt.open(f"{listener.uri}?pkipath={authority.client('other')}")


def test_tcp_is_open_to_everybody():
    if reason := requirements.daemon_unavailable(Flavour.SESSION):
        pytest.skip(reason)
    listener = listeners.tcp()
    with (
        LibvirtDaemon(Flavour.SESSION, listener=listener),
        connected(listener.uri) as connection,
    ):
        assert not connection.isEncrypted()


@pytest.mark.parametrize("flavour", list(Flavour))
def test_ssh_reaches_the_socket_of_a_daemon(flavour, tmp_path):
    reason = requirements.daemon_unavailable(flavour)
    if reason := reason or requirements.programs_missing("ssh", "sshd", "nc"):
        pytest.skip(reason)
    client = tmp_path / "ssh"
    with SshServer() as server, LibvirtDaemon(flavour) as daemon:
        client.write_text(f'#!/bin/sh\nexec ssh -o UserKnownHostsFile={server.known_hosts} "$@"\n')
        client.chmod(0o755)
        uri = daemon.uri.replace("+unix://", f"+ssh://{server.user}@127.0.0.1:{server.port}")
        with connected(f"{uri}&keyfile={server.key}&command={client}&no_tty=1") as connection:
            assert [] == connection.listAllDomains()
