"""The picture: well-formed, the same for the same figures, with every figure in it."""

from collections import Counter
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from tests.bench import chart
from tests.bench.chart import Line, Point, Scale

SVG = "{http://www.w3.org/2000/svg}"
LINES = (
    Line("Other", {"plan": [Point(100, 1.5), Point(10_000, 1234.0, hollow=True)], "apply": []}),
    Line("Ours", {"plan": [Point(100, 0.25), Point(10_000, 12.0)], "apply": [Point(100, 3.75)]}),
)


def drawn(*lines: Line) -> Element:
    return ElementTree.fromstring(chart.draw("A & B", "resources", "seconds", lines, "A remark."))


def texts(picture: Element) -> Counter[str | None]:
    return Counter(text.text for text in picture.iter(f"{SVG}text"))


def test_every_figure_is_written_and_has_its_point() -> None:
    picture = drawn(*LINES)
    assert {"1.5", "1,234", "0.25", "12", "3.8"} <= set(texts(picture))
    legend = 2
    marks = [*picture.iter(f"{SVG}circle"), *picture.iter(f"{SVG}rect")]
    background = 1
    assert 5 + legend + background == len(marks)


def test_a_hollow_point_has_the_colour_of_the_paper() -> None:
    paper = chart.COLOURS["paper"][0]
    fills = [mark.get("fill") for mark in drawn(*LINES).iter(f"{SVG}circle")]
    assert 1 == fills.count(paper)


def test_title_axes_legend_charts_and_remark_are_named() -> None:
    found = texts(drawn(*LINES))
    assert {"A & B": 1, "Other": 1, "Ours": 1, "plan": 1, "apply": 1, "seconds": 1} == {
        name: found[name] for name in ("A & B", "Other", "Ours", "plan", "apply", "seconds")
    }
    assert 2 == found["resources"]
    assert 1 == found["A remark."]


def test_it_can_be_read_without_seeing_it() -> None:
    picture = drawn(*LINES)
    assert "title description" == picture.get("aria-labelledby")
    assert "A & B" == picture.findtext(f"{SVG}title")
    assert (
        "plan: Other 100: 1.5, 10,000: 1,234; Ours 100: 0.25, 10,000: 12. apply: Ours 100: 3.8."
        == picture.findtext(f"{SVG}desc")
    )


def test_everything_lies_within_the_picture() -> None:
    picture = drawn(*LINES)
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    places = [(float(it.attrib["x"]), float(it.attrib["y"])) for it in picture.iter(f"{SVG}text")]
    assert all(0 < x < width and 0 < y < height for x, y in places)


def test_same_figures_give_the_same_text() -> None:
    one, two = (chart.draw("T", "x", "y", LINES, "") for _ in range(2))
    assert one == two


def test_axes_are_logarithmic() -> None:
    scale = Scale(1, 100, 0, 200)
    assert [0, 100, 200] == pytest.approx([scale.at(value) for value in (1, 10, 100)])
    assert [1, 10, 100] == list(scale.decades())
    assert [0.1, 1] == list(Scale(0.05, 5, 0, 1).decades())


def test_one_size_alone_stands_in_the_middle() -> None:
    assert 150 == Scale(100, 100, 100, 200).at(100)


def test_more_lines_than_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="4 lines"):
        chart.draw("T", "x", "y", LINES * 2, "")
