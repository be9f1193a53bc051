"""Three-way comparison: what counts as a change, and at which path."""

from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.values import Json, Path
from provisioner.engine.diff import differences, with_defaults
from provisioner.manifest.annotations import ReferenceField
from provisioner.providers.api import Change, Present

SETS = {("disks",), ("labels",), ("seed", "meta")}
DEFAULTS: dict[Path, Json] = {
    ("cpu", "count"): 1,
    ("power",): "running",
    ("disks", "a", "bus"): "virtio",
}


class Rules:
    """Rules of a small invented kind."""

    host_field = None
    impact_on_delete = Impact.REPLACE
    retention_field = None
    borrowed_fields: tuple[Path, ...] = ()
    references: tuple[ReferenceField, ...] = ()

    def impact_of(self, path: Path) -> Impact:
        return Impact.RESTART if path[0] == "firmware" else Impact.LIVE

    def default_of(self, path: Path) -> Json:
        return DEFAULTS.get(path)

    def fitted(self, path: Path, value: Json) -> Json:
        raise AssertionError((path, value))

    def is_sensitive(self, path: Path) -> bool:
        return path[-1] == "password"

    def is_write_only(self, path: Path) -> bool:
        return path[0] == "seed"

    def owned_whole(self, path: Path) -> bool:
        return path in SETS

    def decides(self, path: Path, output: str) -> bool:
        return output in path


def compare(
    desired: dict[str, Any],
    observed: dict[str, Any],
    recorded: dict[str, Any] | None = None,
    running: dict[Path, Json] | None = None,
    pending: tuple[str, ...] = (),
) -> list[Change]:
    present = Present("id", None, observed, "print", running or {})
    return differences(desired, recorded, present, Rules(), pending)


def test_a_field_never_set_is_not_compared() -> None:
    assert [] == compare(
        {"cpu": {"count": 2}}, {"cpu": {"count": 2, "model": "qemu64"}, "power": "x"}
    )


def test_a_scalar_that_differs_is_one_change() -> None:
    assert [Change(("cpu", "count"), 2, 4)] == compare({"cpu": {"count": 4}}, {"cpu": {"count": 2}})


def test_a_field_that_is_not_there_comes_from_none() -> None:
    assert [Change(("cpu", "model"), None, "host")] == compare(
        {"cpu": {"model": "host"}}, {"cpu": {"count": 2}}
    )


def test_a_whole_section_that_is_not_there_is_one_change() -> None:
    assert [Change(("firmware",), None, {"tpm": True}, Impact.RESTART)] == compare(
        {"firmware": {"tpm": True}}, {}
    )


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({"cpu": {"count": 4}}, [Change(("cpu", "count"), 4, 1)]),
        ({"power": "stopped", "cpu": {"count": 4}}, [Change(("cpu", "count"), 4, 1)]),
        (None, []),
    ],
)
def test_a_removed_field_goes_back_to_its_default(
    recorded: dict[str, Any] | None, expected: list[Change]
) -> None:
    observed = {"cpu": {"count": 4}, "power": "running"}
    assert expected == compare({}, observed, recorded)


def test_a_removed_field_without_default_is_removed() -> None:
    assert [Change(("description",), "old", None)] == compare(
        {}, {"description": "old"}, {"description": "old"}
    )


def test_a_removed_section_without_default_is_one_change() -> None:
    observed = {"firmware": {"type": "uefi", "tpm": True}}
    assert [Change(("firmware",), {"type": "uefi", "tpm": True}, None, Impact.RESTART)] == compare(
        {}, observed, {"firmware": {"type": "uefi"}}
    )


def test_a_removed_field_that_is_at_its_default_is_no_change() -> None:
    assert [] == compare({}, {"power": "running"}, {"power": "running"})


@pytest.mark.parametrize(
    ("desired", "recorded", "expected"),
    [
        ({}, {"format": "raw"}, {"format": "qcow2"}),
        ({"format": "raw"}, {"format": "qcow2"}, {"format": "raw"}),
        ({}, {"size": 1}, {}),
        ({}, {"disks": {"a": {"bus": "scsi"}}}, {}),
        ({"disks": {}}, {"disks": {"a": {"bus": "scsi"}}}, {"disks": {}}),
        (
            {"disks": {"a": {}, "b": {}}},
            {"disks": {"a": {"bus": "scsi"}, "b": {"cache": "none"}}},
            {"disks": {"a": {"bus": "virtio"}, "b": {}}},
        ),
        ({}, {"cpu": {"model": "x", "count": 2}}, {"cpu": {"model": "host"}}),
        ({}, {"cpu": {"count": 2}}, {}),
    ],
)
def test_a_removed_field_goes_back_to_the_default_of_the_provider(
    desired: dict[str, Any], recorded: dict[str, Any], expected: dict[str, Any]
) -> None:
    defaults = {"format": "qcow2", "disks": {"*": {"bus": "virtio"}}, "cpu": {"model": "host"}}
    assert expected == with_defaults(desired, recorded, defaults)


def test_elements_of_a_set_are_added_and_removed_by_key() -> None:
    desired = {"disks": {"a": {"bus": "virtio"}, "c": {}}}
    observed = {"disks": {"a": {"bus": "virtio", "cache": "none"}, "b": {"bus": "scsi"}}}
    assert [
        Change(("disks", "b"), {"bus": "scsi"}, None),
        Change(("disks", "c"), None, {}),
    ] == compare(desired, observed)


def test_a_field_inside_an_element_has_its_own_path() -> None:
    assert [Change(("disks", "a", "bus"), "scsi", "virtio")] == compare(
        {"disks": {"a": {"bus": "virtio"}}}, {"disks": {"a": {"bus": "scsi", "cache": "none"}}}
    )


def test_a_field_removed_inside_an_element_goes_back_to_its_default() -> None:
    assert [Change(("disks", "a", "bus"), "scsi", "virtio")] == compare(
        {"disks": {"a": {}}},
        {"disks": {"a": {"bus": "scsi"}}},
        {"disks": {"a": {"bus": "scsi"}}},
    )


def test_a_removed_section_of_sets_only_is_removed() -> None:
    assert [Change(("seed",), {"meta": {"a": "b"}}, None)] == compare(
        {}, {}, {"seed": {"meta": {"a": "b"}}}
    )


def test_a_set_that_is_no_longer_set_is_emptied() -> None:
    assert [Change(("disks", "a"), {"bus": "virtio"}, None)] == compare(
        {}, {"disks": {"a": {"bus": "virtio"}}}, {"disks": {"a": {"bus": "virtio"}}}
    )


def test_a_list_differs_as_a_whole() -> None:
    assert [Change(("dns",), ["1.1.1.1", "9.9.9.9"], ["9.9.9.9"])] == compare(
        {"dns": ["9.9.9.9"]}, {"dns": ["1.1.1.1", "9.9.9.9"]}
    )


def test_a_change_of_type_is_a_change() -> None:
    assert [Change(("cpu", "count"), "2", 2)] == compare(
        {"cpu": {"count": 2}}, {"cpu": {"count": "2"}}
    )


def test_an_unknown_value_is_one_change() -> None:
    marker = {"$unknown": "Network/lan.bridge"}
    assert [Change(("bridge",), "virbr0", marker)] == compare(
        {"bridge": marker}, {"bridge": "virbr0"}
    )


def test_a_running_value_that_differs_is_a_change() -> None:
    assert [
        Change(("cpu", "count"), 4, 4, Impact.LIVE, "", running=2, differs_running=True)
    ] == compare({"cpu": {"count": 4}}, {"cpu": {"count": 4}}, running={("cpu", "count"): 2})


def test_a_running_value_of_a_field_never_set_is_none() -> None:
    observed = {"power": "x", "cpu": {"count": 1, "model": "qemu64"}}
    running: dict[Path, Json] = {("cpu", "model"): "other"}
    assert [] == compare({"power": "x"}, observed, running=running)
    assert [] == compare({"cpu": {"count": 1}}, observed, running=running)


def test_a_configured_difference_keeps_the_running_value() -> None:
    assert [
        Change(("cpu", "count"), 3, 4, Impact.LIVE, "", running=2, differs_running=True)
    ] == compare({"cpu": {"count": 4}}, {"cpu": {"count": 3}}, running={("cpu", "count"): 2})


def test_an_element_configured_but_not_running_is_a_change() -> None:
    assert [
        Change(("disks", "a"), {}, {}, Impact.LIVE, "", running=None, differs_running=True)
    ] == compare({"disks": {"a": {}}}, {"disks": {"a": {}}}, running={("disks", "a"): None})


def test_an_element_running_but_not_configured_is_a_change() -> None:
    assert [
        Change(("disks", "b"), None, None, Impact.LIVE, "", running={}, differs_running=True)
    ] == compare({"disks": {"a": {}}}, {"disks": {"a": {}}}, running={("disks", "b"): {}})


@pytest.mark.parametrize(
    ("desired", "pending", "expected"),
    [
        ({"disks": {"a": {}}}, (), False),
        ({"disks": {"a": {}}}, ("disks.b",), False),
        ({"disks": {"a": {}}}, ("disks.a",), True),
        ({"disks": {"a": {}}}, ("disks",), True),
        # Another value is wanted by now, which nobody has tried.
        ({"disks": {"a": {"bus": "scsi"}}}, ("disks.a",), False),
    ],
)
def test_a_change_says_whether_it_waits_for_a_restart_already(
    desired: dict[str, Any], pending: tuple[str, ...], expected: bool
) -> None:
    observed = {"disks": {"a": {"bus": "virtio"}}}
    changes = compare(desired, observed, running={("disks", "a"): None}, pending=pending)
    assert [expected] == [change.pending for change in changes if change.differs_running]


@pytest.mark.parametrize(
    ("desired", "recorded", "expected"),
    [
        ({"seed": {"text": "a"}}, {"seed": {"text": "a"}}, []),
        ({"seed": {"text": "a"}}, None, []),
        ({"seed": {"text": "b"}}, {"seed": {"text": "a"}}, [Change(("seed", "text"), "a", "b")]),
        ({}, {"seed": {"text": "a"}}, [Change(("seed",), {"text": "a"}, None)]),
    ],
)
def test_what_an_endpoint_cannot_tell_is_as_it_was_recorded(
    desired: dict[str, Any], recorded: dict[str, Any] | None, expected: list[Change]
) -> None:
    assert expected == compare(desired, {"cpu": {"count": 1}}, recorded)


def test_a_field_that_an_endpoint_cannot_tell_is_new_where_the_record_lacks_it() -> None:
    desired: dict[str, Any] = {"size": 1, "seed": {"user": "x"}}
    added = compare(desired, {"size": 1}, {"size": 1})
    assert [(("seed",), None, {"user": "x"})] == [(c.path, c.before, c.after) for c in added]
    assert [] == compare(desired, {"size": 1})


def test_an_element_that_waits_for_a_restart_is_configured_as_it_is_wanted() -> None:
    observed = {"disks": {"a": {"bus": "scsi", "cache": "none"}}}
    (change,) = compare({"disks": {"a": {"bus": "scsi"}}}, observed, running={("disks", "a"): None})
    assert (change.after, change.running) == (change.before, None)
    assert change.differs_running
