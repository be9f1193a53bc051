"""Fragments go into a domain, are recognised there, and leave it as it was."""

from copy import deepcopy

import pytest

from provisioner_plugins._libvirt.xml import Element, parse, same
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import document, native
from provisioner_plugins.kvm.domain.document import Surroundings
from tests.unit.kvm.specs import MIB, UID, related

BINDINGS = Bindings(related())
SPEC = {
    "memory": {"size": 16 * MIB},
    "disks": {"alpha": {}},
    "nics": {"lan": {"network": "blue"}},
    "guestAgent": True,
}
FRAGMENTS = [
    "<features><hyperv mode='custom'><relaxed state='on'/></hyperv><pae/></features>",
    "<clock offset='localtime'><timer name='hpet' present='no'/></clock>",
    "<devices><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>",
    "<devices><interface><alias name='ua-lan'/><mtu size='9000'/></interface></devices>",
    "<devices><interface type='direct'><mac address='52:54:00:ff:00:01'/>"
    "<source dev='eth7' mode='bridge'/></interface></devices>",
    "<devices><filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>"
    "</devices>",
    "<cpu><feature policy='disable' name='smap'/></cpu>",
    "<on_crash>preserve</on_crash>",
]


def domain() -> Element:
    return document.build("web", UID, SPEC, Surroundings(BINDINGS))


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_goes_in_and_out_again(fragment: str) -> None:
    definition = domain()
    # libvirt lays the definition out, so that metadata is there already.
    native.replace(definition, [])
    before = deepcopy(definition)
    native.replace(definition, [fragment])
    assert [fragment] == native.observed(definition)
    assert not same(before, definition)
    native.replace(definition, [])
    assert [] == native.recorded(definition)
    assert _without_empty(before) == _without_empty(definition)


def test_all_of_them_together() -> None:
    definition = domain()
    native.replace(definition, FRAGMENTS)
    assert native.observed(definition) == FRAGMENTS
    found = document.read(definition, BINDINGS, SPEC)
    assert {"kvm": {"domain": FRAGMENTS}} == found["native"]
    # The card that a fragment brought is not taken for one of the machine's.
    assert {"lan"} == set(found["nics"])
    assert {"alpha"} == set(found["disks"])


def test_merging_again_adds_nothing() -> None:
    definition = domain()
    native.replace(definition, FRAGMENTS)
    before = deepcopy(definition)
    native.merge(definition)
    assert same(before, definition)


def test_a_fragment_that_somebody_took_out_is_missed() -> None:
    definition = domain()
    native.replace(definition, FRAGMENTS[:3])
    devices, rng = definition.find("devices"), definition.find("devices/rng")
    assert devices is not None
    assert rng is not None
    devices.remove(rng)
    assert native.observed(definition) == FRAGMENTS[:2]


def test_what_libvirt_adds_to_a_device_goes_with_it() -> None:
    definition = domain()
    native.replace(definition, [FRAGMENTS[2]])
    rng = definition.find("devices/rng")
    assert rng is not None
    rng.append(parse("<address type='pci' bus='0x05' slot='0x00' function='0x0'/>"))
    native.replace(definition, [])
    assert definition.find("devices/rng") is None


def test_a_card_of_the_machine_keeps_its_name_when_a_fragment_leaves_it() -> None:
    definition = domain()
    native.replace(definition, [FRAGMENTS[3]])
    native.replace(definition, [])
    assert {"lan"} == set(document.read(definition, BINDINGS, SPEC)["nics"])


def _without_empty(node: Element) -> object:
    """A definition as nested tuples, without elements that say nothing."""
    children = sorted((_without_empty(below) for below in node), key=str)
    found = (node.tag, tuple(sorted(node.attrib.items())), (node.text or "").strip())
    kept = tuple(child for child in children if child is not None)
    if not kept and not found[1] and not found[2] and node.tag not in ("acpi", "apic"):
        return None
    return (*found, kept)
