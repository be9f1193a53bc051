"""The recipes are what their platforms read, and their scripts are in order."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lifecycle.team import RECIPES

BIN = Path(sys.executable).parent
GITHUB = sorted((RECIPES / "github").iterdir())
GITLAB = RECIPES / "gitlab" / ".gitlab-ci.yml"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def on(workflow: dict[Any, Any]) -> dict[str, Any]:
    """What starts a workflow; ``on`` is a truth value in YAML 1.1."""
    events: dict[str, Any] = workflow[True]
    return events


def scripts() -> Iterator[Any]:
    """Every script of every recipe, as its shell gets it."""
    for file in GITHUB:
        for job in read(file)["jobs"].values():
            for step in job["steps"]:
                if "run" in step:
                    yield pytest.param(step["run"], id=f"{file.name}: {step['name']}")
    pipeline = read(GITLAB)
    for name, job in pipeline.items():
        if "script" in job:
            lines = [*pipeline[job["extends"]]["before_script"], *job["script"]]
            yield pytest.param("\n".join(lines), id=f"gitlab: {name}")
    workflow = read(RECIPES / "atlantis" / "repos.yaml")["workflows"]["provisioner"]
    for name, stage in workflow.items():
        for step in stage["steps"]:
            if "run" in step:
                yield pytest.param(step["run"]["command"], id=f"atlantis: {name}")
    yield pytest.param((RECIPES / "atlantis" / "drift.sh").read_text(), id="atlantis: drift")


@pytest.mark.parametrize(
    ("schema", "files"), [("github-workflows", GITHUB), ("gitlab-ci", [GITLAB])]
)
def test_they_are_what_the_schema_of_the_platform_says(schema: str, files: list[Path]) -> None:
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stdout


@pytest.mark.parametrize("script", list(scripts()))
def test_scripts_are_in_order(script: str) -> None:
    done = subprocess.run(
        [BIN / "shellcheck", "--shell", "bash", "-"], input=script, capture_output=True, text=True
    )
    assert "" == done.stdout


@pytest.mark.parametrize("file", GITHUB, ids=lambda path: path.name)
def test_workflows_have_the_least_rights(file: Path) -> None:
    workflow = read(file)
    assert {} == workflow["permissions"]
    for job in workflow["jobs"].values():
        assert "read" == job["permissions"].pop("contents")
        assert not {"contents", "id-token", "packages"} & set(job["permissions"])
    assert {"pull_request_target", "workflow_run"}.isdisjoint(on(workflow))
    assert workflow["concurrency"]["group"].startswith(workflow["name"].replace(" ", "-"))


@pytest.mark.parametrize("file", GITHUB, ids=lambda path: path.name)
def test_no_text_of_others_gets_into_a_script(file: Path) -> None:
    """Expressions stand in ``env`` only: in a script, they would be part of its text."""
    for job in read(file)["jobs"].values():
        assert [] == [step["name"] for step in job["steps"] if "${{" in step.get("run", "")]


def test_what_a_merge_may_wait_for_is_never_left_out() -> None:
    """A required check that a filter of paths leaves out stays pending, and nothing is merged."""
    (github,) = (file for file in GITHUB if file.name == "plan.yml")
    assert {"types"} == set(on(read(github))["pull_request"])
    assert [{"if"}] == [set(rule) for rule in read(GITLAB)["plan shop"]["rules"]]


def test_what_is_planned_for_is_what_is_applied_for() -> None:
    plan, apply = (read(RECIPES / "github" / f"{name}.yml") for name in ("plan", "apply"))
    assert [f"{plan['env']['FILES']}/**"] == on(apply)["push"]["paths"]
    gitlab = read(GITLAB)
    files = gitlab[".shop"]["variables"]["FILES"]
    assert [f"{files}/**/*"] == gitlab["apply shop"]["rules"][0]["changes"]


def test_each_job_is_called_after_its_stack() -> None:
    names = [job["name"] for file in GITHUB for job in read(file)["jobs"].values()]
    names += [name for name, job in read(GITLAB).items() if "script" in job]
    assert [] == [name for name in names if "shop" not in name]


def test_the_hook_of_pre_commit_is_one() -> None:
    root = RECIPES.parents[1]
    done = subprocess.run(
        [BIN / "pre-commit", "validate-manifest", root / ".pre-commit-hooks.yaml"],
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stdout
