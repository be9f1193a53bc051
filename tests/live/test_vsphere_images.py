"""Appliances of vSphere: imported as templates, interrupted, refused, in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import (
    Absent,
    InUse,
    Present,
    ProviderError,
    Resource,
    Retryable,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Undertaking
from tests.lab.appliances import DISK, files, ova, ovf, stream_disk
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import resource, session, soon

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from provisioner_plugins.vmware.wire import sweep
from tests.conformance.provider.vmware_outside import connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

WRITES = "ImportVApp|POST /nfc/.*|HttpNfcLease.*|ReconfigVM_Task|CreateSnapshot_Task|MarkAsTemplate"
TASK = {"task": {"_typeName": "ManagedObjectReference", "type": "Task", "value": "task-1"}}
STEPS = 7
"""As many writing calls as an import takes."""


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=1)) as started:
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, storagePool="LocalDS_0") as found:
        yield found


@pytest.fixture
def pool(vcsim: Vcsim) -> Resource:
    with connected(vcsim) as there:
        [store] = there.called(vim.Datastore, "LocalDS_0")
        return resource("StoragePool", "LocalDS_0", {"type": "dir"}, external_id=store._moId)


@pytest.fixture
def image(vcsim: Vcsim, pool: Resource, opened: VmwareSession) -> Iterator[Resource]:
    """That of an appliance on this machine, removed afterwards."""
    path = vcsim.directory / "web.ova"
    path.write_bytes(ova())
    made = image_of(path, pool)
    yield made
    opened.delete(made, soon())


def image_of(path: Path, pool: Resource) -> Resource:
    spec = {"pool": "LocalDS_0", "source": {"file": str(path)}, "format": "ova"}
    return resource("Image", "web", spec, related={pool.address: pool})


def seen(opened: VmwareSession, wanted: Resource) -> Any:
    return opened.observe([wanted])[wanted.address]


def machines(vcsim: Vcsim) -> list[tuple[str, bool]]:
    """Names of the machines that were imported, and whether they are templates."""
    with connected(vcsim) as there:
        found = there.every(vim.VirtualMachine)
        return sorted(
            (item.name, item.config.template) for item in found if item.name.startswith("web.")
        )


def name(wanted: Resource) -> str:
    return f"web.{wanted.uid.hex[:8]}"


def kill_in_upload(vcsim: Vcsim, opened: VmwareSession, wanted: Resource) -> None:
    """Nothing gets through after the upload has begun, as if there were nobody any more."""
    lost = "POST /nfc/.*|HttpNfcLeaseAbort|Destroy_Task"
    with vcsim.fault(lost, Act.REFUSE, times=0), pytest.raises(Retryable):
        opened.create(wanted, soon())


def test_an_appliance_becomes_a_template(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    assert Absent() == seen(opened, image)
    outcome = opened.create(image, soon())
    made = replace(image, external_id=outcome.external_id)
    assert outcome == opened.create(image, soon())
    found = seen(opened, made)
    assert {"pool": "LocalDS_0", "format": "ova"} == {
        key: value for key, value in found.spec.items() if key != "checksum"
    }
    assert image.stamp == found.owner
    assert [(name(image), True)] == machines(vcsim)
    [told] = [item for item in opened.discover({"Image"}) if item.name.endswith(name(image))]
    assert image.stamp == told.observed.owner
    with connected(vcsim) as there:
        [template] = there.called(vim.VirtualMachine, name(image))
        devices = template.config.hardware.device
        assert 1 == len(template.snapshot.rootSnapshotList)
    assert not [item for item in devices if isinstance(item, vim.vm.device.VirtualEthernetCard)]
    opened.delete(made, soon())
    assert [] == machines(vcsim)
    assert Absent() == seen(opened, made)


def test_the_endpoint_hears_of_a_long_upload(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    vcsim.reset_counts()
    opened.create(image, soon())
    assert vcsim.counts()["HttpNfcLeaseProgress"] >= 1


@pytest.mark.parametrize(("nth", "act"), [*product(range(STEPS), (Act.REFUSE, Act.LOSE))])
def test_an_import_that_was_interrupted_makes_one_template(
    vcsim: Vcsim, opened: VmwareSession, image: Resource, nth: int, act: Act
) -> None:
    with vcsim.fault(WRITES, act, skip=nth, times=1):
        try:
            opened.create(image, soon())
        except ProviderError:
            is_there = (name(image), True) in machines(vcsim)
            assert isinstance(seen(opened, image), Present if is_there else Absent)
    opened.create(image, soon())
    assert isinstance(seen(opened, image), Present)
    assert [(name(image), True)] == machines(vcsim)


def test_what_a_killed_run_left_is_removed_before_the_next_attempt(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    kill_in_upload(vcsim, opened, image)
    assert [(name(image), False)] == machines(vcsim)
    assert Absent() == seen(opened, image)
    vcsim.reset_counts()
    opened.create(image, soon())
    assert 1 == vcsim.counts()["Destroy_Task"]
    assert [(name(image), True)] == machines(vcsim)


def test_a_deletion_takes_what_a_killed_run_left(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    kill_in_upload(vcsim, opened, image)
    opened.delete(image, soon())
    assert [] == machines(vcsim)


def test_an_import_that_the_endpoint_is_still_at_is_waited_for(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    kill_in_upload(vcsim, opened, image)
    with (
        vcsim.fault("Destroy_Task", Act.FAIL, fault="TaskInProgress", details=TASK),
        pytest.raises(Retryable) as caught,
    ):
        opened.create(image, soon())
    assert "PRV5312" == caught.value.diagnostic.code
    opened.create(image, soon())
    assert [(name(image), True)] == machines(vcsim)


def test_an_import_that_is_whole_is_not_done_again(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    vcsim.reset_counts()
    with vcsim.fault("ReconfigVM_Task", Act.FAIL, fault="TaskInProgress", details=TASK):
        opened.create(image, soon())
    assert 1 == vcsim.counts()["ImportVApp"]
    assert [(name(image), True)] == machines(vcsim)


def test_a_session_that_ends_during_the_upload_is_no_end_of_the_import(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    with vcsim.fault("HttpNfcLeaseProgress", Act.EXPIRE), pytest.raises(Retryable) as caught:
        opened.create(image, soon())
    assert "PRV5307" == caught.value.diagnostic.code
    opened.create(image, soon())
    assert [(name(image), True)] == machines(vcsim)


def test_a_template_that_was_made_a_machine_keeps_its_content(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    opened.create(image, soon())
    with connected(vcsim) as there:
        [template] = there.called(vim.VirtualMachine, name(image))
        template.MarkAsVirtualMachine(there.compute.resourcePool)
    assert Absent() == seen(opened, image)
    opened.create(image, soon())
    with connected(vcsim) as there:
        assert [template._moId] == [
            item._moId for item in there.called(vim.VirtualMachine, name(image))
        ]
    assert isinstance(seen(opened, image), Present)


def test_the_name_of_somebody_else_is_left_alone(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    with connected(vcsim) as there:
        config = vim.vm.ConfigSpec(
            name=name(image), files=vim.vm.FileInfo(vmPathName="[LocalDS_0]")
        )
        task = there.datacenter.vmFolder.CreateVM_Task(config, there.compute.resourcePool)
        WaitForTask(task)
    with pytest.raises(Terminal) as caught:
        opened.create(image, soon())
    assert "PRV5318" == caught.value.diagnostic.code
    with connected(vcsim) as there:
        [machine] = there.called(vim.VirtualMachine, name(image))
        WaitForTask(machine.Destroy_Task())


def test_an_image_that_a_machine_needs_stays(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    opened.create(image, soon())
    with connected(vcsim) as there:
        [template] = there.called(vim.VirtualMachine, name(image))
        disk: Any
        [disk] = [
            item
            for item in template.config.hardware.device
            if isinstance(item, vim.vm.device.VirtualDisk)
        ]
        [other] = [item for item in there.every(vim.VirtualMachine) if item.name != name(image)]
        spec = vim.vm.device.VirtualDeviceSpec(
            operation="add",
            device=vim.vm.device.VirtualDisk(
                key=-1,
                controllerKey=next(
                    item.key
                    for item in other.config.hardware.device
                    if isinstance(item, vim.vm.device.VirtualSCSIController)
                ),
                unitNumber=9,
                capacityInKB=disk.capacityInKB,
                backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                    fileName=disk.backing.fileName, diskMode="persistent"
                ),
            ),
        )
        WaitForTask(other.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))
    with pytest.raises(InUse) as caught:
        opened.delete(image, soon())
    assert other_name(vcsim) in caught.value.diagnostic.detail
    with connected(vcsim) as there:
        [other] = [item for item in there.every(vim.VirtualMachine) if item.name != name(image)]
        device = next(
            item for item in other.config.hardware.device if getattr(item, "unitNumber", 0) == 9
        )
        spec = vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
        WaitForTask(other.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))


def other_name(vcsim: Vcsim) -> str:
    with connected(vcsim) as there:
        return next(
            str(item.name)
            for item in there.every(vim.VirtualMachine)
            if not item.name.startswith("web.")
        )


@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        (ova({**files(), DISK: stream_disk()[:-1] + b"x"}), {}, "PRV5354"),
        (ova(), {"checksum": f"sha256:{'0' * 64}"}, "PRV5354"),
        (ova()[:2000], {}, "PRV5353"),
    ],
    ids=["manifest", "checksum", "cut"],
)
def test_an_appliance_that_is_damaged_is_refused_before_anything_is_sent(
    vcsim: Vcsim, image: Resource, content: bytes, more: dict[str, str], code: str
) -> None:
    Path(image.spec["source"]["file"]).write_bytes(content)
    image = replace(image, spec={**image.spec, **more})
    vcsim.reset_counts()
    with session(vcsim, storagePool="LocalDS_0") as opened:
        told = opened.preflight([Undertaking(image)], soon(), thorough=True)
        assert [code] == [item.code for item in told]
        with pytest.raises(Terminal) as caught:
            opened.create(image, soon())
    assert code == caught.value.diagnostic.code
    assert "ImportVApp" not in vcsim.counts()


def test_hardware_that_the_endpoint_has_not_is_told(
    vcsim: Vcsim, opened: VmwareSession, image: Resource
) -> None:
    Path(image.spec["source"]["file"]).write_bytes(ova(files(ovf(unknown=True))))
    with pytest.raises(Terminal) as caught:
        opened.create(image, soon())
    assert "PRV5357" == caught.value.diagnostic.code
    assert "99" in caught.value.diagnostic.detail
    assert [] == machines(vcsim)


def test_a_recorded_image_is_not_absent_while_a_machine_does_not_tell_what_it_is(
    opened: VmwareSession, image: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = replace(image, external_id=str(image.uid))
    assert Absent() == seen(opened, recorded)
    read = sweep._row

    def without_configuration(item: Any) -> Any:
        row: Any = read(item)
        told = {key: value for key, value in row.values.items() if key[:7] != "config."}
        return replace(row, values=told)

    with monkeypatch.context() as patched:
        patched.setattr(sweep, "_row", without_configuration)
        found = seen(opened, recorded)
    assert isinstance(found, Undetermined)
    assert "PRV5329" == found.diagnostic.code
