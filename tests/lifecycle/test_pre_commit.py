"""``.pre-commit-hooks.yaml`` under the real pre-commit, in a repository with two stacks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lifecycle.test_cli_validate_changed import HOST, NETWORK

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {{name: {}}}\nspec: {{}}\n"


class Repository:
    """A git repository with the stacks ``one`` and ``two``, and the hook."""

    def __init__(self, root: Path, source: dict[str, object]) -> None:
        self.root = root / "repository"
        self.environ = {
            **os.environ,
            "PRE_COMMIT_HOME": str(root / "pre-commit"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        for name in ("one", "two"):
            self.write(f"{name}/stack.yaml", STACK.format(name))
            self.write(f"{name}/host.yaml", HOST)
            self.write(f"{name}/net.yaml", NETWORK.replace("${var.site}", "4"))
        self.write(".pre-commit-config.yaml", yaml.safe_dump({"repos": [source]}))
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", ".")
        self.run("git", "commit", "-qm", "Begin")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=280
        )

    def hook(self, *arguments: str) -> tuple[int, list[str]]:
        """Run it on what is staged; the exit code and the lines that the program printed."""
        self.run("git", "add", "-A")
        done = self.run(str(BIN / "pre-commit"), "run", "--verbose", *arguments)
        return done.returncode, [
            line for line in done.stdout.splitlines() if line.startswith(("one", "two", "Nothing"))
        ]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The hook with the program of this environment."""
    hooks = [{**hook, "language": "system", "entry": f"{BIN / hook['entry']}"} for hook in HOOKS]
    return Repository(tmp_path, {"repo": "local", "hooks": hooks})


def test_only_the_stack_that_changed_is_checked(repository: Repository) -> None:
    repository.write("one/user-data.txt", "#cloud-config\n")
    assert (0, ["one: Valid: one, 1 resource on 1 host in 3 files."]) == repository.hook()


def test_an_error_stops_the_commit(repository: Repository) -> None:
    repository.write("two/net.yaml", NETWORK)
    assert (1, ["two: not valid, 1 error."]) == repository.hook()


def test_a_deletion_is_a_change(repository: Repository) -> None:
    (repository.root / "two/host.yaml").unlink()
    assert (1, ["two: not valid, 1 error."]) == repository.hook()


def test_other_files_change_no_stack(repository: Repository) -> None:
    repository.write("README.md", "Stacks.\n")
    nothing = "Nothing to validate: no changed file belongs to a stack."
    assert (0, [nothing]) == repository.hook()


def test_all_files_are_all_stacks(repository: Repository) -> None:
    code, lines = repository.hook("--all-files")
    assert (0, ["one", "two"]) == (code, [line.partition(":")[0] for line in lines])


def test_what_a_branch_deletes_is_a_change(repository: Repository) -> None:
    """As a pipeline asks it."""
    (repository.root / "two/host.yaml").unlink()
    repository.run("git", "commit", "-aqm", "Remove the host", "--no-verify")
    expected = (1, ["two: not valid, 1 error."])
    assert expected == repository.hook("--from-ref", "HEAD~1", "--to-ref", "HEAD")


@pytest.mark.slow
def test_pre_commit_installs_the_program_from_its_repository(tmp_path: Path) -> None:
    """With what pip fetches, as in a repository of a user."""
    project = tmp_path / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "All"], ["tag", "v1"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    hooks = [{"id": hook["id"]} for hook in HOOKS]
    repository = Repository(tmp_path, {"repo": str(project), "rev": "v1", "hooks": hooks})
    repository.write("two/net.yaml", NETWORK)
    assert (1, ["two: not valid, 1 error."]) == repository.hook()
