"""What needs a restart is written to the definition, waits, and is in force after it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.diagnostics import error  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "cpu": {"count": 1, "max": 2, "model": "qemu64"},
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.apply(VM, "web", SPEC)
    stack.wait_for("LAB-SEQ")
    yield stack
    stack.close()


def test_a_change_waits_and_is_then_in_force(bench: Any) -> None:
    changed = {**SPEC, "cpu": {"count": 4, "max": 8, "model": "Nehalem"}}
    planned = bench.plan(VM, "web", changed)
    assert {"cpu.count": "restart", "cpu.max": "restart", "cpu.model": "restart"} == planned.impacts
    reasons = {change.path: change.reason for change in planned.changes}
    assert (
        "4 vCPUs exceed the maximum of 2 that the running machine was started with"
        == reasons["cpu", "count"]
    )
    with bench.uninterrupted():
        outcome = bench.apply(VM, "web", changed)
    assert {("cpu", "count"), ("cpu", "max"), ("cpu", "model")} == set(outcome.pending)
    observed = bench.present(VM, "web")
    assert {"count": 4, "max": 8} == {key: observed.spec["cpu"][key] for key in ("count", "max")}
    assert 1 == observed.running["cpu", "count"]
    assert "qemu64" == observed.running["cpu", "model"]
    # What is pending only is a change that a restart would make.
    assert {"restart"} == set(bench.plan(VM, "web", changed).impacts.values())
    before = bench.count()
    outcome = bench.apply(VM, "web", changed, restart=True)
    assert () == outcome.pending
    bench.wait_for("LAB-SEQ")
    assert bench.count() > before, "the disk kept the count"
    assert {} == bench.present(VM, "web").running
    assert "4" == bench.live().find("vcpu").get("current")


def test_memory_beyond_what_the_machine_was_started_with_waits(bench: Any) -> None:
    more = {**SPEC, "memory": {"size": "24MiB"}}
    assert {"memory.size": "restart"} == bench.plan(VM, "web", more).impacts
    with bench.uninterrupted():
        pending = bench.apply(VM, "web", more).pending
    assert (("memory", "max"), ("memory", "size")) == pending
    # The maximum follows the size, and waits as well.
    waits = {"memory.max": "restart", "memory.size": "restart"}
    assert waits == bench.plan(VM, "web", more).impacts
    assert () == bench.apply(VM, "web", more, restart=True).pending
    assert {} == bench.plan(VM, "web", more).impacts


def test_a_stopped_machine_has_nothing_to_restart(bench: Any) -> None:
    stopped = {**SPEC, "power": "stopped"}
    bench.apply(VM, "web", stopped, restart=True)
    changed = {**stopped, "cpu": {"count": 4, "max": 8, "model": "Nehalem"}}
    assert {"live"} == set(bench.plan(VM, "web", changed).impacts.values())
    assert () == bench.apply(VM, "web", changed).pending


def test_a_definition_that_does_not_start_is_put_back(bench: Any) -> None:
    before = bench.configured()
    broken = {**SPEC, "boot": {"kernel": "/nowhere/vmlinuz"}}
    planned = bench.plan(VM, "web", broken)
    with pytest.raises(Terminal) as raised:
        bench.session.update(
            planned.resource,
            planned.observed,
            planned.changes,
            restart=True,
            deadline=bench.deadline(),
        )
    assert "/nowhere/vmlinuz" in raised.value.diagnostic.detail
    after = bench.configured()
    assert machinebench.same(before, after)
    # And it runs again with what it had.
    bench.wait_for("LAB-SEQ")


def test_what_runs_is_put_back_where_the_definition_that_waits_does_not_start(bench: Any) -> None:
    broken = {**SPEC, "boot": {"kernel": "/nowhere/vmlinuz"}}
    assert (("boot",),) == bench.apply(VM, "web", broken).pending
    planned = bench.plan(VM, "web", broken)
    with pytest.raises(Terminal) as raised:
        bench.session.update(
            planned.resource,
            planned.observed,
            planned.changes,
            restart=True,
            deadline=bench.deadline(),
        )
    assert "started again as it ran before" in raised.value.diagnostic.detail
    bench.wait_for("LAB-SEQ")
    observed = bench.present(VM, "web")
    assert ({}, "running", "qemu64") == (
        observed.running,
        observed.spec["power"],
        observed.spec["cpu"]["model"],
    )
    assert {} == bench.plan(VM, "web", SPEC).impacts


def test_an_attempt_to_restart_that_was_cut_short_starts_the_machine(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**SPEC, "cpu": {"count": 4}}
    planned = bench.plan(VM, "web", changed)
    assert "power" not in planned.impacts

    def lost(*_: Any, **__: Any) -> None:
        raise Retryable(error("PRV5202", "the connection is lost"))

    with monkeypatch.context() as broken:
        broken.setattr("provisioner_plugins.kvm.machine.power.Power.start", lost)
        with pytest.raises(Retryable):
            update(bench, planned)
    assert "stopped" == bench.present(VM, "web").spec["power"]
    update(bench, planned)
    assert "running" == bench.present(VM, "web").spec["power"]
    assert 4 == int(bench.live().findtext("vcpu"))
    # Whoever stops it now finds it stopped by the next plan, too.
    bench.domain().destroy()
    assert {} == bench.present(VM, "web").running


def test_a_machine_that_somebody_else_stopped_is_not_started_by_a_restart(bench: Any) -> None:
    changed = {**SPEC, "cpu": {"count": 4}}
    planned = bench.plan(VM, "web", changed)
    bench.domain().destroy()
    update(bench, planned)
    assert "stopped" == bench.present(VM, "web").spec["power"]
    assert {} == bench.present(VM, "web").running


def update(bench: Any, planned: Any) -> None:
    """Carry it out, with a restart."""
    bench.session.update(
        planned.resource, planned.observed, planned.changes, restart=True, deadline=bench.deadline()
    )


def test_a_definition_that_is_refused_changes_nothing(bench: Any) -> None:
    before = bench.configured()
    refused = {
        **SPEC,
        "native": {"kvm": {"domain": ["<cputune><shares>nonsense</shares></cputune>"]}},
    }
    planned = bench.plan(VM, "web", refused)
    with bench.uninterrupted(), pytest.raises(Terminal):
        bench.session.update(
            planned.resource,
            planned.observed,
            planned.changes,
            restart=True,
            deadline=bench.deadline(),
        )
    assert machinebench.same(before, bench.configured())
