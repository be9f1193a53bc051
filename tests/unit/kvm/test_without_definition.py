"""A machine that runs and has no definition is what runs, without what is true of that run only."""

import pytest

from provisioner.core.identity import Stamp
from provisioner.providers.api import Present
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.xml import parse, serialize
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain.running import as_definition
from tests.unit.kvm.specs import LINEAGE, MIB, UID

records = pytest.importorskip("provisioner_plugins._libvirt.records")
observation = pytest.importorskip("provisioner_plugins.kvm.machine.observation")

LIVE = """
<domain type='qemu' id='7'><name>web</name><memory unit='MiB'>16</memory>
<os><type machine='pc-i440fx-7.2'>hvm</type></os>
<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>qemu64</model>
<feature policy='require' name='hypervisor'/></cpu><devices>
<disk type='file' device='disk'><source file='/a.raw' index='2'/><backingStore/>
<target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>
<interface type='network'><source network='lan' portid='1' bridge='virbr0'/>
<target dev='vnet3'/><alias name='ua-nic0'/></interface>
<serial type='pty'><source path='/dev/pts/1'/><target port='0'/></serial>
<console type='pty' tty='/dev/pts/1'><source path='/dev/pts/1'/></console>
<channel type='unix'><source mode='bind' path='/lib/libvirt/qemu/channel/target/x'/>
<target type='virtio' name='a' state='connected'/></channel>
<graphics type='vnc' port='5901' autoport='yes'/></devices>
<seclabel type='dynamic' model='dac' relabel='yes'><label>+0:+0</label></seclabel></domain>
"""


def observed(lineage: str | None) -> Present:
    """A running machine that was adopted by LINEAGE, as that or another stack sees it."""
    running = parse(LIVE)
    stamp.replace(running, stamp.Mark(Stamp(LINEAGE, "VirtualMachine/web")))
    text = serialize(running)
    record = records.DomainRecord(
        uuid=UID,
        name="web",
        configured_text=text,
        live_text=text,
        state=1,
        autostart=False,
        persistent=False,
    )
    found = observation.present(record, Bindings({}), {}, lineage=lineage)
    assert isinstance(found, Present)
    return found


def test_nothing_of_the_run_is_in_its_definition() -> None:
    expected = (
        "<domain type='qemu'><name>web</name><memory unit='MiB'>16</memory>"
        "<os><type machine='pc-i440fx-7.2'>hvm</type></os><devices>"
        "<disk type='file' device='disk'><source file='/a.raw'/>"
        "<target dev='vda' bus='virtio'/></disk>"
        "<interface type='network'><source network='lan'/><alias name='ua-nic0'/></interface>"
        "<serial type='pty'><target port='0'/></serial><console type='pty'/>"
        "<channel type='unix'><target type='virtio' name='a'/></channel>"
        "<graphics type='vnc' port='-1' autoport='yes'/></devices>"
        "<seclabel type='dynamic' model='dac' relabel='yes'/></domain>"
    )
    found = serialize(as_definition(parse(LIVE)))
    assert serialize(parse(expected)) == "".join(found.splitlines())


def test_a_stack_that_owns_it_defines_it() -> None:
    found = observed(LINEAGE)
    assert ({"max": 16 * MIB}, {}, 16 * MIB) == (
        found.spec["memory"],
        found.running,
        found.facts["withoutDefinition"],
    )


def test_of_others_it_is_as_it_is() -> None:
    found = observed(None)
    assert (16 * MIB, {}, False) == (
        found.spec["memory"]["size"],
        found.running,
        "withoutDefinition" in found.facts,
    )
