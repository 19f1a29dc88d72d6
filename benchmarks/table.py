"""Rows of a comparison: what was timed, by whom, and how many times ours that is."""

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

PARTS = {
    "epoch": "an epoch of training, seconds",
    "evaluation": "Recall and NDCG at 20 and 50, seconds",
    "top 20": "the best 20 items of 8,192 users, seconds",
    "sampling": "the triples of an epoch, seconds",
    "product": "a sparse product, forward and backward, seconds",
    "kernels": "kernels of a training step",
}
OURS, ABSENT, EARLIER = "ours", "not installed", "measured earlier"
CITED = tomllib.loads((Path(__file__).parent / "peers.toml").read_text(encoding="utf-8"))


class Row(NamedTuple):
    """`who` took `value` for `what` at the shape `at`; None where it is not installed. `note` says what differs."""

    part: str
    at: str
    what: str
    who: str
    value: float | None
    note: str = ""


def cited(part: str, at: str) -> Iterator[Row]:
    """What was measured at another time; the note says so."""
    for what, values in CITED.get(part, {}).get(at, {}).items():
        for own in values:
            note = "; ".join(filter(None, [EARLIER, own.get("note", "")]))
            yield Row(part, at, what, own["who"], own["value"], note)


def ratio(row: Row, rows: Iterable[Row]) -> float | None:
    """How many times ours a row is; None for one that has no number, and where ours has none."""
    ours = next((own.value for own in rows if own[:3] == row[:3] and own.who == OURS), None)
    return row.value / ours if row.value is not None and ours else None


def lines(rows: list[Row]) -> Iterator[str]:
    """The rows for a terminal: by part and shape, each with its ratio first."""
    for part, title in PARTS.items():
        for at in dict.fromkeys(row.at for row in rows if row.part == part):
            yield f"{at}: {title}"
            own = [row for row in rows if (row.part, row.at) == (part, at)]
            for what in dict.fromkeys(row.what for row in own):
                yield from (_line(row, rows) for row in own if row.what == what)


def _line(row: Row, rows: list[Row]) -> str:
    times, digits = ratio(row, rows), 0 if row.part == "kernels" else 3
    first = f"{times:,.1f} x" if times is not None else ""
    value = ABSENT if row.value is None else f"{row.value:,.{digits}f}"
    what = row.what if row.who == OURS else ""
    return f"{first:>10} {value:>14}  {what:<36} {row.who:<24} {row.note}".rstrip()


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as a record keeps them; seconds to a tenth of a millisecond."""
    return [{**row._asdict(), "value": None if row.value is None else round(row.value, 4)} for row in rows]
