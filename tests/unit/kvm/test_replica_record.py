"""What is written of a replica is read again, and says which points are given up."""

import json
from dataclasses import replace

import pytest

from provisioner_plugins.kvm.replication.record import SEED, File, Kept, Record


def kept(number: int, *, alone: bool = False) -> Kept:
    files = {"Disk/root": File(f"root.{number}", "qcow2")}
    return Kept(f"{number:08d}", files, alone=alone)


THREE = Record("incremental", "a stack", 3, (kept(1, alone=True), kept(2), kept(3)))


def test_it_is_read_as_it_was_written() -> None:
    point = replace(kept(2), taken="2026-11-29T10:00:00+00:00", quiesced=True, checkpoint="c")
    record = Record(
        "continuous",
        "a stack",
        7,
        (kept(1), point),
        below=({"Disk/root": File("seed", "raw")},),
        merging=("00000001", {"Disk/root": File("seed", "raw")}),
        staged=("00000002", {"Disk/root": File("stage", "qcow2")}),
        exports={"Disk/root": File("export", "qcow2")},
        is_live=True,
        promoting="00000002",
        seeding=True,
        moved=12,
    )
    assert record == Record.read(record.text())
    assert 1 == len(record.text().splitlines())
    assert {"root.1", "root.2", "seed", "stage", "export"} == set(record.files())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "way": "x"}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no record|has version|Expecting value"):
        Record.read(text)


def test_what_stood_below_no_point_yet_is_a_seed() -> None:
    seed = {"Disk/root": File("seed", "qcow2")}
    told = json.loads(Record("incremental", below=(seed,)).text())
    del told["seeding"]
    found = Record.read(json.dumps(told))
    assert ((Kept(SEED, seed, alone=True),), (), True) == (found.points, found.below, found.seeding)


def test_a_seed_goes_once_there_is_a_newer_point() -> None:
    seed = Kept(SEED, {"Disk/root": File("seed", "qcow2")}, alone=True)
    assert None is Record("incremental", points=(seed,)).surplus(3)
    newer = Record("incremental", points=(seed, kept(1)))
    assert SEED == newer.surplus(3)
    assert None is replace(newer, staged=(SEED, {})).surplus(3)


def test_a_point_keeps_the_files_of_disks_that_a_seed_did_not_have() -> None:
    seed, data = Kept(SEED, {"Disk/root": File("seed", "qcow2")}), File("data.1", "raw")
    first = replace(kept(1), files={**kept(1).files, "Disk/data": data})
    merged = Record("incremental", points=(seed, first)).without(SEED).merged()
    assert {**seed.files, "Disk/data": data} == merged.points[0].files


def test_of_a_promotion_that_was_begun_its_point_alone_counts() -> None:
    assert THREE.points == THREE.usable
    assert (kept(2),) == replace(THREE, promoting="00000002").usable


@pytest.mark.parametrize(("keep", "surplus"), [(3, None), (2, "00000001"), (1, "00000001")])
def test_the_oldest_point_goes_first(keep: int, surplus: str | None) -> None:
    assert surplus == THREE.surplus(keep)


def test_what_a_drill_stands_on_stays() -> None:
    staged = replace(THREE, staged=("00000001", {}))
    assert "00000002" == staged.surplus(1)
    assert None is replace(THREE, staged=("00000002", {})).surplus(1)


def test_the_next_one_is_merged_into_the_files_of_one_that_goes() -> None:
    record = THREE.without("00000001")
    assert ("00000002", kept(1).files) == record.merging
    merged = record.merged()
    assert None is merged.merging
    assert [kept(1).files, kept(3).files] == [point.files for point in merged.points]
    assert ["00000002", "00000003"] == [point.id for point in merged.points]


def test_nothing_is_merged_with_a_point_that_stands_alone() -> None:
    record = replace(THREE, points=(kept(1, alone=True), kept(2, alone=True)))
    assert replace(record, points=(kept(2, alone=True),)) == record.without("00000001")
