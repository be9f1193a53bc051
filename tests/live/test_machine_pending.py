"""A device that waits for a restart goes on waiting, whatever else is plugged in meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.providers.api import Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
ROOT = {"disk": "root", "bootOrder": 1}
SATA = {"disk": "data", "bus": "sata"}
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [ROOT, SATA],
    "nics": [{"name": "old", "network": "lan", "model": "e1000"}],
    "shutdownTimeout": "0s",
}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.disk("data")
    stack.disk("more")
    stack.network("lan")
    stack.apply(VM, "web", {**SPEC, "disks": [ROOT], "nics": []})
    stack.wait_for("LAB-SEQ")
    assert {("disks", "data"), ("nics", "old")} == set(stack.apply(VM, "web", SPEC).pending)
    yield stack
    stack.close()


def test_others_are_plugged_in(bench: Any) -> None:
    more = {
        **SPEC,
        "disks": [ROOT, SATA, {"disk": "more"}],
        "nics": [*SPEC["nics"], {"name": "new", "network": "lan"}],
    }
    with bench.uninterrupted():
        bench.apply(VM, "web", more)
    assert {("disks", "data"): None, ("nics", "old"): None} == bench.present(VM, "web").running
    assert () == bench.apply(VM, "web", more, restart=True).pending
    assert {} == bench.present(VM, "web").running


def test_only_what_an_update_brings_is_taken_back_where_it_fails(bench: Any) -> None:
    """A volume that is not there cannot be plugged in."""
    bench.delete("Disk", "more")
    resource = bench.resource("Disk", "more", {"pool": "images", "size": "4MiB"})
    bench.recorded[resource.address] = resource
    with pytest.raises(Terminal):
        bench.apply(VM, "web", {**SPEC, "disks": [ROOT, SATA, {"disk": "more"}]})
    observed = bench.present(VM, "web")
    assert ({"root", "data"}, {"old"}) == (set(observed.spec["disks"]), set(observed.spec["nics"]))
