"""``validate --changed``: the stacks that files belong to, each once in all of its environments."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle.commandline import CommandLine

HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {name: here}
spec: {provider: memory}
"""
NETWORK = """\
apiVersion: provisioner/v1
kind: Network
metadata: {name: lan}
spec: {mode: isolated, cidr: "10.${var.site}.0.0/24"}
"""
ENVIRONMENTS = """\
  environments:
    prod: {variables: {site: 1}}
    test: {variables: {site: 2}}
"""


def stack(name: str, rest: str = "  {}\n") -> str:
    kind = "apiVersion: provisioner/v1\nkind: Stack\n"
    return (
        f"{kind}metadata: {{name: {name}}}\nspec:\n  variables: {{site: {{type: integer}}}}\n{rest}"
    )


@pytest.fixture
def estate(cli: CommandLine) -> CommandLine:
    """A folder with the stacks ``shop`` (two environments) and ``net/lab`` (none)."""
    for path in cli.root.iterdir():
        path.unlink()
    cli.write("shop/stack.yaml", stack("shop", ENVIRONMENTS))
    cli.write("shop/web/net.yaml", NETWORK)
    cli.write("shop/web/user-data.txt", "#cloud-config\n")
    cli.write(
        "net/lab/stack.yml",
        stack("lab", "").replace("{type: integer}", "{type: integer, default: 3}"),
    )
    cli.write("net/lab/net.yaml", NETWORK)
    for folder in ("shop", "net/lab"):
        cli.write(f"{folder}/host.yaml", HOST)
    cli.write("README.md", "Stacks.\n")
    cli.write(".github/workflows/ci.yaml", "name: ci\n")
    return cli


def checked(estate: CommandLine, *files: str) -> list[str]:
    """``folder environment`` of what was checked."""
    found: dict[str, Any] = estate("validate", "--changed", "--json", *files).json
    return [" ".join([it["folder"], it["environment"] or "-"]) for it in found["stacks"]]


@pytest.mark.parametrize(
    "file",
    [
        "shop/stack.yaml",
        "shop/web/net.yaml",
        "shop/web/user-data.txt",
        "shop/web/gone.yaml",
        "shop/gone/folder/gone.yaml",
    ],
)
def test_a_file_belongs_to_the_stack_above_it(estate: CommandLine, file: str) -> None:
    assert ["shop prod", "shop test"] == checked(estate, file)


def test_each_stack_is_checked_once(estate: CommandLine) -> None:
    files = ("shop/host.yaml", "net/lab/net.yaml", "shop/stack.yaml", str(estate.root / "shop/x"))
    assert ["net/lab -", "shop prod", "shop test"] == checked(estate, *files)


def test_files_of_no_stack_are_passed_over(estate: CommandLine) -> None:
    finished = estate("validate", "--changed", "README.md", ".github/workflows/ci.yaml", "gone")
    assert 0 == finished.code
    assert "Nothing to validate: no changed file belongs to a stack.\n" == finished.out


def test_a_stack_of_another_tool_is_none(estate: CommandLine) -> None:
    estate.write("pulumi/stack.yaml", "apiVersion: pulumi.com/v1\nkind: Stack\n")
    assert [] == checked(estate, "pulumi/stack.yaml")


def test_one_that_is_wrong_fails_the_check(estate: CommandLine) -> None:
    estate.write("shop/web/net.yaml", NETWORK.replace("cidr", "cdir"))
    finished = estate("validate", "--changed", "shop/web/net.yaml", "net/lab/net.yaml")
    assert 1 == finished.code
    assert 1 == finished.err.count("shop/web/net.yaml:4")
    assert [
        "net/lab: Valid: lab, 1 resource on 1 host in 3 files.",
        "shop, environment prod: not valid, 1 error.",
        "shop, environment test: not valid, 1 error.",
    ] == finished.out.splitlines()


def test_what_is_wrong_in_one_environment_only_is_found(estate: CommandLine) -> None:
    estate.write("shop/stack.yaml", stack("shop", ENVIRONMENTS.replace("site: 2", "site: 300")))
    found = estate("validate", "--changed", "--json", "shop/stack.yaml")
    assert 1 == found.code
    assert [True, False] == [item["valid"] for item in found.json["stacks"]]


def test_a_stack_manifest_that_cannot_be_read_is_an_error(estate: CommandLine) -> None:
    estate.write("shop/stack.yaml", stack("shop") + "  - [\n")
    assert 1 == estate("validate", "--changed", "shop/host.yaml").code


@pytest.mark.parametrize("way", ["kind", "deletion"])
def test_manifests_without_a_stack_are_an_error(estate: CommandLine, way: str) -> None:
    text = stack("shop").replace("Stack", "Stakc") if way == "kind" else ""
    estate.write("shop/stack.yaml", text)
    finished = estate("validate", "--changed", "--json", "shop/stack.yaml")
    assert 1 == finished.code
    assert ["PRV6041"] == [item["code"] for item in finished.json["diagnostics"]]


FLOW = [
    "{apiVersion: provisioner/v1, kind: Stack, metadata: {name: flow}, spec: {}}\n",
    '{"apiVersion":"provisioner/v1","kind":"Stack","metadata":{"name":"flow"},"spec":{}}\n',
]


@pytest.mark.parametrize("text", FLOW)
def test_a_stack_in_flow_style_is_one(estate: CommandLine, text: str) -> None:
    estate.write("flow/stack.yaml", text)
    assert ["flow -"] == checked(estate, "flow/stack.yaml")


@pytest.mark.parametrize("text", FLOW)
def test_a_manifest_in_flow_style_without_a_stack_is_an_error(
    estate: CommandLine, text: str
) -> None:
    estate.write("flow/host.yaml", text.replace("Stack", "Host"))
    finished = estate("validate", "--changed", "--json", "flow/host.yaml")
    assert ["PRV6041"] == [item["code"] for item in finished.json["diagnostics"]]


def test_the_reports_have_a_part_for_each_environment(estate: CommandLine) -> None:
    estate("validate", "--changed", "shop/host.yaml", "--junit", "found.xml")
    text = (estate.root / "found.xml").read_text()
    assert 1 == text.count('name="validate shop/prod"') == text.count('name="validate shop/test"')


def test_an_environment_cannot_be_chosen(estate: CommandLine) -> None:
    assert ["PRV6001"] == estate("validate", "--changed", "--env", "prod", "--json").codes


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True)


def test_a_staged_deletion_need_not_be_named(estate: CommandLine) -> None:
    git(estate.root, "init", "-q")
    git(estate.root, "add", ".")
    git(estate.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "All")
    assert [] == checked(estate)
    git(estate.root, "mv", "shop/web/net.yaml", "net/lab/more.yaml")
    assert ["shop prod", "shop test"] == checked(estate)
