"""Edits of a machine that somebody else made: what is edited changes, and nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.live.livelab import Lab, lab_in

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: edits}\nspec: {}\n"
NETWORK = "<network><name>edits-lan</name></network>"
POOL = "<pool type='dir'><name>edits-pool</name><target><path>{}</path></target></pool>"
VOLUME = (
    "<volume><name>{}</name><capacity unit='MiB'>1</capacity>"
    "<target><format type='raw'/></target></volume>"
)
DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
    "<source file='{}/{}.raw'/><target dev='{}' bus='virtio'/>{}</disk>"
)
CARD = (
    "<interface type='network'><mac address='52:54:00:e0:00:01'/><source network='edits-lan'/>"
    "<model type='virtio'/><mtu size='1400'/><link state='down'/></interface>"
)
UNSAID = """\
<domain type='qemu'><name>unsaid</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>
"""
UNSAID_MANIFEST = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: unsaid}
spec: {memory: {size: 64MiB}, power: stopped}
"""
METADATA = re.compile(r"\s*<metadata.*</metadata>", re.DOTALL)


def machine(pool: Path) -> str:
    """A q35 with a limited second disk and one card, which libvirt gives no spare ports."""
    limited = "<iotune><total_iops_sec>100</total_iops_sec></iotune>"
    disks = DISK.format(pool, "a", "vda", "") + DISK.format(pool, "b", "vdc", limited)
    return (
        "<domain type='qemu'><name>edits-web</name><memory unit='MiB'>64</memory>"
        "<cpu><numa><cell id='0' cpus='0' memory='32' unit='MiB'/>"
        "<cell id='1' cpus='1' memory='32' unit='MiB'/></numa></cpu><vcpu>2</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices>{disks}{CARD}</devices></domain>"
    )


@pytest.fixture
def lab(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    libvirt_session: LibvirtDaemon,
) -> Iterator[Lab]:
    """A stack that has taken the machine over."""
    folder = tmp_path / "pool"
    folder.mkdir()
    connection = libvirt.open(libvirt_session.uri)
    network = connection.networkDefineXML(NETWORK)
    pool = connection.storagePoolDefineXML(POOL.format(folder))
    pool.create()
    for name in ("a.raw", "b.raw"):
        pool.createXML(VOLUME.format(name))
    domain = connection.defineXML(machine(folder))
    stack = tmp_path / "stack"
    stack.mkdir()
    lab = lab_in(stack, monkeypatch, capsys)
    (stack / "stack.yaml").write_text(STACK)
    unsaid = connection.defineXML(UNSAID)
    (stack / "unsaid.yaml").write_text(UNSAID_MANIFEST)
    lab.host(libvirt_session.uri)
    lab("discover", "here", "--match", "edits-*", "--match", "?.raw", "-o", "found")
    assert 0 == lab("adopt", "--yes").code
    assert 0 == lab("plan", "--detailed-exitcode").code
    yield lab
    domain.undefine()
    unsaid.undefine()
    pool.destroy()
    pool.undefine()
    network.undefine()
    connection.close()


def manifest(lab: Lab) -> Path:
    """The file of the machine."""
    (found,) = (
        path
        for path in (lab.root / "found").rglob("*.yaml")
        if "kind: VirtualMachine\n" in path.read_text()
    )
    return found


def edit(lab: Lab, old: str, new: str) -> None:
    """Replace a part of the machine's manifest, a regular expression."""
    path = manifest(lab)
    text, count = re.subn(old, new, path.read_text(), flags=re.MULTILINE)
    assert 1 == count, path.read_text()
    path.write_text(text)


def definition(daemon: LibvirtDaemon, name: str = "edits-web") -> list[str]:
    """What is configured, less the metadata, by line."""
    connection = libvirt.open(daemon.uri)
    text = connection.lookupByName(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    connection.close()
    return METADATA.sub("", text).splitlines()


def test_one_edit_is_one_change(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    before = definition(libvirt_session)
    edit(lab, r"^( +)link: down$", r"\1link: up")
    assert 0 == lab("apply", "--yes").code
    assert 0 == lab("plan", "--detailed-exitcode").code
    gone = [line for line in before if line.strip() != "<link state='down'/>"]
    assert gone == definition(libvirt_session)


def test_a_lost_disk_is_made_where_the_machine_looks_for_it(
    lab: Lab, libvirt_session: LibvirtDaemon
) -> None:
    before = definition(libvirt_session)
    connection = libvirt.open(libvirt_session.uri)
    pool = connection.storagePoolLookupByName("edits-pool")
    pool.storageVolLookupByName("b.raw").delete()
    assert 0 == lab("apply", "--yes").code
    assert ["a.raw", "b.raw"] == sorted(pool.listVolumes())
    connection.close()
    assert 0 == lab("plan", "--detailed-exitcode").code
    assert before == definition(libvirt_session)


def test_a_card_leaves_only_with_its_fragments(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    before = definition(libvirt_session)
    edit(lab, r"^  nics:\n(    .*\n|  - .*\n)+", "")
    for command in (("validate",), ("plan",), ("apply", "--yes")):
        refused = lab(*command)
        assert 1 == refused.code
        assert "PRV2501" in refused.err
        assert "There is no network card with the MAC address 52:54:00:e0:00:01" in " ".join(
            refused.err.split()
        )
    assert before == definition(libvirt_session)


def test_a_disk_leaves_only_with_its_fragments(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    before = definition(libvirt_session)
    edit(lab, r"^  - disk: b.*\n(    .*\n)*", "")
    for command in (("plan",), ("apply", "--yes")):
        refused = lab(*command)
        assert 1 == refused.code
        assert "There is no disk or drive with the device name vdc to complete" in " ".join(
            refused.err.split()
        )
    edit(lab, r'^ +- <devices><disk><target dev="vdc" ?/>.*\n', "")
    assert 0 == lab("apply", "--yes").code
    assert 0 == lab("plan", "--detailed-exitcode").code
    assert len(before) > len(definition(libvirt_session))


def test_memory_of_cells_that_a_manifest_names(lab: Lab) -> None:
    edit(lab, r"^( +)size: 64MiB$", r"\1size: 96MiB")
    refused = lab("validate")
    assert 1 == refused.code
    assert "make 64MiB; memory.size asks for 96MiB" in " ".join(refused.err.split())


def test_what_libvirt_does_not_take_is_no_success(lab: Lab, libvirt_session: LibvirtDaemon) -> None:
    """Cells that no manifest names decide how much memory there is."""
    before = definition(libvirt_session, "unsaid")
    (lab.root / "unsaid.yaml").write_text(UNSAID_MANIFEST.replace("64MiB", "96MiB"))
    failed = lab("apply", "--yes")
    assert 1 == failed.code
    assert "PRV5211" in failed.out + failed.err
    assert before == definition(libvirt_session, "unsaid")
