"""A daemon that goes away in the middle costs an attempt, never a machine."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import InUse, ProviderError, Retryable  # noqa: E402
from provisioner_plugins._libvirt import usage  # noqa: E402
from provisioner_plugins._libvirt.connection import Connection  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "cpu": {"count": 1, "max": 2},
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "cloudInit": {"userData": "#cloud-config\n{}\n"},
    "shutdownTimeout": "0s",
}


@pytest.fixture
def daemon(fresh_libvirt_session: LibvirtDaemon) -> LibvirtDaemon:
    return fresh_libvirt_session


@pytest.fixture
def bench(daemon: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(daemon.uri, daemon.directory)
    stack.boot_disk(boot_image)
    stack.disk("data")
    yield stack
    stack.close()


@pytest.fixture
def killed_before(daemon: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the daemon killed right before the call whose description begins so, and started again
    right after it failed."""
    original = Connection.call

    def arm(words: str) -> None:
        left = [words]

        def call(self: Connection, what: str, function: Any) -> Any:
            if not left or not what.startswith(left[0]):
                return original(self, what, function)
            left.clear()
            daemon.kill()
            try:
                return original(self, what, function)
            finally:
                daemon.start()

        monkeypatch.setattr(Connection, "call", call)

    return arm


def attempts(work: Any) -> int:
    """Carry something out as the engine does, again while it may work later; how often it took."""
    for number in range(1, 9):
        try:
            work()
        except Retryable as problem:
            threading.Event().wait(problem.after)
            continue
        return number
    raise AssertionError("it never worked")


@pytest.mark.parametrize(
    "words", ["find machine", "upload volume", "define machine", "set autostart", "start machine"]
)
def test_a_creation_is_completed(bench: Any, killed_before: Any, words: str) -> None:
    planned = bench.plan(VM, "web", SPEC)
    killed_before(words)
    tried = attempts(lambda: bench.session.create(planned.resource, bench.deadline()))
    assert tried > 1 or words == "find machine"
    bench.recorded[planned.resource.address] = planned.resource
    bench.wait_for("LAB-SEQ")
    assert 1 == bench.connection.read("count", lambda handle: len(handle.listAllDomains()))
    assert not bench.plan(VM, "web", SPEC).changes


@pytest.mark.parametrize("words", ["define machine", "set the vCPUs", "plug a <disk>"])
def test_an_update_is_completed_and_the_guest_goes_on(
    bench: Any, killed_before: Any, words: str
) -> None:
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ")
    changed = {
        **SPEC,
        "cpu": {"count": 2, "max": 2},
        "disks": [{"disk": "root"}, {"disk": "data"}],
    }
    planned = bench.plan(VM, "web", changed)
    killed_before(words)
    outcomes: list[Any] = []

    def update() -> None:
        outcomes.append(
            bench.session.update(
                planned.resource,
                planned.observed,
                planned.changes,
                restart=False,
                deadline=bench.deadline(),
            )
        )

    with bench.uninterrupted():
        assert attempts(update) > 1
    assert () == outcomes[-1].pending
    assert not bench.plan(VM, "web", changed).changes
    assert "2" == (bench.live().find("vcpu").get("current") or bench.live().findtext("vcpu"))


@pytest.mark.parametrize("words", ["define machine", "switch off", "start machine"])
def test_a_restart_is_completed(bench: Any, killed_before: Any, words: str) -> None:
    bench.apply(VM, "web", SPEC)
    changed = {**SPEC, "cpu": {"count": 4}}
    planned = bench.plan(VM, "web", changed)
    assert {"restart"} == set(planned.impacts.values())
    killed_before(words)

    def update() -> None:
        # As the engine does: observed anew, with the changes of the plan.
        observed = bench.observe(planned.resource)
        bench.session.update(
            planned.resource, observed, planned.changes, restart=True, deadline=bench.deadline()
        )

    assert attempts(update) > 1
    observed = bench.present(VM, "web")
    assert ("running", {}) == (observed.spec["power"], observed.running)
    assert "4" == bench.live().findtext("vcpu")


@pytest.mark.parametrize("words", ["look for users", "read volume"])
def test_who_needs_a_disk_is_found_all_the_same(
    bench: Any, daemon: LibvirtDaemon, killed_before: Any, words: str
) -> None:
    bench.apply(VM, "web", SPEC)
    root = bench.recorded[Address("Disk", "root")]
    found: list[Any] = []
    killed_before(words)
    attempts(lambda: found.extend(bench.session.users([root])[root.address]))
    assert ["domain web"] == [user.text for user in found]
    killed_before(words)
    with pytest.raises(InUse, match="Disk root is in use"):
        attempts(lambda: bench.session.delete(root, bench.deadline()))
    # Half of the answer is no answer.
    with pytest.MonkeyPatch.context() as patch:
        lost = [daemon]
        looked = usage._sources_of_domains

        def halfway(handle: Any) -> Any:
            while lost:
                lost.pop().restart()
            return looked(handle)

        patch.setattr(usage, "_sources_of_domains", halfway)
        patch.setattr(usage, "_LOOK_AGAIN_SECONDS", 0)
        assert ["domain web"] == [user.text for user in bench.session.users([root])[root.address]]
    assert [] == lost


def test_a_removal_is_completed(bench: Any, killed_before: Any) -> None:
    bench.apply(VM, "web", SPEC)
    killed_before("remove machine")
    machine = bench.recorded.pop(bench.machine().address)
    attempts(lambda: bench.session.delete(machine, bench.deadline()))
    assert 0 == bench.connection.read("count", lambda handle: len(handle.listAllDomains()))


def test_without_a_daemon_nothing_is_absent(bench: Any, daemon: LibvirtDaemon) -> None:
    bench.apply(VM, "web", SPEC)
    daemon.kill()
    with pytest.raises(ProviderError):
        bench.session.observe([bench.machine()])
    daemon.start()
    assert "running" == bench.present(VM, "web").spec["power"]
