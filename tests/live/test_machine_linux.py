"""What only a guest with an operating system can show: seed, agent, hotplug seen from within."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.core.clock import Deadline
from provisioner.providers.api import Retryable, Terminal
from tests.lab import agent
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.linux import LinuxGuest

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

from tests.live.handlerbench import wait_until  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

VM = "VirtualMachine"
MIB = 1 << 20
DISK = """\
<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='vdb' bus='virtio'/>
</disk>"""
USER_DATA = "#cloud-config\nhostname: seeded\n"


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.disk("root", "4MiB")
    stack.disk("data", "6MiB")
    stack.network("lan")
    yield stack
    stack.close()


@pytest.fixture
def spec(linux_guest: LinuxGuest) -> dict[str, Any]:
    return {
        **machinebench.linux_boot(linux_guest),
        "cpu": {"count": 1, "max": 2},
        "disks": [{"disk": "root"}],
        "shutdownTimeout": "20s",
    }


def test_the_guest_finds_its_seed_and_a_new_one_in_the_same_drive(
    bench: Any, spec: dict[str, Any]
) -> None:
    spec["cloudInit"] = {"userData": USER_DATA}
    bench.apply(VM, "web", spec)
    found = bench.wait_for(r"LAB-SEED hostname=(\S*) instance=(\S*) sha256=(\S*)")
    digest = hashlib.sha256(USER_DATA.encode()).hexdigest()
    assert ("seeded", str(bench.machine().uid), digest) == found.groups()
    changed = {**spec, "cloudInit": {"userData": USER_DATA + "# again\n"}}
    assert {"cloudInit.userData": "live"} == bench.plan(VM, "web", changed).impacts
    assert () == bench.apply(VM, "web", changed).pending
    # It is there for the next boot, and still of the same instance.
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    bench.session.power(bench.machine(), "running", bench.deadline())
    digest = hashlib.sha256((USER_DATA + "# again\n").encode()).hexdigest()
    bench.wait_for(rf"LAB-SEED hostname=seeded instance={bench.machine().uid} sha256={digest}")


def test_a_secret_reaches_the_guest_and_nothing_else(bench: Any, spec: dict[str, Any]) -> None:
    bench.secrets.known["env://USER_DATA"] = USER_DATA
    spec["cloudInit"] = {"userData": {"secretRef": "env://USER_DATA"}}
    bench.apply(VM, "web", spec)
    digest = hashlib.sha256(USER_DATA.encode()).hexdigest()
    bench.wait_for(rf"LAB-SEED [^\n]*sha256={digest}")
    assert "seeded" not in repr(bench.present(VM, "web"))
    assert "seeded" not in bench.domain().XMLDesc(0)


def test_the_agent_answers(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", {**spec, "guestAgent": True})
    bench.wait_for("LAB-UP")
    assert "lab" == agent.ask(bench.domain(), "guest-get-osinfo", 60)["id"]


def test_processors_are_plugged_in_and_go_at_the_next_restart(
    bench: Any, spec: dict[str, Any]
) -> None:
    """QEMU 7.2 does not survive under software emulation that one is unplugged."""
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX [^\n]*cpus=1 ")
    more = {**spec, "cpu": {"count": 2, "max": 2}}
    assert () == bench.apply(VM, "web", more).pending
    bench.wait_for("LAB-LINUX [^\n]*cpus=2 ")
    assert 1 == bench.said().count("LAB-UP")
    assert {"cpu.count": "restart"} == bench.plan(VM, "web", spec).impacts
    assert (("cpu", "count"),) == bench.apply(VM, "web", spec).pending
    assert () == bench.apply(VM, "web", spec, restart=True).pending
    bench.wait_for("LAB-LINUX [^\n]*cpus=1 ")


def test_a_disk_is_plugged_in_and_let_go_and_keeps_its_data(
    bench: Any, spec: dict[str, Any]
) -> None:
    bench.apply(VM, "web", spec)
    bench.wait_for(r"LAB-LINUX [^\n]*disks=vda:8192 ")
    both = {**spec, "disks": [{"disk": "root"}, {"disk": "data"}]}
    assert () == bench.apply(VM, "web", both).pending
    bench.wait_for(r"LAB-LINUX [^\n]*disks=vda:8192,vdb:12288 ")
    assert {"disks.data": "live"} == bench.plan(VM, "web", spec).impacts
    outcome = bench.apply(VM, "web", spec)
    assert () == outcome.pending, outcome.notes
    bench.wait_for(r"vdb:12288 (?s:.*)LAB-LINUX [^\n]*disks=vda:8192 ")
    assert {} == bench.present(VM, "web").running
    assert 6 << 20 == bench.present("Disk", "data").spec["size"]
    assert 1 == bench.said().count("LAB-UP")


def test_a_network_card_is_plugged_in_and_let_go(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX")
    card = {**spec, "nics": [{"name": "lan", "network": "lan", "mac": "52:54:00:00:00:07"}]}
    assert () == bench.apply(VM, "web", card).pending
    # User mode has a DHCP service of its own.
    bench.wait_for(r"LAB-DHCP nic=eth0 mac=52:54:00:00:00:07 address=10\.0\.2\.")
    assert () == bench.apply(VM, "web", spec).pending
    bench.wait_for(r"nics=eth0\s(?s:.*)LAB-LINUX [^\n]*nics=\r?\n")
    assert {} == bench.present(VM, "web").running


def test_the_guest_gives_memory_back_and_gets_it_again(bench: Any, spec: dict[str, Any]) -> None:
    spec["memory"] = {"size": "160MiB", "max": "160MiB"}
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX")
    less = {**spec, "memory": {"size": "128MiB", "max": "160MiB"}}
    assert {"memory.size": "live"} == bench.plan(VM, "web", less).impacts
    outcome = bench.apply(VM, "web", less)
    assert () == outcome.notes
    assert 128 << 10 == bench.domain().info()[2]
    assert () == bench.apply(VM, "web", spec).notes
    assert 160 << 10 == bench.domain().info()[2]


def test_a_guest_is_shut_down_in_good_order(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX")
    bench.apply(VM, "web", {**spec, "power": "stopped"}, restart=True)
    assert "LAB-POWER-BUTTON" in bench.said()
    assert "stopped" == bench.present(VM, "web").spec["power"]


def test_what_was_changed_by_hand_is_put_right_while_the_guest_runs(
    bench: Any, spec: dict[str, Any]
) -> None:
    spec["cdroms"] = [{"name": "setup", "image": "tools", "bus": "scsi"}]
    source = {"file": str(bench.pool_folder() / "root.iso")}
    (bench.pool_folder() / "root.iso").write_bytes(bytes(1 << 20))
    bench.apply("Image", "tools", {"pool": "images", "source": source, "format": "iso"})
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX")
    domain, live = bench.domain(), libvirt.VIR_DOMAIN_AFFECT_LIVE
    number = domain.ID()
    volume = bench.present("Disk", "data").outputs["path"]
    domain.attachDeviceFlags(DISK.format(path=volume), live)
    drive = next(disk for disk in bench.live().findall("devices/disk") if _is_drive(disk))
    drive.remove(drive.find("source"))
    domain.updateDeviceFlags(machinebench.serialize(drive), live)
    assert {"disks.data": "live", "cdroms.setup.image": "live"} == (
        bench.plan(VM, "web", spec).impacts
    )
    # The guest looks for new devices once a second.
    bench.wait_for(r"LAB-LINUX [^\n]*vdb:")
    assert () == bench.apply(VM, "web", spec).pending
    assert {} == bench.present(VM, "web").running
    assert number == bench.domain().ID()


def test_a_balloon_that_was_moved_by_hand_is_moved_back(bench: Any, spec: dict[str, Any]) -> None:
    spec["memory"] = {"size": "128MiB", "max": "256MiB"}
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-LINUX")
    wait_until(lambda: balloon(bench) == 128 * MIB)
    assert {} == bench.present(VM, "web").running
    bench.domain().setMemoryFlags(200 << 10, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    wait_until(lambda: balloon(bench) == 200 * MIB)
    assert {("memory", "size"): 200 * MIB} == bench.present(VM, "web").running
    assert {"memory.size": "live"} == bench.plan(VM, "web", spec).impacts
    assert () == bench.apply(VM, "web", spec).pending
    assert {} == bench.present(VM, "web").running


def balloon(bench: Any) -> int:
    """Bytes of memory that the guest has."""
    return int(bench.domain().info()[2]) << 10


def _is_drive(disk: Any) -> bool:
    return bool(disk.get("device") == "cdrom")


def test_programs_run_in_the_guest(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", {**spec, "guestAgent": True})
    session, machine = bench.session, bench.machine()
    assert session.ready(machine) is False
    wait_until(lambda: session.ready(machine), 60)

    def run(*argv: str, seconds: float = 20) -> Any:
        return session.run(machine, argv, Deadline.after(seconds, bench.clock))

    assert (0, "a b $HOME;\n") == run("/bin/echo", "a b", "$HOME;")
    assert (3, "to both\nends\n") == run("/bin/sh", "-c", "echo ends >&2; echo to both; exit 3")
    assert 128 + 9 == run("/bin/sh", "-c", "kill -9 $$").code
    many = run("/bin/seq", "5000").output
    assert ("[...]", "\n5000\n", 4096 + 5) == (many[:5], many[-6:], len(many))
    for argv, seconds, code in (
        (("/bin/none",), 20, "PRV5383"),
        (("/bin/sleep", "60"), 0.5, "PRV5384"),
    ):
        with pytest.raises(Terminal) as caught:
            run(*argv, seconds=seconds)
        assert code == caught.value.diagnostic.code
    # The agent is stopped in the middle: the program is not begun again.
    with pytest.raises(Terminal) as caught:
        run("/bin/sh", "-c", "echo begun >>/run/begun; killall -STOP qemu-ga", seconds=1)
    assert "PRV5384" == caught.value.diagnostic.code
    with pytest.raises(Retryable) as silent:
        run("/bin/true")
    assert "PRV5381" == silent.value.diagnostic.code
    assert session.ready(machine) is False


def test_a_guest_without_an_agent_is_told_from_one_that_does_not_run(
    libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    bench.boot_disk(boot_image)
    spec = {"memory": {"size": "8MiB"}, "disks": [{"disk": "root"}], "shutdownTimeout": "0s"}
    bench.apply(VM, "web", spec)
    said = []
    for state in ("running", "stopped"):
        bench.session.power(bench.machine(), state, bench.deadline())
        assert bench.session.ready(bench.machine()) is False
        with pytest.raises(Terminal) as caught:
            bench.session.run(bench.machine(), ["/bin/true"], bench.deadline())
        said.append((caught.value.diagnostic.code, caught.value.diagnostic.detail))
    bench.close()
    assert [
        ("PRV5382", "It has no channel to one."),
        ("PRV5382", "The machine does not run."),
    ] == said
