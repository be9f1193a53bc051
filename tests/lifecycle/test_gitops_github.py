"""docs/gitops/github: the steps of the workflows, run as they stand."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.lifecycle.team import NEEDS_JQ, Team

pytestmark = NEEDS_JQ
REPOSITORY = "example/infrastructure"
PULL = {
    "number": 7,
    "head": {"repo": {"full_name": REPOSITORY}},
    "labels": [],
}


class Job(NamedTuple):
    """How a job ended: its exit code, and what its steps came to by their ids."""

    code: int
    outcomes: dict[str, str]
    actions: list[str]


class GitHub:
    """Runs workflows: what the platform does beside the steps."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.runs = 100

    def run(self, file: str, checkout: Path, **context: Any) -> Job:
        """Run the one job of a workflow in a checkout. ``context`` as expressions see it."""
        workflow = yaml.safe_load(self.team.recipe(f"github/{file}"))
        (job,) = workflow["jobs"].values()
        self.runs += 1
        steps: dict[str, Any] = {}
        known = {"steps": steps, **context}
        known["github"] = {"token": "t", "repository": REPOSITORY, **context.get("github", {})}
        if not _value(job.get("if", "true"), known, lambda: True):
            return Job(-1, {}, [])
        environ = {
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": str(self.runs),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_WORKFLOW": workflow["name"],
            "GITHUB_SHA": self.team.git(checkout, "rev-parse", "HEAD"),
            **workflow["env"],
        }
        environ |= _filled(job.get("env", {}), known)
        code = 0
        actions = []
        for number, step in enumerate(job["steps"]):
            known["env"] = environ
            condition = step.get("if", "true")
            wanted = code == 0 or "always()" in condition
            name = step.get("id", str(number))
            steps[name] = {"outcome": "skipped", "outputs": {}}
            if not (wanted and _value(condition, known, lambda: True, checkout)):
                continue
            if "uses" in step:
                actions.append(self._use(step, checkout, known))
                continue
            files = {name: checkout.parent / f"{self.runs}-{number}-{name}" for name in _FILES}
            for path in files.values():
                path.write_text("")
            own = _filled(step.get("env", {}), known)
            ended = self.team.run(
                step["run"],
                checkout,
                {**environ, **own, **{name: str(path) for name, path in files.items()}},
            )
            steps[name] = {
                "outcome": "failure" if ended else "success",
                "outputs": _pairs(files["GITHUB_OUTPUT"]),
            }
            environ |= _pairs(files["GITHUB_ENV"])
            code = code or ended
        return Job(code, {name: step["outcome"] for name, step in steps.items()}, actions)

    def _use(self, step: Mapping[str, Any], checkout: Path, known: Mapping[str, Any]) -> str:
        action, _, version = step["uses"].partition("@")
        assert re.fullmatch(r"v\d+", version), "pinned by the major version"
        given = _filled(step["with"], known)
        if action == "actions/checkout":
            assert "False" == given["persist-credentials"]
        elif action == "actions/upload-artifact":
            files = [checkout / path for path in given["path"].splitlines()]
            self.team.keep(str(self.runs), given["name"], files)
        else:
            assert "github/codeql-action/upload-sarif" == action
            json.loads((checkout / given["sarif_file"]).read_text())
        return action


_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_TOKEN = re.compile(r"'[^']*'|[a-z]+\(\)|hashFiles(?=\()|join(?=\()|[a-z_]+(?:\.[\w*]+)*")


def _value(
    text: str, known: Mapping[str, Any], always: Callable[[], bool], checkout: Path = Path()
) -> Any:
    """An expression of a workflow, as far as the recipes use them."""

    def python(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] == "'" or token.endswith("()") or token in ("join", "hashFiles", "true"):
            return "True" if token == "true" else token
        return f"look({token!r})"

    def look(path: str) -> Any:
        value: Any = known
        for part in path.split("."):
            if isinstance(value, list):
                value = value if part == "*" else [item[part] for item in value]
            else:
                value = (value or {}).get(part)
        return "" if value is None else value

    source = _TOKEN.sub(python, text).replace("&&", " and ").replace("||", " or ")
    names = {
        "look": look,
        "always": always,
        "join": lambda items, by: by.join(items),
        "hashFiles": lambda name: "x" if (checkout / name).exists() else "",
    }
    return eval(source.strip(), {"__builtins__": {}}, names)


def _filled(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: _EXPRESSION.sub(lambda match: str(_value(match[1], known, lambda: True)), str(value))
        for name, value in values.items()
    }


def _pairs(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def github(team: Team) -> GitHub:
    return GitHub(team)


def plan(github: GitHub, *labels: str) -> Job:
    pull = {**PULL, "labels": [{"name": label} for label in labels]}
    return github.run(
        "plan.yml", github.team.checkout("change"), github={"event": {"pull_request": pull}}
    )


def apply(github: GitHub, reviewed: str, *, dispatched: bool = False) -> Job:
    """Apply what is merged; ``reviewed`` is the run that made the plan."""
    github.team.answers = {
        "/pulls": [{"number": 7, "head": {"sha": "feed"}}],
        "--workflow plan.yml --commit feed --status success": [{"databaseId": reviewed}],
    }
    inputs = {"run": reviewed if dispatched else ""}
    return github.run("apply.yml", github.team.checkout(), inputs=inputs)


def test_what_was_reviewed_is_applied(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    planned = plan(github)
    assert 0 == planned.code
    assert (
        "gh pr comment 7 --body-file comment.md --edit-last --create-if-none" == team.comment.line
    )
    assert "Network/lan" in team.comment.text
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    assert "actions/upload-artifact" in planned.actions
    reviewed = str(github.runs)
    team.merge("change")
    assert 0 == apply(github, reviewed).code
    assert ["Disk/old", "Network/lan", "StoragePool/pool"] == team.objects()
    assert "**Apply: success.**" in team.comment.text
    assert "1 step done" in team.comment.text
    assert 1 == len(list(team.place("/var/backups/provisioner/shop").iterdir()))


def test_a_refused_plan_fails_the_job_and_says_what_would_allow_it(
    github: GitHub, team: Team
) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    refused = plan(github)
    assert 5 == refused.code
    assert "actions/upload-artifact" not in refused.actions
    assert "github/codeql-action/upload-sarif" in refused.actions
    assert "**The gate refuses this plan.**" in team.comment.text
    assert "--allow-data-loss Disk/old" in team.comment.text
    # Merged all the same: nothing is applied that nobody consented to.
    team.merge("change")
    github.team.answers = {"/pulls": [], "run list": []}
    assert 3 == github.run("apply.yml", team.checkout(), inputs={"run": ""}).code
    assert ["Disk/old", "StoragePool/pool"] == team.objects()


def test_a_label_consents(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    assert 0 == plan(github, "bug", "data-loss Disk/old").code
    reviewed = str(github.runs)
    team.merge("change")
    assert 0 == apply(github, reviewed).code
    assert ["StoragePool/pool"] == team.objects()


def test_mistakes_are_told(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.write("pool.yaml", "kind: StoragePol\n")
    team.commit("change")
    assert 1 == plan(github).code
    assert "**There is no plan for `stacks/shop`:**" in team.comment.text
    assert "\n    error[PRV1102]" in team.comment.text


def test_a_plan_that_has_moved_is_shown_anew_and_applied_on_demand(
    github: GitHub, team: Team
) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    plan(github)
    reviewed = str(github.runs)
    # Somebody else's change of the stack is merged, and not applied yet.
    team.branch("other")
    team.network("dmz", 2)
    team.commit("other")
    team.merge("other")
    team.merge("change")
    moved = apply(github, reviewed)
    assert (3, "skipped") == (moved.code, moved.outcomes["apply"])
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    assert "no longer the plan that was reviewed" in team.comment.text
    assert f"with the run `{github.runs}`" in team.comment.text
    assert "Network/dmz" in team.comment.text
    assert 0 == apply(github, str(github.runs), dispatched=True).code
    assert ["Disk/old", "Network/dmz", "Network/lan", "StoragePool/pool"] == team.objects()


def test_what_a_fork_asks_for_is_not_planned(github: GitHub, team: Team) -> None:
    pull = {**PULL, "head": {"repo": {"full_name": "stranger/infrastructure"}}}
    job = github.run("plan.yml", team.checkout(), github={"event": {"pull_request": pull}})
    assert -1 == job.code
    assert [] == team.told


def test_drift_opens_one_issue(github: GitHub, team: Team) -> None:
    team.answers = {"issue list": []}
    assert 0 == github.run("drift.yml", team.checkout()).code
    assert [] == team.told
    team.outside.remove("Disk", "old")
    assert 2 == github.run("drift.yml", team.checkout()).code
    title = "--title Drift in stacks/shop --label drift-shop"
    assert f"gh issue create {title} --body-file body.md" == team.comment.line
    assert "\n    Disk/old  drifted\n        it is gone" in team.comment.text
    team.answers = {"issue list": [{"number": 12}]}
    assert 2 == github.run("drift.yml", team.checkout()).code
    assert "gh issue comment 12 --body-file body.md" == team.comment.line
