"""What one definition says beyond another, as fragments that complete the other one."""

from collections.abc import Mapping

import pytest

from provisioner_plugins._libvirt.beyond import Beyond, beyond, drop_said, rest_of
from provisioner_plugins._libvirt.xml import Identify, covers, merge_under, parse, serialize

IDENTIFY: Mapping[str, Identify] = {
    "item": lambda node: node.get("name"),
    "nameless": lambda _: None,
}


@pytest.mark.parametrize(
    ("found", "made", "fragments"),
    [
        ("<r><a x='1' y='2'/></r>", "<r><a x='1'/></r>", ['<a y="2" />']),
        ("<r><a>text</a></r>", "<r><a/></r>", ["<a>text</a>"]),
        ("<r><a>text</a></r>", "<r><a> text </a></r>", []),
        ("<r>\n <a>\n  <b/>\n </a>\n</r>", "<r><a/></r>", ["<a><b /></a>"]),
        # What identifies an element stands in its fragment, and nothing else that both say.
        (
            "<r><item name='n' x='1'><b/></item></r>",
            "<r><item name='n' x='1'/></r>",
            ['<item name="n"><b /></item>'],
        ),
        # One that nothing identifies is whole.
        (
            "<r><nameless x='1'><b/></nameless></r>",
            "<r><nameless x='1'/></r>",
            ['<nameless x="1"><b /></nameless>'],
        ),
        # Each device is a fragment, and those that say the same are one.
        (
            "<r><devices><a/><nameless/><nameless/></devices></r>",
            "<r/>",
            ["<devices><a /></devices>", "<devices><nameless /><nameless /></devices>"],
        ),
    ],
)
def test_what_is_beyond(found: str, made: str, fragments: list[str]) -> None:
    result = beyond(parse(found), parse(made), IDENTIFY)
    assert Beyond(tuple(fragments), ()) == result
    merged = parse(made)
    for text in result.fragments:
        merge_under(merged, parse(text), IDENTIFY)
    assert covers(merged, parse(found))


@pytest.mark.parametrize(
    ("found", "made", "note"),
    [
        ("<r x='2'/>", "<r/>", "x='2' of <r>"),
        ("<r x='2'/>", "<r x='1'/>", "x='2' of r"),
        ("<r><a>one</a></r>", "<r><a>other</a></r>", "'one' in <a>"),
        ("<r><devices x='2'/></r>", "<r/>", "x='2' of <devices>"),
        # Two that cannot be told apart: the second would contradict the first.
        ("<r><a x='1'/><a x='2'/></r>", "<r/>", '<a x="2" />'),
    ],
)
def test_what_no_fragment_can_say_is_noted(found: str, made: str, note: str) -> None:
    notes = beyond(parse(found), parse(made), {}).notes
    assert 1 == len(notes)
    assert note in notes[0]


def test_one_element() -> None:
    notes: list[str] = []
    assert rest_of(parse("<a x='1'/>"), parse("<a x='1'/>"), {}, notes) is None
    rest = rest_of(parse("<a x='1' y='2'/>"), parse("<a x='2'/>"), {}, notes)
    assert rest is not None
    assert '<a y="2" />' == serialize(rest)
    assert ["kept as it is: x='1' of <a>"] == notes


def test_what_a_field_says_is_taken_out() -> None:
    document = parse("<r><a x='1' y='2'/><a x='3'/><b>text</b></r>")
    drop_said(document, "a", ("x",))
    drop_said(document, "b", text=True)
    assert '<r><a y="2" /></r>' == serialize(document)
