"""Pools, images and disks without a daemon: canonical form, XML, names, impact of changes."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Change
from provisioner_plugins._libvirt import pool_xml
from provisioner_plugins._libvirt.disk import DiskRules
from provisioner_plugins._libvirt.image import ImageRules
from provisioner_plugins._libvirt.pool import PoolRules
from provisioner_plugins._libvirt.volume import (
    PARTIAL,
    VolumeFacts,
    VolumeId,
    build,
    checksum_marker,
    checksum_of,
    declared_format,
    identity_name,
    identity_names,
    image_volume,
    is_marker,
    place_to_make,
    pool_of,
    pool_reference,
)
from provisioner_plugins._libvirt.xml import parse, serialize
from tests.unit.libvirt.resources import in_pool, present, resource

DIR = {"type": "dir", "path": "/srv/images"}
MIB = 1 << 20
SHA = "0123456789abcdef" * 4


def codes(caught: pytest.ExceptionInfo[ProvisionerError]) -> list[str]:
    return [item.code for item in caught.value.diagnostics]


# --- pools ---------------------------------------------------------------------------------------

POOLS: list[dict[str, Any]] = [
    DIR,
    {
        "type": "netfs",
        "path": "/mnt/nas",
        "source": {"host": "nas", "directory": "/export", "format": "nfs"},
    },
    {
        "type": "logical",
        "path": "/dev/vg0",
        "source": {"volumeGroup": "vg0", "devices": ["/dev/sdb", "/dev/sdc"]},
    },
    {
        "type": "iscsi",
        "path": "/dev/disk/by-path",
        "source": {"host": "san", "target": "iqn.2024-01.a:b", "initiator": "iqn.2024-01.a:c"},
    },
]


@pytest.mark.parametrize("spec", POOLS, ids=lambda spec: str(spec["type"]))
def test_a_pool_s_definition_says_what_the_spec_says(spec: dict[str, Any]) -> None:
    document = parse(serialize(pool_xml.build("images", UUID(int=1), spec)))
    assert spec == pool_xml.read(document)
    described, notes = pool_xml.describe("images", UUID(int=1), document)
    # The path of a volume group follows from its name.
    shown = {key: spec[key] for key in spec if (spec["type"], key) != ("logical", "path")}
    assert (shown, ()) == (described, notes)
    assert str(UUID(int=1)) == document.findtext("uuid")


def test_paths_that_follow_from_the_type() -> None:
    logical = {"type": "logical", "source": {"volumeGroup": "vg0"}}
    assert "/dev/vg0" == pool_xml.target_path(logical)
    iscsi = {"type": "iscsi", "source": {"host": "san", "target": "iqn.2024-01.a:b"}}
    assert "/dev/disk/by-path" == pool_xml.target_path(iscsi)


def test_a_pool_of_a_type_that_the_model_lacks() -> None:
    document = parse("<pool type='rbd'><name>ceph</name><source><name>rbd</name></source></pool>")
    spec, notes = pool_xml.describe("ceph", UUID(int=1), document)
    assert {} == spec
    (note,) = notes
    assert note.startswith("the type rbd")


def pool(spec: dict[str, Any]) -> Any:
    return PoolRules().normalise(resource("StoragePool", "images", spec))


def test_a_pool_that_is_only_observed_has_its_type() -> None:
    with pytest.raises(ProvisionerError) as refused:
        pool({"autostart": True})
    assert "PRV2506" == refused.value.diagnostics[0].code


@pytest.mark.parametrize(
    ("written", "path"), [("/srv//images/", "/srv/images"), ("/", "/"), ("/a/../b", "/a/../b")]
)
def test_a_path_is_written_as_libvirt_keeps_it(written: str, path: str) -> None:
    assert path == pool({"type": "dir", "path": written})["path"]


def test_a_pool_has_no_place_for_labels() -> None:
    assert DIR == pool({**DIR, "labels": {"a": "b"}, "tenant": "shop"})


def test_the_path_of_a_volume_group_cannot_be_chosen() -> None:
    spec = {"type": "logical", "source": {"volumeGroup": "vg0"}}
    assert "/dev/vg0" == pool({**spec, "path": "/dev/vg0"})["path"]
    with pytest.raises(ProvisionerError) as caught:
        pool({**spec, "path": "/dev/vg1"})
    assert ["PRV2506"] == codes(caught)


@pytest.mark.parametrize("directory", ["/export", {"$unknown": "Disk/a:path"}])
def test_a_network_file_system_needs_a_path(directory: Any) -> None:
    spec = {"type": "netfs", "source": {"host": "nas", "directory": directory}}
    assert pool({**spec, "path": "/mnt/nas"})
    with pytest.raises(ProvisionerError) as caught:
        pool(spec)
    assert ["PRV2506"] == codes(caught)


def test_a_pool_s_fragments_are_checked() -> None:
    native = {"kvm": {"pool": ["<target><path>/elsewhere</path></target>"]}}
    with pytest.raises(ProvisionerError) as caught:
        pool({**DIR, "native": native})
    assert ["PRV2501"] == codes(caught)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(("autostart",), before=True, after=False), "live"),
        (Change(("type",), "dir", "dir", running="stopped", differs_running=True), "live"),
        (Change(("type",), None, "dir", running="dir", differs_running=True), "live"),
        (Change(("path",), "/a", "/b"), "replace"),
        (Change(("source", "host"), "a", "b"), "replace"),
        (Change(("native",), None, {}), "replace"),
    ],
)
def test_impacts_on_a_pool(change: Change, expected: str) -> None:
    (found,) = PoolRules().impact(resource("StoragePool", "p", DIR), present(DIR), [change])
    assert expected == found.impact.value


# --- names ---------------------------------------------------------------------------------------


def test_a_name_carries_the_identity() -> None:
    disk = resource("Disk", "web-root", {"pool": "images"})
    first = disk.uid.hex[:8]
    assert f"web-root.{first}.qcow2" == identity_name(disk.name, disk.uid, "qcow2")
    assert 3 == len(set(identity_names(disk)))
    assert identity_name(disk.name, disk.uid, "raw") in identity_names(disk)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [("a.1.raw", "raw"), ("a.1.iso", "iso"), ("a", "other"), ("qcow2", "other")],
)
def test_the_format_by_name(volume: str, expected: str) -> None:
    assert expected == declared_format(volume, "other")


def test_markers() -> None:
    marker = checksum_marker("boot.1.qcow2", SHA)
    names = ["boot.1.qcow2", marker, "boot.12.qcow2", f"boot.1.qcow2.sha256-{SHA[:-1]}"]
    assert f"sha256:{SHA}" == checksum_of("boot.1.qcow2", names)
    assert checksum_of("boot.12.qcow2", names) is None
    others = [f"x{PARTIAL}", "x.partial"]
    assert [marker, f"x{PARTIAL}"] == [name for name in [*names, *others] if is_marker(name)]


def test_an_external_id() -> None:
    volume = VolumeId("images", "a.b.qcow2")
    assert "images/a.b.qcow2" == str(volume)
    assert volume == VolumeId.parse("images/a.b.qcow2")


def test_references_to_pools_go_by_their_name_on_the_host() -> None:
    disk = in_pool("Disk", {}, DIR)
    (images,) = disk.related.values()
    renamed = replace(disk, related={images.address: replace(images, name="old-name")})
    assert ("images", "images") == (pool_of(disk), pool_reference(disk, "images"))
    assert ("old-name", "images") == (pool_of(renamed), pool_reference(renamed, "old-name"))
    assert "foreign" == pool_reference(disk, "foreign")
    assert "elsewhere" == pool_of(resource("Disk", "d", {"pool": "elsewhere"}))


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("images/deep.qcow2", "images/deep.qcow2"),
        ("images/deep", "images/deep"),
        ("images/deep.raw", None),
        ("other/deep.qcow2", None),
        (None, None),
    ],
)
def test_a_lost_volume_is_made_where_it_was(lost: str | None, expected: str | None) -> None:
    disk = resource("Disk", "data", {"pool": "images"}, external_id=lost)
    anew = VolumeId("images", identity_name("data", disk.uid, "qcow2"))
    assert (expected or str(anew)) == str(place_to_make(disk, "qcow2"))


def test_the_volume_of_an_image() -> None:
    uploaded = in_pool("Image", {"source": {"file": "x"}, "format": "qcow2"}, DIR)
    derived = VolumeId("images", identity_name("data", uploaded.uid, "qcow2"))
    assert derived == image_volume(uploaded)
    adopted = replace(uploaded, external_id="images/mine.qcow2")
    assert VolumeId("images", "mine.qcow2") == image_volume(adopted)
    borrowed = in_pool("Image", {"source": {"volume": "v.raw"}, "format": "raw"}, DIR)
    assert VolumeId("images", "v.raw") == image_volume(borrowed)


# --- volumes -------------------------------------------------------------------------------------


def test_a_volume_s_definition() -> None:
    document = build("d.qcow2", MIB, "qcow2", allocation=0, backing=("/srv/i.raw", "raw"))
    facts = VolumeFacts.read(document)
    assert ("d.qcow2", MIB, "qcow2", "/srv/i.raw") == (
        facts.name,
        facts.capacity,
        facts.probed,
        facts.backing,
    )
    assert "0" == document.findtext("allocation")
    assert build("d", 1, "raw").find("backingStore") is None


@pytest.mark.parametrize(
    ("backing", "expected"), [("base.raw", "/p/base.raw"), ("/q/base.raw", "/q/base.raw")]
)
def test_a_backing_file_may_be_named_relative_to_the_volume(backing: str, expected: str) -> None:
    document = build("d.qcow2", MIB, "qcow2", backing=(backing, "raw"))
    document.append(parse("<target><path>/p/d.qcow2</path></target>"))
    document.remove(document.findall("target")[0])
    assert expected == VolumeFacts.read(document).backing


def test_the_content_of_a_raw_volume_says_nothing() -> None:
    """libvirt looks into a raw file on which a guest has written the header of a qcow2 image."""
    document = parse(
        "<volume><name>d.raw</name><capacity unit='bytes'>99</capacity>"
        "<physical unit='bytes'>4096</physical>"
        "<target><path>/p/d.raw</path><format type='qcow2'/></target></volume>"
    )
    facts = VolumeFacts.read(document)
    assert ("raw", 4096) == (facts.format("raw"), facts.size("raw"))
    assert ("qcow2", 99) == (facts.format("qcow2"), facts.size("qcow2"))


# --- disks ---------------------------------------------------------------------------------------


def disk(spec: dict[str, Any], kind: str = "dir") -> Any:
    return DiskRules().normalise(in_pool("Disk", spec, {"type": kind}))


@pytest.mark.parametrize(
    ("spec", "kind", "field"),
    [
        ({"size": MIB}, "iscsi", "pool"),
        ({"size": MIB}, "logical", "format"),
        ({"image": "i", "format": "raw"}, "dir", "clone"),
        ({"image": "i", "preallocation": "full"}, "dir", "preallocation"),
        ({"size": 1000}, "dir", "size"),
        ({"size": 0}, "dir", "size"),
    ],
)
def test_a_disk_that_libvirt_cannot_make(spec: dict[str, Any], kind: str, field: str) -> None:
    with pytest.raises(ProvisionerError) as caught:
        disk(spec, kind)
    (problem,) = caught.value.diagnostics
    assert ("PRV2505", field) == (problem.code, problem.summary.partition(" ")[0])
    assert problem.hint


def test_the_hint_for_a_size_is_a_size_that_works() -> None:
    with pytest.raises(ProvisionerError) as caught:
        disk({"size": 1000})
    assert "Use 1KiB." == caught.value.diagnostics[0].hint


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"size": MIB, "format": "raw"}, "logical"),
        ({"image": "i", "clone": "full", "format": "raw", "preallocation": "full"}, "dir"),
        ({"image": "i"}, "dir"),
        ({"size": {"$unknown": "Disk/other.path"}}, "dir"),
    ],
)
def test_a_disk_that_it_can_make(spec: dict[str, Any], kind: str) -> None:
    assert {"pool": "images", **spec} == disk({**spec, "labels": {"a": "b"}}, kind)


@pytest.mark.parametrize(
    ("path", "after", "kind", "expected"),
    [
        (("size",), 2 * MIB, "dir", "live"),
        (("size",), MIB // 2, "dir", "data-loss"),
        (("size",), 2 * MIB, "logical", "data-loss"),
        (("size",), None, "dir", "none"),
        (("pool",), "other", "dir", "data-loss"),
        (("format",), "raw", "dir", "data-loss"),
        (("image",), "other", "dir", "data-loss"),
        (("clone",), "full", "dir", "data-loss"),
        (("native", "kvm", "volume"), ["x"], "dir", "data-loss"),
        (("retention",), "delete", "dir", "none"),
        (("preallocation",), "full", "dir", "none"),
    ],
)
def test_impacts_on_a_disk(path: Any, after: Any, kind: str, expected: str) -> None:
    observed = present({"size": MIB})
    about = in_pool("Disk", {"size": MIB}, {"type": kind})
    (found,) = DiskRules().impact(about, observed, [Change(path, None, after)])
    assert expected == found.impact.value


def test_a_disk_that_somebody_enlarged_is_best_kept_as_it_is() -> None:
    observed, about = present({"size": 16 * MIB}), in_pool("Disk", {"size": MIB}, DIR)
    change = Change(("size",), 16 * MIB, MIB)
    (found,) = DiskRules().impact(about, observed, [change])
    assert found.reason.startswith("write size: 16MiB to keep the disk as it is;")


# --- images --------------------------------------------------------------------------------------


def test_an_image_is_uploaded_into_files_only() -> None:
    spec = {"source": {"file": "x"}, "format": "raw"}
    rules = ImageRules()
    assert {"pool": "images", **spec} == rules.normalise(
        in_pool("Image", {**spec, "labels": {}}, DIR)
    )
    unknown_pool = resource("Image", "data", {"pool": "elsewhere", **spec})
    assert {"pool": "elsewhere", **spec} == rules.normalise(unknown_pool)
    with pytest.raises(ProvisionerError) as caught:
        rules.normalise(in_pool("Image", spec, {"type": "logical"}))
    assert ["PRV2504"] == codes(caught)
    borrowed = {"source": {"volume": "lv"}, "format": "raw"}
    assert {"pool": "images", **borrowed} == rules.normalise(
        in_pool("Image", borrowed, {"type": "logical"})
    )


@pytest.mark.parametrize(
    ("path", "after", "expected"),
    [
        (("checksum",), f"sha256:{SHA}", "replace"),
        (("checksum",), None, "none"),
        (("source", "file"), "other", "replace"),
        (("retention",), "keep", "none"),
    ],
)
def test_impacts_on_an_image(path: Any, after: Any, expected: str) -> None:
    about = in_pool("Image", {}, DIR)
    (found,) = ImageRules().impact(about, present({}), [Change(path, "before", after)])
    assert expected == found.impact.value


def test_addresses_of_related_resources_are_kinds_and_names() -> None:
    assert Address("StoragePool", "images") in in_pool("Disk", {}, DIR).related
