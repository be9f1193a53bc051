"""Reports of runs of recovery plans: the page, Markdown, and the text."""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from shutil import which

import pytest

from provisioner.cli.render.recovery.markdown import render_markdown_report
from provisioner.cli.render.recovery.page import render_page
from provisioner.cli.render.recovery.report import render_report
from provisioner.cli.render.recovery.times import offset
from provisioner.service.recovery.reporting import Evidence, Report, Step
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.report import report
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import What
from tests.unit.workflows.recovery.told import many, run_of, shop

HOSTILE = "<img src=x onerror=alert(1)> | `x` \u202e\x1b[31m"


def evidence(found: Report) -> Evidence:
    return Evidence(found, {}, "d" * 64, "ed25519:" + "a" * 32)


def failover() -> Report:
    return report(run_of(shop(), Mode.FAILOVER, "gate/cache/1"))


def page(found: Report) -> str:
    return "\n".join(render_page(evidence(found)))


class Elements(HTMLParser):
    """All elements with their attributes, and texts by the class of what holds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self._open.append(dict(attrs).get("class") or tag)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((" ".join(self._open[-2:]), data))


def test_a_page_needs_nothing_else_and_runs_nothing() -> None:
    text = page(failover())
    found = Elements(text).found
    attributes = {name for _, given in found for name in given}
    assert set() == {"src", "href", "style", "onclick"} & attributes
    assert [] == [tag for tag, _ in found if tag in ("script", "link", "img", "iframe")]
    assert [] == re.findall(r"url\(|@import", text)
    (policy,) = (given["content"] for _, given in found if "http-equiv" in given)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" in str(policy)


def test_the_critical_path_is_marked_by_a_sign_and_what_failed_by_another() -> None:
    texts = Elements(page(failover())).texts
    signs = [text for place, text in texts if place.endswith(" sign")]
    assert ["critical sign"] * 3 == [place for place, text in texts if text == "\u25c6"][:3]
    assert (1, 1) == (signs.count("\u2717"), signs.count("\u2016"))
    assert any(text.startswith("connect to site-b: done, from 0:00 to 0:02") for _, text in texts)


def test_a_page_says_how_it_went_against_the_objectives() -> None:
    texts = [text for _, text in Elements(page(failover())).texts]
    assert "\u2717 3 of 5 machines recovered; MISSES the objective of 5 min" in texts
    assert any("at most 1 min 12 s of writes" in text for text in texts)
    assert {"d" * 64, "fenced 0:32", "Failed (1)", "Held back (1)", "Gates (4)"} <= set(texts)


def test_what_is_not_known_is_not_within_an_objective() -> None:
    unknown: dict[str, dict[str, object]] = {
        "stage/db": {"taken": None},
        "stage/web": {"inStep": True},
    }
    lines = render_report(evidence(report(run_of(shop(), Mode.TEST, results=unknown))), 200)
    (told,) = (line for line in lines if line.startswith("Recovery point:"))
    expected = "1 machine in step with every write; 1 machine of which it is not known; the others "
    assert told.endswith(f"{expected}within the objectives.")


def hostile(found: Report) -> Report:
    def titled(step: Step) -> Step:
        return replace(step, task=replace(step.task, title=HOSTILE), why=HOSTILE)

    steps, path = (tuple(map(titled, some)) for some in (found.steps, found.critical_path))
    answers = tuple(replace(item, text=HOSTILE, actor=HOSTILE) for item in found.answers)
    machines = tuple(replace(item, why=HOSTILE) for item in found.machines)
    return replace(found, steps=steps, critical_path=path, answers=answers, machines=machines)


def test_nothing_that_is_shown_becomes_markup() -> None:
    found = hostile(failover())
    text = page(found)
    usual = {tag for tag, _ in Elements(page(failover())).found}
    assert usual == {tag for tag, _ in Elements(text).found}
    for lines in (text, *render_markdown_report(evidence(found)), *render_report(evidence(found))):
        assert not {"\u202e", "\x1b"} & set(lines)
    rows = [line for line in render_markdown_report(evidence(found)) if "onerror" in line]
    # A table's bars, each cell that holds it in code.
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert {4, 5, 6, 10} == bars
    assert [] == [row for row in rows if re.search(r"(?<!`)<img", row)]


def test_a_run_of_very_many_machines_is_a_page_of_a_few_rows() -> None:
    text = page(report(run_of(many(700), Mode.TEST, "gate/vm-7/1")))
    elements = Elements(text)
    names = [words for place, words in elements.texts if place.endswith(" name")]
    assert "power-on: 233 steps" in names
    assert "vm-7: wait for 'up' on its console" in names
    assert len(names) < 50
    # 500 rows of each table at most, however many machines there are.
    assert len(text) < 500_000
    assert "200 more; the JSON has them." in [words for _, words in elements.texts]


def test_text_fits_a_terminal_and_says_what_a_page_does() -> None:
    lines = render_report(evidence(failover()))
    assert [] == [line for line in lines if len(line) > 80]
    assert "db       recovered  1 min 20 s  48.0 s      1 min 12 s  within 15 min" in "\n".join(
        re.sub(r"^db +", "db       ", line) for line in lines
    )
    assert "  cache: wait for port 6379: not within 15 s" in lines
    assert "2:35   15.0 s  web: wait for 'up' on its console" == lines[-1]


def test_what_was_given_up_or_begun_again_is_named_in_every_form() -> None:
    run = run_of(shop(), Mode.FAILOVER)
    cut = replace(run.tasks["start/web"], what=What.INTERRUPTED, beginnings=2)
    found = report(replace(run, tasks={**run.tasks, "start/web": cut}))
    texts = [
        "\n".join(render_report(evidence(found), 200)),
        "\n".join(render_markdown_report(evidence(found))),
        page(found),
    ]
    for text in texts:
        assert "the run was ended while it waited" in text
        assert "start web at site-b (2 times)" in text


def test_a_drill_that_was_not_cleared_away_says_so() -> None:
    lines = render_report(evidence(report(run_of(shop(), Mode.TEST))))
    assert "Left behind: the drill was not cleared away yet" in "\n".join(lines)
    cleared = report(run_of(shop(), Mode.TEST), run_of(shop(), Mode.CLEANUP, run="cleared"))
    assert "Left behind: 0 of 9 looked for (run cleared)." in render_report(evidence(cleared))


def test_of_a_reprotection_nothing_is_recovered_and_nothing_lost() -> None:
    text = "\n".join(render_report(evidence(report(run_of(shop(), Mode.REPROTECT)))))
    assert "db       replicated" in re.sub(r"\ndb +", "\ndb       ", text)
    assert [] == [words for words in ("Recovery", "not known", "recovered") if words in text]


def test_markdown_has_the_same_tables() -> None:
    lines = render_markdown_report(evidence(failover()))
    assert "<!-- provisioner report 20260301T025907Z-4 -->" == lines[0]
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert [
        "Machines (5)",
        "Failed (1)",
        "Held back (1)",
        "Answers",
        "Critical path: what the end waited for",
        "Stages",
    ] == headings


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3.9, "0:03"), (725, "12:05"), (3723, "1:02:03")]
)
def test_offsets(seconds: float, expected: str) -> None:
    assert expected == offset(seconds)


def test_a_run_without_steps() -> None:
    run = run_of(shop(), Mode.FAILOVER)
    empty = replace(run, runbook=Runbook("shop", "failover", ()), tasks={}, answers=())
    assert "<svg" in page(report(empty))


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    browser = which("chromium-headless-shell") or which("chromium")
    if browser is None:
        pytest.skip("there is no browser")
    path = tmp_path / "page.html"
    path.write_text(page(failover()), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/p"]
    shown = subprocess.run(
        [browser, *options, "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert 'class="gantt"' in shown.stdout
    assert "Content Security Policy" not in shown.stderr
