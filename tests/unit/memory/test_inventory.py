"""The file of a memory endpoint: torn lines, damage, several processes, isolation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.identity import Stamp
from provisioner_plugins.memory.inventory import DamagedFileError, Inventory
from provisioner_plugins.memory.objects import StoredObject

OWNER = Stamp("6f9619ff-8b86-4d01-b42d-00c04fc964ff", "Disk/data", 3)


def disk(name: str = "data", object_id: str | None = None, **spec: Any) -> StoredObject:
    return StoredObject(
        object_id or f"id-{name}",
        "Disk",
        name,
        OWNER,
        {"size": 1, **spec},
        {("cpu", "max"): None},
        {"path": "/x"},
        {"old": True},
    )


def put(inventory: Inventory, *items: StoredObject) -> None:
    with inventory.changing():
        for item in items:
            inventory.put(item)


def names(inventory: Inventory) -> list[str]:
    with inventory.reading():
        return [item.name for item in inventory.objects()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on-demand" / "endpoint.jsonl"


def test_objects_come_back_as_they_were_put(path: Path) -> None:
    put(Inventory(path), disk("a", note="ä\n\u2028\"'"), disk("b"))
    again = Inventory(path)
    with again.reading():
        assert [disk("a", note="ä\n\u2028\"'"), disk("b")] == again.objects()
        assert disk("b") == again.get("id-b")
        assert [disk("b")] == again.named("Disk", "b")


def test_what_is_kept_shares_nothing_with_what_was_handed_in(path: Path) -> None:
    spec: dict[str, Any] = {"nested": {"size": 1}}
    inventory = Inventory()
    put(inventory, StoredObject("id", "Disk", "data", None, spec))
    spec["nested"]["size"] = 2
    with inventory.reading():
        found = inventory.get("id")
    assert found is not None
    assert {"nested": {"size": 1}} == found.spec


def test_the_last_line_counts(path: Path) -> None:
    inventory = Inventory(path)
    put(inventory, disk("a"), disk("b"), disk("a", size=2))
    with inventory.changing():
        inventory.remove("id-b")
    again = Inventory(path)
    with again.reading():
        assert [disk("a", size=2)] == again.objects()
    assert 4 == len(path.read_text().splitlines())


def test_an_object_that_is_called_something_else_leaves_its_old_name(path: Path) -> None:
    inventory = Inventory(path)
    put(inventory, disk("a", "id"), disk("b", "id"))
    with inventory.reading():
        assert [] == inventory.named("Disk", "a")
        assert ["id"] == [item.id for item in inventory.named("Disk", "b")]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_without_its_end_is_not_taken_and_then_removed(path: Path, cut: int) -> None:
    put(Inventory(path), disk("a"), disk("b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[:-cut])
    assert ["a"] == names(Inventory(path))
    put(Inventory(path), disk("c"))
    assert ["a", "c"] == names(Inventory(path))
    assert whole[:first] == path.read_bytes()[:first]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", '{"id": "x"}', '{"id": "x"}, {"id": "y"}', "\udcff", '{"gone": true}'],
)
def test_a_line_that_is_no_object_is_refused(path: Path, line: str) -> None:
    put(Inventory(path), disk("a"))
    with path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(DamagedFileError), Inventory(path).reading():
        pass


def test_handles_on_one_file_see_one_another(path: Path) -> None:
    first, second = Inventory(path), Inventory(path)
    put(first, disk("a"))
    put(second, disk("b"))
    assert ["a", "b"] == names(first) == names(second)
    with second.changing():
        second.remove("id-a")
    assert ["b"] == names(first)


def test_a_file_that_was_removed_is_an_empty_endpoint(path: Path) -> None:
    inventory = Inventory(path)
    put(inventory, disk("a"))
    path.unlink()
    assert [] == names(inventory)
    put(inventory, disk("b"))
    assert ["b"] == names(Inventory(path))


def test_a_file_that_was_cut_is_read_anew(path: Path) -> None:
    inventory = Inventory(path)
    put(inventory, disk("a"), disk("b"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[1])
    assert ["b"] == names(inventory)


WRITER = """
import sys
from pathlib import Path
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import StoredObject

inventory = Inventory(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    with inventory.changing():
        name = f"{sys.argv[2]}-{number}"
        inventory.put(StoredObject(name, "Disk", name, None, {"note": "x" * 500}))
    print(number, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_two_processes_write_at_once(path: Path) -> None:
    writers = [writer(path, name, 150) for name in ("a", "b")]
    for process in writers:
        process.communicate()
        assert 0 == process.returncode
    assert 300 == len(names(Inventory(path)))


def test_what_a_killed_process_had_written_is_there(path: Path) -> None:
    process = writer(path, "a", 1_000_000)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "100\n":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    inventory = Inventory(path)
    assert 101 <= len(names(inventory))
    put(inventory, disk("after"))
    lines = path.read_text().splitlines()
    documents: list[Mapping[str, Any]] = [json.loads(line) for line in lines]
    assert "after" == documents[-1]["name"]
