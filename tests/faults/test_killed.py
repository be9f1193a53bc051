"""SIGKILL at every boundary of the executor: before a call had its effect and after it, for every
call there is; and answers that are lost when the call had its effect. The next run understands what
was left, finishes it, and makes nothing twice: the endpoint's own record, in which every object has
a line for each time that it was written, says how often each was made.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.lifecycle.commandline import OBJECTS, SECONDS, CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, THROWAWAY_DISK, WEB

IMAGE = """
Image/base
pool: pool
source: {file: base.qcow2}
format: qcow2
"""
SNAPSHOT = "Snapshot/before\nmachine: web\n"
EVERYTHING = (LAN, POOL, IMAGE, DISK, WEB, SNAPSHOT)
NAMES = (
    "Disk/web-root",
    "Image/base",
    "Network/lan",
    "Snapshot/before",
    "StoragePool/pool",
    "VirtualMachine/web",
)
GO = ("--max-impact", "replace", "--allow-data-loss", "Disk/web-root")


@dataclass(frozen=True)
class Case:
    """What is there, what is wanted, the call in which the process dies, and what must be there in
    the end.
    """

    call: str
    address: str
    before: Sequence[str]
    after: Sequence[str]
    objects: Sequence[str] = NAMES
    options: Sequence[str] = GO


def without(*documents: str) -> tuple[str, ...]:
    return tuple(document for document in EVERYTHING if document not in documents)


def names_without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in NAMES if name not in names)


MOVED_POOL = POOL.replace("/srv/pool", "/srv/other")
RAW_DISK = THROWAWAY_DISK + "format: raw\n"
CASES = {
    **{f"create {address}": Case("create", address, (), EVERYTHING) for address in NAMES},
    "update": Case(
        "update",
        "VirtualMachine/web",
        EVERYTHING,
        (LAN, POOL, IMAGE, DISK, WEB.replace("count: 1", "count: 2"), SNAPSHOT),
    ),
    "delete": Case(
        "delete", "Snapshot/before", EVERYTHING, without(SNAPSHOT), names_without("Snapshot/before")
    ),
    "delete with its dependents": Case(
        "delete",
        "VirtualMachine/web",
        EVERYTHING,
        without(SNAPSHOT, WEB),
        names_without("Snapshot/before", "VirtualMachine/web"),
    ),
    "rename": Case(
        "update",
        "Network/inner",
        (LAN,),
        (LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"),),
        # A rename leaves the object its name.
        ("Network/lan",),
    ),
    "replace, deleting first": Case(
        "delete", "StoragePool/pool", (POOL,), (MOVED_POOL,), ("StoragePool/pool",)
    ),
    "replace, creating after the deletion": Case(
        "create", "StoragePool/pool", (POOL,), (MOVED_POOL,), ("StoragePool/pool",)
    ),
    "replace, creating first": Case(
        "create",
        "Disk/web-root",
        (POOL, THROWAWAY_DISK),
        (POOL, RAW_DISK),
        ("Disk/web-root", "StoragePool/pool"),
    ),
    "replace, deleting the predecessor": Case(
        "delete",
        "Disk/web-root*",
        (POOL, THROWAWAY_DISK),
        (POOL, RAW_DISK),
        ("Disk/web-root", "StoragePool/pool"),
    ),
}


@pytest.mark.parametrize("effect", ["kill-before", "kill-after"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_next_run_finishes_it(cli: CommandLine, case: Case, effect: str) -> None:
    cli.declare(*case.before)
    assert 0 == cli("apply", "--yes", *case.options).code
    cli.declare(*case.after)
    cli.faults({"call": case.call, "address": case.address, "effect": effect})
    die(cli, "apply", "--yes", *case.options)

    cli.faults()
    assert 0 == cli("state", "verify").code
    assert "The last run did not finish" in cli("state", "list").err
    finish(cli, case.objects, *case.options)


ATTEMPTS = 8
"""How often a step calls a provider that may answer later."""


@pytest.mark.parametrize("times", [1, ATTEMPTS], ids=["once", "in every attempt"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_lost_answer(cli: CommandLine, case: Case, times: int) -> None:
    """The provider acts, and raises. Another attempt, or the next run, makes nothing twice."""
    cli.declare(*case.before)
    assert 0 == cli("apply", "--yes", *case.options).code
    cli.declare(*case.after)
    rule = {"call": case.call, "address": case.address, "effect": "lost-answer"}
    cli.faults({**rule, "times": times, "seconds": 0})
    finished = cli("apply", "--yes", *case.options)
    assert (finished.code == 0) == (times == 1), finished.out + finished.err
    assert ("PRV5905" in finished.err) == (times > 1)
    cli.faults()
    assert 0 == cli("state", "verify").code
    finish(cli, case.objects, *case.options)


def made(cli: CommandLine) -> list[str]:
    """Every object that there ever was on the endpoint, once for each identity: address and
    generation.
    """
    lines = map(json.loads, (cli.root / OBJECTS).read_text().splitlines())
    stamps = {line["id"]: line["owner"] for line in lines if "owner" in line}
    return sorted(f"{address} {generation}" for _, address, generation in stamps.values())


def die(cli: CommandLine, *arguments: str) -> None:
    process = cli.start(*arguments)
    out, err = process.communicate(timeout=SECONDS)
    assert -signal.SIGKILL == process.returncode, out + err


def finish(cli: CommandLine, objects: Sequence[str], *options: str) -> None:
    """A run without faults ends well, leaves nothing to do, and everything is there once."""
    finished = cli("apply", "--yes", *options)
    assert 0 == finished.code, finished.out + finished.err
    assert sorted(objects) == cli.objects()
    assert sorted({*made(cli)}) == made(cli)
    again = cli("plan", "--json", "--detailed-exitcode")
    assert (0, []) == (again.code, again.json["steps"])
    assert "" == cli("state", "list").err
    assert 0 == cli("state", "verify").code


def test_a_run_may_die_again_and_again(cli: CommandLine) -> None:
    """Each run dies in another call than the one before, first while making, then while
    removing.
    """
    cli.declare(*EVERYTHING)
    for number, name in enumerate(NAMES):
        effect = "kill-after" if number % 2 else "kill-before"
        cli.faults({"call": "create", "address": name, "effect": effect})
        if name in cli.objects():
            continue  # it was made together with the one before
        die(cli, "apply", "--yes")
    cli.faults()
    finish(cli, NAMES)

    going = [name for name in NAMES if name != "Disk/web-root"]
    for name in going:
        if name not in cli.objects():
            continue
        cli.faults({"call": "delete", "address": name, "effect": "kill-after"})
        die(cli, "destroy", "--yes")
    cli.faults()
    assert 0 == cli("destroy", "--yes").code
    assert ["Disk/web-root"] == cli.objects()
    assert [] == cli("state", "list", "--json").json["resources"]
    assert "" == cli("state", "list").err
