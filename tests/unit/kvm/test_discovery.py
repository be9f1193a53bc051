"""A domain that somebody else made, as a manifest: nothing of it is lost, and taken over as it is
written it differs in nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.core.address import Address
from provisioner.engine.diff import differences
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Present, Resource
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import Element, attribute, child, copied, same
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.discovery.devices import macs_of
from provisioner_plugins.kvm.discovery.machine import Surroundings, describe
from provisioner_plugins.kvm.domain import document, native
from tests.unit.kvm.domains import (
    CARDS,
    DEVICES,
    DISKS,
    FEATURES,
    FOLDER,
    SYSTEMS,
    definitions,
    domain,
)
from tests.unit.kvm.specs import resource

RULES = SchemaCatalog.installed().kind("VirtualMachine")
UID = UUID(int=99)
NETWORK = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Volume:
    id: VolumeId
    kind: str | None
    form: str
    is_shared: bool = False

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.id.volume}"


class Estate:
    """A pool with a few volumes, and one network."""

    def __init__(self) -> None:
        volumes = [Volume(VolumeId("pool", f"{name}.qcow2"), "Disk", "qcow2") for name in "abc"]
        volumes += [
            Volume(VolumeId("pool", "cd.iso"), "Image", "iso"),
            Volume(VolumeId("pool", "shared.raw"), "Disk", "raw", is_shared=True),
            Volume(VolumeId("pool", "odd.vmdk"), None, "vmdk"),
        ]
        self.volumes = {volume.path: volume for volume in volumes}

    def of_disk(self, disk: Element) -> Volume | None:
        source = disk.find("source")
        if source is None:
            return None
        path = source.get("file") or f"{FOLDER}/{source.get('volume')}"
        return self.volumes.get(path)

    def network(self, name: str | None) -> str | None:
        return NETWORK if name == "lan" else None


def discovered(document: Element) -> tuple[dict[str, Any], tuple[str, ...]]:
    around = Surroundings(Estate(), macs_of([document]), "x86_64", ["/usr/bin/qemu"])
    return describe(document, UID, around)


def as_resource(spec: Mapping[str, Any]) -> Resource:
    """The machine of a manifest that is written as discovery tells it."""
    names = {f"pool/{name}.qcow2": name for name in "abc"} | {"pool/cd.iso": "cd", NETWORK: "net"}
    spec = dict(spec)
    if "disks" in spec:
        spec["disks"] = {names[key]: disk for key, disk in spec["disks"].items()}
    if "nics" in spec:
        spec["nics"] = {
            name: {**nic, "network": names[nic["network"]]} for name, nic in spec["nics"].items()
        }
    if "cdroms" in spec:
        spec["cdroms"] = {
            name: {**drive, "image": names[drive["image"]]} if "image" in drive else drive
            for name, drive in spec["cdroms"].items()
        }
    others = [
        resource("StoragePool", "pool", {"type": "dir", "path": FOLDER}),
        replace(resource("Network", "net", {"mode": "nat", "cidr": "10.0.0.0/24"}), name="lan"),
        resource("Image", "cd", {"pool": "pool", "source": {"volume": "cd.iso"}, "format": "iso"}),
        *(
            replace(
                resource("Disk", name, {"pool": "pool", "format": "qcow2", "size": 1}),
                name=f"{name}.qcow2",
                exact=True,
            )
            for name in "abc"
        ),
    ]
    related: dict[Address, Resource] = {}
    for item in others:
        related[item.address] = replace(item, related=related)
    return resource("VirtualMachine", "web", spec, related=related)


def left(document: Element, machine: Resource, recorded: Mapping[str, Any] | None) -> list[Any]:
    bindings = Bindings(machine.related)
    spec = document_read(document, bindings, machine.spec)
    observed = Present("id", None, spec, "fingerprint")
    return differences(machine.spec, recorded, observed, RULES)


def document_read(node: Element, bindings: Bindings, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {**document.read(node, bindings, wanted), "labels": {}, "autostart": False}


@given(definitions)
def test_taken_over_it_differs_in_nothing(found: Element) -> None:
    spec, _ = discovered(found)
    machine = as_resource(spec)
    # What a manifest says is accepted, and comes back as it is.
    assert machine.spec == provider().normalise(machine)
    assert [] == left(found, machine, None)
    native.take_over(found, document.fragments(machine.spec))
    stamp.replace(found, stamp.Mark.of(machine))
    assert document.fragments(spec) == native.recorded(found)
    assert [] == left(found, machine, machine.spec)


@given(definitions)
def test_an_edit_of_something_else_leaves_the_rest_as_it_is(found: Element) -> None:
    spec, _ = discovered(found)
    machine = as_resource(spec)
    native.take_over(found, document.fragments(machine.spec))
    before = copied(found)
    edited = {**machine.spec, "description": "Edited"}
    around = document.Surroundings(Bindings(machine.related))
    document.edit(found, edited, edited, {"description"}, around, reorder=False)
    for definition in (found, before):
        for node in definition.findall("description"):
            definition.remove(node)
    assert same(before, found)


@given(definitions, st.integers(0, 1 << 30))
def test_nothing_is_lost_in_silence(found: Element, seed: int) -> None:
    """Whatever somebody else adds, wherever it is, stands in a fragment or in a note."""
    random = Random(seed)
    places = [node for node in found.iter() if not _is_layout(found, node)]
    place = random.choice(places)
    if random.random() < 0.5:
        place.set("zzz", "added")
    else:
        child(place, "zzz").set("is", "added")
    spec, notes = discovered(found)
    assert any("zzz" in text for text in (*document.fragments(spec), *notes)), place.tag


_NOT_READ = frozenset({"name", "uuid", "metadata", "nvram", "loader"})
"""What identifies a domain, and files that libvirt chooses."""


def _is_layout(found: Element, node: Element) -> bool:
    if node.tag in _NOT_READ:
        return True
    if node.tag == "address" and node.get("type") is not None:
        return True
    return any(node in console.iter() for console in found.findall("devices/console"))


def test_white_space_around_a_description_is_told() -> None:
    spec, notes = discovered(domain(SYSTEMS[0], ["<description> two\nlines </description>"], []))
    assert ("two\nlines", 1) == (spec["description"], sum("white space" in text for text in notes))


def test_what_libvirt_adds_by_itself_is_no_noise() -> None:
    found = domain(
        SYSTEMS[0],
        [
            FEATURES,
            "<clock offset='utc'/><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>"
            "<on_crash>destroy</on_crash><resource><partition>/machine</partition></resource>",
            "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>"
            "</cpu>",
            "<seclabel type='dynamic' model='apparmor' relabel='yes'/>",
        ],
        [
            "<emulator>/usr/bin/qemu</emulator>",
            "<controller type='pci' index='0' model='pci-root'/>"
            "<controller type='usb' index='0' model='piix3-uhci'><address type='pci'/></controller>"
            "<controller type='ide' index='0'/><controller type='virtio-serial' index='0'/>",
            DISKS[0],
            CARDS[0],
            "<serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/>"
            "</target></serial><console type='pty'><target type='serial' port='0'/></console>",
            "<input type='mouse' bus='ps2'/><input type='keyboard' bus='ps2'/>",
            "<audio id='1' type='none'/><memballoon model='virtio'><address type='pci'/>"
            "</memballoon>",
        ],
    )
    expected = {
        "cpu": {"count": 2, "max": 2},
        "memory": {"size": 16 << 20, "max": 16 << 20},
        "machineType": "pc",
        "disks": {"pool/a.qcow2": {"readOnly": False, "bus": "virtio"}},
        "nics": {
            "nic0": {
                "network": NETWORK,
                "model": "virtio",
                "link": "up",
                "mac": "52:54:00:00:00:01",
            }
        },
        "console": {"serial": True, "graphics": "none"},
        "guestAgent": False,
    }
    assert (expected, ()) == discovered(found)


@pytest.mark.parametrize(
    ("device", "fragment"),
    [
        (DISKS[5], "rbd"),
        (DISKS[7], 'device="lun"'),
        (CARDS[3], "pcnet"),
        (CARDS[5], "br0"),
        # Of a card of the model only what the model lacks, by its address.
        (CARDS[1], '<interface><mac address="52:54:00:00:00:02" /><source portgroup='),
        (DISKS[1], '<disk><target dev="sdb" removable="on" /><driver io="native"'),
    ],
)
def test_what_the_model_lacks_becomes_a_fragment(device: str, fragment: str) -> None:
    spec, _ = discovered(domain(SYSTEMS[1], [], [device]))
    assert 1 == sum(fragment in text for text in document.fragments(spec))


@pytest.mark.parametrize(
    ("system", "section", "fragment"),
    [
        (
            "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' "
            "type='pflash'>/code</loader><nvram template='/theirs'>/own.fd</nvram></os>",
            "",
            "<os><nvram>/own.fd</nvram></os>",
        ),
        (SYSTEMS[1], "<cpu mode='host-passthrough' migratable='off'/>", '<cpu migratable="off" />'),
    ],
)
def test_what_stands_beside_a_field_becomes_a_fragment(
    system: str, section: str, fragment: str
) -> None:
    spec, notes = discovered(domain(system, [f"{FEATURES}{section}"], []))
    assert (True, ()) == (fragment in document.fragments(spec), notes)


@pytest.mark.parametrize("mode", ["maximum", "host-passthrough"])
def test_the_mode_of_an_emulated_processor_is_its_own(mode: str) -> None:
    spec, notes = discovered(domain(SYSTEMS[1], [FEATURES, f"<cpu mode='{mode}'/>"], []))
    assert (mode, ()) == (spec["cpu"]["model"], notes)


def test_features_that_are_missing_are_told() -> None:
    _, notes = discovered(domain(SYSTEMS[1], ["<features><acpi/></features>"], []))
    assert ("kept as it is: it has no <apic/>, which a machine that is made anew has",) == notes


def test_two_machines_with_one_mac_address() -> None:
    """A manifest's stands once in a stack."""
    found = domain(SYSTEMS[1], [], [CARDS[0]])
    around = Surroundings(Estate(), macs_of([found, found]))
    spec, _ = describe(found, UID, around)
    assert "nics" not in spec
    assert 1 == sum("52:54:00:00:00:01" in text for text in document.fragments(spec))


def test_beside_a_card_that_nothing_can_say_all_cards_are_fragments() -> None:
    """A manifest's cards are all that there are to be: one that is missing would be unplugged."""
    spec, notes = discovered(domain(SYSTEMS[1], [], [CARDS[0], CARDS[9], CARDS[1]]))
    cards = [text for text in document.fragments(spec) if "<interface" in text]
    assert ("nics" in spec, 2) == (False, len(cards))
    assert 1 == sum('network="other"' in note for note in notes)


def test_names_of_cards_are_those_that_somebody_gave() -> None:
    spec, _ = discovered(domain(SYSTEMS[1], [], CARDS[:2]))
    assert ["nic0", "mine"] == list(spec["nics"])


def test_a_twin_is_kept_a_twin() -> None:
    """Two devices that say the same are in one fragment, which makes two of them again."""
    found = domain(SYSTEMS[1], [], [DEVICES[8]])
    spec, _ = discovered(found)
    (twins,) = [text for text in document.fragments(spec) if "redirdev" in text]
    assert 2 == twins.count("<redirdev")
    machine = as_resource(spec)
    made = document.build("web", UID, machine.spec, document.Surroundings(Bindings({})))
    assert 2 == len(made.findall("devices/redirdev"))
    assert attribute(made, "devices/redirdev", "bus") == "usb"
