"""docs/gitops/gitlab: the scripts of the pipeline's jobs, run as they stand."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.lifecycle.junit import outcomes
from tests.lifecycle.team import NEEDS_JQ, Team

pytestmark = NEEDS_JQ
REVIEWED = "jobs/artifacts/refs%2Fmerge-requests%2F7%2Fhead/raw/shop.plan?job=plan"


class Job(NamedTuple):
    """How a job ended, and where it ran."""

    code: int
    folder: Path


class GitLab:
    """Runs jobs: what the platform does beside their scripts."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.jobs = 500

    def run(self, name: str, folder: Path, **variables: str) -> Job | None:
        """Run a job; None if its rules leave it out of such a pipeline."""
        pipeline: dict[str, Any] = yaml.safe_load(self.team.recipe("gitlab/.gitlab-ci.yml"))
        job = pipeline[name]
        self.jobs += 1
        environ = {
            "CI_API_V4_URL": "https://gitlab.example.org/api/v4",
            "CI_PROJECT_ID": "3",
            "CI_JOB_ID": str(self.jobs),
            "CI_JOB_URL": f"https://gitlab.example.org/jobs/{self.jobs}",
            "CI_JOB_TOKEN": "token-of-the-job",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": self.team.git(folder, "rev-parse", "HEAD"),
            "NOTE_TOKEN": "token-of-the-project",
            **pipeline["variables"],
            **variables,
        }
        if not any(_holds(rule["if"], environ) for rule in job["rules"]):
            return None
        script = "\n".join([*pipeline["default"]["before_script"], *job["script"]])
        code = self.team.run(script, folder, environ)
        for path in job.get("artifacts", {}).get("paths", []):
            file = folder / path
            if file.exists():
                self.team.answers[f"/jobs/{self.jobs}/artifacts/{path}"] = str(file)
                if code == 0 and name == "plan" and path == "shop.plan":
                    self.team.answers[REVIEWED] = str(file)
        return Job(code, folder)


def _holds(rule: str, variables: dict[str, str]) -> bool:
    def value(text: str) -> str:
        return text.strip('"') if text[0] == '"' else variables.get(text[1:], "")

    for part in rule.split("&&"):
        left, _, right = (word.strip() for word in part.partition("=="))
        assert re.fullmatch(r'\$\w+( == (\$\w+|"\w+"))?', part.strip())
        if not (value(left) == value(right) if right else value(left)):
            return False
    return True


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def gitlab(team: Team) -> GitLab:
    return GitLab(team)


def plan(gitlab: GitLab, labels: str = "", project: str = "3") -> Job | None:
    return gitlab.run(
        "plan",
        gitlab.team.checkout(branch="change"),
        CI_PIPELINE_SOURCE="merge_request_event",
        CI_MERGE_REQUEST_IID="7",
        CI_MERGE_REQUEST_LABELS=labels,
        CI_MERGE_REQUEST_SOURCE_PROJECT_ID=project,
        CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
    )


def apply(gitlab: GitLab, reviewed: int | None = None) -> Job | None:
    gitlab.team.answers["/merge_requests"] = [
        {"iid": 6, "state": "closed"},
        {"iid": 7, "state": "merged"},
    ]
    given = {"CI_PIPELINE_SOURCE": "push"}
    if reviewed is not None:
        given = {"CI_PIPELINE_SOURCE": "web", "REVIEWED_JOB": str(reviewed)}
    return gitlab.run("apply", gitlab.team.checkout(), CI_COMMIT_BRANCH="main", **given)


def test_what_was_reviewed_is_applied(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    planned = plan(gitlab)
    assert planned is not None
    assert 0 == planned.code
    assert team.comment.line.endswith("/api/v4/projects/3/merge_requests/7/notes")
    assert "Network/lan" in team.comment.text
    assert "passed" == outcomes(planned.folder / "plan.xml")["Network/lan"]
    counts = json.loads((planned.folder / "counts.json").read_text())
    assert {"create": 1, "update": 0, "delete": 0} == counts
    team.merge("change")
    assert apply(gitlab) == (0, gitlab.team.root / "jobs" / "2")
    assert ["Disk/old", "Network/lan", "StoragePool/pool"] == team.objects()
    assert team.comment.text.startswith("**Applied.**\n\n    ")
    assert 1 == len(list(team.place("/var/backups/provisioner/shop").iterdir()))


def test_what_others_have_merged_meanwhile_is_not_taken_back(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    team.git(team.author, "checkout", "-q", "main")
    team.network("dmz", 2)
    team.commit("main")
    states = str(team.place("/var/lib/provisioner/shop"))
    team.run("provisioner apply --yes stacks/shop", team.author, {"PROVISIONER_STATE": states})
    plan(gitlab)
    assert "Network/lan" in team.comment.text
    assert "Network/dmz" not in team.comment.text


def test_a_refused_plan_fails_the_job_until_a_label_consents(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    refused = plan(gitlab)
    assert refused is not None
    assert 5 == refused.code
    assert "**The gate refuses this plan.**" in team.comment.text
    assert "--allow-data-loss Disk/old" in team.comment.text
    assert "failure" == outcomes(refused.folder / "plan.xml")["Disk/old"]
    team.merge("change")
    # Merged all the same: nothing is applied that nobody consented to.
    stopped = apply(gitlab)
    assert stopped is not None
    assert 3 == stopped.code
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    consented = plan(gitlab, labels="bug,data-loss Disk/old")
    assert consented is not None
    assert 0 == consented.code
    applied = apply(gitlab)
    assert applied is not None
    assert (0, ["StoragePool/pool"]) == (applied.code, team.objects())


def test_a_plan_that_has_moved_is_shown_anew_and_applied_on_demand(
    gitlab: GitLab, team: Team
) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    plan(gitlab)
    team.merge("change")
    team.network("dmz", 2)
    team.commit("main")
    moved = apply(gitlab)
    assert moved is not None
    assert (3, ["Disk/old", "StoragePool/pool"]) == (moved.code, team.objects())
    assert f"with `REVIEWED_JOB` set to `{gitlab.jobs}`" in team.comment.text
    assert "Network/dmz" in team.comment.text
    again = apply(gitlab, reviewed=gitlab.jobs)
    assert again is not None
    assert 0 == again.code
    assert ["Disk/old", "Network/dmz", "Network/lan", "StoragePool/pool"] == team.objects()


def test_what_a_fork_asks_for_is_not_planned(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    assert plan(gitlab, project="44") is None


def test_drift_opens_one_issue(gitlab: GitLab, team: Team) -> None:
    def drift() -> int | None:
        job = gitlab.run("drift", team.checkout(), CI_PIPELINE_SOURCE="schedule")
        return job and job.code

    assert (0, []) == (drift(), team.told)
    team.outside.remove("Disk", "old")
    team.answers = {"/issues?labels=drift-shop&state=opened": []}
    assert 2 == drift()
    assert "title=Drift in stacks/shop" in team.comment.line
    assert team.comment.line.endswith("/api/v4/projects/3/issues")
    assert "\n    Disk/old  drifted\n        it is gone" in team.comment.text
    team.answers = {"/issues?labels=drift-shop&state=opened": [{"iid": 12}]}
    assert 2 == drift()
    assert team.comment.line.endswith("/api/v4/projects/3/issues/12/notes")
