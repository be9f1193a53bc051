"""A machine that stands by is not started, by nothing that this program does, until the mark is
taken away.
"""

from __future__ import annotations

import shlex
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Present, Terminal
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.live.livelab import lab_in, pool

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
WEB = Address(VM, "web")
WHY = "it runs at the other site: <B> & co"
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
    "autostart": True,
}


def refused(function: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Terminal) as caught:
        function()
    assert str(WEB) == caught.value.diagnostic.address
    return caught.value.diagnostic.code, caught.value.diagnostic.hint


def bench_on(daemon: LibvirtDaemon, image: BootImage) -> Any:
    bench = machinebench.MachineBench(daemon.uri, daemon.directory)
    bench.boot_disk(image)
    bench.apply(VM, "web", SPEC)
    return bench


@pytest.fixture
def running(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    """A bench whose machine runs."""
    bench = bench_on(libvirt_session, boot_image)
    yield bench
    bench.close()


def stand_by(bench: Any, reason: str = WHY) -> None:
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    bench.session.stand_by(bench.machine(), reason, bench.deadline())


def marked(bench: Any) -> dict[Address, str]:
    return dict(bench.session.standing_by([bench.machine()]))


@pytest.fixture
def marked_bench(running: Any) -> Any:
    stand_by(running)
    return running


def test_a_machine_that_runs_is_not_marked(running: Any) -> None:
    for state in ("running", "suspended"):
        running.session.power(running.machine(), state, running.deadline())
        found = refused(
            lambda: running.session.stand_by(running.machine(), WHY, running.deadline())
        )
        assert ("PRV5385", {}) == (found[0], marked(running))
    assert running.domain().autostart() == 1


def test_nothing_starts_it(marked_bench: Any, libvirt_session: LibvirtDaemon) -> None:
    bench, session, web = marked_bench, marked_bench.session, marked_bench.machine()
    observed, deadline = bench.present(VM, "web"), bench.deadline
    more = bench.plan(VM, "web", {**SPEC, "memory": {"size": "24MiB"}})
    assert {WEB: WHY} == marked(bench)
    attempts: list[Callable[[], object]] = [
        lambda: session.power(web, "running", deadline()),
        lambda: session.power(web, "suspended", deadline()),
        lambda: session.create(web, deadline()),
        lambda: session.update(
            more.resource, more.observed, more.changes, restart=True, deadline=deadline()
        ),
    ]
    before = bench.domain().XMLDesc(2)
    for attempt in attempts:
        code, hint = refused(attempt)
        assert "PRV5380" == code
    assert (before, {}) == (bench.domain().XMLDesc(2), libvirt_session.guests())
    assert ("stopped", False) == (observed.spec["power"], observed.spec["autostart"])
    # What the refusal tells to do does it.
    command = shlex.split(hint.rpartition("host: ")[2])
    assert "virsh" == command.pop(0)
    subprocess.run(["virsh", "-c", libvirt_session.uri, *command], check=True, capture_output=True)
    session.power(web, "running", deadline())
    assert ["web"] == [*libvirt_session.guests()]


def test_it_is_told_what_is_withheld_and_for_how_long(marked_bench: Any) -> None:
    bench = marked_bench
    first = bench.present(VM, "web")
    assert {("autostart",), ("power",)} == set(first.withheld)
    (told,) = set(first.withheld.values())
    assert told.startswith("it stands by since 20")
    assert told.endswith(f"Z: {WHY}")
    # Marked once more: with another reason, and since when it was.
    bench.session.stand_by(bench.machine(), "again", bench.deadline())
    (later,) = set(bench.present(VM, "web").withheld.values())
    assert told.replace(WHY, "again") == later
    (found,) = bench.discover(VM)
    assert any(later in note for note in found.notes)


def test_it_is_changed_and_stays_marked(marked_bench: Any) -> None:
    bench = marked_bench
    other = {**SPEC, "memory": {"size": "24MiB"}, "power": "stopped", "autostart": False}
    bench.apply(VM, "web", other)
    bench.session.adopt(bench.machine(), bench.present(VM, "web"), bench.deadline())
    # As after an interrupted creation.
    bench.session.create(bench.machine(), bench.deadline())
    assert {WEB: WHY} == marked(bench)
    assert 24 << 20 == bench.present(VM, "web").spec["memory"]["size"]


def test_it_is_not_taken_back_to_a_snapshot(running: Any) -> None:
    running.apply("Snapshot", "before", {"machine": "web", "memory": True})
    stand_by(running)
    snapshot = running.recorded[Address("Snapshot", "before")]
    with pytest.raises(Terminal) as caught:
        running.session.revert(snapshot, running.deadline())
    assert ("PRV5380", {WEB: WHY}) == (caught.value.diagnostic.code, marked(running))


def test_one_that_was_started_by_hand_is_not_restarted_and_can_be_stopped(
    marked_bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    bench = marked_bench
    bench.domain().create()
    guests = libvirt_session.guests()
    assert {("autostart",)} == set(bench.present(VM, "web").withheld)
    more = bench.plan(VM, "web", {**SPEC, "memory": {"size": "24MiB", "max": "32MiB"}})
    code, _ = refused(
        lambda: bench.session.update(
            more.resource, more.observed, more.changes, restart=True, deadline=bench.deadline()
        )
    )
    assert ("PRV5380", guests) == (code, libvirt_session.guests())
    bench.session.power(bench.machine(), "stopped", bench.deadline())
    assert ({}, {WEB: WHY}) == (libvirt_session.guests(), marked(bench))


def test_taking_over_brings_back_what_was(marked_bench: Any) -> None:
    bench = marked_bench
    for _ in range(2):
        bench.session.take_over(bench.machine(), bench.deadline())
        assert ({}, 1) == (marked(bench), bench.domain().autostart())
    bench.apply(VM, "web", {**SPEC, "power": "running"})
    assert "running" == bench.present(VM, "web").spec["power"]
    assert {} == bench.present(VM, "web").withheld


def test_a_machine_of_others_is_not_marked(running: Any) -> None:
    other = machinebench.replace(
        running.machine(), stamp=running.machine().stamp._replace(lineage="other")
    )
    running.session.power(running.machine(), "stopped", running.deadline())
    code, _ = refused(lambda: running.session.stand_by(other, WHY, running.deadline()))
    assert ("PRV5119", {}) == (code, marked(running))
    stand_by(running)
    assert {} == running.session.standing_by([other])


def test_a_restart_that_was_cut_short_is_not_completed(running: Any) -> None:
    running.session.power(running.machine(), "stopped", running.deadline())
    document = ET.fromstring(running.domain().XMLDesc(2))
    (mark,) = document.findall("metadata/{urn:provisioner:stamp:1}stamp")
    mark.set("owed", "running")
    running.connection.call("define", lambda h: h.defineXML(ET.tostring(document, "unicode")))
    assert "running" == running.present(VM, "web").facts["owed"]
    running.session.stand_by(running.machine(), WHY, running.deadline())
    assert ({WEB: WHY}, None) == (marked(running), running.present(VM, "web").facts.get("owed"))


def test_the_mark_outlives_the_daemon(
    fresh_libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench = bench_on(fresh_libvirt_session, boot_image)
    stand_by(bench)
    fresh_libvirt_session.kill()
    fresh_libvirt_session.start()
    assert {WEB: WHY} == marked(bench)
    assert {} == fresh_libvirt_session.guests()
    assert isinstance(bench.present(VM, "web"), Present)
    bench.close()


def test_a_plan_holds_it_and_an_apply_changes_the_rest(
    libvirt_session: LibvirtDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab = lab_in(tmp_path, monkeypatch, capsys)
    lab.host(libvirt_session.uri)
    web = "VirtualMachine/web\npower: running\nmemory: {size: 16MiB}\n"
    lab.declare(pool(libvirt_session, lab), web + "shutdownTimeout: 0s\n")
    lab.check_converged()
    connection = libvirt.open(libvirt_session.uri)
    domain = connection.lookupByName("web")
    domain.destroy()
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        "<standby since='then'>it runs at B</standby>",
        "provisioner-standby",
        "urn:provisioner:standby:1",
        libvirt.VIR_DOMAIN_AFFECT_CONFIG,
    )
    planned = lab("plan", "--detailed-exitcode")
    assert 4 == planned.code, planned.err
    assert "it stands by since then: it runs at B" in planned.out
    lab.declare(pool(libvirt_session, lab), web.replace("16MiB", "24MiB") + "shutdownTimeout: 0s\n")
    applied = lab("apply", "--yes")
    assert 0 == applied.code, applied.out + applied.err
    assert (24 * 1024, 0) == (domain.maxMemory(), domain.isActive())
    assert 4 == lab("apply", "--yes").code
    assert 0 == domain.isActive()
    connection.close()
