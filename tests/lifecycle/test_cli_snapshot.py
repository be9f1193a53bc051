"""``provisioner snapshot revert`` and ``console``: capabilities of a provider, asked for by
name."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

SNAPSHOT = "Snapshot/before\nmachine: web\n"


@pytest.fixture
def changed(shop: CommandLine) -> CommandLine:
    """A machine with a snapshot, changed since."""
    shop.declare(*ALL, SNAPSHOT)
    assert 0 == shop("apply", "--yes").code
    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 3"), SNAPSHOT)
    assert 0 == shop("apply", "--yes").code
    return shop


def cpu_count(shop: CommandLine) -> int:
    machine = shop.outside.find("VirtualMachine", "web")
    assert machine is not None
    count: int = machine.spec["cpu"]["count"]
    return count


@pytest.mark.parametrize("name", ["before", "Snapshot/before"])
def test_revert(changed: CommandLine, name: str) -> None:
    assert 3 == cpu_count(changed)
    assert 0 == changed("snapshot", "revert", name, "--yes").code
    assert 1 == cpu_count(changed)
    newest = changed("state", "history", "--json").json[0]
    assert ("revert", "done") == (newest["kind"], newest["outcome"])
    # The manifest says something else: that is drift, and apply mends it.
    assert 2 == changed("drift").code
    assert 0 == changed("apply", "--yes").code
    assert 3 == cpu_count(changed)


def test_revert_is_not_done_without_being_confirmed(changed: CommandLine) -> None:
    refused = changed("snapshot", "revert", "before")
    assert (1, True) == (refused.code, "PRV6002" in refused.err)
    assert 3 == cpu_count(changed)


def test_a_failing_revert_is_recorded_as_failed(changed: CommandLine) -> None:
    changed.faults({"call": "revert", "effect": "terminal"})
    failed = changed("snapshot", "revert", "before", "--yes")
    assert (1, True) == (failed.code, "PRV5902" in failed.err)
    newest = changed("state", "history", "--json").json[0]
    assert ("revert", "failed") == (newest["kind"], newest["outcome"])
    changed.faults()
    assert 0 == changed("plan", "--detailed-exitcode").code


def test_a_protected_machine_is_not_brought_back(changed: CommandLine) -> None:
    changed.declare(LAN, POOL, DISK, WEB + "metadata.protect: true\n", SNAPSHOT)
    assert 0 == changed("apply", "--yes").code
    refused = changed("snapshot", "revert", "before", "--yes")
    assert (1, True) == (refused.code, "PRV6030" in refused.err)
    assert "VirtualMachine/web is protected" in refused.err
    assert 1 == cpu_count(changed)


def test_nothing_is_brought_back_on_a_host_in_maintenance(changed: CommandLine) -> None:
    host = (changed.root / "host.yaml").read_text()
    changed.write("host.yaml", host.replace("memory,", "memory, maintenance: true,"))
    assert 0 == changed("apply", "--yes").code
    refused = changed("snapshot", "revert", "before", "--yes")
    assert (1, True) == (refused.code, "PRV6030" in refused.err)
    assert "Host/here is in maintenance" in refused.err


def test_a_machine_that_is_somebody_elses_is_left_alone(changed: CommandLine) -> None:
    changed.outside.remove("VirtualMachine", "web")
    changed.outside.add("VirtualMachine", "web", {"cpu": {"count": 7}})
    refused = changed("snapshot", "revert", "before", "--yes")
    assert (1, True) == (refused.code, "PRV5912" in refused.err)
    assert 7 == cpu_count(changed)


def test_a_snapshot_that_is_not_there(changed: CommandLine) -> None:
    failed = changed("snapshot", "revert", "other", "--yes")
    assert (1, True) == (failed.code, "PRV6007" in failed.err)
    assert "there is no Snapshot/other in the stack" in failed.err
    assert "There are of this kind: Snapshot/before." in failed.err
    assert "Did you mean" not in failed.err
    near = changed("snapshot", "revert", "befor", "--yes")
    assert "Did you mean Snapshot/before?" in near.err


def test_a_snapshot_that_is_only_declared(changed: CommandLine) -> None:
    changed.declare(LAN, POOL, DISK, WEB, SNAPSHOT, "Snapshot/befor\nmachine: web\n")
    failed = changed("snapshot", "revert", "befor", "--yes")
    assert "Snapshot/befor has not been applied" in failed.err
    assert "Run 'provisioner apply' first" in failed.err


def test_a_snapshot_that_broken_manifests_may_declare(changed: CommandLine) -> None:
    changed.write("stack.yaml", "a: [\n")
    failed = changed("snapshot", "revert", "other", "--yes")
    assert "Snapshot/other has not been applied" in failed.err


def test_a_provider_without_consoles(changed: CommandLine) -> None:
    for option in ("--log", "--graphics"):
        failed = changed("console", "web", option)
        assert (1, True) == (failed.code, "PRV5006" in failed.err)
        assert "console" in failed.err


@pytest.mark.parametrize("command", ["console", "snapshot revert"])
def test_a_name_that_is_none(changed: CommandLine, command: str) -> None:
    failed = changed(*command.split(), "a/b")
    assert (1, True) == (failed.code, "PRV6001" in failed.err)


def test_console_of_what_was_never_applied(shop: CommandLine) -> None:
    failed = shop("console", "web", "--log")
    assert (1, True) == (failed.code, "PRV6004" in failed.err)


def test_graph_and_show(changed: CommandLine) -> None:
    assert '"VirtualMachine/web" -> "Disk/web-root";' in changed("graph", "--format", "dot").out
    assert "flowchart LR" in changed("graph", "--format", "mermaid").out
    shown = changed("show", "VirtualMachine/web").out
    assert "Needed by\n  Snapshot/before" in shown
    near = changed("show", "VirtualMachine/wbe")
    assert (1, True) == (near.code, "Did you mean VirtualMachine/web?" in near.err)
