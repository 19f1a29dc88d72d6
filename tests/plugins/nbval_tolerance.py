"""nbval, with a tolerance for floats: what a notebook prints may drift a little, not change.

Of two texts the words must be the same, integers the same, floats within the tolerance. Where they are, the newly
computed text is replaced by the reference before nbval compares, so that its report shows only what is wrong.

- A number stands alone: no letter, digit or underscore touches it, nor a second decimal point. `v1`, `3d`, `2.13.0`
  and `12ms` are words.
- A float has decimals or an exponent: `0.5`, `.25`, `-0.0`, `1e-3`, `12.0%`. The `5` of `5.`, `12%` or `1,234` is an
  integer. A float is never matched by an integer; `nan` and `inf` are words.
- The amount of blank space counts for nothing beside a number or inside a line: columns widen when 9.9 becomes 10.1.
- Two floats are close if they differ by at most 2 % of the larger, or by 0.001. The tag `tolerance-0.1` on a cell makes
  that 10 % and, in proportion, 0.005; `tolerance-0` asks for equality.
"""

import math
import re
from functools import partial

from nbval.plugin import IPyNbCell

RELATIVE = 0.02
ABSOLUTE_SHARE = 0.05  # of the relative tolerance
NUMBER = re.compile(r"(?<![\w.])[+\-−]?(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?(?!\w|\.\w)")
BLANKS = re.compile(r"[ \t]+")
TAG = "tolerance-"


def is_float(number: str) -> bool:
    return not number.lstrip("+-−").isdigit()


def close(reference: str, computed: str, relative: float) -> bool:
    """Whether the text of one number may stand for that of another."""
    if reference == computed:
        return True
    if not (is_float(reference) and is_float(computed)):
        return False
    expected, got = (float(number.replace("−", "-")) for number in (reference, computed))
    return math.isclose(expected, got, rel_tol=relative, abs_tol=relative * ABSOLUTE_SHARE)


def snap(reference: str, computed: str, relative: float = RELATIVE) -> str:
    """`computed` with every number that is close to the reference's replaced by it; `reference` itself if all are.

    Texts whose words differ are not comparable number by number: `computed` is returned unchanged.
    """

    def words(text: str) -> list[str]:
        return [BLANKS.sub(" ", piece).strip(" ") for piece in NUMBER.split(text)]

    if words(reference) != words(computed):
        return computed
    expected = NUMBER.findall(reference)
    if all(map(partial(close, relative=relative), expected, NUMBER.findall(computed))):
        return reference
    numbers = iter(expected)

    def replace(match: re.Match[str]) -> str:
        number = next(numbers)
        return number if close(number, match[0], relative) else match[0]

    return NUMBER.sub(replace, computed)


def tolerance(cell) -> float:
    """The relative tolerance that a cell's tags ask for."""
    asked = [tag.removeprefix(TAG) for tag in cell.metadata.get("tags", []) if tag.startswith(TAG)]
    return float(asked[-1]) if asked else RELATIVE


def texts(outputs):
    """(container, key, kind) of every text in a cell's outputs; the kind is what nbval compares within."""
    for output in outputs:
        if output.output_type == "stream":
            yield output, "text", output.name
        for mime, content in output.get("data", {}).items():
            if isinstance(content, str):
                yield output.data, mime, mime


def compare_outputs(cell: IPyNbCell, compare, test, ref, skip_compare=None) -> bool:
    """nbval's own comparison, after the texts of each kind were snapped to the reference's, in order."""
    references: dict[str, list[str]] = {}
    for container, key, kind in texts(ref):
        references.setdefault(kind, []).append(container[key])
    for container, key, kind in texts(test):
        if references.get(kind):
            container[key] = snap(references[kind].pop(0), container[key], tolerance(cell.cell))
    return compare(test, ref, skip_compare)


def pytest_itemcollected(item) -> None:
    if isinstance(item, IPyNbCell):
        item.compare_outputs = partial(compare_outputs, item, item.compare_outputs)
