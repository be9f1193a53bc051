"""The cloud-init disk of a machine, where its pool cannot take it."""

from typing import Any

import pytest

from provisioner.providers.api import Terminal
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
KIB = 1024


@pytest.mark.parametrize("size", [96, 512, 900])
def test_a_seed_that_does_not_fit_is_told_and_nothing_is_left(
    libvirt_system: LibvirtDaemon, size: int
) -> None:
    bench: Any = machinebench.MachineBench(libvirt_system.uri, libvirt_system.directory)
    with handlerbench.mounted_tmpfs(libvirt_system.pid, bench.pool_folder(), "64k"):
        bench.refresh()
        data = f"#cloud-config\n# {'x' * size * KIB}\n"
        with pytest.raises(Terminal) as caught:
            bench.apply(VM, "web", {"memory": {"size": "16MiB"}, "cloudInit": {"userData": data}})
        assert "PRV5114" == caught.value.diagnostic.code
        assert [] == bench.volumes("images")
    bench.close()
