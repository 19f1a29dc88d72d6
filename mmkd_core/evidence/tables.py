"""How tables are written: cells, lines of runs, differences, and frames as Markdown."""

import re
import statistics as stats
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import pandas as pd

from mmkd_core.evidence.compare import CAPPED, DAGGER, NOT_RUN, signed
from mmkd_core.evidence.paper import Printed
from mmkd_core.evidence.store import METRICS, Taken

Frames = dict[str, pd.DataFrame]  # by title
HEADS = {metric: metric.replace("recall", "Recall").replace("ndcg", "NDCG") for metric in METRICS}
DIFFERENCE = {"difference": "MMKD minus it, Recall@20"}  # the head of that column of `compare_table` in tables
FIRST, SECOND = " ¹", " ²"
# What stands in a column of numbers: a number, perhaps with its deviation, interval, change, unit or mark, or why none.
NUMBER = re.compile(
    r"[+\-−<]?[\d.,]+(e[+-]\d+)?( ± [\d.,]+)?( [\[(][^\])]*[\])])?( %| s| ms)?( [¹²†])*|(\d|<)\.\d+ of \d+"
)
NO_NUMBER = ("", "–", "none", "off", "constant", NOT_RUN, CAPPED)


def as_table(lines: dict[Any, Any], heads: str, *columns: str) -> pd.DataFrame:
    """A line per name with its cells, one for each of `columns`; `heads` says what the names are of."""
    return pd.DataFrame.from_dict(lines, orient="index", columns=[*columns]).rename_axis(heads)


def lines(rows: pd.DataFrame, by: str, metrics: Sequence[str] = METRICS, *, mark: bool = True) -> pd.DataFrame:
    """One line a value of the column `by`, in order of appearance: seeds, and mean ± deviation of each metric.

    `rows` are those of one data set from `Store.rows`. The deviation (n - 1) needs two seeds. A line without a
    record is "not run", one that lacks some says so ("2 of 3"); `mark` marks the best and the second best.
    """
    groups = rows.groupby(by, sort=False)
    cells = {name: [_seeds(group), *(cell(group[metric]) for metric in metrics)] for name, group in groups}
    table = as_table(cells, by, "seeds", *(HEADS[metric] for metric in metrics))
    if mark:
        for metric in metrics:
            means = groups[metric].mean().dropna().nlargest(2)
            for name, sign in zip(means.index, (FIRST, SECOND), strict=False):
                table.loc[name, HEADS[metric]] += sign
    return table


def printed_pair(values: Sequence[Printed] | None) -> str:
    """The first two numbers of a line that somebody printed, Recall@20 and NDCG@20; nothing where there is no line."""
    return "/".join(map(str, values[:2])) if values else ""


def cell(values: pd.Series, digits: int = 4, sign: str = "") -> str:
    """Mean ± standard deviation of the runs there are, to `digits` decimals; `sign="+"` shows a plus."""
    known = values.dropna().tolist()
    if not known:
        return NOT_RUN
    mean = signed(stats.fmean(known), digits) if sign else f"{stats.fmean(known):z,.{digits}f}"
    return f"{mean} ± {stats.stdev(known):,.{digits}f}" if len(known) > 1 else mean


def _seeds(group: pd.DataFrame) -> str:
    done, planned = int(group["record"].notna().sum()), len(group)
    return (str(done) if done in (0, planned) else f"{done} of {planned}") + dagger(group)


def dagger(rows: pd.DataFrame) -> str:
    """The mark of rows of which a run is capped, else nothing."""
    return DAGGER if (rows["capped"] == True).any() else ""  # noqa: E712, NaN where not run


def spread(rows: pd.DataFrame, by: str, over: str, metric: str = "recall@20") -> pd.DataFrame:
    """Cells of one metric, a line a value of `by`, a column a value of `over`; † where a run is capped."""
    groups = rows.groupby([by, over], sort=False)
    table = groups.apply(lambda group: cell(group[metric]) + dagger(group)).unstack(over, sort=False)
    return table.rename_axis(columns=None)


def flat(taken: Taken) -> pd.DataFrame:
    """One row per measurement: its labels, and its values by path ("gap.best.auc"); NaN where it was not taken."""
    return pd.json_normalize([{**labels, **(values or {})} for labels, values in taken])


class Column(NamedTuple):
    """Values, a row per run, and how `cell` is to write them."""

    values: pd.Series
    digits: int
    sign: str = ""


def by_system(rows: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """A line per system: how many seeds there are, and of each column its mean ± deviation, to some digits."""
    first, *_ = columns.values()
    lines = {
        system: [str(first.values[runs].count()), *(cell(c.values[runs], c.digits, c.sign) for c in columns.values())]
        for system, runs in rows.groupby("system", sort=False).groups.items()
    }
    return as_table(lines, "system", "seeds", *columns)


def column(rows: pd.DataFrame, name: str) -> pd.Series:
    """A column of `flat`; NaN where no measurement was taken."""
    return rows[name] if name in rows else pd.Series(float("nan"), index=rows.index)


def percent(part: int, whole: int) -> str:
    """A share in per cent, to two decimals as the paper prints it."""
    return f"{100 * part / whole:.2f} %"


def markdown(frame: pd.DataFrame) -> str:
    """`frame` with its index as a Markdown table; floats to four decimals, columns of numbers to the right."""
    columns = [[_text(cell) for cell in column] for _, column in frame.items()]
    ruler = ["---"] + ["--:" if _of_numbers(column) else "---" for column in columns]
    head = [_text(name) for name in (frame.index.name or "", *frame.columns)]
    body = [[_text(index), *cells] for index, *cells in zip(frame.index, *columns, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ruler, *body])


def _of_numbers(column: Sequence[str]) -> bool:
    cells = [cell for cell in column if cell not in NO_NUMBER]
    return bool(cells) and all(map(NUMBER.fullmatch, cells))


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:z.4f}"
    text = f"{cell:,}" if isinstance(cell, Integral) and not isinstance(cell, bool) else str(cell)
    return text.replace("|", r"\|")  # |U| is no three cells


def plain(cell: Any) -> Any:
    """A cell for a terminal: formulas, which are TeX between dollars for a page, in plain signs."""
    if not isinstance(cell, str):
        return cell
    return re.sub(r"\$([^$]*)\$", lambda formula: _signs(formula[1]), cell)


def _signs(tex: str) -> str:
    tex = re.sub(r"\\lvert\\mathcal\{(.)\}\\rvert", r"|\1|", tex).replace(r"\sum", "Σ").replace("{}", "")
    return re.sub(r"\^(\d)", lambda power: "⁰¹²³"[int(power[1])], tex)


def numbered(frame: pd.DataFrame, *, name: str, caption: str) -> str:
    """`frame` as a numbered MyST table that `{numref}` reaches by `name`."""
    return f":::{{table}} {caption}\n:name: {name}\n\n{markdown(frame)}\n:::"
