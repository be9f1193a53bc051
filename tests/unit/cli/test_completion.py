"""Shell completion: scripts for three shells, and candidates for what was typed so far."""

import os
import subprocess
import sys

import pytest


def candidates(*words: str) -> list[str]:
    """What bash would offer for the last word."""
    finished = subprocess.run(
        [sys.executable, "-m", "provisioner"],
        env={
            **os.environ,
            "_PROVISIONER_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["provisioner", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
    )
    assert "" == finished.stderr
    return [line.partition(",")[2] for line in finished.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "provisioner", "completion", shell], capture_output=True, text=True
    )
    assert (0, "") == (finished.returncode, finished.stderr)
    assert f"_PROVISIONER_COMPLETE={shell}_complete" in finished.stdout


def test_bash_takes_the_script() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "provisioner", "completion", "bash"], capture_output=True, text=True
    ).stdout
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (0, "") == (checked.returncode, checked.stderr)


def test_commands() -> None:
    assert {
        "show",
        "state",
        "snapshot",
        "schema",
    } == set(candidates("s"))


def test_commands_of_a_group() -> None:
    assert {"restore"} == set(candidates("state", "re"))


def test_options() -> None:
    assert {"--max-impact"} == set(candidates("plan", "--max"))


def test_values() -> None:
    assert ["replace", "restart"] == sorted(candidates("plan", "--max-impact", "re"))
