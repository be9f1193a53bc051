"""What libvirt gave on a handle is used by whoever has that handle, and by nobody else.

Handles are lent in turn here, never the same one twice in a row, so that whatever goes from one
call to the next without its handle is found at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
machinebench = pytest.importorskip("tests.live.machinebench")
handles_module = pytest.importorskip("provisioner_plugins._libvirt.handles")
unplug_module = pytest.importorskip("provisioner_plugins.kvm.machine.unplug")

from provisioner.core.address import Address  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
CONNECTION = "virConnect"
KINDS = (
    "virDomain",
    "virDomainSnapshot",
    "virNetwork",
    "virStoragePool",
    "virStorageVol",
)
LOCAL = ("UUID", "UUIDString", "ID", "name", "getName", "connect", "ref", "c_pointer")
"""Methods that answer from what the client has already."""


class Watch:
    """Who has which handle, and what was used by somebody else."""

    def __init__(self) -> None:
        self.pools: list[Any] = []
        self.taken: list[Any] = []
        """Leases that were taken out, whoever uses them."""
        self.wrong: list[str] = []
        self.used: set[int] = set()

    def check(self, kind: str, method: str, item: Any) -> None:
        if kind == CONNECTION:
            handle = item
        else:
            handle = item.connect() if hasattr(item, "connect") else item.getConnect()
        self.used.add(id(handle))
        mine = [lease for pool in self.pools for lease in pool._mine.leases]
        mine += [lease for lease in self.taken if lease.is_out]
        if not any(lease.handle is handle for lease in mine):
            self.wrong.append(f"{kind}.{method}")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    plain = handles_module.Handles.__init__

    def begin(pool: Any, *args: Any, **kwargs: Any) -> None:
        plain(pool, *args, **kwargs)
        found.pools.append(pool)

    def next_one(pool: Any, _: list[Any]) -> Any:
        return pool._idle.pop(0) if pool._idle else None

    take_out = handles_module.Handles.take_out

    def taken_out(pool: Any) -> Any:
        found.taken.append(take_out(pool))
        return found.taken[-1]

    monkeypatch.setattr(handles_module.Handles, "__init__", begin)
    monkeypatch.setattr(handles_module.Handles, "take_out", taken_out)
    monkeypatch.setattr(handles_module.Handles, "_idle_one", next_one)
    for kind in KINDS:
        for name, method in [*vars(getattr(libvirt, kind)).items()]:
            if callable(method) and not name.startswith("_") and name not in LOCAL:
                watched = _watched(found, kind, method)
                monkeypatch.setattr(getattr(libvirt, kind), name, watched)
    for name in ("domainEventRegisterAny", "domainEventDeregisterAny"):
        watched = _watched(found, CONNECTION, getattr(libvirt.virConnect, name))
        monkeypatch.setattr(libvirt.virConnect, name, watched)
    return found


def _watched(watch: Watch, kind: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(item: Any, *args: Any, **kwargs: Any) -> Any:
        watch.check(kind, method.__name__, item)
        return method(item, *args, **kwargs)

    return call


def open_several(watch: Watch) -> None:
    """Have each session open three handles, to be lent in turn."""
    for pool in watch.pools:
        with ExitStack() as stack:
            for lease in [pool.take_out() for _ in range(3)]:
                stack.callback(pool.put_back, lease)


@pytest.fixture
def bench(watch: Watch, libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    open_several(watch)
    stack.boot_disk(boot_image)
    yield stack
    stack.close()


def test_a_whole_life_of_a_machine_and_its_disks(
    watch: Watch, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unplug_module, "LONGEST_SECONDS", 0.5)
    one: dict[str, Any] = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root", "bootOrder": 1}],
        "cloudInit": {"userData": "#cloud-config\n{}\n"},
        "shutdownTimeout": "0s",
    }
    both = {**one, "description": "Shop", "disks": [*one["disks"], {"disk": "data"}]}
    bench.disk("data")
    bench.apply(VM, "web", one)
    bench.wait_for("LAB-SEQ")
    bench.apply(VM, "web", both)
    bench.apply("Disk", "data", {"pool": "images", "size": "8MiB"})
    assert (("disks", "data"),) == bench.apply(VM, "web", one).pending
    stream = bench.session.serial(bench.machine())
    assert stream.read(10.0)
    stream.close()
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    for kind in bench.handlers:
        bench.discover(kind)
    bench.delete(VM, "web")
    for name in ("data", "root"):
        bench.delete("Disk", name)
    assert [] == watch.wrong
    assert len(watch.used) > 2


def test_a_whole_life_of_a_pool(watch: Watch, libvirt_session: LibvirtDaemon) -> None:
    bench = handlerbench.Bench(libvirt_session.uri)
    open_several(watch)
    folder = libvirt_session.directory / "handles"
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "handles", spec)
    bench.apply("StoragePool", "handles", {**spec, "active": False})
    bench.apply("StoragePool", "handles", {**spec, "autostart": False})
    bench.delete("StoragePool", "handles")
    bench.close()
    assert [] == watch.wrong
    assert len(watch.used) > 2


def test_a_whole_life_of_a_network(watch: Watch, libvirt_system: LibvirtDaemon) -> None:
    bench = handlerbench.Bench(libvirt_system.uri)
    open_several(watch)
    spec = {"mode": "nat", "cidr": "10.78.0.0/24"}
    bench.apply("Network", "handles", spec)
    bench.apply("Network", "handles", {**spec, "dhcp": {}}, restart=True)
    address = Address("Network", "handles")
    observed = bench.observe(bench.recorded[address])
    bench.handlers["Network"].adopt(bench.recorded[address], observed, bench.deadline())
    bench.delete("Network", "handles")
    bench.close()
    assert [] == watch.wrong
    assert len(watch.used) > 2
