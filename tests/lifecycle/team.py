"""A team that works by pull requests, for the tests of docs/gitops: a git repository with a stack,
a runner whose folders stay, and stand-ins for the programs that reach the forge.

What the recipes say is executed as it stands, in bash; what a platform does by itself (check out,
pass artifacts and variables) is done by the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider

NEEDS_JQ = pytest.mark.skipif(shutil.which("jq") is None, reason="the recipes need jq")
RECIPES = Path(__file__).resolve().parents[2] / "docs" / "gitops"
RUNNER = "/var/"
"""Where the recipes keep what stays on the machine; the tests put a folder of their own there."""

STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: here}
spec: {provider: memory, connection: {path: OBJECTS}}
"""
POOL = """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {name: pool}
spec: {type: dir, path: /srv/pool}
"""
NETWORK = """\
apiVersion: provisioner/v1
kind: Network
metadata: {name: NAME}
spec: {mode: isolated, cidr: "10.NUMBER.0.0/24"}
"""
DISK = """\
apiVersion: provisioner/v1
kind: Disk
metadata: {name: old}
spec: {pool: pool, size: 1GiB, retention: delete}
"""

STAND_IN = '''\
#!PYTHON -I
"""Stands in for gh and curl: writes down what it is told to do, and answers as it was prepared."""
import json, pathlib, shutil, sys

home = pathlib.Path("HOME")
program, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
given = sys.stdin.read() if "--config" in arguments else ""
texts = []
for before, word in zip(["", *arguments], arguments):
    if before == "--body-file":
        texts.append(pathlib.Path(word).read_text())
    elif before == "--data-urlencode" and "@" in word and "=" not in word.partition("@")[0]:
        texts.append(pathlib.Path(word.partition("@")[2]).read_text())
    elif before == "--field" and word.startswith("body=@"):
        texts.append(pathlib.Path(word.partition("@")[2]).read_text())
line = " ".join([program, *arguments])
with (home / "log.jsonl").open("a") as log:
    log.write(json.dumps({"line": line, "text": "".join(texts), "given": given}) + "\\n")
if texts or {"close", "state_event=close"} & set(arguments):
    sys.exit(0)
if arguments[:2] == ["run", "download"]:
    run, _, name, _, folder = arguments[2:]
    shutil.copytree(home / "artifacts" / run / name, folder)
    sys.exit(0)
answers = json.loads((home / "answers.json").read_text())
answer = next((answer for part, answer in answers.items() if part in line), None)
if answer is None:
    print(f"nothing there: {line}", file=sys.stderr)
    sys.exit(22 if program == "curl" else 1)
if "--output" in arguments:
    shutil.copyfile(answer, arguments[arguments.index("--output") + 1])
else:
    print(json.dumps(answer))
'''


@dataclass(frozen=True, slots=True)
class Told:
    """What a stand-in was told: its command line, the text that it was given in files, and what it
    was given on standard input."""

    line: str
    text: str
    given: str


class Team:
    """The repository, the runner, and what was said to the forge."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, Any] = {}
        self._jobs = 0
        self.environ = {
            "HOME": str(root),
            "PATH": f"{root / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        for program in ("gh", "curl"):
            path = root / "bin" / program
            path.parent.mkdir(exist_ok=True)
            path.write_text(STAND_IN.replace("PYTHON", sys.executable).replace("HOME", str(root)))
            path.chmod(0o755)
        self.git(root, "init", "-q", "--bare", "-b", "main", "origin.git")
        self.git(root, "clone", "-q", "origin.git", "author")
        self.author = root / "author"
        self.git(self.author, "checkout", "-q", "-b", "main")
        self.write("stack.yaml", STACK.replace("OBJECTS", str(root / "objects.jsonl")))
        self.write("pool.yaml", POOL)
        self.write("old.yaml", DISK)
        self.commit("main")
        self.run(
            "provisioner apply --yes stacks/shop",
            self.author,
            {"PROVISIONER_STATE": str(self.place("/var/lib/provisioner/shop"))},
        )

    # The author

    def git(self, folder: Path, *arguments: str) -> str:
        """Run git; what it printed."""
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=self.environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()

    def write(self, name: str, text: str) -> None:
        """Write a file of the stack; an empty text removes it."""
        path = self.author / "stacks" / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            path.write_text(text)
        else:
            path.unlink()

    def network(self, name: str, number: int) -> None:
        """Declare a network."""
        text = NETWORK.replace("NAME", name).replace("NUMBER", str(number))
        self.write(f"{name}.yaml", text)

    def branch(self, name: str) -> None:
        """Begin a branch at what is merged now."""
        self.git(self.author, "checkout", "-q", "-B", name, "main")

    def commit(self, branch: str) -> str:
        """Commit and push everything; the commit."""
        self.git(self.author, "add", "-A")
        self.git(self.author, "commit", "-qm", "Change the stack")
        self.git(self.author, "push", "-q", "origin", branch)
        return self.git(self.author, "rev-parse", "HEAD")

    def merge(self, branch: str) -> str:
        """Merge a branch; the commit that it becomes."""
        self.git(self.author, "checkout", "-q", "main")
        self.git(self.author, "merge", "-q", "--no-ff", "--no-edit", branch)
        self.git(self.author, "push", "-q", "origin", "main")
        return self.git(self.author, "rev-parse", "HEAD")

    # The runner

    def place(self, path: str) -> Path:
        """A folder of the machine, ``/var/...`` in the recipes, as the tests have it."""
        return Path(str(path).replace(RUNNER, f"{self.root}/var/"))

    def recipe(self, name: str) -> str:
        """The text of a recipe, for this machine."""
        return (RECIPES / name).read_text(encoding="utf-8").replace(RUNNER, f"{self.root}/var/")

    def checkout(self, *merged: str, branch: str = "main") -> Path:
        """A new checkout of a branch, with others merged into it."""
        self._jobs += 1
        folder = self.root / "jobs" / str(self._jobs)
        self.git(self.root, "clone", "-q", "-b", branch, "origin.git", str(folder))
        for other in merged:
            self.git(folder, "merge", "-q", "--no-ff", "--no-edit", f"origin/{other}")
        return folder

    def run(self, script: str, folder: Path, environ: Mapping[str, str]) -> int:
        """Run a script as the platforms do it; the exit code."""
        (self.root / "answers.json").write_text(json.dumps(self.answers))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )
        return done.returncode

    def keep(self, run: str, name: str, files: list[Path]) -> None:
        """Keep an artifact of a run."""
        folder = self.root / "artifacts" / run / name
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy2(file, folder)

    @property
    def told(self) -> list[Told]:
        """Everything that the forge was told or asked."""
        log = self.root / "log.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [Told(**json.loads(line)) for line in lines]

    @property
    def comment(self) -> Told:
        """The text that the forge was given last."""
        return [told for told in self.told if told.text][-1]

    # The hosts

    @property
    def outside(self) -> Outside:
        """Somebody else on the host."""
        endpoint = Endpoint("here", "memory", {"path": str(self.root / "objects.jsonl")})
        return Outside(MemoryProvider().inventory(endpoint, self.root))

    def objects(self) -> list[str]:
        """What is on the host: ``Kind/name``, sorted."""
        return sorted(f"{item.kind}/{item.name}" for item in self.outside.objects())
