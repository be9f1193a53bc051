"""A machine from its spec to the guest's first words, and away again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    yield stack
    stack.close()


def test_a_guest_speaks_and_the_machine_is_as_its_spec_says(
    bench: Any, boot_image: BootImage
) -> None:
    bench.boot_disk(boot_image)
    bench.network("lan")
    spec = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root"}],
        "nics": [{"name": "lan", "network": "lan"}],
        "shutdownTimeout": "1s",
    }
    outcome = bench.apply(VM, "web", spec)
    assert str(bench.machine().uid) == outcome.external_id
    bench.wait_for("LAB-SEQ")
    observed = bench.present(VM, "web")
    assert bench.machine().stamp == observed.owner
    assert {"root": {"bus": "virtio", "bootOrder": 1, "readOnly": False}} == observed.spec["disks"]
    assert "running" == observed.spec["power"]
    assert {} == observed.running
    assert observed.outputs["mac"]["lan"] == observed.spec["nics"]["lan"]["mac"]
    disk = bench.present("Disk", "root").external_id
    bench.delete(VM, "web")
    assert disk == bench.present("Disk", "root").external_id
    left = [volume.name() for volume in bench.volumes("images")]
    assert [] == [name for name in left if name.startswith("web.")]
    assert Address(VM, "web") not in bench.recorded


def test_a_file_that_the_host_does_not_have_is_told(bench: Any) -> None:
    with pytest.raises(Terminal) as caught:
        bench.apply(VM, "web", {"memory": {"size": "16MiB"}, "boot": {"kernel": "/nowhere"}})
    assert ("PRV5125", True) == (
        caught.value.diagnostic.code,
        "/nowhere" in caught.value.diagnostic.detail,
    )
    assert [] == bench.discover(VM)
