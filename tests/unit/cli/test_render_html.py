"""The page that shows a plan: complete, safe, and without anything from elsewhere."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli.render.html.page import render_html
from provisioner.core.actions import Action, Impact
from provisioner.engine.plan import Plan
from provisioner.providers.api import Change
from provisioner.service.schema import Vocabulary
from tests.golden_support import CheckGolden
from tests.unit.cli import plans
from tests.unit.cli.test_render_drawing import tiers
from tests.unit.cli.test_render_markdown import COMMAND, FOREIGN, hostile

VOCABULARY = Vocabulary()
BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome")
EMPTY = {"meta", "input"}
OURS = {
    *("html", "head", "meta", "title", "style", "body", "script", "header", "main", "footer"),
    *("section", "h1", "h2", "p", "pre", "div", "code", "span", "strong", "ins", "del", "a"),
    *("table", "thead", "tbody", "tr", "th", "td", "ul", "li", "dl", "dt", "dd", "figure"),
    *("label", "input", "button", "output", "details", "summary"),
    *("svg", "desc", "defs", "marker", "path", "g", "rect", "text"),
}


def rendered(plan: Plan) -> str:
    return "\n".join(render_html(plan, VOCABULARY, COMMAND))


class Page(HTMLParser):
    """The elements of a page, their texts, and whether each was closed where it has to be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - of the parser
        raise AssertionError(f"HTML has no <{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@pytest.mark.parametrize("name", ["creations", "updates", "destruction", "bookkeeping"])
def test_golden(name: str, check_golden: CheckGolden) -> None:
    text = rendered(plans.PLANS[name]())
    parts = r"(<(style|script)>).*?(</\2>)"
    text = re.sub(parts, r"\1\3", text, flags=re.DOTALL)
    check_golden(f"cli/plan-{name}.html", re.sub("'sha256-[^']+'", "'sha256-...'", text) + "\n")


def test_its_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = Page(rendered(tiers()))
    (policy,) = [
        value
        for _, name, value in page.attributes
        if name == "content" and value and "src" in value
    ]
    hashes = {
        tag: b64encode(sha256("".join(page.texts[tag]).encode()).digest()).decode()
        for tag in ("style", "script")
    }
    assert (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}';"
        f" script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    ) == policy
    assert not {name for _, name, _ in page.attributes} & {"style", "src", "onclick", "onload"}


def test_it_needs_nothing_from_elsewhere() -> None:
    page = Page(rendered(tiers()))
    links = {value for _, name, value in page.attributes if name in ("href", "src", "action")}
    assert [] == [link for link in links if not str(link).startswith("#")]
    assert {"http://www.w3.org/2000/svg"} == set(
        re.findall(r"https?://[^\"' ]+", rendered(tiers()))
    )


def test_what_links_lead_to_is_there() -> None:
    page = Page(rendered(plans.destruction()))
    names = {value for _, name, value in page.attributes if name == "id"}
    links = {str(value)[1:] for _, name, value in page.attributes if name == "href"}
    labels = {
        part
        for _, name, value in page.attributes
        if name == "aria-labelledby"
        for part in str(value).split()
    }
    assert links | labels <= names
    assert len(names) == len([1 for _, name, _ in page.attributes if name == "id"])


def test_it_reads_without_a_script() -> None:
    """What is hidden until the script runs are the script's own tools."""
    page = Page(rendered(plans.destruction()))
    assert ["div"] == [tag for tag, name, _ in page.attributes if name == "hidden"]
    assert {"details", "summary", "table"} <= set(page.tags)


def test_no_sensitive_value() -> None:
    assert "hunter2" not in rendered(plans.creations())


def test_what_destroys_stands_first_and_unfolded() -> None:
    text = rendered(plans.destruction())
    names = re.findall(r'<section aria-labelledby="\S+" id="([^"]+)"|<section id="([^"]+)"', text)
    found = [first or second for first, second in names]
    assert ["data_loss", "replace", "delete", "held", "dependencies"] == found
    assert 2 == text.count('<details class="step replace" open')


def test_very_many_steps_that_destroy_are_folded() -> None:
    steps = [
        plans.step(f"Disk/d{n}", Action.DELETE, impact=Impact.DATA_LOSS, reason="r")
        for n in range(21)
    ]
    assert "<details open" not in re.sub(r' class="[^"]*"', "", rendered(plans.plan(*steps)))


@settings(max_examples=40, deadline=None)
@given(st.lists(FOREIGN, min_size=6, max_size=6))
def test_nothing_from_outside_is_taken_for_markup(texts: list[str]) -> None:
    text = "\n".join(render_html(hostile(texts), VOCABULARY, ["provisioner", texts[5]]))
    page = Page(text)
    assert set(page.tags) <= OURS
    assert {name for _, name, _ in page.attributes} & {"style", "src", "srcdoc"} == set()
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not re.search("[\u2028\u202e\x1b\r]", text)


def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on the PATH: {' or '.join(BROWSERS)}")
    return found


def in_a_browser(text: str, folder: Path, *options: str) -> str:
    """The page as it is once its scripts have run."""
    path = folder / "plan.html"
    path.write_text(text, encoding="utf-8")
    finished = subprocess.run(
        [
            browser(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/profile",
            *options,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return finished.stdout


def test_a_browser_runs_the_script(tmp_path: Path) -> None:
    """It shows its tools, which the policy would not let it do if the hash did not fit."""
    assert '<div class="tools">' in in_a_browser(rendered(tiers()), tmp_path)


MEASURE = """
const table = document.querySelector(".scroll");
const heads = [...document.querySelectorAll(".step")].map(
  (step) => [".sign", ".action"].map((name) => step.querySelector(name).getBoundingClientRect()));
document.title = JSON.stringify({
  cut: table.scrollWidth - table.clientWidth,
  apart: heads.filter(([sign, action]) => (sign.top + sign.bottom) / 2 < action.top).length,
});
"""


def test_nothing_is_cut_or_torn_apart_on_a_narrow_page(tmp_path: Path) -> None:
    steps = [
        plans.step(f"VirtualMachine/{name}", action, {"a": 1}, impact=Impact.REPLACE, reason="r")
        for action in Action
        for name in ("web02", "with-a-longer-name")
    ]
    text = re.sub("<meta [^>]*Content-Security-Policy[^>]*>", "", rendered(plans.plan(*steps)))
    text = text.replace("</body>", f"<script>{MEASURE}</script></body>")
    shown = in_a_browser(text, tmp_path, "--window-size=400,900", "--hide-scrollbars")
    (found,) = re.findall(r"<title>(\{.*?\})</title>", shown)
    assert {"cut": 0, "apart": 0} == json.loads(found)


# What a folded row says


def rows(plan: Plan) -> list[str]:
    found = re.findall(
        '<(?:summary|div class="step[^>]*)>(<span.*?)</(?:summary|div)>', rendered(plan)
    )
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in found]


def test_a_row_says_what_waits_and_why_a_step_is_held() -> None:
    step = plans.step(
        "VirtualMachine/db",
        Action.UPDATE,
        impact=Impact.LIVE,
        changes=(
            Change(("memory", "size"), 1, 2, Impact.LIVE),
            Change(("firmware", "type"), "bios", "uefi", Impact.RESTART),
        ),
        deferred=(("firmware", "type"),),
    )
    held = replace(plans.destruction().held[0], changes=step.changes, reason="it moves")
    assert [
        "~ update VirtualMachine/db on lab live 1 field waits for a restart",
        "- delete VirtualMachine/vault on lab replace it is protected (metadata.protect)",
    ] == rows(plans.plan(step, held=(held,)))


def test_a_command_for_very_many_steps_is_folded() -> None:
    steps = [plans.step(f"Disk/d{n}", Action.DELETE, impact=Impact.DATA_LOSS) for n in range(600)]
    text = rendered(plans.plan(*steps))
    folded = "<details><summary>The command, for 600 addresses</summary><pre>provisioner plan"
    assert (True, 600) == (folded in text, text.count("--allow-data-loss"))


def test_all_of_a_long_text_that_is_set_is_there() -> None:
    script = "\n".join(f"line {n}" for n in range(100))
    step = plans.step("VirtualMachine/web", Action.CREATE, {"description": script})
    assert [] == [n for n in range(100) if f"+line {n}<" not in rendered(plans.plan(step))]
