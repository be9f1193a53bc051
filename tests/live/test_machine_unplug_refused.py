"""A guest that does not let go of a device keeps it until it is restarted; the disk is kept."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

VM = "VirtualMachine"


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.disk("data")
    yield stack
    stack.close()


def test_a_disk_that_the_guest_holds_goes_at_the_next_restart(bench: Any) -> None:
    # The boot-sector guest has no operating system that could answer.
    one: dict[str, Any] = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root", "bootOrder": 1}],
        "shutdownTimeout": "0s",
    }
    both = {**one, "disks": [*one["disks"], {"disk": "data"}]}
    bench.apply(VM, "web", both)
    bench.wait_for("LAB-SEQ")
    with bench.uninterrupted():
        outcome = bench.apply(VM, "web", one)
    assert (("disks", "data"),) == outcome.pending
    assert any("not let go" in note for note in outcome.notes)
    observed = bench.present(VM, "web")
    assert {"root"} == set(observed.spec["disks"])
    assert "virtio" == observed.running["disks", "data"]["bus"]
    # The same plan does not try again in vain: it says that it waits for a restart.
    assert {"disks.data": "restart"} == bench.plan(VM, "web", one).impacts
    assert () == bench.apply(VM, "web", one, restart=True).pending
    assert {} == bench.present(VM, "web").running
    assert 4 << 20 == bench.present("Disk", "data").spec["size"]
