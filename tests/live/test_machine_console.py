"""A machine's consoles: what was said, a line both ways, the address of the screen."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.providers.api import Terminal  # noqa: E402
from provisioner.providers.capabilities import Console, GraphicsAddress, Power, SnapshotRevert  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    yield stack
    stack.close()


def test_the_session_has_the_capabilities_that_the_provider_names(bench: Any) -> None:
    for capability in (Console, Power, SnapshotRevert):
        assert isinstance(bench.session, capability)


def test_the_log_tells_what_was_said_since_the_start(bench: Any) -> None:
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ 00000002")
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    assert "LAB-SEQ 00000002" in bench.said(), "it can be read afterwards, too"
    bench.session.power(bench.machine(), "running", bench.deadline())
    bench.wait_for("LAB-SEQ")
    assert "LAB-SEQ 00000001" not in bench.said()


def test_bytes_go_both_ways(bench: Any) -> None:
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ")
    stream = bench.session.serial(bench.machine())
    stream.write(b"x")
    read = b""
    end = time.monotonic() + 20
    while not (b"[x]" in read and re.search(rb"LAB-SEQ [0-9a-f]{8}", read)):
        assert time.monotonic() < end, read
        read += stream.read(1.0) or b""
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    while (rest := stream.read(5.0)) is not None:
        assert rest, "the end is told at once"
    with pytest.raises(Terminal, match="ended"):
        stream.write(b"x")
    stream.close()
    stream.close()


def test_the_console_keeps_up_with_the_guest(bench: Any) -> None:
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ")
    stream = bench.session.serial(bench.machine())
    for _ in range(5):  # that one character at a time is behind by more and more
        bench.count()
    said = max(re.findall(r"LAB-SEQ ([0-9a-f]{8})", bench.said()))
    read, end = b"", time.monotonic() + 10
    while max(re.findall(rb"LAB-SEQ ([0-9a-f]{8})", read), default=b"").decode() < said:
        assert time.monotonic() < end, f"at {said} the guest is already; read {read!r}"
        read += stream.read(1.0) or b""
    stream.close()


def test_a_console_that_somebody_else_holds_is_taken_over(bench: Any) -> None:
    bench.apply(VM, "web", SPEC)
    first = bench.session.serial(bench.machine())
    second = bench.session.serial(bench.machine())
    assert second.read(10.0)
    second.close()
    first.close()


def test_a_machine_that_does_not_run_has_no_console(bench: Any) -> None:
    bench.apply(VM, "web", {**SPEC, "power": "stopped"})
    with pytest.raises(Terminal, match="no serial console"):
        bench.session.serial(bench.machine())
    assert bench.session.graphics(bench.machine()) is None
    assert "" == bench.said()


def test_the_address_of_the_screen(bench: Any) -> None:
    bench.apply(VM, "web", {**SPEC, "console": {"graphics": "vnc"}})
    address = bench.session.graphics(bench.machine())
    assert isinstance(address, GraphicsAddress)
    assert "vnc" == address.protocol
    assert re.fullmatch(r"vnc://127\.0\.0\.1:\d+", address.uri)
    bench.apply(VM, "blind", {**SPEC, "disks": []})
    assert bench.session.graphics(bench.machine("blind")) is None
