"""A disk that is full: nothing is done that could not be recorded, and with room again the next run
brings everything to its end. A small file system where one can be mounted; everywhere a writer that
fails from some write on.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.cli.exitcodes import ExitCode
from tests.faults.test_failpoints import (
    Journey,
    apply,
    check_intents,
    check_looks_first,
    check_records,
    generations,
    prepare,
    reached,
)
from tests.lifecycle.commandline import OBJECTS, SECONDS, CommandLine, Finished
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, THROWAWAY_DISK, WEB

KIB = 1024
SIZE = 8 * 1024 * KIB
COUNT = 120


class SmallDisk:
    """A file system of 8 MiB that holds nothing but a stack's state."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes of room."""
        free = shutil.disk_usage(self._ballast.parent).free - leave
        with self._ballast.open("ab") as file:
            while free > 0:
                try:
                    free -= file.write(b"x" * min(free, 4 * KIB))
                    file.flush()
                except OSError:
                    return

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@pytest.fixture
def disk(shop: CommandLine) -> Iterator[SmallDisk]:
    """The folder of the state is on a small disk."""
    folder = shop.root / ".provisioner"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nosuid,nodev", "none", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a file system: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a handle that a failed test left open must not keep it.
        subprocess.run(["umount", "--lazy", folder], check=True)


def networks(number: int) -> list[str]:
    """So many networks, and a text in each that takes room in every record."""
    return [
        f"Network/n{i}\nmode: isolated\nmetadata.labels: {{note: {'x' * 250}}}\n"
        for i in range(number)
    ]


def run(cli: CommandLine, *arguments: str) -> Finished:
    """Run a command as a process of its own: what it cannot give back, it loses by ending."""
    process = cli.start(*arguments)
    out, err = process.communicate(timeout=SECONDS)
    return Finished(process.returncode, out, err)


def test_from_the_start(shop: CommandLine, disk: SmallDisk) -> None:
    disk.fill()
    # A plan makes no record; a plan file needs the one that it is made for.
    assert 0 == run(shop, "plan").code
    for command in (("plan", "-o", "first.plan"), ("apply", "--yes")):
        refused = run(shop, *command, "--json")
        assert (1, ["PRV4008"]) == (refused.code, refused.codes)
    assert [] == shop.objects()
    disk.clear()
    assert 0 == shop("apply", "--yes").code
    assert 4 == len(shop.objects())


def test_before_an_edit(shop: CommandLine, disk: SmallDisk) -> None:
    assert 0 == shop("apply", "--yes").code
    before = shop("state", "list", "--json").json["resources"]
    objects = (shop.root / OBJECTS).read_bytes()
    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"))
    disk.fill()
    for command in (("plan",), ("apply", "--yes"), ("destroy", "--yes")):
        refused = run(shop, *command, "--json")
        assert (1, {"PRV4008"}) == (refused.code, set(refused.codes))
    assert objects == (shop.root / OBJECTS).read_bytes()
    disk.clear()
    assert before == shop("state", "list", "--json").json["resources"]
    assert 0 == shop("apply", "--yes").code
    assert 0 == shop("plan", "--detailed-exitcode").code


@pytest.mark.parametrize("leave", [100 * KIB, 160 * KIB, 400 * KIB])
def test_in_the_middle(shop: CommandLine, disk: SmallDisk, leave: int) -> None:
    """Some steps were made and recorded, at most those under way were made and not recorded."""
    assert 0 == shop("plan", "-o", "first.plan").code
    shop.declare(*ALL, *networks(COUNT))
    disk.fill(leave)
    stopped = run(shop, "apply", "--yes")
    assert 6 == stopped.code
    assert "PRV4008" in stopped.err
    assert "no space is left on the disk of the state database" in stopped.err
    made = shop.objects()
    assert 0 < len(made) < COUNT + 4
    disk.clear()
    assert 0 == shop("state", "verify").code
    recorded = {item["address"] for item in shop("state", "list", "--json").json["resources"]}
    assert recorded <= set(made)
    # 8 calls at a time go to one endpoint.
    assert len(made) - len(recorded) <= 8

    assert 0 == shop("apply", "--yes").code
    assert COUNT + 4 == len(shop.objects())
    assert 0 == shop("plan", "--detailed-exitcode").code
    assert "" == shop("state", "list").err


def test_a_plan_file(shop: CommandLine, disk: SmallDisk) -> None:
    """A plan file of before stays, and nothing is left of the one that found no room."""
    target = shop.root / ".provisioner" / "next.plan"
    assert 0 == shop("plan", "-o", target).code
    before, files = target.read_bytes(), sorted(target.parent.iterdir())
    shop.declare(*ALL, *networks(COUNT))
    disk.fill(64 * KIB)  # enough to open the state
    refused = run(shop, "plan", "-o", str(target), "--json")
    assert (1, ["PRV2020"]) == (refused.code, refused.codes)
    disk.clear()
    assert (before, files) == (target.read_bytes(), sorted(target.parent.iterdir()))
    assert 0 == shop("plan", "-o", target).code
    assert 0 == shop("apply", target).code
    assert COUNT + 4 == len(shop.objects())


# A writer that fails: no right to mount is needed


def within(cli: CommandLine, size: int, *arguments: str) -> Finished:
    """Run a command that cannot write a file beyond so many bytes (EFBIG)."""
    limit = (size, size)
    process = cli.start(
        *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    out, err = process.communicate(timeout=SECONDS)
    return Finished(process.returncode, out, err)


@pytest.mark.parametrize(
    ("command", "code"), [(("plan", "-o"), "PRV2020"), (("state", "backup"), "PRV4011")]
)
def test_a_file_that_cannot_be_written_whole(
    shop: CommandLine, command: tuple[str, ...], code: str
) -> None:
    shop.declare(*ALL, *networks(COUNT))
    assert 0 == shop("apply", "--yes").code
    shop.declare(*ALL, *networks(2 * COUNT))
    files = sorted(shop.root.iterdir())
    failed = within(shop, 64 * KIB, *command, "next", "--json")
    assert (1, [code]) == (failed.code, failed.codes)
    assert files == sorted(shop.root.iterdir())
    assert 0 == shop("state", "verify").code
    assert 0 == shop(*command, "next").code


SMALL = Journey(
    (LAN, POOL, THROWAWAY_DISK),
    (LAN + "mtu: 1400\n", POOL, "Network/new\nmode: isolated\n"),
    ("Network/lan 0", "Network/new 0", "StoragePool/pool 0"),
    ("--max-impact", "replace", "--allow-data-loss", "Disk/web-root"),
)
"""One of each: a resource is changed, one is made, one is deleted."""
PHASES = (
    *("lock", "begin", "intend to delete", "deleted", "intend to change", "changed"),
    *("intend to make", "made", "finish", "release"),
)
"""The transactions of that run."""


def test_a_run_makes_these_transactions(cli: CommandLine) -> None:
    prepare(cli, SMALL)
    assert 0 == apply(cli.root, SMALL).returncode
    points = [line["point"] for line in reached(cli.root)]
    assert len(PHASES) == points.count("transaction.written")


@pytest.mark.parametrize("number", range(1, len(PHASES) + 1), ids=PHASES)
def test_from_any_transaction_on(cli: CommandLine, number: int) -> None:
    """What was acknowledged is recorded, what was made is known, and the next run does the rest."""
    prepare(cli, SMALL)
    stopped = apply(cli.root, SMALL, "--full", str(number))
    lines = reached(cli.root)
    assert stopped.returncode in (ExitCode.ERROR, ExitCode.PARTIAL)
    assert "PRV4008" in stopped.stdout + stopped.stderr
    assert 0 == cli("state", "verify").code
    check_intents(lines)
    check_records(cli, SMALL, stopped.stdout, lines)

    assert 0 == apply(cli.root, SMALL).returncode
    check_looks_first(reached(cli.root))
    assert sorted(SMALL.objects) == generations(cli)
    assert 0 == cli("plan", "--detailed-exitcode", *SMALL.options).code
    assert "" == cli("state", "list").err
