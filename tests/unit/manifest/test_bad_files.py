"""Files that cannot be read as manifests, and folders that are none."""

import os
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.manifest.folder import manifest_files
from tests.unit.manifest.stacks import (
    BASE,
    POOL,
    errors,
    errors_of,
    load_stack,
    places,
    write,
)

MIB = 2**20


def test_a_folder_that_is_not_there(tmp_path):
    (found,) = errors_of(tmp_path / "nowhere")
    assert "PRV1001" == found.code
    assert str(tmp_path / "nowhere") in found.summary


def test_a_file_instead_of_a_folder(tmp_path):
    write(tmp_path, {"stack.yaml": BASE})
    (found,) = errors_of(tmp_path / "stack.yaml")
    assert "PRV1001" == found.code
    assert "is a file" in found.summary


def test_no_manifests(tmp_path):
    write(tmp_path, {"README.md": "# nothing"})
    assert ["PRV1003"] == [item.code for item in errors_of(tmp_path)]


def test_only_empty_documents(tmp_path):
    write(tmp_path, {"a.yaml": "---\n# nothing\n---\n", "b.yaml": ""})
    assert ["PRV1003"] == [item.code for item in errors_of(tmp_path)]


def test_sixty_mebibytes(tmp_path):
    with (tmp_path / "big.yaml").open("wb") as stream:
        stream.truncate(60 * MIB)
    found = errors(tmp_path, {"a.yaml": POOL})
    assert ["PRV1004 big.yaml:1:1"] == places(tmp_path, found)
    assert "60.0 MiB, at most 32 MiB" in found[0].summary


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding(tmp_path, encoding):
    (tmp_path / "a.yaml").write_bytes(POOL.encode(encoding))
    found = errors(tmp_path, {})
    assert ["PRV1005 a.yaml:1:1"] == places(tmp_path, found)
    assert f"is {encoding.upper()}" in found[0].summary


def test_latin_1(tmp_path):
    (tmp_path / "a.yaml").write_bytes("a: 1\nname: Köln\n".encode("latin-1"))
    found = errors(tmp_path, {})
    assert ["PRV1005 a.yaml:2:8"] == places(tmp_path, found)
    assert "0xF6" in found[0].summary
    assert found[0].source is not None
    assert "name: K\ufffdln" == found[0].source.text


def test_a_byte_order_mark_is_allowed(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + POOL.encode())
    assert 1 == len(load_stack(tmp_path, {}).declarations)


def test_windows_line_ends(tmp_path):
    (tmp_path / "a.yaml").write_bytes(
        POOL.replace("type: dir", "type: dire").replace("\n", "\r\n").encode()
    )
    found = errors(tmp_path, {})
    assert ["PRV1106 a.yaml:4:14"] == places(tmp_path, found)
    assert found[0].source is not None
    assert "spec: {type: dire, path: /images}" == found[0].source.text


def test_a_file_that_may_not_be_read(ordinary_user):
    write(ordinary_user, {"a.yaml": BASE, "b.yaml": POOL})
    (ordinary_user / "b.yaml").chmod(0)
    found = errors_of(ordinary_user)
    assert ["PRV1002 b.yaml:1:1"] == places(ordinary_user, found)
    assert "Permission denied." == found[0].detail


def test_a_folder_that_may_not_be_read(ordinary_user):
    write(ordinary_user, {"a.yaml": BASE, "sub/b.yaml": POOL})
    (ordinary_user / "sub").chmod(0)
    assert ["PRV1002 sub:1:1"] == places(ordinary_user, errors_of(ordinary_user))


def test_a_folder_that_may_not_be_read_hides_no_other_mistake(ordinary_user):
    broken = POOL.replace("type: dir", "type: dire")
    write(ordinary_user, {"a.yaml": BASE, "sub/b.yaml": POOL, "z.yaml": broken})
    (ordinary_user / "sub").chmod(0)
    found = errors_of(ordinary_user)
    assert ["PRV1002 sub:1:1", "PRV1106 z.yaml:4:14"] == places(ordinary_user, found)


def test_a_stack_that_may_not_be_entered(ordinary_user):
    write(ordinary_user, {"stack/a.yaml": BASE})
    ordinary_user.chmod(0o644)
    (found,) = errors_of(ordinary_user / "stack")
    assert ("PRV1002", "Permission denied.") == (found.code, found.detail)


@pytest.mark.parametrize("name", ["loop", "loop.yaml"])
def test_a_link_to_itself(tmp_path, name):
    (tmp_path / name).symlink_to(name)
    found = errors(tmp_path, {"z.yaml": POOL.replace("type: dir", "type: dire")})
    assert [f"PRV1002 {name}:1:1", "PRV1106 z.yaml:4:14"] == places(tmp_path, found)
    assert "the link cannot be followed" == found[0].summary


def test_a_link_to_where_nobody_may_go(ordinary_user):
    write(ordinary_user, {"stack/a.yaml": BASE, "closed/more/b.yaml": POOL})
    (ordinary_user / "stack/more").symlink_to("../closed/more")
    (ordinary_user / "closed").chmod(0)
    found = errors_of(ordinary_user / "stack")
    assert ["PRV1002 more:1:1"] == places(ordinary_user / "stack", found)


def test_a_link_to_nowhere(tmp_path):
    (tmp_path / "a.yaml").symlink_to("nowhere.yaml")
    assert ["PRV1002 a.yaml:1:1"] == places(tmp_path, errors(tmp_path, {}))


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    assert ["PRV1006 a.yaml:1:1"] == places(tmp_path, errors(tmp_path, {}))


def test_which_files_belong_to_a_stack(tmp_path):
    write(
        tmp_path,
        {
            "b.yaml": "", "a.yml": "", "notes.txt": "", ".hidden.yaml": "", "x.yaml.bak": "",
            ".provisioner/state.yaml": "", "sub/c.yaml": "", "sub/deep/d.yml": "",
        },
    )  # fmt: skip
    (tmp_path / "sub/deep/loop").symlink_to(tmp_path)
    (tmp_path / "sub/again").symlink_to(tmp_path / "sub/deep")
    found = [path.as_posix() for path in manifest_files(tmp_path).files]
    assert ["a.yml", "b.yaml", "sub/again/d.yml", "sub/c.yaml"] == found


def test_a_folder_read_through_a_link(tmp_path):
    write(tmp_path / "real", {"a.yaml": BASE + "---\n" + POOL})
    (tmp_path / "link").symlink_to("real")
    assert [] == errors_of(tmp_path / "link")


def test_the_files_of_a_stack_are_named(tmp_path):
    stack = load_stack(tmp_path, {"sub/b.yaml": POOL, "a.yaml": BASE, "empty.yaml": ""})
    assert ("a.yaml", "sub/b.yaml") == stack.files


def test_a_missing_folder_is_an_error_of_its_own():
    with pytest.raises(ProvisionerError, match="PRV1001"):
        manifest_files(Path("/nowhere/at/all"))


def test_in_a_folder_without_a_stack_nothing_else_is_reported(tmp_path):
    """A home, say, in which lies whatever is called .yaml."""
    write(tmp_path, {f"{number}.yaml": "a: [\n" for number in range(3)})
    assert ["PRV1003"] == [item.code for item in errors_of(tmp_path)]


def test_a_stack_manifest_that_is_broken_is_not_missed(tmp_path):
    write(tmp_path, {"a.yaml": "apiVersion: provisioner/v1\nkind: Stack\nmetadata: [\n"})
    assert ["PRV1010"] == [item.code for item in errors_of(tmp_path)]


def test_a_folder_with_several_stacks_below_is_none(tmp_path):
    for name in ("one", "two"):
        write(tmp_path, {f"{name}/stack.yaml": BASE, f"{name}/pool.yaml": POOL + "what: 1\n"})
    (found,) = errors_of(tmp_path)
    assert "PRV1202" == found.code
    assert f"They are in {tmp_path}/one, {tmp_path}/two." == found.detail
