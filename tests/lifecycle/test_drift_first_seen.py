"""Since when drift is known: kept beside the state, and worth nothing but that."""

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from provisioner.service.drift import DriftReport
from tests.conformance.stores import ManualClock
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.stacks import ALL

MIB = 1024**2
FIRST, SECOND, THIRD = (f"2026-03-01T1{hour}:00:00+00:00" for hour in (2, 3, 4))


@pytest.fixture
def drifting(scenario: Scenario) -> Scenario:
    scenario.clock = ManualClock()
    scenario.declare(*ALL)
    scenario.apply()
    change(scenario, 128)
    return scenario


def change(scenario: Scenario, size: int) -> None:
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), size * MIB)


def later(scenario: Scenario) -> None:
    assert isinstance(scenario.clock, ManualClock)
    scenario.clock.move(3600)


def seen(report: DriftReport) -> dict[str, str]:
    """When each difference was seen first."""
    return {
        f"{item.address} {'.'.join(one.path)}".strip(): one.first_seen
        for item in report.resources
        for one in item.differences
    }


def file_of(scenario: Scenario) -> Path:
    return scenario.root / ".provisioner" / "default" / "sightings.json"


WEB = "VirtualMachine/web memory.size"


def test_it_is_known_since_it_was_seen_first(drifting: Scenario) -> None:
    assert {WEB: FIRST} == seen(drifting.drift())
    later(drifting)
    drifting.outside.remove("Network", "lan")
    assert {"Network/lan": SECOND, WEB: FIRST} == seen(drifting.drift())


def test_another_value_is_another_sighting(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    change(drifting, 64)
    assert {WEB: SECOND} == seen(drifting.drift())


def test_what_is_gone_is_forgotten(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    change(drifting, 256)
    assert {} == seen(drifting.drift())
    assert {} == json.loads(file_of(drifting).read_text())["seen"]
    change(drifting, 128)
    assert {WEB: SECOND} == seen(drifting.drift())


def test_what_was_repaired_meanwhile_is_seen_anew(drifting: Scenario) -> None:
    drifting.drift()
    drifting.apply()
    change(drifting, 128)
    later(drifting)
    assert {WEB: SECOND} == seen(drifting.drift())


def test_what_was_not_looked_at_is_not_forgotten(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    assert {} == seen(drifting.drift(target=["Network/*"]))
    assert {WEB: FIRST} == seen(drifting.drift())


def test_what_could_not_be_determined_is_not_forgotten(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    rule = {"call": "observe", "address": "VirtualMachine/*", "effect": "undetermined"}
    drifting.provider.faults("here").add(rule)
    assert {"VirtualMachine/web": SECOND} == seen(drifting.drift())
    later(drifting)
    assert {WEB: FIRST} == seen(drifting.drift())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff" * 50,
        b"[]",
        b"{}",
        b'{"format": "provisioner.sightings/1", "seen": {"a": []}}',
        b'{"format": "provisioner.sightings/1", "seen": {"a": {"b": 1}}}',
        b'{"format": "provisioner.sightings/2", "seen": {}}',
        b"[" * 100_000,
    ],
    ids=["empty", "binary", "list", "nothing", "list of marks", "number", "newer", "deep"],
)
def test_a_damaged_file_is_begun_anew(drifting: Scenario, content: bytes) -> None:
    drifting.drift()
    later(drifting)
    file_of(drifting).write_bytes(content)
    report = drifting.drift()
    assert ({WEB: SECOND}, ["PRV2105"]) == (seen(report), [p.code for p in report.problems])
    later(drifting)
    report = drifting.drift()
    assert ({WEB: SECOND}, ()) == (seen(report), report.problems)


def test_a_lost_file_is_begun_anew(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    file_of(drifting).unlink()
    report = drifting.drift()
    assert ({WEB: SECOND}, ()) == (seen(report), report.problems)


def test_that_of_another_state_counts_for_nothing(drifting: Scenario) -> None:
    drifting.drift()
    later(drifting)
    path = file_of(drifting)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "lineage": "another"}))
    assert {WEB: SECOND} == seen(drifting.drift())


def test_only_its_owner_may_read_it_and_nothing_is_left_beside_it(drifting: Scenario) -> None:
    drifting.drift()
    path = file_of(drifting)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [] == [item.name for item in path.parent.iterdir() if item.name.startswith(".")]


def test_nothing_is_written_where_nothing_is_new(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.drift()
    assert not file_of(scenario).exists()


def test_of_two_runs_one_leaves_the_writing_to_the_other(drifting: Scenario) -> None:
    drifting.drift()
    before = file_of(drifting).read_bytes()
    later(drifting)
    drifting.outside.remove("Network", "lan")
    folder = os.open(file_of(drifting).parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    report = drifting.drift()
    os.close(folder)
    assert {"Network/lan": SECOND, WEB: FIRST} == seen(report)
    assert (before, ()) == (file_of(drifting).read_bytes(), report.problems)
    later(drifting)
    assert {"Network/lan": THIRD, WEB: FIRST} == seen(drifting.drift())


def test_a_folder_in_the_way_is_only_told(drifting: Scenario) -> None:
    file_of(drifting).mkdir()
    report = drifting.drift()
    assert ({WEB: FIRST}, ["PRV2105", "PRV2106"]) == (
        seen(report),
        [item.code for item in report.problems],
    )


def test_it_holds_no_value_and_of_a_sensitive_one_no_digest(scenario: Scenario) -> None:
    seeded = "cloudInit: {userData: '#cloud-config\\nhunter2'}\ndescription: plain\n"
    scenario.declare(*ALL[:-1], ALL[-1] + seeded)
    scenario.apply()
    for path, value in ((("cloudInit", "userData"), "hunter3"), (("description",), "other")):
        scenario.outside.change("VirtualMachine", "web", path, value)
    scenario.drift()
    text = file_of(scenario).read_text()
    assert [] == [word for word in ("hunter", "other") if word in text]
    marks = [mark.split(" ") for mark in json.loads(text)["seen"]["VirtualMachine/web"]]
    assert {"cloudInit.userData": 2, "description": 3} == {mark[0]: len(mark) for mark in marks}
