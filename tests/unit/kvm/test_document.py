"""A machine's spec goes into XML and comes back, whatever it holds."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given

from provisioner_plugins._libvirt.xml import Element, parse, same, serialize
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import document
from provisioner_plugins.kvm.domain.document import Surroundings
from tests.unit.kvm.specs import UID, related, specs

BINDINGS = Bindings(related())
AROUND = Surroundings(BINDINGS)


def built(spec: Mapping[str, Any], around: Surroundings = AROUND) -> Element:
    return document.build("web", UID, spec, around)


def projected(wanted: Any, found: Any) -> Any:
    """The part of what was found that was asked for; sets with all their elements."""
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        return found
    return {key: projected(wanted[key], found.get(key)) for key in wanted}


def names(spec: Mapping[str, Any]) -> dict[str, set[str]]:
    return {kind: set(spec.get(kind, {})) for kind in ("disks", "nics", "cdroms")}


@given(specs())
def test_what_is_built_says_what_was_asked(spec: dict[str, Any]) -> None:
    found = document.read(built(spec), BINDINGS, spec)
    assert spec == projected(spec, found)
    assert names(spec) == names(found)


@given(specs())
def test_a_definition_survives_being_written_and_parsed(spec: dict[str, Any]) -> None:
    definition = built(spec)
    again = parse(serialize(definition))
    assert document.read(definition, BINDINGS, spec) == document.read(again, BINDINGS, spec)


@given(specs(), specs())
def test_an_edit_makes_of_one_spec_another(first: dict[str, Any], second: dict[str, Any]) -> None:
    definition = built(first)
    document.edit(definition, second, second, {*first, *second, "native"}, AROUND)
    found = document.read(definition, BINDINGS, second)
    # A board that is no longer named stays what it was.
    assert second == projected(second, found)
    assert names(second) == names(found)


@given(specs())
def test_an_edit_that_changes_nothing_leaves_the_definition_alone(spec: dict[str, Any]) -> None:
    definition = built(spec)
    before = deepcopy(definition)
    whole = {**document.read(definition, BINDINGS, spec), **spec}
    document.edit(definition, whole, spec, spec.keys(), AROUND)
    assert _text(before) == _text(definition)


@given(specs())
def test_the_order_in_which_a_spec_is_written_makes_no_difference(spec: dict[str, Any]) -> None:
    assert same(built(spec), built(_reversed(spec)))


@given(specs())
def test_nothing_differs_between_a_definition_and_itself(spec: dict[str, Any]) -> None:
    definition = built(spec)
    assert {} == document.running_differences(definition, definition, BINDINGS, spec)


def _text(definition: Element) -> list[str]:
    """The definition as text with its devices sorted: their order in it means nothing."""
    copy = deepcopy(definition)
    for part in (copy, *copy):
        part[:] = sorted(part, key=serialize)
    return [serialize(copy)]


def _reversed(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _reversed(value[key]) for key in reversed(value)}


MINIMAL: dict[str, Any] = {"memory": {"size": 16 << 20}}


def test_the_smallest_spec_gets_a_board_with_room_to_grow() -> None:
    definition = built(MINIMAL)
    assert "q35" == definition.find("os/type").get("machine")  # type: ignore[union-attr]
    ports = definition.findall("devices/controller[@model='pcie-root-port']")
    # One is for the memory balloon.
    assert 5 == len(ports)
    assert ["serial", "virtio"] == [
        "serial" if definition.find("devices/serial") is not None else "",
        definition.find("devices/memballoon").get("model"),  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize(
    ("disks", "order"),
    [
        ({"alpha": {}, "beta": {}, "gamma": {}}, {"gamma": 1, "alpha": 2, "beta": 3}),
        (
            {"alpha": {"bootOrder": 2}, "gamma": {}, "beta": {"bootOrder": 1}},
            {"alpha": 2, "beta": 1},
        ),
    ],
)
def test_disks_are_tried_in_the_order_given_or_those_from_images_first(
    disks: dict[str, Any], order: dict[str, int]
) -> None:
    spec = {**MINIMAL, "disks": disks}
    found = document.read(built(spec), BINDINGS, spec)["disks"]
    assert order == {name: disk["bootOrder"] for name, disk in found.items() if "bootOrder" in disk}


def test_disks_get_their_device_names_in_boot_order() -> None:
    spec = {**MINIMAL, "disks": {"alpha": {}, "gamma": {}, "beta": {"bus": "scsi"}}}
    found = {
        disk.find("source").get("volume").split(".")[0]: disk.find("target").get("dev")  # type: ignore[union-attr]
        for disk in built(spec).findall("devices/disk")
    }
    assert {"gamma": "vda", "alpha": "vdb", "beta": "sda"} == found


def test_a_machine_with_ide_devices_is_a_pc() -> None:
    spec = {**MINIMAL, "disks": {"alpha": {"bus": "ide"}}}
    assert "pc" == document.read(built(spec), BINDINGS, spec)["machineType"]


def test_the_version_of_a_board_shows_only_to_those_who_named_one() -> None:
    definition = built({**MINIMAL, "machineType": "pc-q35-7.2"})
    assert "q35" == document.read(definition, BINDINGS, {})["machineType"]
    pinned = {"machineType": "pc-q35-6.2"}
    assert "pc-q35-7.2" == document.read(definition, BINDINGS, pinned)["machineType"]


def test_another_board_keeps_no_address_of_the_old_one() -> None:
    definition = built({**MINIMAL, "disks": {"alpha": {}}})
    disk = definition.find("devices/disk")
    assert disk is not None
    disk.append(parse("<address type='pci' bus='0x01' slot='0x00' function='0x0'/>"))
    spec = {**MINIMAL, "disks": {"alpha": {}}, "machineType": "pc"}
    document.edit(definition, spec, spec, {"machineType"}, AROUND)
    assert disk.find("address") is None
    assert [] == definition.findall("devices/controller[@type='pci']")


HAND_MADE = """
<domain type='qemu'><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<vcpu>1</vcpu><memory unit='KiB'>16384</memory><currentMemory unit='KiB'>16384</currentMemory>
<devices>
<controller type='pci' index='0' model='pcie-root'/>
<controller type='pci' index='1' model='pcie-root-port'/>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='blue'/>
<model type='virtio'/><address type='pci' bus='0x01' slot='0x00' function='0x0'/></interface>
</devices></domain>
"""


def edited(wanted: dict[str, Any]) -> tuple[Element, Element]:
    """The machine before and after its cards are changed."""
    before, after = parse(HAND_MADE), parse(HAND_MADE)
    document.edit(after, wanted, wanted, {"nics"}, AROUND, reorder=False)
    return before, after


def test_an_edit_of_a_machine_that_others_made_is_that_edit() -> None:
    card = {"network": "blue", "mac": "52:54:00:00:00:01", "link": "down"}
    before, after = edited({"nics": {"lan": card}})
    link = next(node for node in after.iter("interface")).find("link")
    assert link is not None
    assert "down" == link.get("state")
    next(node for node in after.iter("interface")).remove(link)
    assert same(before, after)


def test_a_card_whose_mac_address_is_not_in_the_manifest_gets_a_mark() -> None:
    _, after = edited({"nics": {"lan": {"network": "blue", "link": "down"}}})
    assert ["ua-lan"] == [node.get("name") for node in after.iter("alias")]


def test_a_device_that_needs_a_port_brings_spare_ones() -> None:
    first = {"network": "blue", "mac": "52:54:00:00:00:01"}
    _, after = edited({"nics": {"lan": first, "more": {"network": "red"}}})
    ports = [node for node in after.iter("controller") if node.get("model") == "pcie-root-port"]
    assert 1 + 1 + 4 == len(ports)


def test_what_libvirt_makes_of_a_change_is_compared() -> None:
    chosen = HAND_MADE.replace("<vcpu>", "<cpu><model>qemu64</model></cpu><vcpu>")
    written, kept = parse(HAND_MADE), parse(chosen.replace("16384", "8192"))
    paths = [("memory", "size"), ("cpu", "count"), ("cpu", "model"), ("autostart",)]
    found = list(document.not_kept(written, kept, BINDINGS, {}, paths))
    assert [(("memory", "size"), 16 << 20, 8 << 20)] == found
