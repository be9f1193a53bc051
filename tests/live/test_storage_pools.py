"""Storage pools on a real daemon. What needs a server or a device is tested as far as it goes
without.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Absent, InUse, Present, ProviderError, Terminal
from provisioner.providers.capabilities import Undertaking
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import volume_domain

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    stack = handlerbench.Bench(libvirt_session.uri)
    yield stack
    stack.close()


@pytest.fixture
def folder(libvirt_session: LibvirtDaemon, bench: Any) -> Path:
    """Where a pool may be made; it does not exist."""
    return libvirt_session.directory / f"pool-{bench.lineage.hex[:8]}"


def test_a_folder_is_made_and_the_pool_runs(bench: Any, folder: Path) -> None:
    outcome = bench.apply("StoragePool", "images", {"type": "dir", "path": f"{folder}//"})
    assert {"path": str(folder)} == outcome.outputs
    assert folder.is_dir()
    observed = bench.present("StoragePool", "images")
    expected = {"type": "dir", "path": str(folder), "autostart": True, "active": True}
    assert expected == observed.spec
    assert outcome.external_id == str(bench.recorded[Address("StoragePool", "images")].uid)


def test_a_folder_that_exists_keeps_its_mode_and_files(bench: Any, folder: Path) -> None:
    folder.mkdir(mode=0o750)
    (folder / "data.raw").write_bytes(b"data")
    bench.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    assert 0o750 == folder.stat().st_mode & 0o777
    bench.delete("StoragePool", "images")
    assert b"data" == (folder / "data.raw").read_bytes()


def test_native_fragments_reach_the_definition(bench: Any, folder: Path) -> None:
    fragment = "<target><permissions><mode>0700</mode></permissions></target>"
    native = {"kvm": {"pool": [fragment]}}
    bench.apply("StoragePool", "images", {"type": "dir", "path": str(folder), "native": native})
    assert 0o700 == folder.stat().st_mode & 0o777


def test_autostart_is_set_changed_and_given_back(bench: Any, folder: Path) -> None:
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", {**spec, "autostart": False})
    assert bench.present("StoragePool", "images").spec["autostart"] is False
    planned = bench.plan("StoragePool", "images", spec)
    assert {"autostart": "live"} == planned.impacts
    bench.apply("StoragePool", "images", spec)
    assert bench.present("StoragePool", "images").spec["autostart"] is True


def test_another_place_is_another_pool(bench: Any, folder: Path) -> None:
    bench.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    planned = bench.plan("StoragePool", "images", {"type": "dir", "path": f"{folder}-2"})
    assert {"path": "replace"} == planned.impacts
    assert "data stays" in planned.changes[0].reason


def test_a_stopped_pool_is_started(bench: Any, folder: Path) -> None:
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", spec)
    bench.connection.call("stop", lambda h: h.storagePoolLookupByName("images").destroy())
    assert {"type": "live"} == bench.plan("StoragePool", "images", spec).impacts
    bench.apply("StoragePool", "images", spec)
    assert 1 == bench.connection.call(
        "read", lambda h: h.storagePoolLookupByName("images").isActive()
    )


def test_a_definition_that_was_removed_is_written_again(bench: Any, folder: Path) -> None:
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", spec)

    def forget(handle: Any) -> None:
        pool = handle.storagePoolLookupByName("images")
        # libvirt undefines none that is active, but takes one that was never defined.
        text = pool.XMLDesc(0)
        pool.destroy()
        pool.undefine()
        handle.storagePoolCreateXML(text, 0)

    bench.connection.call("forget", forget)
    assert {"type": "live", "autostart": "live"} == (
        bench.plan("StoragePool", "images", {**spec, "autostart": True}).impacts
    )
    bench.apply("StoragePool", "images", {**spec, "autostart": True})
    assert [1, 1, 1] == bench.connection.call(
        "read",
        lambda h: [
            ask(h.storagePoolLookupByName("images"))
            for ask in (
                libvirt.virStoragePool.isActive,
                libvirt.virStoragePool.isPersistent,
                libvirt.virStoragePool.autostart,
            )
        ],
    )


def test_a_pool_of_that_name_that_is_not_ours_is_left_alone(bench: Any, folder: Path) -> None:
    text = f"<pool type='dir'><name>images</name><target><path>{folder}-x</path></target></pool>"
    foreign = bench.connection.call("define", lambda h: h.storagePoolDefineXML(text, 0))
    planned = bench.plan("StoragePool", "images", {"type": "dir", "path": str(folder)})
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is None
    handler = bench.handlers["StoragePool"]
    attempts = (
        lambda: handler.create(planned.resource, bench.deadline()),
        lambda: handler.update(
            planned.resource, planned.observed, (), restart=False, deadline=bench.deadline()
        ),
    )
    codes = []
    for attempt in attempts:
        with pytest.raises(Terminal) as caught:
            attempt()
        codes.append(caught.value.diagnostic.code)
    assert ["PRV5118", "PRV5119"] == codes
    # A deletion goes by identity: the foreign pool of that name is not even looked at.
    handler.delete(planned.resource, bench.deadline())
    assert "images" == foreign.name()
    assert not folder.exists()


def test_a_foreign_pool_without_a_definition_gets_one_with_an_edit(
    bench: Any, folder: Path
) -> None:
    folder.mkdir()
    text = f"<pool type='dir'><name>images</name><target><path>{folder}</path></target></pool>"
    foreign = bench.connection.call("create", lambda h: h.storagePoolCreateXML(text, 0))
    spec = {"type": "dir", "path": str(folder), "autostart": False}
    (found,) = bench.discover("StoragePool")
    assert (spec, {}) == (found.observed.spec, found.observed.running)
    bench.adopt("StoragePool", "images", spec)
    assert {} == bench.plan("StoragePool", "images", spec).impacts
    outcome = bench.apply("StoragePool", "images", {**spec, "autostart": True})
    assert (foreign.UUIDString(), 1, 1, 1) == (
        outcome.external_id,
        foreign.isActive(),
        foreign.isPersistent(),
        foreign.autostart(),
    )


def test_a_foreign_pool_is_adopted_as_it_is(bench: Any, folder: Path) -> None:
    folder.mkdir()
    text = f"<pool type='dir'><name>images</name><target><path>{folder}</path></target></pool>"
    foreign = bench.connection.call("define", lambda h: h.storagePoolDefineXML(text, 0))
    (found,) = bench.discover("StoragePool")
    spec = {"type": "dir", "path": str(folder), "autostart": False}
    assert {**spec, "active": False} == found.observed.spec
    bench.adopt("StoragePool", "images", {**spec, "active": False})
    assert () == tuple(bench.plan("StoragePool", "images", {**spec, "active": False}).changes)
    assert 0 == foreign.isActive()
    bench.apply("StoragePool", "images", {**spec, "autostart": True})
    assert foreign.UUIDString() == bench.present("StoragePool", "images").external_id
    bench.delete("StoragePool", "images")
    assert [] == bench.discover("StoragePool")
    assert folder.is_dir()


def test_a_pool_is_not_deleted_under_the_guests_of_others(
    bench: Any, folder: Path, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    boot_image.copy(folder / "boot.qcow2")
    bench.refresh()
    connection = libvirt.open(libvirt_session.uri)
    log = libvirt_session.directory / "theirs.log"
    guest = connection.createXML(volume_domain("theirs", "images/boot.qcow2", log))
    resource = bench.recorded[Address("StoragePool", "images")]
    with pytest.raises(InUse) as caught:
        bench.handlers["StoragePool"].delete(resource, bench.deadline())
    assert ("PRV5124", "It is used by domain theirs.") == (
        caught.value.diagnostic.code,
        caught.value.diagnostic.detail,
    )
    assert {} == bench.present("StoragePool", "images").running
    guest.destroy()
    bench.delete("StoragePool", "images")
    connection.close()


def test_creating_twice_gives_one_pool(bench: Any, folder: Path) -> None:
    resource = bench.plan("StoragePool", "images", {"type": "dir", "path": str(folder)}).resource
    handler = bench.handlers["StoragePool"]
    first = handler.create(resource, bench.deadline())
    assert first == handler.create(resource, bench.deadline())
    assert 1 == len(bench.discover("StoragePool"))


def test_a_pool_that_cannot_start_leaves_nothing(bench: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        bench.apply("StoragePool", "images", {"type": "dir", "path": "/proc/none/images"})
    assert "/proc/none" in caught.value.diagnostic.detail  # type: ignore[attr-defined]
    assert [] == bench.discover("StoragePool")


def test_two_pools_in_one_folder_are_refused(bench: Any, folder: Path) -> None:
    bench.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    with pytest.raises(Terminal) as caught:
        bench.apply("StoragePool", "more", {"type": "dir", "path": str(folder)})
    assert "PRV5127" == caught.value.diagnostic.code


def test_a_folder_is_not_taken_by_a_pool_of_the_stack(bench: Any, folder: Path) -> None:
    """It makes room in the same plan: the predecessor of this one, or one that moves away."""
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", spec)
    bench.generations[Address("StoragePool", "images")] = 1
    handler = bench.handlers["StoragePool"]
    for name in ("images", "more"):
        undertaking = Undertaking(bench.resource("StoragePool", name, spec))
        inventory = handlerbench.Inventory(bench.connection)
        assert [] == [*handler.preflight(inventory, undertaking, bench.deadline(), thorough=False)]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(
            {
                "type": "netfs",
                "path": "/mnt/nas",
                "source": {"host": "127.0.0.1", "directory": "/export", "format": "nfs"},
            },
            id="netfs",
        ),
        pytest.param(
            {"type": "logical", "source": {"volumeGroup": "vg0", "devices": ["/dev/no-such"]}},
            id="logical",
        ),
        pytest.param(
            {
                "type": "iscsi",
                "source": {
                    "host": "127.0.0.1",
                    "target": "iqn.2024-01.example.lab:storage",
                    "initiator": "iqn.2024-01.example.lab:host1",
                },
            },
            id="iscsi",
        ),
    ],
)
def test_the_daemon_keeps_every_field_of_other_types(bench: Any, spec: dict[str, Any]) -> None:
    """Defined only: what they stand on is not there. What is read back is what was written."""
    resource = bench.resource("StoragePool", "other", spec)
    handler = bench.handlers["StoragePool"]
    with pytest.raises(ProviderError):
        handler.create(resource, bench.deadline())
    assert isinstance(bench.observe(resource), Absent)
    text = handlerbench.pool_text(resource)
    bench.connection.call("define", lambda h: h.storagePoolDefineXML(text, 0))
    bench.recorded[resource.address] = replace(resource, external_id=str(resource.uid))
    planned = bench.plan("StoragePool", "other", spec)
    # That it does not run is all there is to do: nothing that was defined differs.
    assert [("autostart",), ("type",)] == sorted(
        {("autostart",), *(change.path for change in planned.changes)}
    )
    assert spec["source"] == planned.observed.spec["source"]


def test_a_pool_is_found_by_its_uuid_after_the_state_was_lost(bench: Any, folder: Path) -> None:
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", spec)
    bench.recorded.clear()
    observed = bench.plan("StoragePool", "images", spec).observed
    assert isinstance(observed, Present)
    assert observed.owner is not None
    assert str(bench.lineage) == observed.owner.lineage


def test_a_pool_is_stopped_and_started_again(bench: Any, folder: Path) -> None:
    spec = {"type": "dir", "path": str(folder)}
    bench.apply("StoragePool", "images", spec)
    stopped = bench.plan("StoragePool", "images", {**spec, "active": False})
    assert {"active": "live"} == stopped.impacts
    bench.apply("StoragePool", "images", {**spec, "active": False})
    started = {**spec, "active": True}
    assert {"active": "live"} == bench.plan("StoragePool", "images", started).impacts
    # Taking the line out says as much.
    bench.apply("StoragePool", "images", spec)
    assert {} == bench.present("StoragePool", "images").running
