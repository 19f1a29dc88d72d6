"""Numbers that others printed, as data: the paper's own, and those published for a data set used here.

They stand in `paper.toml`; what the paper claims is in `claims.toml`. None of them is a target: the paper's three data
sets cannot be had, and budgets and selection differ everywhere.
"""

import tomllib
from importlib import resources
from typing import Any, NamedTuple

METRICS = ("recall@20", "ndcg@20", "recall@50", "ndcg@50")


class Printed(float):
    """A number as somebody printed it: computes as a float, and as text it has every digit that was printed.

    "-" stands for a number that is not there: NaN.
    """

    def __new__(cls, text: str) -> "Printed":
        number = super().__new__(cls, "nan" if text == "-" else text.replace(",", ""))
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


def printed(line: str) -> tuple[Printed, ...]:
    """The numbers of a line of a table, parted by blanks."""
    return tuple(map(Printed, line.split()))


class Order(NamedTuple):
    """A complexity as printed, and the highest power in it of each size: "raw" is d_m, "dim" is d, and d_h as well."""

    text: str
    powers: dict[str, int]


class Consumption(NamedTuple):
    """A line of Table 6: seconds an epoch, GB of GPU memory, millions of parameters, per cent of the teacher's."""

    seconds: Printed
    gigabytes: Printed
    millions: Printed
    ratio: Printed


def told(name: str) -> dict[str, Any]:
    """What the file `name`.toml beside this code, or in a folder here, holds."""
    return tomllib.loads((resources.files("mmkd_core.evidence") / f"{name}.toml").read_text(encoding="utf-8"))


def _lines(table: dict[str, str]) -> dict[str, tuple[Printed, ...]]:
    return {name: printed(line) for name, line in table.items()}


_READ = told("paper")
STATISTICS = ("users", "items", "interactions", "sparsity", "features", "train / validation / test")
TEXT = {name: Printed(number) for name, number in _READ["text"].items()}
TABLE_1 = {m: {part: Order(**order) for part, order in parts.items()} for m, parts in _READ["table_1"].items()}
TABLE_3 = {name: dict(zip(STATISTICS, [*values, ""], strict=True)) for name, values in _READ["table_3"].items()}
TABLE_4 = {name: _lines(table) for name, table in _READ["table_4"].items()}
TABLE_5 = {name: _lines(table) for name, table in _READ["table_5"].items()}
TABLE_6 = {
    name: {m: Consumption(*line) for m, line in _lines(table).items()} for name, table in _READ["table_6"].items()
}
GRIDS: dict[str, list[Any]] = _READ["grids"]
TABLE_7 = _lines(_READ["table_7"])
TABLE_8 = {
    model: {weight: (tuple(shape), number) for weight, (shape, number) in weights.items()}
    for model, weights in _READ["table_8"].items()
}
TABLE_8_TOTALS: dict[str, int] = _READ["table_8_totals"]
DIFFMM_TIKTOK = _lines(_READ["diffmm_tiktok"])
