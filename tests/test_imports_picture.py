"""The picture of imports in CONTRIBUTING is that of the code."""

import imports


def test_the_picture_is_drawn_from_the_code():
    text = imports.PAGE.read_text("utf-8")
    assert imports.drawn(text) == text, "run python tools/imports.py"
    assert " evidence.questions --> evidence.question\n" in text


def test_no_arrow_goes_back():
    drawn = imports.arrows()
    for part in drawn:
        assert part not in imports.reached(part, drawn), part
    assert not [
        part
        for part, others in drawn.items()
        if not part.startswith(("evidence", "commands", "__main__"))
        and any(other.startswith("evidence") for other in others)
    ]
