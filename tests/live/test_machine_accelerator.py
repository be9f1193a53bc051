"""What runs the guests: KVM only where it proves usable, and never by trust alone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.providers.api import Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}


@pytest.fixture
def kvm_daemon() -> Iterator[LibvirtDaemon]:
    """A daemon that sees the machine's /dev/kvm."""
    reason = requirements.daemon_unavailable(Flavour.SESSION)
    if reason is None and not Path("/dev/kvm").exists():
        reason = "no /dev/kvm: what is offered cannot be tried"
    if reason is not None:
        pytest.skip(reason)
    with LibvirtDaemon(Flavour.SESSION, kvm=True) as daemon:
        yield daemon


def test_auto_ends_soon_with_an_accelerator_that_gets_a_guest_to_speak(
    kvm_daemon: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench = machinebench.MachineBench(kvm_daemon.uri, kvm_daemon.directory, accelerator="auto")
    bench.boot_disk(boot_image)
    began = time.monotonic()
    bench.apply(VM, "web", SPEC)
    made = time.monotonic() - began
    bench.wait_for("LAB-SEQ", seconds=5)
    assert made < 15
    left = bench.connection.read("list", lambda h: [d.name() for d in h.listAllDomains()])
    assert ["web"] == left, "what was tried with is gone"
    chosen = bench.present(VM, "web").facts["accelerator"]
    said = [text for _, text, _, _ in bench.progress if "unusable" in text]
    assert bool(said) == (chosen == "tcg")
    # It is tried once in a session.
    tried = [text for _, text, _, _ in bench.progress if "trying" in text]
    bench.apply(VM, "other", {**SPEC, "disks": []})
    assert tried == [text for _, text, _, _ in bench.progress if "trying" in text]
    assert chosen == bench.present(VM, "other").facts["accelerator"]
    bench.close()


def test_without_kvm_auto_does_not_try(
    libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench = machinebench.MachineBench(
        libvirt_session.uri, libvirt_session.directory, accelerator="auto"
    )
    bench.boot_disk(boot_image)
    bench.apply(VM, "web", SPEC)
    assert "tcg" == bench.present(VM, "web").facts["accelerator"]
    assert not [text for _, text, _, _ in bench.progress if "trying" in text]
    bench.close()


def test_kvm_that_is_demanded_and_not_there_is_an_error(
    libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench = machinebench.MachineBench(
        libvirt_session.uri, libvirt_session.directory, accelerator="kvm"
    )
    bench.boot_disk(boot_image)
    planned = bench.plan(VM, "web", SPEC)
    with pytest.raises(Terminal, match="no KVM") as raised:
        bench.session.create(planned.resource, bench.deadline())
    assert "PRV5202" == raised.value.diagnostic.code
    bench.close()
