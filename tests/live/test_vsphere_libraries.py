"""Items of content libraries of vSphere: deployed as templates, interrupted, used as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from provisioner.providers.api import (
    Present,
    ProviderError,
    Resource,
    Retryable,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from tests.lab.appliances import ovf
from tests.lab.fixtures import simulated
from tests.lab.libraries import Libraries
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import resource, session, soon

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from provisioner_plugins.vmware.storage import library as libraries
from provisioner_plugins.vmware.wire.errors import EXISTS, describe
from tests.conformance.provider.vmware_outside import connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

NO_IMAGE = "Only OVF and VM templates and ISO files can be images."


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


@pytest.fixture(scope="module")
def library(vcsim: Vcsim) -> str:
    """The name of a content library with an item of each sort."""
    with connected(vcsim) as there:
        [store] = there.called(vim.Datastore, "LocalDS_0")
        source = there.every(vim.VirtualMachine)[0]
        place = {
            "folder": there.datacenter.vmFolder._moId,
            "resource_pool": there.compute.resourcePool._moId,
        }
        datastore, machine = store._moId, source._moId
    libraries = Libraries(vcsim)
    made = libraries.library("images", datastore)
    libraries.item(made, "web", "ovf", {"web.ovf": ovf()})
    libraries.item(made, "debian", "iso", {"debian.iso": b"i" * 4096})
    libraries.item(made, "notes", "file", {"notes.txt": b"n"})
    libraries.template(made, "machine", machine, place)
    return "images"


@pytest.fixture
def item(library: str, pool: Resource, opened: VmwareSession) -> Iterator[Any]:
    """Makes images of items of the library; they are removed afterwards."""
    made: list[Resource] = []

    def image_of_item(name: str, form: str, **said: str) -> Resource:
        source = {"libraryItem": {"library": library, "item": name, **said}}
        spec = {"pool": pool.name, "source": source, "format": form}
        made.append(resource("Image", "web", spec, related={pool.address: pool}))
        return made[-1]

    yield image_of_item
    for each in made:
        opened.delete(replace(each, begun=True), soon())


@pytest.mark.parametrize("name_of_item", ["web", "machine"])
def test_a_template_is_made_of_an_item(
    vcsim: Vcsim, opened: VmwareSession, item: Any, name_of_item: str
) -> None:
    wanted = item(name_of_item, "template")
    assert [] == opened.preflight([Undertaking(wanted)], soon(), thorough=False)
    outcome = opened.create(wanted, soon())
    assert outcome == opened.create(wanted, soon())
    assert [(name(wanted), True)] == machines(vcsim)
    found = seen(opened, replace(wanted, external_id=outcome.external_id))
    assert {"pool": "LocalDS_0", "format": "template"} == found.spec
    assert wanted.stamp == found.owner
    with connected(vcsim) as there:
        [template] = there.called(vim.VirtualMachine, name(wanted))
        devices = template.config.hardware.device
    assert not [card for card in devices if isinstance(card, vim.vm.device.VirtualEthernetCard)]
    opened.delete(wanted, soon())
    assert [] == machines(vcsim)


def test_a_cd_image_of_a_library_is_used_where_it_is(
    vcsim: Vcsim, opened: VmwareSession, item: Any
) -> None:
    wanted = item("debian", "iso")
    assert [] == opened.preflight([Undertaking(wanted)], soon(), thorough=False)
    made = replace(wanted, external_id=opened.create(wanted, soon()).external_id)
    assert {"pool": "LocalDS_0", "format": "iso"} == seen(opened, made).spec
    opened.delete(made, soon())
    assert isinstance(seen(opened, made), Present)


@pytest.mark.parametrize(("nth", "act"), [*product(range(4), (Act.REFUSE, Act.LOSE))])
def test_a_deployment_that_was_interrupted_makes_one_template(
    vcsim: Vcsim, opened: VmwareSession, item: Any, nth: int, act: Act
) -> None:
    wanted = item("web", "template")
    writes = "POST /api/vcenter/.*|ReconfigVM_Task|CreateSnapshot_Task|MarkAsTemplate"
    with vcsim.fault(writes, act, skip=nth), pytest.raises(ProviderError):
        opened.create(wanted, soon())
    opened.create(replace(wanted, begun=True), soon())
    assert isinstance(seen(opened, wanted), Present)
    assert [(name(wanted), True)] == machines(vcsim)


def test_a_deployment_may_take_as_long_as_its_step(vcsim: Vcsim, item: Any) -> None:
    wanted = item("web", "template")
    slow = vcsim.fault("POST /api/vcenter/.*", Act.SLEEP, seconds=1.0)
    with slow, session(vcsim, timeouts={"read": 500}, storagePool="LocalDS_0") as hasty:
        hasty.create(wanted, soon())
    assert [(name(wanted), True)] == machines(vcsim)


def test_what_is_still_being_deployed_is_waited_for(
    vcsim: Vcsim, opened: VmwareSession, item: Any
) -> None:
    wanted = item("web", "template")
    with vcsim.fault("POST /api/vcenter/.*", Act.LOSE), pytest.raises(Retryable):
        opened.create(wanted, soon())
    held = vcsim.fault("ReconfigVM_Task", Act.FAULT, fault="MethodDisabled", times=0)
    with held, pytest.raises(Retryable) as caught:
        opened.create(replace(wanted, begun=True), soon())
    assert "PRV5312" == caught.value.diagnostic.code
    assert [(name(wanted), False)] == machines(vcsim)
    opened.create(replace(wanted, begun=True), soon())
    assert [(name(wanted), True)] == machines(vcsim)


def test_the_name_of_a_deployment_that_is_under_way_is_its_own(
    opened: VmwareSession, item: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(item("web", "template"), begun=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise Terminal(describe(EXISTS, vim.fault.DuplicateName(name="web"), "deploy web"))

    monkeypatch.setattr(libraries.Libraries, "deploy", refuse)
    with pytest.raises(Retryable) as caught:
        opened.create(wanted, soon())
    assert "PRV5312" == caught.value.diagnostic.code


def test_a_deletion_takes_what_was_not_marked(
    vcsim: Vcsim, opened: VmwareSession, item: Any
) -> None:
    wanted = item("web", "template")
    with vcsim.fault("POST /api/vcenter/.*", Act.LOSE), pytest.raises(Retryable):
        opened.create(wanted, soon())
    assert [(name(wanted), False)] == machines(vcsim)
    opened.delete(replace(wanted, begun=True), soon())
    assert [] == machines(vcsim)


def test_what_was_not_begun_is_not_taken_for_ours(
    vcsim: Vcsim, opened: VmwareSession, item: Any
) -> None:
    wanted = item("web", "template")
    with vcsim.fault("POST /api/vcenter/.*", Act.LOSE), pytest.raises(Retryable):
        opened.create(wanted, soon())
    with pytest.raises(Terminal) as caught:
        opened.create(wanted, soon())
    assert "PRV5318" == caught.value.diagnostic.code


@pytest.mark.parametrize(
    ("said", "form", "expected"),
    [
        ({"name": "wep"}, "template", ("PRV5323", "Did you mean web?")),
        ({"name": "web", "library": "imgaes"}, "iso", ("PRV5323", "Did you mean images?")),
        ({"name": "web"}, "iso", ("PRV5353", "Write format: template.")),
        ({"name": "debian"}, "template", ("PRV5353", "Write format: iso.")),
        ({"name": "notes"}, "iso", ("PRV5353", NO_IMAGE)),
    ],
)
def test_an_item_that_is_not_there_is_told_when_planning(
    opened: VmwareSession, item: Any, said: dict[str, str], form: str, expected: tuple[str, str]
) -> None:
    undertaking = Undertaking(item(form=form, **said))
    [told] = opened.preflight([undertaking], soon(), thorough=False)
    assert expected == (told.code, told.hint)


def test_a_template_that_is_not_there_is_told_when_planning(
    vcsim: Vcsim, opened: VmwareSession, pool: Resource
) -> None:
    spec = {"pool": pool.name, "source": {"template": "nowhere"}, "format": "template"}
    undertaking = Undertaking(resource("Image", "web", spec))
    [told] = opened.preflight([undertaking], soon(), thorough=False)
    assert "PRV5323" == told.code
