"""A spec that libvirt cannot carry is refused before anything is touched, with a way out."""

from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Resource
from provisioner_plugins.kvm import provider
from tests.unit.kvm.specs import MIB, machine, related, resource

SPEC: dict[str, Any] = {"memory": {"size": 16 * MIB}}


def normalised(**fields: Any) -> dict[str, Any]:
    return dict(provider().normalise(machine({**SPEC, **fields})))


def complaint(**fields: Any) -> str:
    with pytest.raises(ProvisionerError) as raised:
        normalised(**fields)
    (found,) = raised.value.diagnostics
    assert found.hint
    return f"{found.code} {found.detail}"


def test_a_spec_comes_back_as_its_author_wrote_it() -> None:
    spec = {
        **SPEC,
        "cpu": {"count": 2},
        "disks": {"alpha": {}},
        "nics": {"lan": {"network": "blue", "address": "10.0.0.5"}},
        "labels": {"tier": "web"},
    }
    assert spec == provider().normalise(machine(spec))


def test_what_nothing_could_show_is_left_out() -> None:
    found = normalised(console={"serial": True, "listen": "0.0.0.0"}, description="")
    assert {**SPEC, "console": {"serial": True}} == found


def test_text_has_the_form_in_which_libvirt_tells_it() -> None:
    boot = {"kernel": "/k", "cmdline": "console=ttyS0\nquiet\n"}
    found = normalised(description=" two\n  lines\n", boot=boot)
    assert ("two\n  lines", "console=ttyS0 quiet") == (
        found["description"],
        found["boot"]["cmdline"],
    )
    assert {"kernel": "/k"} == normalised(boot={"kernel": "/k", "cmdline": "\n"})["boot"]


def test_text_that_waits_for_an_output_stays_as_it_is() -> None:
    waiting = {"$template": ["on ", {"$unknown": "Network/lan:bridge"}]}
    assert waiting == normalised(description=waiting)["description"]


def test_the_settings_of_other_providers_are_left_out() -> None:
    native = {"kvm": {"domain": ["<clock offset='localtime'/>"]}, "memory": {"note": "x"}}
    assert {"kvm": native["kvm"]} == normalised(native=native)["native"]


@pytest.mark.parametrize("kind", ["disks", "cdroms"])
def test_q35_has_no_ide(kind: str) -> None:
    text = complaint(machineType="q35", **{kind: {"alpha": {"bus": "ide"}}})
    assert text.startswith("PRV2502")
    assert "no IDE" in text


def test_secure_boot_needs_q35() -> None:
    assert "machine type q35" in complaint(machineType="pc", firmware={"type": "uefi-secure"})
    assert "because it has IDE devices" in complaint(
        disks={"alpha": {"bus": "ide"}}, firmware={"type": "uefi-secure"}
    )


@pytest.mark.parametrize("machine", ["microvm", "isapc", "none"])
def test_a_board_needs_pci(machine: str) -> None:
    assert f"{machine[1:]} has no PCI bus" in complaint(machineType=machine)


@pytest.mark.parametrize("bus", ["sata", "ide"])
def test_qemu_has_no_read_only_disks_there(bus: str) -> None:
    said = complaint(disks={"alpha": {"bus": bus, "readOnly": True}})
    assert said.endswith(f"QEMU has no read-only disks on the bus {bus}.")
    assert normalised(disks={"alpha": {"bus": bus, "readOnly": False}, "beta": {"readOnly": True}})


SEED = {"userData": "#!/bin/sh"}


@pytest.mark.parametrize(
    "spec",
    [
        {"cloudInit": SEED, "disks": {"alpha": {}}},
        {"cloudInit": {**SEED, "pool": "pool"}},
        {"cloudInit": {**SEED, "pool": "pool"}, "disks": {"blocks": {}}},
    ],
)
def test_a_seed_has_a_pool_that_the_machine_refers_to(spec: dict[str, Any]) -> None:
    assert spec["cloudInit"] == provider().normalise(machine_with_blocks(spec))["cloudInit"]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        # That there is a pool in the stack is not enough: nothing would make it in time.
        ({"cloudInit": SEED}, "no disk of the machine is in one"),
        ({"cloudInit": SEED, "disks": {"blocks": {}}}, "no disk of the machine is in one"),
        ({"cloudInit": {**SEED, "pool": "san"}}, "san is no such pool of this host"),
        ({"cloudInit": {**SEED, "pool": "elsewhere"}}, "elsewhere is no such pool of this host"),
    ],
)
def test_a_seed_without_one_is_refused(spec: dict[str, Any], found: str) -> None:
    with pytest.raises(ProvisionerError) as caught:
        provider().normalise(machine_with_blocks(spec))
    (problem,) = caught.value.diagnostics
    assert ("PRV2502", True) == (problem.code, found in problem.detail)
    assert "cloudInit.pool" in problem.hint


def machine_with_blocks(spec: dict[str, Any]) -> Resource:
    """A machine beside a pool of block devices with a disk in it."""
    stack = related()
    for other in (
        resource("StoragePool", "san", {"type": "iscsi"}),
        resource("Disk", "blocks", {"pool": "san", "size": 1 << 20}),
    ):
        stack[other.address] = other
    return resource("VirtualMachine", "web", {**SPEC, **spec}, related=stack)


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("<memory unit='KiB'>1</memory>", "other fields make it"),
        ("<vcpu>7</vcpu>", "other fields make it"),
        ("<os><type arch='x86_64' machine='pc'>hvm</type></os>", "other fields make it 'q35'"),
        (
            "<devices><interface><alias name='ua-lan'/><model type='e1000'/></interface></devices>",
            "other fields make it 'virtio'",
        ),
        ("<uuid>0b7e2a52-9c1d-5f3b-8a44-6d2f1e0c9b8b</uuid>", "not for fragments to write"),
        ("<metadata><x/></metadata>", "not for fragments to write"),
        ("<features>", "not well-formed"),
        ("<!DOCTYPE a><features/>", "DOCTYPE"),
    ],
)
def test_a_fragment_that_contradicts_or_cannot_be_read_is_refused(fragment: str, text: str) -> None:
    found = complaint(nics={"lan": {"network": "blue"}}, native={"kvm": {"domain": [fragment]}})
    assert found.startswith("PRV2501")
    assert text in found


def test_a_fragment_may_complete_a_device_and_overrule_libvirts_own_defaults() -> None:
    fragments = [
        "<devices><interface><alias name='ua-lan'/><mtu size='9000'/></interface></devices>",
        "<clock offset='localtime'/>",
        "<devices><memballoon model='virtio'><stats period='5'/></memballoon></devices>",
        "<devices><controller type='usb' index='0' model='qemu-xhci'/></devices>",
    ]
    assert normalised(nics={"lan": {"network": "blue"}}, native={"kvm": {"domain": fragments}})


BANDWIDTH = (
    "<devices><interface><mac address='52:54:00:00:00:02'/><bandwidth><inbound average='9'/>"
    "</bandwidth></interface></devices>"
)


def test_a_fragment_of_a_card_that_is_gone_is_refused() -> None:
    native = {"kvm": {"domain": ["<on_crash>preserve</on_crash>", BANDWIDTH]}}
    cards = {
        "one": {"network": "blue", "mac": "52:54:00:00:00:01"},
        "two": {"network": "red", "mac": "52:54:00:00:00:02"},
    }
    assert normalised(nics=cards, native=native)
    found = complaint(nics={"one": cards["one"]}, native=native)
    assert found.startswith(
        "PRV2501 There is no network card with the MAC address 52:54:00:00:00:02 to complete: <int"
    )


CELLS = (
    "<cpu><numa><cell id='0' cpus='0-1' memory='32' unit='MiB'/>"
    "<cell id='1' cpus='2-3' memory='32768'/></numa></cpu>"
)
MODULE = (
    "<devices><memory model='dimm'><target><size unit='MiB'>16</size><node>0</node></target>"
    "</memory></devices>"
)
DIES = "<cpu><topology sockets='1' dies='2' cores='2' threads='1'/></cpu>"


@pytest.mark.parametrize(
    ("memory", "count", "fragments", "found"),
    [
        ({"size": 128 * MIB}, 4, [CELLS], "make 64MiB; memory.size asks for 128MiB"),
        ({"size": 96 * MIB}, 4, [CELLS, MODULE], "make 80MiB; memory.size asks for 96MiB"),
        (
            {"size": 32 * MIB, "max": 48 * MIB},
            4,
            [CELLS],
            "make 64MiB; memory.max asks for 48MiB",
        ),
        ({"size": 64 * MIB}, 3, [CELLS], "cells there have 4 vCPUs; cpu.count asks for 3"),
        ({"size": 64 * MIB}, 8, [DIES], "topology there makes 4 vCPUs; cpu.count asks for 8"),
    ],
)
def test_fragments_that_count_otherwise_are_refused(
    memory: dict[str, Any], count: int, fragments: list[str], found: str
) -> None:
    native = {"kvm": {"domain": fragments}}
    said = complaint(memory=memory, cpu={"count": count}, native=native)
    assert ("PRV2501", True) == (said[:7], found in said)


@pytest.mark.parametrize("size", [64, 80])
def test_a_balloon_may_be_smaller_than_cells_and_modules(size: int) -> None:
    native = {"kvm": {"domain": [CELLS, DIES, MODULE]}}
    assert normalised(memory={"size": size * MIB}, cpu={"count": 4}, native=native)


def test_a_spec_that_waits_for_an_output_is_not_built() -> None:
    waiting = {"$unknown": "Network/blue:bridge"}
    assert normalised(description=waiting, native={"kvm": {"domain": ["<vcpu>7</vcpu>"]}})
