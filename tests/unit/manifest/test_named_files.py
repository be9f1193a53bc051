"""Files that manifests name: user data, images, and what is passed over because of them."""

import pytest

from provisioner.core.address import Address
from tests.unit.manifest.stacks import POOL, errors, load_stack, one, places, write

MACHINE = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: {size: 1GiB}
"""
WEB = Address("VirtualMachine", "web")
CLOUD = MACHINE + "  cloudInit: {userDataFile: cloud/user.yaml, networkConfigFile: ../net.yaml}\n"


def test_files_are_read_relative_to_the_manifest_and_left_as_they_are(tmp_path):
    user = "#cloud-config\nruncmd: [echo ${HOME} $${x} ${var.a} ${VirtualMachine/web.address}]\n"
    write(tmp_path, {"net.yaml": "version: 2\n", "sub/cloud/user.yaml": user})
    stack = load_stack(tmp_path, {"sub/a.yaml": CLOUD})
    assert {"userData": user, "networkConfig": "version: 2\n"} == stack.declarations[WEB].spec[
        "cloudInit"
    ]
    assert () == stack.declarations[WEB].references
    assert ("sub/a.yaml", "zz-base.yaml") == stack.files


def test_a_named_file_is_no_manifest_whatever_the_environment(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec:
          variables: {role: {type: string, default: front}}
          environments:
            dev: {}
            prod:
              variables: {role: back}
              overlays:
                VirtualMachine/web-${replica.index}:
                  metadata: {replicas: {count: 2}}
                  spec: {cloudInit: {networkConfigFile: "c/net-${replica.index:02}.yaml"}}
        ---
        apiVersion: provisioner/v1
        kind: VirtualMachine
        metadata: {name: "web-${replica.index}", replicas: {count: 1}}
        spec: {memory: {size: 1GiB}, cloudInit: {userDataFile: "c/${var.role}.yaml"}}
        """
    names = ("front", "back", "net-01", "net-02")
    write(tmp_path, {f"c/{name}.yaml": "packages: [\n" for name in (*names, "net-03")})
    assert ["PRV1010"] == [item.code for item in errors(tmp_path, {"a.yaml": text}, "dev")]
    (tmp_path / "c/net-03.yaml").unlink()
    for environment in (None, "dev", "prod"):
        assert [] == errors(tmp_path, {"a.yaml": text}, environment)


NAMED = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {variables: {image: {type: string, default: debian.qcow2}}}
---
apiVersion: provisioner/v1
kind: Image
metadata: {name: debian}
spec: {pool: images, source: {file: "NAME"}, format: qcow2}
---
"""


@pytest.mark.parametrize("name", ["${var.image}", "${var.none}", "*", "?*.yaml", "${x}.yaml"])
@pytest.mark.parametrize("place", ["more.yaml", "sub/more.yaml"])
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (POOL.replace("\n", "\n\t", 1), "PRV1011"),
        (POOL + "spec: {}\n", "PRV1012"),
        (POOL.replace("StoragePool", "StoragePol"), "PRV1102"),
        (POOL + "# \x00\n", "PRV1007"),
    ],
)
def test_a_broken_manifest_is_told_whatever_names_of_files_could_mean(
    tmp_path, name, place, broken, code
):
    files = {"a.yaml": NAMED.replace("NAME", name) + POOL, place: broken}
    assert code in {
        item.code
        for item in errors(tmp_path, files)
        if item.source is not None and item.source.file.endswith(place)
    }


def test_other_yaml_files_are_not_passed_over(tmp_path):
    write(tmp_path, {"other.yaml": "packages: []\n"})
    assert ["PRV1101 other.yaml:1:1"] == places(tmp_path, errors(tmp_path, {"a.yaml": MACHINE}))


@pytest.mark.parametrize(
    ("name", "code", "summary"),
    [
        ("nowhere", "PRV1241", "cannot be used: the file cannot be read"),
        ("folder", "PRV1241", "cannot be used: not a regular file"),
        ("latin", "PRV1243", "not UTF-8"),
        ("../out", "PRV1240", "outside"),
        ("/etc/hostname", "PRV1240", "outside"),
        ("link", "PRV1240", "outside"),
        ("large", "PRV1241", "too large"),
        (".loop", "PRV1241", "cannot be used: the file cannot be read"),
        ("x" * 300, "PRV1241", "cannot be used: the file cannot be read"),
        ('"a\\0b"', "PRV1241", "no file has such a name"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, code, summary):
    stack = tmp_path / "stack"
    (stack / "folder").mkdir(parents=True)
    (stack / "latin").write_bytes(b"K\xf6ln")
    (stack / "large").write_bytes(b"x" * (2**20 + 1))
    (tmp_path / "out").write_text("secret")
    (stack / "link").symlink_to("../out")
    (stack / ".loop").symlink_to(".loop")
    found = one(stack, MACHINE + f"  cloudInit: {{userDataFile: §{name}}}\n", code)
    assert summary in found.summary


def test_the_file_of_an_image_is_relative_to_the_stack_and_may_come_later(tmp_path):
    image = """\
        apiVersion: provisioner/v1
        kind: Image
        metadata: {name: debian}
        spec: {pool: images, source: {file: ../files/./debian.qcow2}, format: qcow2}
        """
    files = {"sub/a.yaml": image, "b.yaml": POOL}
    stack = load_stack(tmp_path, files)
    address = Address("Image", "debian")
    assert {"file": "files/debian.qcow2"} == stack.declarations[address].spec["source"]
    assert ["PRV1242"] == [item.code for item in stack.warnings]
    write(tmp_path, {"files/debian.qcow2": "x"})
    assert () == load_stack(tmp_path, files).warnings


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 5000, "File name too long."),
        (".loop", "Too many levels of symbolic links."),
        (".closed/x", "Permission denied."),
    ],
)
def test_the_file_of_an_image_that_cannot_be_looked_at(ordinary_user, name, reason):
    (ordinary_user / ".loop").symlink_to(".loop")
    (ordinary_user / ".closed").mkdir(mode=0)
    image = f"""\
        apiVersion: provisioner/v1
        kind: Image
        metadata: {{name: debian}}
        spec: {{pool: images, source: {{file: {name}}}, format: qcow2}}
        """
    (found,) = load_stack(ordinary_user, {"a.yaml": image, "b.yaml": POOL}).warnings
    assert ("PRV1242", reason) == (found.code, found.detail)
    assert len(found.summary) < 150


def test_a_file_outside_has_an_absolute_path(tmp_path):
    image = """\
        apiVersion: provisioner/v1
        kind: Image
        metadata: {name: debian}
        spec: {pool: images, source: {file: ../debian.qcow2}, format: qcow2}
        """
    stack = load_stack(tmp_path / "stack", {"a.yaml": image, "b.yaml": POOL})
    spec = stack.declarations[Address("Image", "debian")].spec
    assert str(tmp_path / "debian.qcow2") == spec["source"]["file"]
