"""``provisioner init``: what it makes is valid, plans and applies as it is, and overwrites
nothing."""

import re
from pathlib import Path

import pytest

from tests.golden_support import CheckGolden
from tests.lifecycle.commandline import CommandLine, Finished


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my Shop 2"


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
    shown = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            text = re.sub(r"default: /\S+", "default: FOLDER/shop", path.read_text())
            shown.append(f"=== {path.name}\n{text}")
    check_golden("cli/init.txt", "\n".join(shown))


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
        assert f".provisioner/schemas/{kind[1].lower()}.v1.json" == schema
        assert (folder / schema).is_file()


def test_state_and_schemas_stay_out_of_version_control(cli: CommandLine, folder: Path) -> None:
    make(cli, folder)
    assert ".provisioner/" in (folder / ".gitignore").read_text().splitlines()


def test_nothing_is_overwritten(cli: CommandLine, folder: Path) -> None:
    folder.mkdir()
    (folder / "pool.yaml").write_text("mine\n")
    refused = cli("init", folder)
    assert (1, True) == (refused.code, "PRV6011" in refused.err)
    assert [folder / "pool.yaml"] == list(folder.iterdir())
    assert "mine\n" == (folder / "pool.yaml").read_text()


@pytest.mark.parametrize("name", ["Shop", "-x", "x" * 60, "a/b"])
def test_a_name_that_is_none(cli: CommandLine, folder: Path, name: str) -> None:
    refused = cli("init", folder, f"--name={name}")
    assert (1, True) == (refused.code, "PRV6013" in refused.err)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = cli("init", tmp_path / "file" / "stack")
    assert (1, True) == (refused.code, "PRV6012" in refused.err)


def test_schemas_for_editors(cli: CommandLine, tmp_path: Path) -> None:
    written = cli("schema", tmp_path / "schemas")
    assert 0 == written.code
    names = {path.name for path in (tmp_path / "schemas").iterdir()}
    assert {"definitions.v1.json", "manifest.v1.json", "virtualmachine.v1.json"} <= names
    assert names == {Path(line).name for line in written.out.splitlines()}
