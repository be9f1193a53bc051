"""``provisioner init``: what it makes is valid, plans and applies as it is, and overwrites
nothing."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.golden_support import CheckGolden
from tests.lifecycle.commandline import CommandLine, Finished


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere") / "my Shop 2"


QCOW2 = b"QFI\xfb" + bytes(100)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "some image: 1.qcow2"
    path.write_bytes(QCOW2)
    return path


def make(cli: CommandLine, folder: Path, *options: str) -> Finished:
    made = cli("init", folder, *options)
    assert (0, "") == (made.code, made.err)
    return made


def on_memory(folder: Path) -> None:
    """The same stack on an endpoint that every machine has."""
    host = folder / "host.yaml"
    text = host.read_text().replace("provider: kvm", "provider: memory")
    host.write_text(text[: text.index("  connection:")] + "  connection: {path: objects.jsonl}\n")


def test_what_it_makes(cli: CommandLine, folder: Path, check_golden: CheckGolden) -> None:
    make(cli, folder, "--name", "shop")
    check_golden("cli/init.txt", shown(folder))


def test_what_it_makes_of_an_image(
    cli: CommandLine, folder: Path, image: Path, check_golden: CheckGolden
) -> None:
    make(cli, folder, "--name", "shop", "--image", str(image))
    check_golden("cli/init-image.txt", shown(folder).replace(str(image.parent), "FOLDER"))


def shown(folder: Path) -> str:
    texts = {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}
    return "\n".join(
        f"=== {name}\n{re.sub(r'default: /[^ ]+/shop', 'default: FOLDER/shop', text)}"
        for name, text in texts.items()
    )


def test_an_image_in_the_folder_is_named_relative_to_it(cli: CommandLine, folder: Path) -> None:
    folder.mkdir()
    (folder / "system.img").write_bytes(bytes(512))
    make(cli, folder, "--image", str(folder / "system.img"))
    text = (folder / "image.yaml").read_text()
    assert 'file: "system.img"\n  format: raw\n' in text


@pytest.mark.parametrize("name", ["nothing.qcow2", "."])
def test_an_image_that_is_none(cli: CommandLine, folder: Path, name: str) -> None:
    refused = cli("init", folder, "--image", name)
    assert (1, True) == (refused.code, "PRV6018" in refused.err)
    assert not folder.exists()


def test_with_an_image_it_is_valid_and_applies(cli: CommandLine, folder: Path, image: Path) -> None:
    make(cli, folder, "--image", str(image))
    valid = cli("validate", folder)
    assert (0, "") == (valid.code, valid.err)
    on_memory(folder)
    assert 0 == cli("apply", "--yes", folder).code
    assert 0 == cli("plan", "--detailed-exitcode", folder).code


def test_it_says_that_an_empty_disk_says_nothing(
    cli: CommandLine, folder: Path, image: Path
) -> None:
    assert "nothing to boot" in make(cli, folder).out
    other = folder.with_name("other")
    assert "nothing to boot" not in make(cli, other, "--image", str(image)).out


@pytest.mark.parametrize(("user", "told"), [(0, True), (1000, False)])
def test_it_tells_root_which_daemon_that_is(
    cli: CommandLine, folder: Path, user: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert told == ("systemctl start libvirtd" in make(cli, folder).out)


def test_it_is_valid_as_it_is(cli: CommandLine, folder: Path) -> None:
    make(cli, folder)
    valid = cli("validate", folder)
    assert (0, "Valid: my-shop-2, 4 resources on 1 host in 6 files.\n") == (valid.code, valid.out)


def test_it_plans_and_applies_as_it_is(cli: CommandLine, folder: Path) -> None:
    make(cli, folder)
    on_memory(folder)
    assert 0 == cli("apply", "--yes", folder).code
    assert 0 == cli("plan", "--detailed-exitcode", folder).code
    assert 0 == cli("destroy", "--yes", folder).code


def test_every_manifest_points_to_its_schema(cli: CommandLine, folder: Path) -> None:
    make(cli, folder)
    manifests = sorted(folder.glob("*.yaml"))
    assert 6 == len(manifests)
    for manifest in manifests:
        first, *_ = manifest.read_text().splitlines()
        schema = first.removeprefix("# yaml-language-server: $schema=")
        kind = re.search(r"^kind: (\w+)$", manifest.read_text(), re.MULTILINE)
        assert kind is not None
        assert f"schemas/{kind[1].lower()}.v1.json" == schema
        assert (folder / schema).is_file()


def test_a_clone_has_what_the_manifests_point_to(cli: CommandLine, folder: Path) -> None:
    """And not what was applied here."""
    make(cli, folder)
    on_memory(folder)
    assert 0 == cli("apply", "--yes", folder).code
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    listed = subprocess.run([*git, "ls-files"], capture_output=True, text=True, check=True)
    committed = listed.stdout.splitlines()
    assert [] == [name for name in committed if name.startswith(".provisioner")]
    for manifest in folder.glob("*.yaml"):
        first, *_ = manifest.read_text().splitlines()
        assert first.removeprefix("# yaml-language-server: $schema=") in committed


def test_schemas_are_brought_up_to_date_where_the_manifests_look(
    cli: CommandLine, folder: Path
) -> None:
    make(cli, folder)
    (folder / "schemas" / "disk.v1.json").write_text("{}")
    (command,) = re.findall(r"`provisioner (schema \w+)`", (folder / "README.md").read_text())
    assert 0 == cli("schema", folder / command.split()[1]).code
    assert "{}" != (folder / "schemas" / "disk.v1.json").read_text()


def test_nothing_is_overwritten(cli: CommandLine, folder: Path) -> None:
    folder.mkdir()
    (folder / "pool.yaml").write_text("mine\n")
    refused = cli("init", folder)
    assert (1, True) == (refused.code, "PRV6011" in refused.err)
    assert [folder / "pool.yaml"] == list(folder.iterdir())
    assert "mine\n" == (folder / "pool.yaml").read_text()


@pytest.mark.parametrize("name", ["infra.yml", "sub/infra.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        '# ours\napiVersion: "provisioner/v1"\nkind: Stack\n',
        "{apiVersion: provisioner/v1, kind: Stack}\n",
    ],
)
def test_a_folder_that_holds_a_manifest_is_left_alone(
    cli: CommandLine, folder: Path, name: str, text: str
) -> None:
    """Whatever its file is called: a second Stack would break the first."""
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    refused = cli("init", folder)
    assert (1, True) == (refused.code, "PRV6011" in refused.err)
    assert f"already holds a manifest: {name}" in " ".join(refused.err.split())
    assert [path] == [item for item in folder.rglob("*") if item.is_file()]


def test_manifests_of_other_tools_are_not_in_the_way(cli: CommandLine, folder: Path) -> None:
    folder.mkdir()
    (folder / "compose.yaml").write_text("services: {}\n")
    (folder / "pod.yml").write_text("apiVersion: v1\nkind: Pod\n")
    make(cli, folder)


def test_a_folder_of_another_stack_is_left_alone(cli: CommandLine, folder: Path) -> None:
    """It would become a part of it."""
    make(cli, folder)
    inside = folder / "more" / "of it"
    refused = cli("init", inside)
    assert (1, True) == (refused.code, "PRV6011" in refused.err)
    assert not inside.exists()


@pytest.mark.parametrize("name", ["Shop", "-x", "x" * 60, "a/b"])
def test_a_name_that_is_none(cli: CommandLine, folder: Path, name: str) -> None:
    refused = cli("init", folder, f"--name={name}")
    assert (1, True) == (refused.code, "PRV6013" in refused.err)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(cli: CommandLine, folder: Path) -> None:
    folder.write_text("")
    refused = cli("init", folder / "stack")
    assert (1, True) == (refused.code, "PRV6012" in refused.err)


def test_schemas_for_editors_and_programs(cli: CommandLine, tmp_path: Path) -> None:
    written = cli("schema", tmp_path / "schemas")
    assert 0 == written.code
    names = {path.name for path in (tmp_path / "schemas").iterdir()}
    assert {"definitions.v1.json", "manifest.v1.json", "virtualmachine.v1.json"} <= names
    results = {f"{name}.v1.schema.json" for name in ("plan", "plan-view", "drift")}
    assert results <= names
    assert names == {Path(line).name for line in written.out.splitlines()}
