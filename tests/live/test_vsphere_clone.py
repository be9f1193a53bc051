"""Machines of a vCenter that are copies of a template, and the customisation of their guests: what
is there afterwards, what a plan refuses, and that no call that goes wrong makes a second machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.engine.events import StepRetrying
from provisioner.providers.api import Absent, Outcome, ProviderError, Resource
from tests.lab.appliances import ova
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from tests.conformance.provider.vmware_outside import Connected, connected
from tests.conformance.provider.vmware_storage import Datastores, write_disk
from tests.conformance.provider.vmware_templates import make_template
from tests.faults.vspherestack import Ended, Outsider, VsphereStack, without_waiting
from tests.live.vspherelab import machine, resource, session, soon

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-clone")]

WEB, MIB_64 = "VirtualMachine/web", {"size": "64MiB"}
GOLDEN, BARE, WINDOWS, UNTOOLED = "golden", "bare", "windows", "untooled"
WITHOUT_TOOLS = vim.option.OptionValue(
    key="SET.guest.toolsVersionStatus2", value="guestToolsNotInstalled"
)
"""Has the simulator say so of a machine."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Vcsim]:
    """A vCenter with four templates and no machine."""
    with simulated(Options(machines=0)) as started:
        with connected(started) as there:
            make_template(there, GOLDEN, annotation="golden", firmware="efi")
            make_template(there, BARE, snapshot=False)
            make_template(there, WINDOWS, guestId="windows2019srv_64Guest")
            make_template(there, UNTOOLED, extraConfig=[WITHOUT_TOOLS])
        yield started


@pytest.fixture
def vcsim(simulator: Vcsim) -> Iterator[Vcsim]:
    yield simulator
    simulator.release()
    with connected(simulator) as there:
        Outsider(simulator).remove(*(found._GetMoId() for found in copies(there)))
        Datastores().remove(there, "images")


@pytest.fixture
def stack(vcsim: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VsphereStack:
    without_waiting(monkeypatch)
    return VsphereStack(vcsim, tmp_path)


def copies(there: Connected) -> list[Any]:
    """All machines but the templates."""
    return [item for item in there.every(vim.VirtualMachine) if not item.config.template]


def declare(stack: VsphereStack, template: str, **web: Any) -> None:
    """A template, and a machine that is a copy of it."""
    image = {"pool": "images", "source": {"template": template}, "format": "template"}
    stack.declare(
        {
            "StoragePool/images": {"type": "dir", "path": str(stack.root / "images")},
            "Image/debian": image,
            WEB: {"memory": MIB_64, "clone": {"image": "debian"}, "shutdownTimeout": "0s", **web},
        }
    )


def devices(found: Any, kind: type) -> list[Any]:
    return [item for item in found.config.hardware.device if isinstance(item, kind)]


DISK, CARD = vim.vm.device.VirtualDisk, vim.vm.device.VirtualEthernetCard


# What is there afterwards


@pytest.mark.parametrize("mode", ["full", "linked"])
def test_a_copy_is_made_and_nothing_is_left_to_do(stack: VsphereStack, mode: str) -> None:
    declare(stack, GOLDEN, clone={"image": "debian", "mode": mode}, cpu={"count": 3, "max": 4})
    assert "done" == stack.apply().outcome
    assert [] == stack.steps()
    with connected(stack.vcsim) as there:
        [found] = copies(there)
        [template] = there.called(vim.VirtualMachine, GOLDEN)
        [disk], [card] = devices(found, DISK), devices(found, CARD)
        [below], [other] = devices(template, DISK), devices(template, CARD)
        assert (3, True, 64) == (
            found.config.hardware.numCPU,
            found.config.cpuHotAddEnabled,
            found.config.hardware.memoryMB,
        )
        # What the manifest says nothing of is as in the template; addresses are its own.
        assert ("golden", "efi", "debian12_64Guest") == (
            found.config.annotation,
            found.config.firmware,
            found.config.guestId,
        )
        assert card.macAddress != other.macAddress
        assert "web/" in disk.backing.fileName
        parent = None if disk.backing.parent is None else disk.backing.parent.fileName
        assert {"full": None, "linked": below.backing.fileName}[mode] == parent


@pytest.mark.parametrize("mode", ["full", "linked"])
def test_an_appliance_is_cloned_in_the_apply_that_imports_it(
    stack: VsphereStack, mode: str
) -> None:
    (stack.root / "web.ova").write_bytes(ova())
    image = {"pool": "images", "source": {"file": "web.ova"}, "format": "ova"}
    declare(stack, "", clone={"image": "debian", "mode": mode})
    stack.declare({**stack.declared, "Image/debian": image})
    assert "done" == stack.apply().outcome
    assert [] == stack.steps()
    with connected(stack.vcsim) as there:
        [found] = copies(there)
        assert (1, []) == (len(devices(found, DISK)), devices(found, CARD))
        Outsider(stack.vcsim).remove(found._GetMoId())
    stack.declare({})
    assert "done" == stack.apply().outcome
    with connected(stack.vcsim) as there:
        assert [] == [item for item in there.every(vim.VirtualMachine) if "debian" in item.name]


def test_its_own_disks_go_with_it_and_a_plan_says_so(stack: VsphereStack) -> None:
    declare(stack, GOLDEN, clone={"image": "debian", "mode": "linked"})
    stack.apply()
    declare(stack, GOLDEN, clone={"image": "debian"})
    [step] = stack.plan().refused
    assert ("data-loss", WEB) == (step.impact.value, str(step.address))
    del stack.declared[WEB]
    stack.declare(stack.declared)
    [step] = stack.plan().refused
    assert "with it goes what is on its own disks (1)" == step.reason
    with session(stack.vcsim) as opened:
        web = next(item for item in opened.discover({"VirtualMachine"}) if item.name == "web")
        made = machine("web")
        owner = web.observed.owner
        assert owner is not None
        opened.delete(replace(made, external_id=web.observed.external_id, stamp=owner), soon())
    with connected(stack.vcsim) as there:
        assert [] == copies(there)
        [template] = there.called(vim.VirtualMachine, GOLDEN)
        assert 1 == len(devices(template, DISK))
        assert {"web", GOLDEN} & folders_with_disks(there) == {GOLDEN}


def folders_with_disks(there: Connected) -> set[str]:
    return {path.parent.name for path in files_of(there).glob("*/*.vmdk")}


def files_of(there: Connected) -> Path:
    return Path(there.called(vim.Datastore, "LocalDS_0")[0].summary.url)


def done(task: Any) -> Any:
    until(lambda: task.info.state == "success")
    return task.info.result


def test_somebody_elses_disk_in_the_place_of_its_own_stays(vcsim: Vcsim) -> None:
    copy = Copy(vcsim)
    wanted = copy.called("web", power="stopped")
    copy.create(wanted)
    with connected(vcsim) as there:
        path = "[LocalDS_0] others/others.vmdk"
        folder = files_of(there) / "others"
        folder.mkdir()
        write_disk(folder / "others.vmdk", b"o")
        [found] = copies(there)
        [own] = devices(found, DISK)
        change = vim.vm.device.VirtualDeviceSpec
        other = DISK(
            key=-1,
            controllerKey=own.controllerKey,
            unitNumber=own.unitNumber,
            capacityInKB=4096,
            capacityInBytes=4096 * 1024,
            backing=DISK.FlatVer2BackingInfo(fileName=path, diskMode="persistent"),
        )
        for item in (
            change(operation="remove", fileOperation="destroy", device=own),
            change(operation="add", device=other),
        ):
            done(found.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[item])))
    with session(vcsim) as opened:
        opened.delete(wanted, soon())
    with connected(vcsim) as there:
        assert [] == copies(there)
        assert "others" in folders_with_disks(there)


# What a plan refuses


def refusal(stack: VsphereStack) -> Diagnostic:
    ended = stack.apply()
    assert "refused" == ended.outcome, ended
    with connected(stack.vcsim) as there:
        assert [] == copies(there)
    [found] = ended.problems
    return found


def test_a_template_that_is_not_there(stack: VsphereStack) -> None:
    declare(stack, "goldne")
    found = refusal(stack)
    assert ("PRV5323", "Image/debian") == (found.code, found.address)
    assert "Did you mean golden?" == found.hint


def test_a_linked_clone_of_a_template_without_a_snapshot(stack: VsphereStack) -> None:
    declare(stack, BARE, clone={"image": "debian", "mode": "linked"})
    found = refusal(stack)
    assert ("PRV5340", WEB) == (found.code, found.address)
    assert "mode: full" in found.hint


def test_an_older_hardware_version_than_the_template_has(stack: VsphereStack) -> None:
    declare(stack, GOLDEN, machineType="vmx-8")
    assert "PRV5341" == refusal(stack).code


@pytest.mark.parametrize(("template", "word"), [(WINDOWS, "Windows"), (UNTOOLED, "VMware Tools")])
def test_a_guest_that_vsphere_cannot_customise(
    stack: VsphereStack, template: str, word: str
) -> None:
    declare(stack, template, customization={"hostName": "web"})
    found = refusal(stack)
    assert ("PRV5342", WEB) == (found.code, found.address)
    assert word in found.detail


def test_a_machine_that_is_there_without_tools(stack: VsphereStack) -> None:
    declare(stack, GOLDEN, power="stopped")
    stack.apply()
    with connected(stack.vcsim) as there:
        [found] = copies(there)
        Outsider(stack.vcsim).change(found._GetMoId(), extraConfig=[WITHOUT_TOOLS])
    declare(stack, GOLDEN, power="stopped", customization={"hostName": "web"})
    ended = stack.apply()
    assert ("refused", ["PRV5342"]) == (ended.outcome, ended.codes)


# Customisation


def test_the_guest_is_customised_when_it_starts(stack: VsphereStack) -> None:
    declare(stack, GOLDEN, customization={"hostName": "first"})
    assert "done" == stack.apply().outcome
    assert ["first"] == hostnames(stack)
    declare(stack, GOLDEN, customization={"hostName": "second"})
    [step] = stack.plan().steps
    [change] = step.changes
    reason = "the guest is configured anew at a start: the machine is switched off for it"
    assert ("restart", reason) == (change.impact.value, change.reason)
    ended = stack.apply()
    assert "done" == ended.outcome, ended
    assert [] == stack.steps()
    assert ["second"] == hostnames(stack)


def hostnames(stack: VsphereStack) -> list[str]:
    with connected(stack.vcsim) as there:
        return [item.guest.hostName for item in copies(there)]


def test_a_customisation_that_waits_is_replaced_by_the_next(stack: VsphereStack) -> None:
    for name in ("first", "second"):
        declare(stack, GOLDEN, customization={"hostName": name}, power="stopped")
        ended = stack.apply()
        assert "done" == ended.outcome, ended
    declare(stack, GOLDEN, customization={"hostName": "second"}, power="running")
    ended = stack.apply()
    assert "done" == ended.outcome, ended
    assert ["second"] == hostnames(stack)


# Calls that go wrong


def test_a_copy_whose_beginning_nobody_heard_of_is_waited_for(stack: VsphereStack) -> None:
    declare(stack, GOLDEN)
    timers: list[threading.Timer] = []

    def release_soon(_: StepRetrying) -> None:
        timers.append(threading.Timer(0.2, stack.vcsim.release))
        timers[-1].start()

    stack.on_retry = release_soon
    ended = unheard(stack)
    for timer in timers:
        timer.join()
    assert ("done", ("PRV5307",)) == (ended.outcome, ended.retried)
    only_one(stack)


def test_a_copy_that_outlasts_its_step_is_found_by_the_next_run(stack: VsphereStack) -> None:
    stack.step = 0.5
    stack.configure()
    declare(stack, GOLDEN)
    ended = unheard(stack)
    assert ["PRV5308"] == ended.codes
    stack.step = 60.0
    stack.configure()
    timer = threading.Timer(0.5, stack.vcsim.release)
    timer.start()
    assert "done" == stack.apply().outcome
    timer.join()
    only_one(stack)


def unheard(stack: VsphereStack) -> Ended:
    """An apply whose clone is begun and runs until it is released, and its answer is lost."""
    stack.vcsim.reset_counts()
    with (
        stack.vcsim.fault("CloneVM_Task", Act.LOSE),
        stack.vcsim.fault("CloneVM_Task", Act.HOLD),
    ):
        return stack.apply()


def only_one(stack: VsphereStack) -> None:
    assert 1 == stack.vcsim.counts()["CloneVM_Task"]
    assert [] == stack.steps()
    stack.verify()
    with connected(stack.vcsim) as there:
        assert ["web"] == [item.name for item in copies(there)]


class Copy:
    """A machine of a stack with its template, as the engine hands it to a session."""

    def __init__(self, vcsim: Vcsim) -> None:
        self._vcsim = vcsim
        with connected(vcsim) as there:
            uuid = there.called(vim.VirtualMachine, GOLDEN)[0].config.instanceUuid
        spec = {"pool": "images", "source": {"template": GOLDEN}, "format": "template"}
        self.known: dict[Address, Resource] = {}
        image = resource("Image", "debian", spec, external_id=uuid, related=self.known)
        self.known[image.address] = image

    def called(self, name: str, **spec: Any) -> Resource:
        made = machine(name, clone={"image": "debian"}, **spec)
        return replace(made, related=self.known)

    def create(self, wanted: Resource) -> Outcome:
        """In a session of its own."""
        with session(self._vcsim) as opened:
            return opened.create(wanted, soon())


@pytest.mark.parametrize("act", [Act.REFUSE, Act.LOSE])
@pytest.mark.parametrize("method", ["CloneVM_Task", "UpgradeVM_Task", "PowerOnVM_Task"])
def test_a_run_that_was_cut_short_is_completed(vcsim: Vcsim, method: str, act: Act) -> None:
    copy = Copy(vcsim)
    wanted = copy.called("web", machineType="vmx-20", customization={"hostName": "web"})
    with vcsim.fault(method, act) as rule:
        with pytest.raises(ProviderError):
            copy.create(wanted)
        assert 1 == rule.hits
    made = copy.create(replace(wanted, begun=True))
    assert str(wanted.uid) == made.external_id
    with connected(vcsim) as there:
        [found] = copies(there)
        assert ("poweredOn", "vmx-20", "web") == (
            found.runtime.powerState,
            found.config.version,
            found.guest.hostName,
        )


def test_any_answer_may_be_lost(vcsim: Vcsim) -> None:
    """Of any call, from logging in to logging out: the next attempt ends well, with one machine."""
    copy, made = Copy(vcsim), []
    for number in count():
        wanted = copy.called(f"web{number}", customization={"hostName": "web"})
        with vcsim.fault(".*", Act.LOSE, skip=number) as rule:
            with suppress(ProviderError):
                copy.create(wanted)
            if not rule.hits:
                break
        copy.create(replace(wanted, begun=True))
        made.append(wanted.name)
    assert len(made) > 10
    with connected(vcsim) as there:
        found = [(item.name, item.runtime.powerState) for item in copies(there)]
    assert sorted((name, "poweredOn") for name in (*made, f"web{number}")) == sorted(found)


def test_two_that_make_the_same_copy_make_one(vcsim: Vcsim) -> None:
    copy = Copy(vcsim)
    wanted, made = copy.called("web"), []
    threads = [threading.Thread(target=lambda: made.append(copy.create(wanted))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(wanted.uid)] * 3 == [item.external_id for item in made]
    with connected(vcsim) as there:
        assert ["web"] == [item.name for item in copies(there)]


def test_copies_of_one_template_do_not_wait_for_each_other(vcsim: Vcsim) -> None:
    """The second one is begun while the first one runs."""
    copy = Copy(vcsim)
    first, second = copy.called("first"), copy.called("second")
    with vcsim.fault("CloneVM_Task", Act.HOLD) as rule, session(vcsim) as opened:
        runs = threading.Thread(target=lambda: opened.create(first, soon()))
        runs.start()
        until(lambda: rule.hits == 1)
        vcsim.reset_counts()
        until(lambda: "RetrievePropertiesEx" in vcsim.counts())  # it waits for its task
        opened.create(second, soon())
        assert 1 == vcsim.release()
        runs.join()
    with connected(vcsim) as there:
        assert ["first", "second"] == sorted(item.name for item in copies(there))


def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


def test_a_copy_that_fails_half_way_leaves_nothing(vcsim: Vcsim) -> None:
    copy = Copy(vcsim)
    wanted = copy.called("web")
    failing = vcsim.fault("PowerOnVM_Task", Act.FAIL, fault="InvalidVmConfig")
    with failing, pytest.raises(ProviderError):
        copy.create(wanted)
    with session(vcsim) as opened:
        assert Absent() == opened.observe([wanted])[wanted.address]
