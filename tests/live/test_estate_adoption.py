"""The law of discovery on an estate that was made by hand: discover, adopt, plan, and there is
nothing to do; no guest notices, and from then on only edits appear.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
handmade = pytest.importorskip("tests.live.handmade")

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("estate")]

HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {{name: here}}
spec: {{provider: kvm, accelerator: tcg, connection: {{uri: "{uri}"}}}}
"""
STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: estate}\nspec: {}\n"
PCI = "<address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>"
METADATA = re.compile(r"\s*<metadata.*</metadata>", re.DOTALL)


class Folder:
    """A stack of a daemon's host, and the program in it."""

    def __init__(self, daemon: LibvirtDaemon, folder: Path) -> None:
        self.connection = libvirt.open(daemon.uri)
        self.folder = folder
        (folder / "stack.yaml").write_text(STACK)
        (folder / "host.yaml").write_text(HOST.format(uri=daemon.uri))

    def __call__(self, *arguments: str, cwd: Path | None = None, code: int = 0) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "100"},
            check=False,
        )
        assert code == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def manifest(self, kind: str, name: str) -> Path:
        """The file of an object, by what it is called on the host."""
        pattern = re.compile(
            rf"^  (externalName|name): ['\"]?{re.escape(name)}['\"]?$", re.MULTILINE
        )
        (found,) = [
            path
            for path in sorted((self.folder / "found").rglob("*.yaml"))
            if f"kind: {kind}\n" in (text := path.read_text()) and pattern.search(text)
        ]
        return found

    def changes(self) -> list[tuple[str, str]]:
        """What the plan would do, and to what."""
        steps = json.loads(self("plan", "--json"))["steps"]
        return [(step["action"], step["id"]) for step in steps]


class Adopted(Folder):
    """The estate before and after it was discovered and taken over."""

    def __init__(self, daemon: LibvirtDaemon, boot: BootImage, folder: Path) -> None:
        super().__init__(daemon, folder)
        self.estate = handmade.HandMade(self.connection, daemon.directory / "made", boot, PCI)
        self.definitions = self.estate.definitions()
        self.guests = daemon.guests()
        self.found = json.loads(self("discover", "here", "-o", "found", "--json"))
        self.observing = folder.with_name(f"{folder.name}-observing")
        self.observing.mkdir()
        for name in ("stack.yaml", "host.yaml"):
            (self.observing / name).write_text((folder / name).read_text())
        self("discover", "here", "-o", "found", "--observe", "--full", cwd=self.observing)
        self.observed = self("plan", cwd=self.observing, code=0)
        self("adopt", "--yes")
        self.planned = json.loads(self("plan", "--json", "--detailed-exitcode"))
        self.guests_after = daemon.guests()
        self.definitions_after = self.estate.definitions()


@pytest.fixture(scope="module")
def adopted(boot_image: BootImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    reason = requirements.daemon_unavailable(Flavour.SYSTEM)
    if reason is not None:
        pytest.skip(reason)
    with LibvirtDaemon(Flavour.SYSTEM) as daemon:
        made = Adopted(daemon, boot_image, tmp_path_factory.mktemp("estate"))
        yield made
        made.connection.close()


def test_everything_is_told(adopted: Adopted) -> None:
    """As a manifest, or as a comment that says why there is none."""
    machines = {domain.name() for domain in adopted.connection.listAllDomains()}
    assert 20 == len(machines)
    for kind, names in (
        ("VirtualMachine", machines),
        ("Network", {network.name() for network in adopted.connection.listAllNetworks()}),
        ("Snapshot", {"Before Upgrade", "off"}),
    ):
        for name in names:
            assert adopted.manifest(kind, name).is_file()
    comments = [
        " ".join(path.read_text().replace("#", " ").split())
        for path in (adopted.folder / "found").rglob("*.yaml")
        if path.read_text().startswith("# No manifest")
    ]
    for unsaid in ("'mounted'", "'folder'", "'notes.txt'", "'vmware.vmdk'", "'disk-only'"):
        assert 1 == sum(f"{unsaid} on Host/here cannot be expressed" in text for text in comments)
    assert 1 == sum("external snapshot of the machine 'external'" in text for text in comments)
    machine = adopted.manifest("VirtualMachine", "external").read_text()
    assert "it has external snapshots ('disk-only')" in machine


def test_discover_adopt_and_there_is_nothing_to_do(adopted: Adopted) -> None:
    assert ([], [], []) == tuple(adopted.planned[key] for key in ("steps", "held", "pending"))


def test_what_is_only_observed_and_told_in_full_differs_in_nothing_either(adopted: Adopted) -> None:
    assert "Nothing to do" in adopted.observed


def test_no_guest_notices(adopted: Adopted) -> None:
    assert set(handmade.RUNNING) == set(adopted.guests)
    assert adopted.guests == adopted.guests_after


def test_nothing_but_our_metadata_is_written(adopted: Adopted) -> None:
    before, after = (
        {
            name: tuple(METADATA.sub("", text) for text in texts)
            for name, texts in definitions.items()
        }
        for definitions in (adopted.definitions, adopted.definitions_after)
    )
    assert before == after
    # With the password of a console, and what other programs have written.
    configured, live = adopted.definitions_after["domain web server"]
    for text in (configured, live):
        assert f"passwd='{handmade.PASSWORD}'" in text
        assert "<libosinfo:os id=" in text


def test_no_password_is_written_down(adopted: Adopted) -> None:
    for folder in (adopted.folder, adopted.observing):
        for path in folder.rglob("*"):
            if path.is_file():
                assert handmade.PASSWORD.encode() not in path.read_bytes(), path


def test_an_edit_is_one_change(adopted: Adopted) -> None:
    path = adopted.manifest("VirtualMachine", "tuned")
    path.write_text(path.read_text().replace("<shares>512</shares>", "<shares>256</shares>"))
    assert [("update", "VirtualMachine/tuned")] == adopted.changes()
    adopted("apply", "--yes")
    assert [] == adopted.changes()
    text = adopted.connection.lookupByName("tuned").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    assert ("<shares>256</shares>", 2) == (
        re.findall("<shares>.*</shares>", text)[0],
        text.count("<vcpusched "),
    )


def test_an_update_keeps_what_only_libvirt_knows(adopted: Adopted) -> None:
    path = adopted.manifest("VirtualMachine", "web server")
    path.write_text(path.read_text().replace("Web server of the shop", "Edited"))
    assert [("update", "VirtualMachine/web-server")] == adopted.changes()
    adopted("apply", "--yes")
    assert [] == adopted.changes()
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    text = adopted.connection.lookupByName("web server").XMLDesc(flags)
    kept: list[Any] = [
        word in text
        for word in (
            f"passwd='{handmade.PASSWORD}'",
            "<libosinfo:os id=",
            "<description>Edited</description>",
            "ports='15'",
        )
    ]
    assert [True] * 4 == kept


# --- machines whose definition is not what is in force ---


def definition(name: str, devices: str = "", system: str = "") -> str:
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>8</memory>"
        f"<os><type arch='x86_64' machine='pc'>hvm</type>{system}</os><devices>"
        f"<controller type='usb' model='none'/>{devices}</devices></domain>"
    )


class Odd(Folder):
    """Running machines without a definition, discovered and taken over."""

    def __init__(self, daemon: LibvirtDaemon, folder: Path) -> None:
        super().__init__(daemon, folder)
        image = daemon.directory / "loose.img"
        image.write_bytes(bytes(1 << 20))
        disk = (
            f"<disk type='file' device='disk'><source file='{image}'/>"
            "<target dev='vdb' bus='virtio'/></disk><serial type='pty'/>"
        )
        self.connection.createXML(definition("transient", disk))
        undefined = self.connection.defineXML(definition("undefined"))
        undefined.create()
        undefined.undefine()
        saved = self.connection.defineXML(definition("saved"))
        saved.create()
        saved.managedSave(0)
        self.variables = daemon.directory / "own.fd"
        self.variables.write_bytes(bytes(1 << 10))
        self.connection.defineXML(
            definition(
                "variables",
                system="<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd"
                f"</loader><nvram>{self.variables}</nvram>",
            ).replace("<devices>", "<features><acpi/></features><devices>")
        )
        self("discover", "here", "-o", "found")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    reason = requirements.daemon_unavailable(Flavour.SYSTEM)
    if reason is not None:
        pytest.skip(reason)
    with LibvirtDaemon(Flavour.SYSTEM) as daemon:
        made = Odd(daemon, tmp_path_factory.mktemp("odd"))
        yield made
        made.connection.close()


def test_what_runs_without_a_definition_gets_one_once_it_is_ours(odd: Odd) -> None:
    for path in (odd.folder / "found").rglob("*.yaml"):
        path.write_text(path.read_text().replace("metadata:\n", "metadata:\n  manage: [observe]\n"))
    assert "Nothing to do" in odd("plan")
    for path in (odd.folder / "found").rglob("*.yaml"):
        path.write_text(path.read_text().replace("  manage: [observe]\n", ""))
    odd("adopt", "--yes")
    assert [
        ("update", "VirtualMachine/transient"),
        ("update", "VirtualMachine/undefined"),
    ] == odd.changes()
    assert "it has no definition, and would be gone" in " ".join(odd("plan").split())
    odd("apply", "--yes")
    assert [] == odd.changes()
    machines = map(odd.connection.lookupByName, ("transient", "undefined"))
    assert [(1, 1)] * 2 == [(machine.isPersistent(), machine.isActive()) for machine in machines]


def test_a_saved_state_keeps_what_is_edited_from_being_in_force(odd: Odd) -> None:
    path = odd.manifest("VirtualMachine", "saved")
    assert "# not expressed: it has a saved state" in path.read_text()
    odd("adopt", "--yes")
    before = path.read_text()
    path.write_text(before.replace("size: 8MiB", "size: 16MiB"))
    odd("apply", "--yes", "--max-impact", "restart")
    planned = json.loads(odd("plan", "--json"))
    machine = odd.connection.lookupByName("saved")
    assert (["VirtualMachine/saved"], 0, 1) == (
        [item["address"] for item in planned["pending"]],
        machine.isActive(),
        machine.hasManagedSaveImage(),
    )


def test_what_is_nowhere_else_does_not_go_unasked(odd: Odd) -> None:
    odd("adopt", "--yes")
    for name in ("saved", "variables"):
        odd.manifest("VirtualMachine", name).unlink()
    planned = {step["id"]: step for step in json.loads(odd("plan", "--json"))["steps"]}
    assert ("data-loss", "with it goes its saved state (the guest's memory)", "replace") == (
        planned["VirtualMachine/saved"]["impact"],
        planned["VirtualMachine/saved"]["reason"],
        planned["VirtualMachine/variables"]["impact"],
    )
    odd("apply", "--yes", "--max-impact", "replace", "--allow-data-loss", "VirtualMachine/saved")
    assert {"transient", "undefined"} == {
        domain.name() for domain in odd.connection.listAllDomains()
    }
    assert odd.variables.is_file()
