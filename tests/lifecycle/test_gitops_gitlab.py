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
REVIEWED = "jobs/artifacts/refs%2Fmerge-requests%2F7%2Fhead/raw/shop.plan?job=plan%20shop"
MARKER = "<!-- provisioner plan shop/ -->"
DRIFT = "/issues?labels=drift-shop&state=opened"


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
        base = pipeline[job["extends"]]
        self.jobs += 1
        self.team.answers |= {"/api/v4/user": {"id": 9}}
        for question in ("/notes?", DRIFT):
            self.team.answers.setdefault(question, [])
        environ = {
            "CI_API_V4_URL": "https://gitlab.example.org/api/v4",
            "CI_PROJECT_ID": "3",
            "CI_JOB_ID": str(self.jobs),
            "CI_JOB_URL": f"https://gitlab.example.org/jobs/{self.jobs}",
            "CI_JOB_TOKEN": "token-of-the-job",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": self.team.git(folder, "rev-parse", "HEAD"),
            "NOTE_TOKEN": "token-of-the-project",
            **base["variables"],
            **variables,
        }
        if not any(_holds(rule["if"], environ) for rule in job["rules"]):
            return None
        script = "\n".join([*base["before_script"], *job["script"]])
        code = self.team.run(script, folder, environ)
        for path in job.get("artifacts", {}).get("paths", []):
            file = folder / path
            if file.exists():
                self.team.answers[f"/jobs/{self.jobs}/artifacts/{path}"] = str(file)
                if code == 0 and name == "plan shop" and path == "shop.plan":
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
        "plan shop",
        gitlab.team.checkout(branch="change"),
        CI_PIPELINE_SOURCE="merge_request_event",
        CI_MERGE_REQUEST_IID="7",
        CI_MERGE_REQUEST_LABELS=labels,
        CI_MERGE_REQUEST_SOURCE_PROJECT_ID=project,
        CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
    )


def apply(
    gitlab: GitLab, labels: str = "", reviewed: int | None = None, consents: str = ""
) -> Job | None:
    """Apply what is merged, with the labels that the merge request has now; or by hand."""
    checkout = gitlab.team.checkout()
    commit = gitlab.team.git(checkout, "rev-parse", "HEAD")
    merged = {"state": "merged", "merge_commit_sha": commit}
    gitlab.team.answers[f"/repository/commits/{commit}/merge_requests"] = [
        {**merged, "iid": 6, "merge_commit_sha": "beef", "labels": ["max-impact x"]},
        {**merged, "iid": 7, "labels": labels.split(",") if labels else []},
    ]
    given = {"CI_PIPELINE_SOURCE": "push"}
    if reviewed is not None:
        given = {
            "CI_PIPELINE_SOURCE": "web",
            "REVIEWED_JOB": str(reviewed),
            "CONSENTS": consents,
        }
    return gitlab.run("apply shop", checkout, CI_COMMIT_BRANCH="main", **given)


def test_what_was_reviewed_is_applied(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    planned = plan(gitlab)
    assert planned is not None
    assert 0 == planned.code
    assert team.comment.line.endswith("/api/v4/projects/3/merge_requests/7/notes")
    assert f"{MARKER}\n{MARKER}\n" == team.comment.text[: 2 * len(MARKER) + 2]
    assert "Network/lan" in team.comment.text
    assert "passed" == outcomes(planned.folder / "plan.xml")["Network/lan"]
    counts = json.loads((planned.folder / "counts.json").read_text())
    assert {"create": 1, "update": 0, "delete": 0} == counts
    team.merge("change")
    assert apply(gitlab) == (0, gitlab.team.root / "jobs" / "2")
    assert ["Disk/old", "Network/lan", "StoragePool/pool"] == team.objects()
    assert team.comment.text.startswith("**Applied.**\n\n    ")
    assert 1 == len(list(team.place("/var/backups/provisioner/shop").iterdir()))
    # Everybody on the machine can read the command line.
    assert [] == [told.line for told in team.told if "token-of" in told.line]
    headers = {
        'header = "PRIVATE-TOKEN: token-of-the-project"\n',
        'header = "JOB-TOKEN: token-of-the-job"\n',
    }
    assert headers == {told.given for told in team.told}


def test_what_is_not_about_the_stack_passes(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    (team.author / "README.md").write_text("Stacks.\n")
    team.commit("change")
    planned = plan(gitlab)
    assert planned is not None
    assert (0, []) == (planned.code, team.told)


def test_the_note_that_was_there_is_written_anew(gitlab: GitLab, team: Team) -> None:
    team.branch("change")
    team.write("pool.yaml", "kind: StoragePol\n")
    team.commit("change")
    marked = f"{MARKER}\nno plan"
    others = [{"id": number, "author": {"id": 2}, "body": marked} for number in range(100)]
    team.answers = {
        "per_page=100&page=1": others,
        "per_page=100&page=2": [
            {"id": 101, "author": {"id": 9}, "body": marked.replace("shop", "lab")},
            {"id": 102, "author": {"id": 9}, "body": marked},
            {"id": 103, "author": {"id": 9}, "body": f"**Not applied:**\n{MARKER}"},
        ],
    }
    planned = plan(gitlab)
    assert planned is not None
    assert 1 == planned.code
    assert "--request PUT" in team.comment.line
    assert team.comment.line.endswith("/projects/3/merge_requests/7/notes/102")
    assert "\n    error[PRV1102]" in team.comment.text


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


def test_a_refused_plan_fails_until_a_label_and_a_person_consent(
    gitlab: GitLab, team: Team
) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    refused = plan(gitlab)
    assert refused is not None
    assert 5 == refused.code
    assert "**The gate refuses this plan.**" in team.comment.text
    assert "--allow-data-loss Disk/old" in team.comment.text
    assert "failure" == outcomes(refused.folder / "plan.xml")["Disk/old"]
    labels = "bug,data-loss Disk/old"
    consented = plan(gitlab, labels=labels)
    assert consented is not None
    assert 0 == consented.code
    team.merge("change")
    withdrawn = apply(gitlab, "bug")
    assert withdrawn is not None
    assert (3, True) == (withdrawn.code, "a consent was withdrawn" in team.comment.text)
    # Labels are set by more people than those who may change the main branch.
    waiting = apply(gitlab, labels)
    assert waiting is not None
    assert (3, True) == (waiting.code, "what labels consent to" in team.comment.text)
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    applied = apply(gitlab, labels, reviewed=gitlab.jobs, consents="data-loss Disk/old")
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
    assert f"with `REVIEWED_JOB` set to\n`{gitlab.jobs}`" in team.comment.text
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


def test_drift_has_one_issue_until_it_is_gone(gitlab: GitLab, team: Team) -> None:
    def drift(
        description: str = "", *notes: str, broken: bool = False
    ) -> tuple[int | None, list[str]]:
        """How the job ended, and what it told since the last one: the ends of the lines."""
        before = len(team.told)
        team.answers = {
            DRIFT: [{"iid": 12, "description": description}] if description else [],
            "/issues/12/notes?": [
                {"id": number, "author": {"id": 9}, "body": text}
                for number, text in enumerate(notes)
            ],
        }
        checkout = team.checkout()
        if broken:
            (checkout / "stacks" / "shop").rename(checkout / "stacks" / "moved")
        job = gitlab.run("drift shop", checkout, CI_PIPELINE_SOURCE="schedule")
        lines = [told.line for told in team.told[before:] if "--request" in told.line]
        return job and job.code, [line.partition("/projects/3")[2] for line in lines]

    assert (0, []) == drift()
    assert (0, ["/issues/12/notes", "/issues/12"]) == drift("old")
    assert "`stacks/shop` is again as it was applied last.\n" == team.comment.text
    assert "--data state_event=close" in team.told[-1].line
    team.outside.remove("Disk", "old")
    assert (2, ["/issues"]) == drift()
    assert "title=Drift in stacks/shop" in team.comment.line
    found = team.comment.text
    assert "`stacks/shop` is not as it was applied last." in found
    assert "\n    Disk/old  drifted\n        it is gone" in found
    assert (2, []) == drift(found, "I see to it.")
    assert (1, ["/issues/12/notes"]) == drift(found, broken=True)
    assert "cannot be told" in team.comment.text
    assert "\n    error[PRV6003]" in team.comment.text
    assert (2, ["/issues/12/notes"]) == drift(found, team.comment.text)
