"""How prose and tables are set: no line ends inside what belongs together."""

import pytest
from docutils import nodes
from mmkd_type import hold, set_text


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("0.0842 ± 0.0055 ¹", "0.0842~±~0.0055~¹"),
        ("+0.0002 [-0.0013, +0.0018]", "+0.0002 [−0.0013,~+0.0018]"),
        ("(p = .012, detectable 0.01)", "(p~=~.012, detectable 0.01)"),
        ("p < .001", "p~<~.001"),
        ("95 % of 3 † ¹", "95~% of 3~†~¹"),
        ("Table 3, Eq. 12 and Sec. 4.5", "Table~3, Eq.~12 and Sec.~4.5"),
        ("not run, 1 of 3", "not~run, 1~of~3"),
        ("-1 (-0.5) 2013-05-01 lfm2k-5 a-b", "−1 (−0.5) 2013-05-01 lfm2k-5 a-b"),
        ("[a list], of 10 users", "[a list], of 10 users"),
    ],
)
def test_what_belongs_together(plain, expected):
    assert set_text(plain) == expected.replace("~", "\u00a0")


@pytest.mark.parametrize(
    ("before", "after", "box"),
    [
        ("With temperature ", ", where", [None, ","]),
        ("without (", "): it", ["(", None, "):"]),
        ("a plain ", " word", None),
        ("", "", None),
    ],
)
def test_a_formula_keeps_its_punctuation(before, after, box):
    math = nodes.math("", "x")
    paragraph = nodes.paragraph("", "", nodes.Text(before), math, nodes.Text(after))
    hold(math)
    assert paragraph.astext() == f"{before}x{after}"
    boxes = list(paragraph.findall(nodes.inline))
    assert len(boxes) == (box is not None)
    if box:
        assert [None if isinstance(part, nodes.math) else part.astext() for part in boxes[0]] == box


def test_of_two_equal_texts_each_keeps_its_place():
    first, second, third = (nodes.math("", name) for name in "xyz")
    paragraph = nodes.paragraph("", "", nodes.strong("", "p"), nodes.Text(", "), first, nodes.Text(", "), second)
    paragraph += [nodes.Text(", "), third]
    for math in (first, second, third):
        hold(math)
    assert paragraph.astext() == "p, x, y, z"
    assert [box.astext() for box in paragraph.findall(nodes.inline)] == ["x,", "y,"]


def test_a_formula_alone_is_left_alone():
    math = nodes.math("", "x")
    paragraph = nodes.paragraph("", "", math)
    hold(math)
    assert list(paragraph) == [math]
