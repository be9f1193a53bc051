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


MARKER = "<!-- provisioner plan shop/ -->"
BOT = {"login": "github-actions[bot]"}


class Job(NamedTuple):
    """How the last job of a workflow ended: its exit code, what its steps came to by their ids, and
    the environment that it waited for."""

    code: int
    outcomes: dict[str, str]
    actions: list[str]
    environment: str = ""


class GitHub:
    """Runs workflows: what the platform does beside the steps."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.runs = 100
        self.broken = ""
        """An action that fails."""

    def run(self, file: str, checkout: Path, **context: Any) -> Job:
        """Run the jobs of a workflow in a checkout. ``context`` as expressions see it."""
        workflow = yaml.safe_load(self.team.recipe(f"github/{file}"))
        self.runs += 1
        for question in ("/comments?per_page=100", "issue list"):
            self.team.answers.setdefault(question, [])
        needs: dict[str, Any] = {}
        known = {"needs": needs, **context}
        known["github"] = {"token": "t", "repository": REPOSITORY, **context.get("github", {})}
        done = Job(-1, {}, [])
        for name, job in workflow["jobs"].items():
            if not _value(job.get("if", "true"), known, lambda: True):
                return Job(-1, {}, [])
            steps: dict[str, Any] = {}
            inside = {**known, "steps": steps}
            done = self._job(job, workflow, checkout, inside)
            if done.code:
                break
            needs[name] = {"outputs": _filled(job.get("outputs", {}), inside)}
        return done

    def _job(
        self, job: Mapping[str, Any], workflow: Mapping[str, Any], checkout: Path, known: Any
    ) -> Job:
        steps = known["steps"]
        environ = {
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": str(self.runs),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_WORKFLOW": workflow["name"],
            "GITHUB_SHA": self.team.git(checkout, "rev-parse", "HEAD"),
            **workflow["env"],
        }
        environ |= _filled(job.get("env", {}), known)
        environment = _filled({"name": job.get("environment", "")}, known)["name"]
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
                if actions[-1] == self.broken and not step.get("continue-on-error"):
                    code = 1
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
        outcomes = {name: step["outcome"] for name, step in steps.items()}
        return Job(code, outcomes, actions, environment)

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


def apply(github: GitHub, reviewed: str, *labels: str, by_hand: str | None = None) -> Job:
    """Apply what is merged. ``reviewed`` is the run that made the plan, ``labels`` what the pull
    request has now, ``by_hand`` the consents of somebody who starts it.
    """
    checkout = github.team.checkout()
    commit = github.team.git(checkout, "rev-parse", "HEAD")
    merged = {"merged_at": "2025-03-01T12:00:00Z", "head": {"sha": "feed"}}
    elsewhere = {"number": 6, "merge_commit_sha": "beef", "labels": [{"name": "max-impact x"}]}
    github.team.answers = {
        f"/commits/{commit}/pulls": [
            {**merged, **elsewhere},
            {
                **merged,
                "number": 7,
                "merge_commit_sha": commit,
                "labels": [{"name": label} for label in labels],
            },
        ],
        "/workflows/plan.yml/runs?head_sha=feed&status=success": {
            "workflow_runs": [{"id": int(reviewed)}]
        },
    }
    given = {"run": "", "consents": ""}
    if by_hand is not None:
        given = {"run": reviewed, "consents": by_hand}
    return github.run("apply.yml", checkout, inputs=given)


def test_what_was_reviewed_is_applied(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    # Private repositories may have no code scanning.
    github.broken = "github/codeql-action/upload-sarif"
    planned = plan(github)
    assert 0 == planned.code
    comments = f"repos/{REPOSITORY}/issues/7/comments"
    posted = f"gh api --silent --method POST {comments} --field body=@comment.md"
    assert posted == team.comment.line
    assert f"{MARKER}\n{MARKER}\n" == team.comment.text[: 2 * len(MARKER) + 2]
    assert "Network/lan" in team.comment.text
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    assert "actions/upload-artifact" in planned.actions
    reviewed = str(github.runs)
    team.merge("change")
    applied = apply(github, reviewed)
    assert (0, "shop") == (applied.code, applied.environment)
    assert ["Disk/old", "Network/lan", "StoragePool/pool"] == team.objects()
    assert "gh pr comment 7 --body-file comment.md" == team.comment.line
    assert "**Apply: success.**" in team.comment.text
    assert "1 step done" in team.comment.text
    assert 1 == len(list(team.place("/var/backups/provisioner/shop").iterdir()))


def test_what_is_not_about_the_stack_passes(github: GitHub, team: Team) -> None:
    team.branch("change")
    (team.author / "README.md").write_text("Stacks.\n")
    team.commit("change")
    job = plan(github)
    assert (0, ["actions/checkout"], []) == (job.code, job.actions, team.told)


def test_a_refused_plan_fails_and_a_person_may_consent_after_the_merge(
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
    # Merged all the same: nothing is applied that nobody consented to, or that nobody has seen.
    team.merge("change")
    assert 3 == apply(github, str(github.runs)).code
    consent = "data-loss Disk/old"
    assert 3 == apply(github, str(github.runs), by_hand=consent).code
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    applied = apply(github, str(github.runs), by_hand=consent)
    assert (0, "shop-consent") == (applied.code, applied.environment)
    assert ["StoragePool/pool"] == team.objects()


def test_a_label_consents_until_it_is_withdrawn(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    labels = ("bug", "data-loss Disk/old")
    assert 0 == plan(github, *labels).code
    reviewed = str(github.runs)
    team.merge("change")
    withdrawn = apply(github, reviewed, "bug")
    assert (3, "shop") == (withdrawn.code, withdrawn.environment)
    assert "a consent was withdrawn" in team.comment.text
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    applied = apply(github, reviewed, *labels)
    assert (0, "shop-consent") == (applied.code, applied.environment)
    assert ["StoragePool/pool"] == team.objects()


def test_mistakes_are_told_in_the_comment_that_was_there(github: GitHub, team: Team) -> None:
    team.branch("change")
    team.write("pool.yaml", "kind: StoragePol\n")
    team.commit("change")
    marked = f"{MARKER}\nno plan"
    team.answers = {
        "/comments?per_page=100": [
            {"id": 1, "user": {"login": "stranger"}, "body": marked},
            {"id": 2, "user": BOT, "body": "**Apply: success.**"},
            {"id": 3, "user": BOT, "body": marked.replace("shop", "lab")},
            {"id": 4, "user": BOT, "body": marked},
            {"id": 5, "user": BOT, "body": f"**Not applied:**\n{MARKER}"},
        ]
    }
    assert 1 == plan(github).code
    mine = f"repos/{REPOSITORY}/issues/comments/4"
    assert f"gh api --silent --method PATCH {mine} --field body=@comment.md" == team.comment.line
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
    assert f"with the run\n`{github.runs}`" in team.comment.text
    assert "Network/dmz" in team.comment.text
    assert 0 == apply(github, str(github.runs), by_hand="").code
    assert ["Disk/old", "Network/dmz", "Network/lan", "StoragePool/pool"] == team.objects()


def test_what_a_fork_asks_for_is_not_planned(github: GitHub, team: Team) -> None:
    pull = {**PULL, "head": {"repo": {"full_name": "stranger/infrastructure"}}}
    job = github.run("plan.yml", team.checkout(), github={"event": {"pull_request": pull}})
    assert -1 == job.code
    assert [] == team.told


def test_drift_has_one_issue_until_it_is_gone(github: GitHub, team: Team) -> None:
    def drift(*issues: dict[str, Any], broken: bool = False) -> tuple[int, list[str]]:
        """How the job ended, and what it told since the last one."""
        before = len(team.told)
        team.answers = {"issue list": list(issues)}
        checkout = team.checkout()
        if broken:
            (checkout / "stacks" / "shop").rename(checkout / "stacks" / "moved")
        code = github.run("drift.yml", checkout).code
        lines = [told.line for told in team.told[before:]]
        return code, [line for line in lines if not line.startswith("gh issue list")]

    def issue(*texts: str) -> dict[str, Any]:
        return {"number": 12, "body": texts[0], "comments": [{"body": it} for it in texts[1:]]}

    comment = "gh issue comment 12 --body-file body.md"
    assert (0, []) == drift()
    assert (0, [comment, "gh issue close 12"]) == drift(issue("old"))
    assert "`stacks/shop` is again as it was applied last.\n" == team.comment.text
    team.outside.remove("Disk", "old")
    title = "--title Drift in stacks/shop --label drift-shop"
    assert (2, [f"gh issue create {title} --body-file body.md"]) == drift()
    found = team.comment.text
    assert "`stacks/shop` is not as it was applied last." in found
    assert "\n    Disk/old  drifted\n        it is gone" in found
    assert (2, []) == drift(issue(found, "I see to it."))
    assert (1, [comment]) == drift(issue(found), broken=True)
    assert "cannot be told" in team.comment.text
    assert "\n    error[PRV6003]" in team.comment.text
    assert (2, [comment]) == drift(issue(found, team.comment.text))
