"""Fragments go into a domain, are recognised there, and leave it as it was."""

from copy import deepcopy
from typing import Any

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


IN_OTHER_WORDS: list[tuple[str, dict[str, tuple[dict[str, str], str | None]]]] = [
    (
        "<memtune><hard_limit unit='GiB'>1</hard_limit></memtune>",
        {"memtune/hard_limit": ({"unit": "KiB"}, "1048576")},
    ),
    (
        "<devices><rng model='virtio'><address type='pci' slot='7'/></rng></devices>",
        {"devices/rng/address": ({"type": "pci", "slot": "0x07", "bus": "0x00"}, None)},
    ),
    (
        "<memoryBacking><hugepages><page size='2' unit='MiB'/></hugepages></memoryBacking>",
        {"memoryBacking/hugepages/page": ({"size": "2048", "unit": "KiB"}, None)},
    ),
]


def rewritten(fragment: str, made: dict[str, tuple[dict[str, str], str | None]]) -> Element:
    """A definition with a fragment as libvirt gives it back."""
    definition = domain()
    native.replace(definition, [fragment])
    for path, (attributes, text) in made.items():
        node = definition.find(path)
        assert node is not None
        node.attrib.clear()
        node.attrib.update(attributes)
        node.text = text
    return definition


@pytest.mark.parametrize(("fragment", "made"), IN_OTHER_WORDS)
def test_a_fragment_that_libvirt_tells_in_other_words(fragment: str, made: Any) -> None:
    definition = rewritten(fragment, made)
    assert [] == native.observed(definition)
    assert (True, ()) == native.settle(definition)
    assert [fragment] == native.observed(definition)
    assert (False, ()) == native.settle(definition)
    settled = deepcopy(definition)
    native.merge(definition)
    assert same(settled, definition)


@pytest.mark.parametrize(("fragment", "made"), IN_OTHER_WORDS)
def test_a_fragment_in_other_words_goes_out_again(fragment: str, made: Any) -> None:
    definition = rewritten(fragment, made)
    native.settle(definition)
    native.replace(definition, [])
    for path in made:
        assert definition.find(path) is None


def test_what_somebody_changed_in_a_settled_fragment_is_missed() -> None:
    definition = rewritten(*IN_OTHER_WORDS[0])
    native.settle(definition)
    limit = definition.find("memtune/hard_limit")
    assert limit is not None
    limit.text = "2048"
    assert [] == native.observed(definition)


def test_of_two_devices_the_likelier_is_the_fragments() -> None:
    one = (
        "<devices><rng model='virtio'><rate bytes='1' period='2'/>"
        "<backend model='random'>/a</backend></rng></devices>"
    )
    other = one.replace("/a", "/b").replace("'1'", "'7'")
    definition = domain()
    native.replace(definition, [other, one])
    for rng in definition.findall("devices/rng"):
        rng.find("rate").attrib["period"] = "2000"  # type: ignore[union-attr]
    assert (True, ()) == native.settle(definition)
    native.replace(definition, [one])
    (left,) = definition.findall("devices/rng")
    assert "/a" == left.findtext("backend")


def test_what_libvirt_leaves_out_is_told() -> None:
    fragments = ["<nonsense/>", "<blkiotune><weight>500</weight><frobnicate/></blkiotune>"]
    definition = domain()
    native.replace(definition, fragments)
    for parent, path in ((definition, "nonsense"), (definition.find("blkiotune"), "frobnicate")):
        parent.remove(parent.find(path))  # type: ignore[union-attr, arg-type]
    told = "libvirt took no notice of {} in fragment {} of native.kvm.domain"
    assert (
        True,
        (told.format("/nonsense", 1), told.format("/blkiotune/frobnicate", 2)),
    ) == native.settle(definition)
    # What is not there at all is not taken for done.
    assert fragments[1:] == native.observed(definition)


DISK = (
    "<devices><disk type='file' device='disk'><source file='/a.img'/>"
    "<target dev='vdz' bus='virtio'/></disk></devices>"
)


def foreign() -> Element:
    """A machine of somebody else's, which has by itself what fragments would say."""
    return parse(
        "<domain><on_crash>preserve</on_crash><devices><disk type='file' device='disk'>"
        "<source file='/a.img'/><target dev='vdz' bus='virtio'/></disk></devices></domain>"
    )


def test_what_nobody_has_recorded_counts_where_it_is() -> None:
    wanted = ["<on_crash>preserve</on_crash>", DISK, "<on_reboot>destroy</on_reboot>"]
    definition = foreign()
    assert wanted[:2] == native.observed(definition, wanted)
    assert 1 == len(native.foreign_devices(definition, wanted))
    native.take_over(definition, wanted)
    assert wanted[:2] == native.recorded(definition)
    # From then on only the record counts.
    assert wanted[:2] == native.observed(definition, [])


def test_a_fragment_that_completes_a_disk_does_not_bring_it_in() -> None:
    definition = foreign()
    completing = "<devices><disk><target dev='vdz'/></disk></devices>"
    assert frozenset() == native.foreign_devices(definition, [completing])


COMPLETING = [
    "<devices><interface><mac address='52:54:00:00:00:01'/><mtu size='9000'/></interface>"
    "</devices>",
    "<devices><disk><target dev='vdc'/><driver io='threads'/></disk></devices>",
]


def test_a_fragment_that_completes_a_device_never_makes_one() -> None:
    """Its author never asked for a card in whatever network libvirt chooses."""
    definition = domain()
    native.replace(definition, COMPLETING)
    found = document.read(definition, BINDINGS, SPEC)
    assert ({"alpha"}, {"lan"}) == (set(found["disks"]), set(found["nics"]))
    missing = [(number, node.tag) for number, node in native.unattached(definition, COMPLETING)]
    assert [(1, "interface"), (2, "disk")] == missing


def test_a_fragment_may_complete_what_another_one_brings() -> None:
    definition = domain()
    completing = "<devices><disk><target dev='vdz'/><driver io='threads'/></disk></devices>"
    assert [] == list(native.unattached(definition, [completing, DISK]))
    native.replace(definition, [completing, DISK])
    assert 1 == len(definition.findall("devices/disk[@type='file']/driver[@io='threads']"))


def test_what_stays_among_the_fragments_is_left_where_it_is() -> None:
    definition = domain()
    native.replace(definition, [DISK, FRAGMENTS[0]])
    (disk,) = [n for n in definition.iter("disk") if n.find("source[@file]") is not None]
    disk.append(parse("<address type='pci' bus='0x05'/>"))
    native.replace(definition, [FRAGMENTS[1], DISK])
    assert [FRAGMENTS[1], DISK] == native.recorded(definition)
    assert 1 == len(disk.findall("address"))
    assert disk in list(definition.iter("disk"))


def test_a_card_is_known_by_its_alias_or_its_address() -> None:
    """One that was taken over gets an alias with its first change; the fragment knows neither."""
    definition = domain()
    card = next(definition.iter("interface"))
    card.append(parse("<mac address='52:54:00:00:00:01'/>"))
    fragment = (
        "<devices><interface><mac address='52:54:00:00:00:01'/><mtu size='9000'/></interface>"
        "</devices>"
    )
    native.replace(definition, [fragment])
    assert ["9000"] == [node.get("size", "") for node in definition.iter("mtu")]
    assert 1 == len(definition.findall("devices/interface"))


def test_several_of_a_kind_that_nothing_tells_apart() -> None:
    fragment = (
        "<cputune><vcpusched vcpus='0' scheduler='a'/><vcpusched vcpus='1' scheduler='b'/>"
        "</cputune>"
    )
    definition = domain()
    native.replace(definition, [fragment])
    before = deepcopy(definition)
    native.merge(definition)
    assert same(before, definition)


def _without_empty(node: Element) -> object:
    """A definition as nested tuples, without elements that say nothing."""
    children = sorted((_without_empty(below) for below in node), key=str)
    found = (node.tag, tuple(sorted(node.attrib.items())), (node.text or "").strip())
    kept = tuple(child for child in children if child is not None)
    if not kept and not found[1] and not found[2] and node.tag not in ("acpi", "apic"):
        return None
    return (*found, kept)
