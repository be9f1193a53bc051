"""docs/gitops/atlantis: the commands of the workflow, run as they stand, and cron's script."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lifecycle.team import NEEDS_JQ, RECIPES, Team

pytestmark = NEEDS_JQ


class Atlantis:
    """Runs the stages of the workflow for the project of ``atlantis.yaml``: what the server does
    beside the commands."""

    def __init__(self, team: Team) -> None:
        self.team = team
        (project,) = yaml.safe_load(team.recipe("atlantis/atlantis.yaml"))["projects"]
        self.project = project
        server = yaml.safe_load(team.recipe("atlantis/repos.yaml"))
        (rules,) = server["repos"]
        assert project["workflow"] in rules["allowed_workflows"]
        self.workflow: dict[str, Any] = server["workflows"][project["workflow"]]
        self.folder = Path()

    def plan(self, *arguments: str) -> int:
        """Plan the branch ``change`` in a checkout of its own, with what a comment gave."""
        # The strategy "merge": the branch on top of what it goes to.
        self.folder = self.team.checkout("change") / self.project["dir"]
        words = ["".join(f"\\{char}" for char in word) for word in arguments]
        return self._stage("plan", COMMENT_ARGS=",".join(words))

    def apply(self) -> int:
        """Apply what was planned there."""
        assert self.planfile.exists(), "Atlantis applies nothing without it"
        return self._stage("apply")

    @property
    def planfile(self) -> Path:
        return self.folder / "shop-default.tfplan"

    def _stage(self, name: str, **more: str) -> int:
        environ = {
            "WORKSPACE": self.project["workspace"],
            "DIR": str(self.folder),
            "REPO_REL_DIR": self.project["dir"],
            "PROJECT_NAME": self.project["name"],
            "PLANFILE": str(self.planfile),
            "SHOWFILE": str(self.folder / "shop-default.json"),
            "PULL_NUM": "7",
            **more,
        }
        output = self.folder / "output.txt"
        for step in self.workflow[name]["steps"]:
            if "env" in step:
                into = self.folder / "value.txt"
                self.team.run(f"{step['env']['command']} >{into}", self.folder, environ)
                environ[step["env"]["name"]] = into.read_text().strip()
                continue
            run = step["run"]
            assert ("bash", ["-euo", "pipefail", "-c"]) == (run["shell"], run["shellArgs"])
            code = self.team.run(f"set -u\nexec >{output}\n{run['command']}", self.folder, environ)
            if code:
                return code
        return 0

    @property
    def output(self) -> str:
        """What Atlantis puts into its comment."""
        return (self.folder / "output.txt").read_text()


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def atlantis(team: Team) -> Atlantis:
    return Atlantis(team)


def test_what_was_planned_is_applied(atlantis: Atlantis, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    assert 0 == atlantis.plan()
    assert "+ create  Network/lan" in atlantis.output
    assert ["Disk/old", "StoragePool/pool"] == team.objects()
    assert 0 == atlantis.apply()
    assert "Applied: 1 step done." in atlantis.output
    assert ["Disk/old", "Network/lan", "StoragePool/pool"] == team.objects()
    assert 1 == len(list(team.place("/var/backups/provisioner/shop").iterdir()))


def test_a_refused_plan_leaves_nothing_to_apply_until_a_comment_consents(
    atlantis: Atlantis, team: Team
) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    assert 5 == atlantis.plan()
    assert "--allow-data-loss Disk/old" in atlantis.output
    assert not atlantis.planfile.exists()
    assert 0 == atlantis.plan("--allow-data-loss", "Disk/old")
    assert 0 == atlantis.apply()
    assert ["StoragePool/pool"] == team.objects()


def test_no_other_option_comes_from_a_comment(atlantis: Atlantis, team: Team) -> None:
    team.branch("change")
    team.network("lan", 1)
    team.commit("change")
    assert 1 == atlantis.plan("--var", "a=$(id)")
    assert "Only --max-impact and --allow-data-loss can be given, not --var." in atlantis.output


def test_a_plan_that_has_moved_is_refused(atlantis: Atlantis, team: Team) -> None:
    team.branch("change")
    team.write("old.yaml", "")
    team.commit("change")
    atlantis.plan("--allow-data-loss", "Disk/old")
    team.outside.remove("Disk", "old")
    assert 3 == atlantis.apply()
    assert "PRV3001" in atlantis.output
    assert "'atlantis plan -p shop'" in atlantis.output


def test_drift_has_one_issue_until_it_is_gone(team: Team) -> None:
    script = team.root / "drift.sh"
    script.write_text(team.recipe("atlantis/drift.sh"))
    script.chmod((RECIPES / "atlantis" / "drift.sh").stat().st_mode)
    clone = team.checkout()

    def drift(*texts: str, workspace: str = "default") -> tuple[int, list[str]]:
        """How it ended, and what it told since the last time. ``texts`` are those of the issue."""
        before = len(team.told)
        comments = [{"body": text} for text in texts[1:]]
        issue = {"number": 12, "body": "".join(texts[:1]), "comments": comments}
        team.answers = {"issue list": [issue] if texts else []}
        code = team.run(f"{script} {clone} stacks/shop shop {workspace}", team.root, {})
        lines = [told.line.partition(" --body-file")[0] for told in team.told[before:]]
        return code, lines[1:]

    assert (0, []) == drift()
    assert (0, ["gh issue comment 12", "gh issue close 12"]) == drift("old")
    team.outside.remove("Disk", "old")
    assert (2, ["gh issue create --title Drift in stacks/shop --label drift-shop"]) == drift()
    found = team.comment.text
    assert "\n    Disk/old  drifted\n        it is gone" in found
    assert (2, []) == drift(found, "I see to it.")
    assert (2, ["gh issue comment 12"]) == drift("another")
    # The stack declares no environments.
    title = "--title Drift in stacks/shop, prod --label drift-shop-prod"
    assert (1, [f"gh issue create {title}"]) == drift(workspace="prod")
    assert "cannot be told" in team.comment.text
    assert "\n    error[" in team.comment.text
