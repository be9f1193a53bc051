"""A stack's whole life through the program: made, changed, drifted, repaired, destroyed."""

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

EVERYTHING = ["Disk/web-root", "Network/lan", "StoragePool/pool", "VirtualMachine/web"]


def test_a_whole_life(shop: CommandLine) -> None:
    planned = shop("plan")
    assert 0 == planned.code
    assert "Plan: 4 to create." in planned.out
    assert [] == shop.objects()

    applied = shop("apply", "--yes")
    assert (0, "") == (applied.code, "".join(applied.err.split("Observing 4 resources\n")))
    assert applied.out.endswith("Applied: 4 steps done.\n")
    assert EVERYTHING == shop.objects()

    again = shop("plan", "--detailed-exitcode")
    title, rest = again.out.split("\n", 1)
    assert (0, "\nNothing to do: 4 resources as declared.\n") == (again.code, rest)
    assert title.startswith("Stack test, plan ")

    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 3"))
    changed = shop("apply", "--yes")
    assert "cpu.count  1 -> 3  [live]" in changed.out
    assert "1 to update (1 live)" in changed.out

    shop.outside.change("VirtualMachine", "web", ("cpu", "count"), 2)
    drifted = shop("drift")
    assert 2 == drifted.code
    assert "cpu.count  applied 3, now 2" in drifted.out
    assert 0 == shop("apply", "--yes").code
    assert 0 == shop("drift").code

    destroyed = shop("destroy", "--yes")
    assert 0 == destroyed.code
    # Its retention is to keep the data.
    assert ["Disk/web-root"] == shop.objects()
    title, rest = shop("destroy", "--yes").out.split("\n", 1)
    assert "\nNothing to destroy.\n" == rest
    assert title.startswith("Destroy: Stack test, plan ")


def test_a_target_takes_what_it_needs_along(shop: CommandLine) -> None:
    assert 0 == shop("apply", "--yes", "--target", "Disk/*").code
    assert ["Disk/web-root", "StoragePool/pool"] == shop.objects()


def test_an_excluded_resource_takes_along_what_needs_it(shop: CommandLine) -> None:
    assert 0 == shop("apply", "--yes", "--exclude", "Disk").code
    assert ["Network/lan", "StoragePool/pool"] == shop.objects()


def test_a_stack_in_another_folder(shop: CommandLine, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert 0 == shop("apply", "--yes", shop.root).code
    assert EVERYTHING == shop.objects()
    assert "Disk/web-root" in shop("state", "list", shop.root).out


def test_environments_are_kept_apart(shop: CommandLine) -> None:
    shop.write(
        "stack.yaml",
        """
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: test}
        spec:
          environments:
            dev: {}
            prod: {}
        """,
    )
    assert 0 == shop("apply", "--yes", "--env", "dev").code
    assert 4 == len(shop("state", "list", "--env", "dev", "--json").json["resources"])
    other = shop("state", "list", "--env", "prod")
    assert 1 == other.code
    assert "PRV6004" in other.err


def test_an_environment_cannot_lead_out_of_the_folder(shop: CommandLine) -> None:
    found = shop("plan", "--env", "../../etc")
    assert (1, True) == (found.code, "PRV6005" in found.err)


def test_variables_from_the_command_line(shop: CommandLine) -> None:
    shop.write(
        "stack.yaml",
        """
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: test}
        spec:
          variables:
            memory: {type: size, default: 128MiB}
        """,
    )
    shop.declare(LAN, POOL, DISK, WEB.replace("256MiB", "'${var.memory}'"))
    assert "memory.size       1GiB" in shop("plan", "--var", "memory=1GiB").out
