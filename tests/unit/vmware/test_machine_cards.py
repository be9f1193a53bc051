"""Network cards and their addresses: of their author's choice, or given by vSphere."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.providers.api import Change
from provisioner_plugins.vmware.machine.addresses import refused, type_of

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.machine import cards

OURS, GIVEN = "52:54:00:00:00:01", "00:50:56:9a:00:01"


def changed(*path: str, before: Any = None, after: Any = None) -> Change:
    return Change(path, before, after, Impact.LIVE)


def paths(spec: dict[str, Any], *changes: Change) -> list[Any]:
    return [item.path for item in refused(spec, changes)]


def present(kind: str, mac: str) -> Any:
    return vim.vm.device.VirtualE1000(key=4000, addressType=kind, macAddress=mac)


@pytest.mark.parametrize(
    ("mac", "kind"),
    [
        ("00:50:56:00:00:00", "manual"),
        ("00:50:56:3f:ff:ff", "manual"),
        ("00:50:56:40:00:00", "assigned"),
        ("00:50:56:BF:00:01", "assigned"),
        ("00:0c:29:01:02:03", "generated"),
        ("00:05:69:01:02:03", "generated"),
        (OURS, "manual"),
    ],
)
def test_what_an_address_can_be(mac: str, kind: str) -> None:
    assert kind == type_of(mac)


@pytest.mark.parametrize("kind", ["generated", "assigned", "manual"])
def test_an_edit_leaves_a_card_the_address_that_it_has(kind: str) -> None:
    card = present(kind, GIVEN.upper())
    cards.edit(card, {"mac": GIVEN, "link": "down"}, None)
    assert (kind, GIVEN.upper(), False) == (
        card.addressType,
        card.macAddress,
        card.connectable.startConnected,
    )


def test_another_address_is_its_authors() -> None:
    card = present("assigned", GIVEN)
    cards.edit(card, {"mac": OURS}, None)
    assert ("manual", OURS) == (card.addressType, card.macAddress)


def test_a_card_of_another_model_keeps_the_address() -> None:
    wanted = {"mac": GIVEN, "model": "vmxnet3"}
    made = cards.make(wanted, None, -1, present("assigned", GIVEN))
    assert ("assigned", GIVEN) == (made.addressType, made.macAddress)


def test_a_card_that_is_plugged_in_again_has_its_address_from_vsphere() -> None:
    made = cards.make({"mac": GIVEN}, None, -1)
    assert ("assigned", GIVEN) == (made.addressType, made.macAddress)


def test_a_new_machine_chooses_no_address_of_vspheres() -> None:
    nics = {"a": {"mac": GIVEN}, "b": {"mac": OURS}, "c": {}, "d": {"mac": {"$unknown": "x"}}}
    [found] = refused({"nics": nics}, ())
    assert (("nics", "a", "mac"), "PRV2552") == (found.path, found.code)
    assert found.hint.startswith("Leave mac out")


def test_a_change_chooses_no_address_of_vspheres() -> None:
    path = ("nics", "a", "mac")
    assert [path] == paths({}, changed(*path, before=OURS, after=GIVEN))
    assert [path] == paths({}, changed("nics", "a", after={"mac": GIVEN}))
    assert [path] == paths({}, changed("nics", after={"a": {"mac": GIVEN}}))
    assert [] == paths({}, changed(*path, before=GIVEN, after=OURS))


def test_an_address_that_the_machine_has_already_is_no_choice() -> None:
    spec = {"nics": {"a": {"mac": GIVEN}}}
    assert [] == paths(spec, changed("nics", "a", "link", before="up", after="down"))
    moved = {"mac": GIVEN, "network": "lan"}
    assert [] == paths(
        spec, changed("nics", "old", before=moved), changed("nics", "new", after=moved)
    )
