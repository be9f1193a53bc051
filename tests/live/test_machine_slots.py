"""A running machine has so many free places; what does not fit waits for a restart, which makes
room."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.network("lan")
    yield stack
    stack.close()


@pytest.mark.parametrize("board", ["q35", "pc"])
def test_places_are_counted_as_libvirt_has_them(bench: Any, board: str) -> None:
    spec: dict[str, Any] = {
        "memory": {"size": "16MiB"},
        "machineType": board,
        "disks": [{"disk": "root", "bootOrder": 1}],
        "shutdownTimeout": "0s",
    }
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-SEQ")
    free = bench.present(VM, "web").facts["freeSlots"]
    cards = [{"name": f"nic{number:02}", "network": "lan"} for number in range(free + 1)]
    full = {**spec, "nics": cards}
    planned = bench.plan(VM, "web", full)
    impacts = [change.impact.value for change in planned.changes]
    assert ["live"] * free + ["restart"] == impacts
    assert "no free slot" in planned.changes[-1].reason
    most = {**spec, "nics": cards[:free]}
    with bench.uninterrupted():
        assert () == bench.apply(VM, "web", most).pending
    assert 0 == bench.present(VM, "web").facts["freeSlots"]
    last = ("nics", cards[free]["name"])
    with bench.uninterrupted():
        assert (last,) == bench.apply(VM, "web", full).pending
    assert () == bench.apply(VM, "web", full, restart=True).pending
    assert bench.present(VM, "web").facts["freeSlots"] > 0
