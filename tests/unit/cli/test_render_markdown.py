"""Plans as Markdown: what reviewers see, that nothing in a plan is taken for markup, and that it
always fits into a comment."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from provisioner.cli.render.markdown import LIMIT, code, marker, render_markdown
from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import warning
from provisioner.engine.plan import Kept, Plan, RestartPending, Step
from provisioner.providers.api import Change
from provisioner.service.schema import Vocabulary
from tests.golden_support import CheckGolden
from tests.unit.cli import plans

VOCABULARY = Vocabulary()
COMMAND = ("provisioner", "plan", "-o", "shop.plan")


def rendered(plan: Plan) -> str:
    return "\n".join(render_markdown(plan, VOCABULARY, COMMAND)) + "\n"


@pytest.mark.parametrize("name", plans.PLANS)
def test_golden(name: str, check_golden: CheckGolden) -> None:
    check_golden(f"cli/plan-{name}.md", rendered(plans.PLANS[name]()))


def test_what_destroys_stands_first() -> None:
    steps = [
        plans.step("Disk/new", Action.CREATE),
        plans.step("Network/changed", Action.UPDATE, impact=Impact.LIVE),
        plans.step("Network/gone", Action.DELETE, impact=Impact.LIVE),
        plans.step("VirtualMachine/slow", Action.UPDATE, impact=Impact.RESTART),
        plans.step("VirtualMachine/moved", Action.REPLACE, impact=Impact.REPLACE),
        plans.step("Disk/lost", Action.DELETE, impact=Impact.DATA_LOSS),
    ]
    found = re.findall(r"^- `\S+ \w+ \w+/(\w+)`", rendered(plans.plan(*steps)), re.MULTILINE)
    assert ["lost", "moved", "slow", "gone", "changed", "new"] == found


def test_no_sensitive_value() -> None:
    assert "hunter2" not in rendered(plans.creations())


def test_a_bot_finds_its_comment_by_the_first_line() -> None:
    """It is the same for every plan of the stack's environment, and for no other."""
    first = marker(plans.creations())
    assert [first] == render_markdown(plans.creations(), VOCABULARY)[:1]
    assert first == marker(replace(plans.nothing(), environment="prod"))
    assert first != marker(plans.nothing())


# Nothing is taken for markup

PIECES = [
    "<script>alert(1)</script>",
    "</details>",
    "</code>",
    "<!--",
    "-->",
    "@octocat",
    "#123",
    "!12",
    "[text](http://evil.example)",
    "![image](http://evil.example)",
    "http://evil.example",
    "| a | b |",
    "`",
    "```",
    "~~~",
    "**bold**",
    "\n\n# heading\n\n",
    "\n/close\n",
    "\r\n> quote\r\n",
    "&lt;",
    "&#64;",
    "\\`",
    "\u202e",
    "\u2028",
    "\x1b[2J",
    " ",
]
CANARY = "canary"
FOREIGN = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=4).map(
    lambda parts: CANARY + "".join(parts) + CANARY
)


def hostile(texts: list[str]) -> Plan:
    """A plan with such a text wherever one can come from outside, addresses too."""
    name, key, value, reason, other, command = texts

    def made(action: Action, impact: Impact, **rest: Any) -> Step:
        step = plans.step("Disk/d", action, {key: value, "more": {value: key}}, impact=impact)
        known = replace(step.known, address=Address("Disk", name))
        return replace(step, id=f"Disk/{name}", known=known, reason=reason, **rest)

    changes = (
        Change((key,), value, other, Impact.LIVE, reason),
        Change((other,), f"{value}\nb", f"{other}\nb", Impact.LIVE, reason),
        Change((name,), value, value, Impact.RESTART, reason, other, differs_running=True),
    )
    warned = warning("PRV1901", reason, detail=value, address=name)
    return plans.plan(
        made(Action.CREATE, Impact.NONE),
        made(Action.UPDATE, Impact.LIVE, changes=changes),
        made(Action.DELETE, Impact.DATA_LOSS),
        made(Action.RENAME, Impact.NONE, previous=made(Action.CREATE, Impact.NONE).known),
        stack=command,
        environment=other,
        held=(made(Action.DELETE, Impact.REPLACE, held=other),),
        pending=(RestartPending(Address("Disk", name), (key,), value, other, reason),),
        kept=(Kept(Address("Disk", name), reason),),
        undetermined=(warned,),
        warnings=(warned,),
        consents=(Address("Disk", name),),
    )


class Tags(HTMLParser):
    """What a piece of HTML holds outside of ``code``."""

    def __init__(self) -> None:
        super().__init__()
        self.outside = ""
        self.tags: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - of the parser
        self.tags.append(tag)
        self._inside += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "code"

    def handle_data(self, data: str) -> None:
        self.outside += "" if self._inside else data


def outside_of_code(token: Token) -> tuple[str, list[str]]:
    """The text of a token that is read as markup, and its HTML tags."""
    if token.type in ("fence", "code_inline"):
        return "", []
    if token.type in ("html_block", "html_inline"):
        if re.fullmatch(r"<!-- [\w%./~-]+ [\w%./~-]+ [\w%./~-]+ -->\n?", token.content):
            return "", []
        parser = Tags()
        parser.feed(token.content)
        parser.close()
        return parser.outside, parser.tags
    if token.children is not None:
        parts = [outside_of_code(child) for child in token.children]
        return "".join(part for part, _ in parts), [tag for _, tags in parts for tag in tags]
    return token.content + str(token.attrs or ""), []


@settings(max_examples=60, deadline=None)
@given(st.lists(FOREIGN, min_size=6, max_size=6))
def test_nothing_from_outside_is_taken_for_markup(texts: list[str]) -> None:
    text = "\n".join(render_markdown(hostile(texts), VOCABULARY, ["provisioner", texts[5]]))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    found = [outside_of_code(token) for token in tokens]
    assert [] == [part for part, _ in found if CANARY in part or "evil" in part]
    assert {"details", "summary", "code", "b"} >= {tag for _, tags in found for tag in tags}
    assert [] == [line for line in text.split("\n") if line.startswith(("/", "\t"))]
    assert not re.search("[\u2028\u202e\x1b\r]", text)


@given(FOREIGN | st.text(max_size=20))
def test_a_code_span_holds_its_text(text: str) -> None:
    (paragraph,) = [
        token for token in MarkdownIt("commonmark").parse(f"x {code(text)} y") if token.children
    ]
    assert ["text", "code_inline", "text"] == [token.type for token in paragraph.children or ()]


# It fits

DELETIONS = (Action.DELETE, Impact.DATA_LOSS)
CREATIONS = (Action.CREATE, Impact.NONE)


def many(number: int, what: tuple[Action, Impact], length: int = 10) -> list[Step]:
    action, impact = what
    spec = {"description": "x" * length}
    return [plans.step(f"Disk/disk-{n:06}", action, spec, impact=impact) for n in range(number)]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (many(5, CREATIONS), ""),
        (many(1, CREATIONS, 100_000), ""),
        (many(900, CREATIONS), "the details of"),
        (many(3_000, CREATIONS), "of them the names"),
        (many(5, DELETIONS) + many(3_000, CREATIONS), "the details of 3,000 entries, and of"),
        (many(3_000, DELETIONS), "the details of 3,000 entries, and of"),
    ],
    ids=["few", "one long", "many", "very many", "a few bad ones", "very many bad ones"],
)
def test_it_always_fits_and_says_what_is_left_out(steps: list[Step], told: str) -> None:
    text = rendered(plans.plan(*steps))
    assert len(text) < LIMIT
    assert bool(told) == ("**Left out**" in text)
    assert told in text


def test_the_room_that_there_is_is_used() -> None:
    """One machine more does not cost all the others their details."""
    few, many_ = (rendered(plans.plan(*many(n, CREATIONS, 100))) for n in (250, 1_000))
    assert 250 == few.count("<details>")
    assert (True, True) == (LIMIT - len(many_) < 500, many_.count("<details>") > 100)


def gone(kind: str, impact: Impact, suffix: str = "") -> list[Step]:
    return [
        plans.step(f"{kind}/gone-{n:03}{suffix}", Action.DELETE, impact=impact) for n in range(600)
    ]


def named(text: str, kind: str) -> int:
    return len(set(re.findall(rf"{kind}/gone-\d+", text)))


def test_names_of_what_destroys_are_the_last_to_go() -> None:
    steps = [*gone("VirtualMachine", Impact.REPLACE), *gone("Disk", Impact.DATA_LOSS)]
    text = rendered(plans.plan(*steps, *many(3_000, CREATIONS)))
    assert (600, 600) == (named(text, "Disk"), named(text, "VirtualMachine"))


def test_what_is_most_severe_is_named_first() -> None:
    steps = [
        *gone("Network", Impact.RESTART),
        *gone("VirtualMachine", Impact.REPLACE, "x" * 50),
        *gone("Disk", Impact.DATA_LOSS, "x" * 50),
    ]
    text = rendered(plans.plan(*steps))
    found = [named(text, kind) for kind in ("Disk", "VirtualMachine", "Network")]
    assert (600, True, 0) == (found[0], 0 < found[1] < 600, found[2])


def test_details_of_the_most_severe_come_first() -> None:
    change = Change(("description",), "a" * 250, "b" * 250, Impact.REPLACE, "r" * 200)
    steps = [
        plans.step(f"{kind}/d-{n:03}", Action.REPLACE, impact=impact, changes=(change,))
        for kind, impact in (("Network", Impact.REPLACE), ("Disk", Impact.DATA_LOSS))
        for n in range(60)
    ]
    found = re.findall(r"<code>\S+ replace (\w+)/", rendered(plans.plan(*steps)))
    assert (60, True) == (found.count("Disk"), 0 < found.count("Network") < 60)
    assert sorted(found) == found


def test_all_of_a_long_text_that_is_set_stands_in_the_fold() -> None:
    script = "\n".join(f"line {n}" for n in range(30)) + "\n"
    late = {"$template": ["first\n", {"$unknown": "Network/lan:bridge"}, "\nlast"]}
    spec = {"description": script, "boot": {"cmdline": late}}
    text = rendered(plans.plan(plans.step("VirtualMachine/web", Action.CREATE, spec)))
    assert [] == [n for n in range(30) if f"+line {n}\n" not in text]
    assert "+first\n+(known after apply)\n+last\n" in text


def test_of_a_text_that_is_too_long_the_rest_is_counted() -> None:
    script = "\n".join(f"line {n}" for n in range(100))
    change = Change(("description",), None, script)
    steps = [
        plans.step("VirtualMachine/new", Action.CREATE, {"description": script}),
        plans.step("VirtualMachine/old", Action.UPDATE, changes=(change,)),
    ]
    text = rendered(plans.plan(*steps))
    assert 2 == text.count("# and 60 lines more, which 'provisioner show PLANFILE --html' has")


def test_what_destroys_is_named_as_long_as_it_can_be() -> None:
    text = rendered(plans.plan(*many(3_000, CREATIONS), *many(100, DELETIONS)[90:]))
    assert 10 == len(re.findall(r"^- `- delete Disk/disk-\d+`", text, re.MULTILINE))


@settings(max_examples=15, deadline=None)
@given(st.lists(FOREIGN, min_size=6, max_size=6), st.integers(1, 60), st.integers(1, 2_000))
def test_it_fits_whatever_is_in_it(texts: list[str], number: int, length: int) -> None:
    plan = hostile([text * (length // len(text) + 1) for text in texts])
    notes = {key: getattr(plan, key) * number for key in ("held", "pending", "kept", "warnings")}
    grown = replace(plan, steps=plan.steps * number, **notes)
    assert len("\n".join(render_markdown(grown, VOCABULARY, ["provisioner", texts[5]]))) < LIMIT
