"""What a definition names is found back among the stack's resources, whatever they are called."""

from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner_plugins._libvirt.xml import Element, parse
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from tests.unit.kvm.specs import related, resource


def disk(source: str) -> Element:
    return parse(f"<disk type='file' device='disk'>{source}</disk>")


def volume(found: VolumeRef) -> Element:
    return disk(f"<source pool='{found.pool}' volume='{found.volume}'/>")


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_disk_by_its_volume(name: str) -> None:
    bindings = Bindings(related())
    found = bindings.disk(name)
    assert found is not None
    assert name == bindings.disk_name(volume(found))


def test_formats_are_those_of_qemu() -> None:
    bindings = Bindings(related())
    assert ["qcow2", "raw"] == [
        getattr(bindings.disk(name), "format", "") for name in ("alpha", "beta")
    ]
    assert ["raw", "qcow2"] == [
        getattr(bindings.image(name), "format", "") for name in ("installer", "tools")
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"external_id": "pool/somebody-elses.img"},  # taken over
        {"name": "beta"},  # renamed since it was made
        {"name": "old.name", "external_id": "old/alpha.12345678.qcow2"},
    ],
)
def test_a_disk_that_is_not_called_after_its_resource(changed: dict[str, Any]) -> None:
    stack = related()
    address = Address("Disk", "alpha")
    stack[address] = replace(stack[address], **changed)
    bindings = Bindings(stack)
    found = bindings.disk("alpha")
    assert found is not None
    assert "alpha" == bindings.disk_name(volume(found))


def test_a_file_by_the_path_that_was_recorded() -> None:
    stack = related()
    address = Address("Disk", "alpha")
    stack[address] = replace(stack[address], outputs={"path": "/srv/pool/alpha.qcow2"})
    bindings = Bindings(stack)
    assert "alpha" == bindings.disk_name(disk("<source file='/srv/pool/alpha.qcow2'/>"))
    assert "/srv/other" == bindings.disk_name(disk("<source file='/srv/other'/>"))


def test_what_is_nobodys_goes_by_what_it_is() -> None:
    bindings = Bindings(related())
    assert "pool/x.raw" == bindings.disk_name(disk("<source pool='pool' volume='x.raw'/>"))
    assert bindings.image_name(disk("")) is None
    assert bindings.image_name(disk("<source index='4'/>")) is None


@pytest.mark.parametrize(
    ("card", "wanted", "name"),
    [
        ("<interface type='network'><source network='blue'/></interface>", None, "blue"),
        ("<interface type='network'><source network='blue'/></interface>", "red", "blue"),
        ("<interface type='network'><source network='virbr9'/></interface>", None, "green"),
        ("<interface type='network'><source network='other'/></interface>", "blue", "other"),
        ("<interface type='user'/>", "outside", "outside"),
        ("<interface type='user'/>", "blue", "user"),
        ("<interface type='user'/>", None, "user"),
        ("<interface type='bridge'><source bridge='br0'/></interface>", "blue", "bridge:br0"),
        ("<interface type='direct'><source dev='eth0'/></interface>", None, "direct:eth0"),
        ("<interface type='vhostuser'/>", None, "vhostuser"),
    ],
)
def test_a_network_by_its_card(card: str, wanted: str | None, name: str) -> None:
    stack = related()
    green = resource("Network", "green", {"mode": "nat"})
    stack[green.address] = replace(green, name="virbr9")
    assert name == Bindings(stack).network_name(parse(card), wanted)


@pytest.mark.parametrize(
    ("card", "wanted", "name"),
    [
        ("", "outside", "outside"),
        ("", "inner", "user"),
        ("<ip family='ipv4' address='10.9.0.0' prefix='24'/>", "inner", "inner"),
        ("<ip family='ipv4' address='10.9.0.0' prefix='24'/>", "outside", "user"),
        ("<ip family='ipv4' address='10.8.0.0' prefix='24'/>", "inner", "user"),
        ("<ip family='ipv6' address='fec0::' prefix='64'/>", "outside", "outside"),
    ],
)
def test_a_network_of_mode_user_by_its_subnet(card: str, wanted: str, name: str) -> None:
    stack = related()
    inner = resource("Network", "inner", {"mode": "user", "cidr": "10.9.0.0/24"})
    stack[inner.address] = inner
    node = parse(f"<interface type='user'>{card}</interface>")
    assert name == Bindings(stack).network_name(node, wanted)


def test_networks_under_their_names_on_the_host() -> None:
    bindings = Bindings(related())
    assert ["blue", None] == [bindings.network(name) for name in ("blue", "outside")]
    assert bindings.user_subnet("outside") is None


@pytest.mark.parametrize(
    "source",
    [
        "<source pool='pool' volume='Root Disk'/>",
        "<source file='/srv/pool/Root Disk'/>",
        "<source file='/srv//pool/Root Disk'/>",
    ],
)
def test_a_disk_that_is_still_to_be_taken_over(source: str) -> None:
    """By the name that its author gave, in its pool or in the folder of that."""
    stack = related()
    theirs = resource("Disk", "root", {"pool": "pool", "size": 1})
    stack[theirs.address] = replace(theirs, name="Root Disk", exact=True, related=stack)
    assert "root" == Bindings(stack).disk_name(disk(source))
    # One that only happens to be called so is another one.
    stack[theirs.address] = replace(theirs, name="Root Disk", related=stack)
    assert "root" != Bindings(stack).disk_name(disk(source))
