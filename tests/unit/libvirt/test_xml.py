"""Parsing, building, merging and recognising XML."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner_plugins._libvirt.xml import (
    MAX_FRAGMENT_CHARACTERS,
    MAX_FRAGMENT_DEPTH,
    Element,
    XmlError,
    attribute,
    child,
    copied,
    covers,
    element,
    merge,
    merge_under,
    parse,
    parse_fragment,
    remove_all,
    same,
    serialize,
    subtract,
    text_of,
)

BOMB = "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"


@pytest.mark.parametrize("text", [BOMB, f"<?xml version='1.0'?>\n{BOMB}", "<!DOCTYPE a><a/>"])
def test_a_doctype_is_refused(text: str) -> None:
    with pytest.raises(XmlError, match="DOCTYPE"):
        parse(text)


@pytest.mark.parametrize("text", ["", "<a>", "<a/><b/>", "text", "<a>&unknown;</a>"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(XmlError, match="well-formed"):
        parse(text)


def test_a_word_in_a_text_is_no_doctype() -> None:
    root = element("a", "<!DOCTYPE a>")
    assert "<!DOCTYPE a>" == parse(serialize(root)).text


@pytest.mark.parametrize(
    "below",
    [
        '<a:b xmlns:a="http://one/?x&amp;y"><a:c a:d="1" e="2" /></a:b>',
        '<b xmlns="http://one/" c="1"><d>text</d><e xmlns="" /></b>',
        '<a:b xmlns:a="http://one/" /><a:b xmlns:a="http://two/" />',
        '<ns0:b xmlns:ns0="http://one/"><x:c xmlns:x="http://two/" /></ns0:b>',
        '<mine:b xmlns:mine="http://libosinfo.org/xmlns/libvirt/domain/1.0" />',
    ],
)
def test_prefixes_of_others_stay(below: str) -> None:
    text = f'<domain id="1"><metadata>{below}</metadata></domain>'
    assert text == serialize(parse(text)) == serialize(copied(parse(text)))
    changed = parse(text)
    child(changed, "metadata").append(element("{urn:provisioner:stamp:1}stamp"))
    assert below in serialize(changed)
    assert same(changed, parse(serialize(changed)))


def test_fragments_are_bounded() -> None:
    deepest = "<a>" * (MAX_FRAGMENT_DEPTH) + "</a>" * MAX_FRAGMENT_DEPTH
    assert "a" == parse_fragment(deepest).tag
    with pytest.raises(XmlError, match="levels deep"):
        parse_fragment(f"<a>{deepest}</a>")
    with pytest.raises(XmlError, match="characters"):
        parse_fragment(f"<a>{'x' * MAX_FRAGMENT_CHARACTERS}</a>")


def test_building() -> None:
    built = element(
        "ip",
        {"address": "10.0.0.1", "prefix": 24, "family": None, "localPtr": True},
        None,
        element("name", "<&>"),
    )
    expected = '<ip address="10.0.0.1" prefix="24" localPtr="yes"><name>&lt;&amp;&gt;</name></ip>'
    assert expected == serialize(built)


def test_reading_and_editing() -> None:
    root = parse("<a><b c='1'> text </b><b/><d/></a>")
    assert "text" == text_of(root, "b")
    assert text_of(root, "d") is None
    assert text_of(root, "none") is None
    assert "1" == attribute(root, "b", "c")
    assert attribute(root, "none", "c") is None
    child(root, "e/f").set("g", "2")
    assert child(root, "e") is child(root, "e")
    remove_all(root, "b")
    assert '<a><d /><e><f g="2" /></e></a>' == serialize(root)


IDENTIFY = {"disk": lambda node: node.get("dev"), "note": lambda _: None}


@pytest.mark.parametrize(
    ("base", "fragment", "merged"),
    [
        ("<a/>", "<a b='1'><c>x</c></a>", "<a b='1'><c>x</c></a>"),
        ("<a b='1'/>", "<a b='1'/>", "<a b='1'/>"),
        ("<a><c d='1'/></a>", "<a><c e='2'/></a>", "<a><c d='1' e='2'/></a>"),
        ("<a><c>x</c></a>", "<a><c> x </c></a>", "<a><c>x</c></a>"),
        (
            "<a><disk dev='x'/></a>",
            "<a><disk dev='y'/><disk dev='x' t='1'/></a>",
            "<a><disk dev='x' t='1'/><disk dev='y'/></a>",
        ),
        ("<a><note/></a>", "<a><note/></a>", "<a><note/><note/></a>"),
    ],
)
def test_merging(base: str, fragment: str, merged: str) -> None:
    root = parse(base)
    merge(root, parse(fragment), IDENTIFY)
    assert same(parse(merged), root), serialize(root)
    assert covers(root, parse(fragment))


@pytest.mark.parametrize(
    ("base", "fragment", "where"),
    [
        ("<a b='1'/>", "<a b='2'/>", "/a@b is '2', but other fields make it '1'"),
        ("<a><c>x</c></a>", "<a><c>y</c></a>", "/a/c is 'y', but other fields make it 'x'"),
        (
            "<a><disk dev='x' t='1'/></a>",
            "<a><disk dev='x' t='2'/></a>",
            "/a/disk@t is '2'",
        ),
        ("<a/>", "<b/>", "its root is <b>"),
    ],
)
def test_a_contradiction_is_refused_with_its_place(base: str, fragment: str, where: str) -> None:
    with pytest.raises(XmlError) as caught:
        merge(parse(base), parse(fragment), IDENTIFY)
    assert where in str(caught.value)


@pytest.mark.parametrize("tag", ["name", "uuid", "metadata"])
def test_identity_is_not_for_fragments(tag: str) -> None:
    with pytest.raises(XmlError, match="not for fragments"):
        merge_under(element("network"), element(tag, "x"))


def test_a_merge_copies_the_fragment() -> None:
    root, fragment = element("a"), parse("<a><b/></a>")
    merge(root, fragment)
    child(root, "b").set("c", "1")
    assert "<a><b /></a>" == serialize(fragment)


@pytest.mark.parametrize(
    ("document", "fragment", "expected"),
    [
        ("<a><b c='1' d='2'/></a>", "<a><b c='1'/></a>", True),
        ("<a><b c='1'/></a>", "<a><b c='2'/></a>", False),
        ("<a><b/></a>", "<a><b/><b/></a>", False),
        ("<a><b c='1'/><b/></a>", "<a><b/><b c='1'/></a>", True),
        ("<a>x</a>", "<a>y</a>", False),
        ("<a>x</a>", "<a/>", True),
        ("<a/>", "<b/>", False),
    ],
)
def test_recognising(document: str, fragment: str, expected: bool) -> None:
    assert expected == covers(parse(document), parse(fragment))


def elements() -> st.SearchStrategy[Element]:
    """Small documents with few names, so that they meet."""
    names = st.sampled_from("abc")

    def tree(children: st.SearchStrategy[list[Element]]) -> st.SearchStrategy[Element]:
        attributes = st.dictionaries(names, st.sampled_from("12"), max_size=2)
        text = st.sampled_from(["", "t"])
        return st.builds(
            lambda tag, own, text, below: element(tag, own, text, *unique(below)),
            names,
            attributes,
            text,
            children,
        )

    leaf = tree(st.just([]))
    inner = tree(st.lists(leaf, max_size=3))
    return st.lists(inner, max_size=3).map(lambda below: element("r", *unique(below)))


def unique(nodes: list[Element]) -> Iterator[Element]:
    """Each tag once, as for elements that are not repeated."""
    seen: set[str] = set()
    for node in nodes:
        if node.tag not in seen:
            seen.add(node.tag)
            yield node


@given(elements(), elements())
def test_what_was_merged_is_there_or_refused(base: Element, fragment: Element) -> None:
    before = serialize(base)
    try:
        merge(base, fragment)
    except XmlError:
        return
    assert covers(base, fragment)
    assert covers(base, parse(before))


@given(elements(), elements())
def test_subtraction_undoes_a_merge_of_new_elements(base: Element, fragment: Element) -> None:
    own = {node.tag for node in base}
    new: Any = [node for node in fragment if node.tag not in own]
    before = serialize(base)
    added = element("r", *new)
    merge(base, added)
    subtract(base, added)
    empty = [node for node in base if not node.attrib and not len(node) and not node.text]
    for node in empty:
        if node.tag not in own:
            base.remove(node)
    assert same(parse(before), base)


def test_subtraction_leaves_what_others_wrote() -> None:
    root = parse("<n><portgroup name='fast' default='yes'/><mtu size='1400'/></n>")
    subtract(root, parse("<n><portgroup name='fast'/><mtu size='1300'/></n>"))
    assert same(parse("<n><portgroup default='yes'/><mtu size='1400'/></n>"), root)


@given(elements())
def test_a_copy_is_the_same_and_shares_nothing(original: Element) -> None:
    before = serialize(original)
    copy = copied(original)
    assert before == serialize(copy)
    for node in copy.iter():
        node.set("changed", "yes")
        node.text = "changed"
    assert before == serialize(original)
