"""What may be declared by documents that cannot be used, so that nobody calls it missing."""

import pytest

from tests.unit.manifest.stacks import errors, places

DISK = """\
apiVersion: provisioner/v1
kind: Disk
metadata: {name: root}
spec: {pool: images, image: debian, size: 2GiB}
---
"""
POOL_HEAD = "apiVersion: provisioner/v1\nkind: StoragePool\nmetadata: {name: NAME}\n"
POOL_SPEC = "spec: {type: dir, path: /images}\n"


@pytest.mark.parametrize(
    ("broken", "codes"),
    [
        ("services: {}\n", ["PRV1101"]),
        ("- a\n", ["PRV1100"]),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n", ["PRV1101"]),
        ((POOL_HEAD + POOL_SPEC).replace("StoragePool", "Vm"), ["PRV1102"]),
        ((POOL_HEAD + POOL_SPEC).replace("kind: StoragePool\n", ""), ["PRV1101"]),
        ((POOL_HEAD + POOL_SPEC).replace("StoragePool", "StoragePol"), ["PRV1102"]),
        (POOL_HEAD + POOL_SPEC + "spec: {}\n", ["PRV1012"]),
        (POOL_HEAD + "spec: {type: dir, path: !x /a}\n", ["PRV1015"]),
        (POOL_HEAD + "spec: [\n", ["PRV1010"]),
        (POOL_HEAD + "spec:\n\ttype: dir\n", ["PRV1011"]),
    ],
)
def test_only_what_a_broken_document_may_declare_is_not_missed(tmp_path, broken, codes):
    """It may declare what has its name; a reference to anything else leads nowhere."""
    disk = DISK.replace(", image: debian", "").replace("images", "nowhere")
    files = {"a.yaml": disk, "b.yaml": broken.replace("NAME", "other")}
    assert ["PRV1301", *codes] == [item.code for item in errors(tmp_path, files)]
    files["b.yaml"] = broken.replace("NAME", "nowhere")
    wanted = codes if "NAME" in broken and "ConfigMap" not in broken else ["PRV1301", *codes]
    assert wanted == [item.code for item in errors(tmp_path, files)]


@pytest.mark.parametrize(
    ("name", "code", "meant", "not_meant"),
    [
        ("Bad_Name", "PRV1107", "bad-name", "other"),
        ("'x-${var.nope}'", "PRV1220", "x-y", "y-x"),
        ("'data-${replica.index:x}'", "PRV1221", "data-01", "date-01"),
        ("{}", "PRV1104", "anything", None),
    ],
)
def test_what_a_name_that_is_none_may_mean(tmp_path, name, code, meant, not_meant):
    pool = (POOL_HEAD + POOL_SPEC).replace("NAME", name)
    disk = DISK.replace(", image: debian", "")
    for target, missed in ((meant, False), (not_meant, True)):
        if target is not None:
            text = disk.replace("images", target) + pool
            found = [item.code for item in errors(tmp_path, {"a.yaml": text})]
            assert (["PRV1301"] if missed else []) + [code] == found


def test_one_kind_is_not_missed_for_another(tmp_path):
    """A broken Disk may have any name, but it is no pool."""
    broken = "apiVersion: provisioner/v1\nkind: Disk\nmetadata: {\n"
    found = errors(tmp_path, {"a.yaml": DISK.replace("debian", "nowhere"), "b.yaml": broken})
    assert ["PRV1301 a.yaml:4:14", "PRV1301 a.yaml:4:29", "PRV1010 b.yaml:3:11"] == places(
        tmp_path, found
    )
