"""Dependency graphs as pictures: what is folded, where things stand, and that no name can become
markup."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli.render.folding import MOST_NODES, drawing
from provisioner.cli.render.graph import graph_json, render_dot, render_mermaid, render_text
from provisioner.cli.render.layout import SPACING, crossings, lay_out, levelled
from provisioner.cli.render.svg import render_svg
from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.engine.plan import Plan, Step
from provisioner.service.graph import Dependencies, dependencies_of_plan, impact_of
from tests.golden_support import CheckGolden
from tests.unit.cli import plans
from tests.unit.cli.test_render_markdown import FOREIGN, hostile

SVG = "{http://www.w3.org/2000/svg}"


def made(text: str, *needs: str, action: Action = Action.CREATE, **rest: Any) -> Step:
    step = plans.step(text, action, **rest)
    return replace(step, known=replace(step.known, dependencies=tuple(map(Address.parse, needs))))


def tiers() -> Plan:
    """Something of everything, in three layers."""
    return plans.plan(
        made("Network/lan", action=Action.UPDATE, impact=Impact.LIVE),
        made("Disk/web", "StoragePool/main"),
        made("VirtualMachine/web", "Disk/web", "Network/lan"),
        made("Disk/old", "StoragePool/main", action=Action.DELETE, impact=Impact.DATA_LOSS),
        made("Image/found", action=Action.ADOPT),
        held=(made("VirtualMachine/vault", "Network/lan", action=Action.DELETE, held="protected"),),
        context=(plans.known("StoragePool/main"),),
    )


def fleet(machines: int, *, names: str = "vm-{:04}", changed: int | None = None) -> Dependencies:
    """Machines with disks of their own, in networks of fifty."""
    steps = [made("StoragePool/main"), *(made(f"Network/net-{n}") for n in range(machines // 50))]
    for number in range(machines):
        name = names.format(number)
        impact = Impact.DATA_LOSS if number == changed else Impact.NONE
        steps += [
            made(f"Disk/{name}-root", "StoragePool/main", impact=impact),
            made(f"VirtualMachine/{name}", f"Disk/{name}-root", f"Network/net-{number // 50}"),
        ]
    return dependencies_of_plan(plans.plan(*steps))


def picture(graph: Dependencies) -> ElementTree.Element:
    return ElementTree.fromstring("\n".join(render_svg(graph)))


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def test_goldens(check_golden: CheckGolden) -> None:
    graph = dependencies_of_plan(tiers())
    check_golden("cli/graph-plan.txt", text(render_text(graph)))
    check_golden("cli/graph-plan.dot", text(render_dot(graph)))
    check_golden("cli/graph-plan.mermaid", text(render_mermaid(graph)))
    check_golden("cli/graph-plan.svg", text(render_svg(graph)))
    about = impact_of(graph, Address("StoragePool", "main"))
    check_golden("cli/graph-impact.txt", text(render_text(about)))
    check_golden("cli/graph-impact.svg", text(render_svg(about)))


# Folding


def test_few_resources_are_drawn_one_by_one() -> None:
    graph = fleet(20)
    assert len(graph.needs) == len(drawing(graph).nodes)


def test_alike_resources_are_one_node() -> None:
    nodes = drawing(fleet(400)).nodes
    assert [
        ("Network", "net-0 .. net-7 (8)"),
        ("StoragePool", "main"),
        ("Disk", "vm-0000-root .. vm-0399-root (400)"),
        ("VirtualMachine", "vm-0000 .. vm-0399 (400)"),
    ] == [(node.kind, node.label) for node in nodes]


def test_what_happens_to_one_is_not_folded_away() -> None:
    labels = {node.label: node.mark.text for node in drawing(fleet(400, changed=7)).nodes}
    assert "create, data-loss, REFUSED" == labels["vm-0007-root"]
    assert "vm-0007" in labels


def test_names_without_numbers_fold_as_well() -> None:
    letters = {name: chr(ord("a") + int(name)) for name in "0123456789"}
    graph = fleet(100)
    named = {
        address: Address(address.kind, re.sub(r"\d", lambda found: letters[found[0]], address.name))
        for address in graph.needs
    }
    renamed = replace(
        graph,
        needs={named[a]: tuple(named[t] for t in needs) for a, needs in graph.needs.items()},
        layers=tuple(tuple(named[a] for a in layer) for layer in graph.layers),
        steps={},
    )
    assert 4 == len(drawing(renamed).nodes)


def test_a_drawing_has_never_too_many_nodes() -> None:
    """A chain of a thousand, in which no two are alike."""
    steps = [made("Disk/d0"), *(made(f"Disk/d{n}", f"Disk/d{n - 1}") for n in range(1, 1_000))]
    drawn = drawing(dependencies_of_plan(plans.plan(*steps)))
    assert len(drawn.nodes) <= MOST_NODES
    assert all(
        drawn.nodes[source].layer > drawn.nodes[target].layer for source, target in drawn.edges
    )


def test_unfolded_is_complete() -> None:
    graph = fleet(400)
    assert len(graph.needs) == len(drawing(graph, None).nodes)
    assert len(graph.needs) == "\n".join(render_dot(graph)).count("[label=")


# Layout

GRAPHS = st.integers(2, 14).flatmap(
    lambda number: st.tuples(
        st.just(number),
        st.sets(
            st.tuples(st.integers(0, number - 1), st.integers(0, number - 1)).filter(
                lambda pair: pair[0] > pair[1]
            ),
            max_size=20,
        ),
    )
)


def layers_of(number: int, edges: set[tuple[int, int]]) -> list[int]:
    layers: list[int] = []
    for node in range(number):
        layers.append(1 + max((layers[t] for s, t in edges if s == node), default=-1))
    return layers


@settings(deadline=None)
@given(GRAPHS)
def test_nodes_of_a_column_keep_their_distance(graph: tuple[int, set[tuple[int, int]]]) -> None:
    number, edges = graph
    layers = layers_of(number, edges)
    layout = lay_out(layers, [100.0] * number, edges)
    for layer in set(layers):
        tops = sorted(box.y for box, of in zip(layout.boxes, layers, strict=True) if of == layer)
        assert all(b - a >= SPACING.height + SPACING.gap - 0.01 for a, b in pairwise(tops))
    assert all(
        box.x >= 0 and box.y >= -0.01 and box.y + box.height <= layout.height + 0.01
        for box in layout.boxes
    )
    assert layout == lay_out(layers, [100.0] * number, edges)


def crossings_of(layers: list[int], edges: set[tuple[int, int]]) -> tuple[int, int]:
    """Before and after the layout."""
    columns, links = levelled(layers, sorted(edges))
    layout = lay_out(layers, [100.0] * len(layers), edges)
    segments = [s for s in layout.segments if s.start.x > s.end.x]
    after = sum(
        (a.start.y - b.start.y) * (a.end.y - b.end.y) < -1e-6
        for i, a in enumerate(segments)
        for b in segments[:i]
        if (a.start.x, a.end.x) == (b.start.x, b.end.x)
    )
    return crossings(columns, links), after


@settings(deadline=None)
@given(GRAPHS)
def test_a_layout_does_not_add_crossings(graph: tuple[int, set[tuple[int, int]]]) -> None:
    number, edges = graph
    before, after = crossings_of(layers_of(number, edges), edges)
    assert after <= before


def test_what_need_not_cross_does_not_cross() -> None:
    edges = {(3, 2), (4, 1), (5, 0), (6, 3), (7, 4), (8, 5)}
    before, after = crossings_of([0, 0, 0, 1, 1, 1, 2, 2, 2], edges)
    assert (True, 0) == (before > 0, after)


# SVG, DOT and Mermaid


def test_a_picture_says_what_it_is() -> None:
    root = picture(dependencies_of_plan(tiers()))
    title, description = root.findall(f"{SVG}title")[0], root.findall(f"{SVG}desc")[0]
    assert ("img", f"{title.get('id')} {description.get('id')}") == (
        root.get("role"),
        root.get("aria-labelledby"),
    )
    assert "Stack shop, plan 3f2a91c4b07d" == title.text
    assert "7 resources in 3 layers" in str(description.text)


def test_each_node_says_in_words_and_by_sign_what_happens() -> None:
    """Nobody has to tell colours apart."""
    groups = picture(dependencies_of_plan(tiers())).findall(f".//{SVG}g")
    found = {
        title.text: [
            item.text for item in group.findall(f"{SVG}text") if item.get("class") == "sign"
        ]
        for group in groups
        if (title := group.find(f"{SVG}title")) is not None
    }
    assert {
        "Network/lan: update, live": ["~"],
        "Disk/web: create": ["+"],
        "VirtualMachine/web: create": ["+"],
        "Disk/old: delete, data-loss, REFUSED": ["-"],
        "Image/found: adopt": ["<"],
        "VirtualMachine/vault: delete, held back": ["="],
        "StoragePool/main: unchanged": [],
    } == found


def test_a_picture_needs_nothing_else() -> None:
    found = "\n".join(render_svg(dependencies_of_plan(tiers())))
    assert ["http://www.w3.org/2000/svg"] == re.findall(r"https?://[^\"' ]+", found)
    assert not re.search(r"url\((?!#)|<script|@import|href", found)


@settings(max_examples=30, deadline=None)
@given(st.lists(FOREIGN, min_size=6, max_size=6))
def test_no_name_becomes_markup(texts: list[str]) -> None:
    graph = dependencies_of_plan(hostile(texts))
    root = picture(graph)
    names = {"svg", "title", "desc", "style", "defs", "marker", "path", "g", "rect", "text"}
    assert names >= {element.tag.removeprefix(SVG) for element in root.iter()}
    for line in render_dot(graph)[1:]:
        assert re.fullmatch(r'(?:[^"\\]|"(?:[^"\\]|\\\\|\\")*")*', line), line
    for line in render_mermaid(graph)[1:]:
        assert re.fullmatch(
            r'  (n\d+\["(?:#\d+;|[\w -/.()])+"\]\S*|n\d+ --> n\d+|classDef .*|class [n\d,]+ thick)',
            line,
        )


def test_what_is_held_deleted_and_refused_looks_different_in_every_drawing() -> None:
    mermaid = "\n".join(render_mermaid(dependencies_of_plan(tiers())))
    styles = dict(re.findall(r"classDef (\w+) \S*?(?:stroke-dasharray:([\d ]+))?$", mermaid, re.M))
    assert 3 == len({styles["delete"], styles["held"], styles["create"]})
    (refused,) = re.findall(r"(n\d+)\[.*old.*REFUSED", mermaid)
    assert [refused] == re.findall(r"class (\S+) thick", mermaid)
    dot = "\n".join(render_dot(dependencies_of_plan(tiers())))
    lines = dict(re.findall(r"(old|vault|web)\\?\".*style=\"([^\"]+)\"", dot))
    assert {"old": "filled,dashed", "vault": "filled,dotted", "web": "filled"} == lines


# What depends on one resource


def on_two_hosts() -> Dependencies:
    """A machine on a host of its own, whose disk's image lies with everything else."""
    there = made("VirtualMachine/there", "Disk/web")
    there = replace(there, known=replace(there.known, endpoint="other"))
    return dependencies_of_plan(replace(tiers(), steps=(*tiers().steps, there)))


def test_impact_of_a_host_is_all_that_lives_on_it_and_what_depends_on_that() -> None:
    about = impact_of(on_two_hosts(), Address("Host", "lab"))
    assert {"Host/lab": 0, "VirtualMachine/there": 2} == {
        str(address): far for address, far in about.distances.items() if far != 1
    }
    assert 7 == sum(far == 1 for far in about.distances.values())
    text = render_text(about)
    assert ["Host/lab", "living on it"] == [line.strip() for line in text[:2]]
    assert ["needed directly by", "+ VirtualMachine/there  [create]"] == [
        line.strip() for line in text[-4:-2]
    ]
    assert ["8 resources depend on it", "11 unchanged resources not shown"] == text[-2:]
    other = impact_of(on_two_hosts(), Address("Host", "other"))
    assert {"Host/other": 0, "VirtualMachine/there": 1} == {
        str(address): far for address, far in other.distances.items()
    }


def test_a_host_is_drawn_before_what_needs_nothing_else_on_it() -> None:
    about = impact_of(on_two_hosts(), Address("Host", "lab"))
    assert (Address("Host", "lab"),) == about.layers[0]
    drawn = {str(known) for known, needs in about.needs.items() if Address("Host", "lab") in needs}
    assert {"Image/found", "Network/lan", "StoragePool/main"} == drawn


def test_impact_goes_on_to_what_depends_on_what_depends_on_it() -> None:
    about = impact_of(dependencies_of_plan(tiers()), Address("StoragePool", "main"))
    assert {
        Address("StoragePool", "main"): 0,
        Address("Disk", "old"): 1,
        Address("Disk", "web"): 1,
        Address("VirtualMachine", "web"): 2,
    } == about.distances
    document = graph_json(about)
    assert "StoragePool/main" == document["impactOf"]


@pytest.mark.parametrize("draw", [render_text, render_dot, render_mermaid, render_svg])
def test_impact_in_every_form(draw: Callable[[Dependencies], list[str]]) -> None:
    about = impact_of(dependencies_of_plan(tiers()), Address("StoragePool", "main"))
    found = "\n".join(draw(about))
    assert [True, True, False] == [name in found for name in ("web", "main", "Network")]
