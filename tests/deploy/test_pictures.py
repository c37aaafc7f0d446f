"""Pictures of panels' data: drawn to scale, nothing left out, and the committed ones can be read."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploy.grafana.generate import FOLDER
from tests.deploy.pictures import SHOWN
from tests.deploy.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Picture, svg

PICTURES = sorted((FOLDER.parent / "pictures").glob("*.svg"))
SPACE = "{http://www.w3.org/2000/svg}"


def drawn(kind: str, **series: list[tuple[float, float]]) -> ElementTree.Element:
    return ElementTree.fromstring(svg(Picture(title="a < b", unit="massg", kind=kind, series=series)))


def points(node: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in node.attrib["points"].split())]


def test_a_line_goes_through_its_points() -> None:
    (line,) = drawn("line", a=[(0, 0), (10, 2), (20, 4)]).iter(f"{SPACE}polyline")
    middle = ((LEFT + WIDTH - RIGHT) / 2, (HEIGHT - BOTTOM + TOP) / 2)
    assert points(line) == [(LEFT, HEIGHT - BOTTOM), middle, (WIDTH - RIGHT, TOP)]


def test_a_stack_adds_up() -> None:
    one, other = drawn("stacked", a=[(0, 2), (10, 2)], b=[(0, 2), (10, 0)]).iter(f"{SPACE}polyline")
    assert points(one)[0][1] == (HEIGHT - BOTTOM + TOP) / 2
    assert [y for _, y in points(other)] == [TOP, (HEIGHT - BOTTOM + TOP) / 2]


def test_a_band_lies_between_low_and_high() -> None:
    picture = drawn("band", low=[(0, 1), (1, 1)], high=[(0, 4), (1, 4)], expected=[(0, 2), (1, 2)])
    (band,), (line,) = picture.iter(f"{SPACE}polygon"), picture.iter(f"{SPACE}polyline")
    heights = {y for _, y in points(band)}
    assert max(heights) > points(line)[0][1] > min(heights)
    assert min(heights) == TOP


def test_names_of_units_fit_the_scale() -> None:
    texts = {node.text for node in drawn("line", a=[(0, 0.0), (1, 0.004)]).iter(f"{SPACE}text")}
    assert {"4 mg", "2 mg", "a < b", "a"} <= texts


def test_the_committed_pictures_are_those_that_are_made() -> None:
    assert {path.stem for path in PICTURES} == {board for board, *_ in SHOWN}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_committed_picture_has_data(path: Path) -> None:
    lines = list(ElementTree.parse(path).getroot().iter(f"{SPACE}polyline"))
    assert lines
    assert all(len(points(line)) > 10 for line in lines)
