"""What the columns of a raw log mean: ids as texts, numbers, and times in whichever way they are written."""

from datetime import UTC, datetime
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mmkd_core.errors import DataError

# A number is a time in seconds, unless it is so large that it would lie beyond the year 5000: then in thousandths,
# millionths or billionths of a second.
UNITS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1), (np.inf, 0.001))
ISO = r"^\s*\d{4}-\d{2}"  # what pandas may read: it also takes "now", and 20200101, which is a number
LARGEST = 2**62


class Values(NamedTuple):
    """Values of a block, and which rows have none (`missing`), or one that cannot be read (`unreadable`)."""

    values: Any
    missing: Bool[np.ndarray, " row"]
    unreadable: Bool[np.ndarray, " row"]


def ids_of(column: Any, name: str) -> Values:
    """Ids as texts, to the letter; blank ones are missing. Whole numbers are what they are in digits.

    Raises `DataError` for a column of another type. Floats are what pandas makes of whole numbers where some are
    missing; one that is not whole cannot be read.
    """
    import pyarrow as pa

    kind, column = _plain(column)
    unreadable = np.zeros(len(column), dtype=bool)
    if pa.types.is_floating(kind):
        floats = column.to_numpy(zero_copy_only=False).astype(np.float64)
        unreadable = ~np.isnan(floats) & ((np.abs(floats) > 2**53) | (floats != np.floor(floats)))
        nothing = np.isnan(floats) | unreadable
        column = pa.array(np.where(nothing, 0, floats).astype(np.int64), mask=nothing)
    elif not (pa.types.is_integer(kind) or pa.types.is_null(kind) or is_text(kind)):
        raise DataError(f"the column {name!r} is of type {str(kind)!r}; expected ids: texts or whole numbers")
    texts = column.cast(pa.string())
    return Values(texts, _blank(texts) & ~unreadable, unreadable)


def numbers_of(column: Any, name: str) -> Values:
    """Numbers as float64; what is no number, NaN or infinite cannot be read. Raises `DataError` for another type."""
    import pyarrow as pa

    kind, column = _plain(column)
    if is_text(kind):
        missing, numbers = _blank(column), _numbers_of_texts(column)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        missing = as_mask(column.is_null())
        numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    elif pa.types.is_null(kind):
        missing, numbers = np.ones(len(column), dtype=bool), np.full(len(column), np.nan)
    else:
        raise DataError(f"the column {name!r} is of type {str(kind)!r}; expected numbers")
    return Values(numbers, missing, ~np.isfinite(numbers) & ~missing)


def times_of(column: Any, name: str) -> Values:
    """Times as int64 microseconds since 1970 (UTC): ISO 8601, numbers (see `UNITS`), or a type of times.

    A time without a zone is UTC's. What is none of them, or lies outside of the years 1678 to 2261, cannot be read.
    """
    import pyarrow as pa

    kind, plain = _plain(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        missing = as_mask(plain.is_null())
        times = plain.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
        return Values(times, missing, np.zeros(len(times), dtype=bool))
    numbers, missing, unreadable = numbers_of(column, name)
    scale = np.select([np.abs(numbers) < limit for limit, _ in UNITS], [factor for _, factor in UNITS], np.nan)
    scaled = np.where(missing | unreadable, 0, numbers) * np.nan_to_num(scale)
    unreadable |= (np.abs(scaled) > LARGEST) & ~missing
    times = np.where(unreadable, 0, np.rint(scaled)).astype(np.int64)
    if is_text(kind) and unreadable.any():
        rows = np.flatnonzero(unreadable)
        times[rows], unreadable[rows] = _iso(plain.take(pa.array(rows)))
    return Values(times, missing, unreadable)


def time_of(text: str) -> int | None:
    """The time that a text of an option stands for, as `times_of` reads it; None for none."""
    import pyarrow as pa

    times, missing, unreadable = times_of(pa.array([text]), "")
    return None if missing[0] or unreadable[0] else int(times[0])


def written(time: int) -> str:
    """A time in microseconds as ISO 8601."""
    return datetime.fromtimestamp(time // 10**6, UTC).isoformat().replace("+00:00", "Z")


def compute() -> Any:
    """pyarrow's functions. It makes them when it is imported, so no checker of types knows them."""
    return import_module("pyarrow.compute")


def is_text(kind: Any) -> bool:
    import pyarrow as pa

    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def as_mask(column: Any) -> Bool[np.ndarray, " row"]:
    return column.to_numpy(zero_copy_only=False).astype(bool)


def _plain(column: Any) -> tuple[Any, Any]:
    """The type of a column and the column, categories as what they stand for."""
    import pyarrow as pa

    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return column.type, column.cast(pa.string()) if is_text(column.type) else column


def _blank(texts: Any) -> Bool[np.ndarray, " row"]:
    pc = compute()
    return as_mask(pc.equal(pc.utf8_trim_whitespace(texts), "").fill_null(True))


def _numbers_of_texts(texts: Any) -> Float64[np.ndarray, " row"]:
    """NaN for what is no number; only where there is such a text are all looked at one by one."""
    import pyarrow as pa

    pc = compute()
    trimmed = pc.utf8_trim_whitespace(texts)
    try:
        return trimmed.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        number = pc.match_substring_regex(trimmed, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        return pc.if_else(number, trimmed, None).cast(pa.float64()).to_numpy(zero_copy_only=False)


def _iso(texts: Any) -> tuple[Int64[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Times in microseconds, and which of the texts are none."""
    import pandas as pd

    pc = compute()
    likely = pc.if_else(pc.match_substring_regex(texts, ISO), pc.utf8_trim_whitespace(texts), None)
    read = pd.to_datetime(pd.Series(likely.to_pylist()), format="ISO8601", utc=True, errors="coerce")
    return read.to_numpy("datetime64[us]").astype(np.int64), read.isna().to_numpy()
