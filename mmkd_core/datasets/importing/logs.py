"""Raw logs: the columns of a table in CSV, TSV, Parquet or JSON lines, read in blocks by pyarrow.

Nothing is guessed from values: ids and words stay the texts that they are, so that 007 is not 7. pyarrow is imported
when a log is read.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmkd_core.datasets.files import check_file, opened
from mmkd_core.datasets.importing.texts import ONE, TWO, checked_separator, text_of
from mmkd_core.errors import DataError
from mmkd_core.settings import NUMBER, quoted

ROWS, BYTES = 2**20, 2**25  # of a block of Parquet, and of one of text
SAMPLE = 100  # lines of JSON whose values tell the kinds of the columns
SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t"}  # by suffix; RecBole's logs are called .inter
QUOTING = ",;"  # separators of tables whose fields may stand in quotes
Blocks = Iterator[dict[str, Any]]


class Log:
    """The file at `path`, of which the columns `numbers` hold numbers or times and the columns `ids` name somebody.

    `names` are those of all columns of a text that has no header, in their order; `separator` is what stands between
    the fields of a text, whatever its suffix. Rows are counted from 1; a header and empty lines are none. Rows of a
    text that have more or fewer fields than its header are left out: `ragged` holds their numbers. Raises `DataError`
    for a file of another suffix, one that is not of the format that its suffix says, and where pyarrow is not
    installed.
    """

    what = "a log of interactions"

    def __init__(
        self,
        path: Path,
        ids: Sequence[str],
        numbers: Sequence[str] = (),
        *,
        names: Sequence[str] | None = None,
        separator: str | None = None,
    ) -> None:
        self.path, self.ids, self.columns, self.names = path, ids, [*ids, *numbers], names
        self.ragged: list[int] = []
        suffix = Path(path.name.lower().removesuffix(".gz")).suffix
        if separator is not None:
            self._read = _separated(checked_separator(separator))
        elif suffix in FORMATS:
            self._read = FORMATS[suffix]
        else:
            raise DataError(
                f"{path}: got the suffix {quoted(suffix)}; expected one of {list(FORMATS)}, .gz after it or not: "
                "rename the file if it is one of these, or say what stands between the fields of a text, "
                "separator='tab' (`--separator tab`, `--separator ::`)"
            )
        if names is not None and separator is None and suffix not in SEPARATORS:
            raise DataError(
                f"{path}: got columns={quoted(','.join(names))}; expected none: in {suffix} they have names"
            )
        check_file(path, f"expected {self.what}")

    def blocks(self) -> Blocks:
        """Blocks of rows, each a pyarrow array for every column, in the order of the file."""
        import_pyarrow(self.path)
        with explained(self.path):
            yield from self._read(self)

    def row(self, place: int) -> int:
        """The number of the row that was read as number `place`, from 0: those left out before it count."""
        number = place + 1
        for left_out in self.ragged:
            if left_out > number:
                break
            number += 1
        return number

    def check_columns(self, there: Sequence[str]) -> None:
        """Raises `DataError` unless each column is there once."""
        for column in self.columns:
            if there.count(column) != 1:
                found = "no column" if column not in there else f"{there.count(column)} columns"
                if all(NUMBER.fullmatch(name.strip()) for name in there):
                    raise DataError(
                        f"{self.path}: got no column {quoted(column)}, and numbers alone where their names would be, "
                        f"{', '.join(map(quoted, there[:6]))}: it seems to have no header; expected the names of its "
                        f"{len(there)} columns in their order, such as columns='user,item,rating,time' "
                        "(`--columns user,item,rating,time`)"
                    )
                raise DataError(
                    f"{self.path}: got {found} {quoted(column)}; expected one of the columns that are there: "
                    f"{', '.join(map(quoted, there[:40]))}{' and more' if len(there) > 40 else ''}"
                )

    def check_names(self, first: Sequence[str]) -> None:
        """Raises `DataError` unless the fields of the first row can be of columns called `names`, and are not these."""
        names = self.names or []
        if len(first) != len(names):
            raise DataError(
                f"{self.path}: got {len(names)} names, {quoted(list(names))}, and in the first row {len(first)} "
                f"fields, {quoted(list(first))}; expected a name for each column, also for those that are not read"
            )
        if any(field.strip() == name for field, name in zip(first, names, strict=True)):
            raise DataError(
                f"{self.path}: got the names {quoted(list(names))} and a first row that has them, "
                f"{quoted(list(first))}; expected a log without a header: leave columns (`--columns`) out, or find "
                "other names"
            )


def import_pyarrow(path: Path) -> None:
    """Raises `DataError` where pyarrow, which reads `path`, is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise DataError(f"{path}: reading it needs pyarrow; pip install 'mmkd-book[parquet]'") from None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What pyarrow and gzip say of the file becomes a `DataError`."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as its suffix says ({_cut(error)}); expected a table") from error
    except OSError as error:  # also what pyarrow says of a .gz that is none
        raise DataError(f"{path}: cannot be read ({_cut(error)}); expected a table") from error


def _cut(error: Exception) -> str:
    return quoted(str(error))[1:-1]


def _separated(separator: str) -> Callable[[Log], Blocks]:
    parted, quotes = separator == TWO.decode(), separator in QUOTING

    def read(log: Log) -> Blocks:
        import pyarrow as pa
        from pyarrow import csv

        def note(row: Any) -> str:
            log.ragged.append(row.number - (log.names is None))  # the header is its first
            return "skip"

        # A quoted field may hold line ends. TSV has no quotes: one at the start of a field would swallow what follows.
        parse = csv.ParseOptions(
            delimiter=ONE.decode() if parted else separator,
            quote_char='"' if quotes else False,
            newlines_in_values=quotes,
            invalid_row_handler=note,
        )
        options = csv.ReadOptions(use_threads=False, block_size=BYTES)
        with text_of(log.path, parted) as text, csv.open_csv(text, options, parse) as file:
            first = file.schema.names
        if log.names is not None:
            log.check_names(first)
            options.column_names = [*log.names]
        log.check_columns(first if log.names is None else log.names)
        log.ragged.clear()
        kinds = dict.fromkeys(log.columns, pa.string())
        convert = csv.ConvertOptions(
            column_types=kinds, include_columns=log.columns, null_values=[""], strings_can_be_null=True
        )
        with text_of(log.path, parted) as text, csv.open_csv(text, options, parse, convert) as file:
            for block in file:
                yield dict(zip(log.columns, block.columns, strict=True))

    return read


def _parquet(log: Log) -> Blocks:
    with opened(log.path) as file:
        log.check_columns(file.schema_arrow.names)
        for block in file.iter_batches(ROWS, columns=log.columns, use_threads=False):
            yield {column: block.column(column) for column in log.columns}


def _json_lines(log: Log) -> Blocks:
    """One object a line. Kinds are those of the first values, and other fields are not looked at."""
    import pyarrow as pa
    import pyarrow.json as arrow_json

    options = arrow_json.ParseOptions(explicit_schema=_schema(log), unexpected_field_behavior="ignore")
    reading = arrow_json.ReadOptions(use_threads=False, block_size=BYTES)
    start = 0
    with text_of(log.path) as file:
        while text := file.read(BYTES):
            text += file.readline()
            if not text.strip():
                continue
            try:
                table = arrow_json.read_json(pa.BufferReader(text), reading, options)
            except pa.ArrowInvalid as error:
                raise DataError(
                    f"{log.path}, after row {start}: {_cut(error)} (counted from there); expected one JSON object a "
                    f"line, the values of a column all texts or all numbers"
                ) from error
            start += len(table)
            for block in table.combine_chunks().to_batches():
                yield {column: block.column(column) for column in log.columns}


def _schema(log: Log) -> Any:
    """The columns of a log of JSON, each of texts or of numbers, as its first value is."""
    import pyarrow as pa

    with text_of(log.path) as file:
        sample = [_object(log.path, line, file.readline()) for line in range(1, SAMPLE + 1)]
    log.check_columns(list({name: None for row in sample for name in row}))
    fields = []
    for column in log.columns:
        first = next((row[column] for row in sample if row.get(column) is not None), "")
        number = pa.int64() if column in log.ids else pa.float64()
        fields.append(pa.field(column, pa.string() if isinstance(first, str) else number))
    return pa.schema(fields)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """What a line of JSON holds; nothing in an empty one. Raises `DataError` unless that is an object."""
    try:
        value = json.loads(line) if line.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{path}, line {number}: got {quoted(line)[1:]}; expected one JSON object a line")
    return value


FORMATS: dict[str, Callable[[Log], Blocks]] = {
    **{suffix: _separated(separator) for suffix, separator in SEPARATORS.items()},
    ".parquet": _parquet,
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _json_lines),
}
