"""Lists for many users, as a Parquet file that is written block by block."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.datasets.ids import numbers_of
from mmkd_core.evaluation import rank
from mmkd_core.files import write_whole
from mmkd_core.kernels import ranges
from mmkd_core.served import Served
from mmkd_core.settings import quoted

ROWS = 2**16  # of the file that are in memory at once: a block of users has about as many places in its lists


class Named(NamedTuple):
    """What a file of ids names: of each line that is not empty the user or item, -1 for none, the id, and the place."""

    numbers: Int[np.ndarray, " line"]
    ids: list[str]
    lines: list[int]


def users_in(file: str | Path, served: Served) -> Int[Tensor, " user"]:
    """The users that a file names, one per line, in its order.

    Raises `ValueError` naming file and line for what is no user, for one who stands twice, and for a file without any.
    """
    named = _read(file, "user", served)
    if len(unknown := np.flatnonzero(named.numbers < 0)):
        raise ValueError(
            f"{_first(file, named, unknown)}: no user of {served.data.name} ({len(unknown):,} of {len(named.ids):,} "
            f"are none); expected {_ids(served)}"
        )
    order = np.argsort(named.numbers, kind="stable")
    again = order[1:][named.numbers[order][1:] == named.numbers[order][:-1]]
    if len(again):
        raise ValueError(
            f"{_first(file, named, np.sort(again))}: stands in an earlier line as well; expected each once"
        )
    return torch.from_numpy(named.numbers)


def left_out_by(served: Served, allow: str | Path | None, deny: str | Path | None) -> Bool[Tensor, " item"] | None:
    """Which items no list may hold: those that the file `allow` does not name, and those that `deny` does.

    Ids that are no items are counted in a warning. Raises `ValueError` for a file that names no item, and where no item
    is left. None where neither file is given.
    """
    if allow is None and deny is None:
        return None
    left_out = torch.zeros(served.data.num_items, dtype=torch.bool)
    if allow is not None:
        left_out |= ~_marked(allow, served)
    if deny is not None:
        left_out |= _marked(deny, served)
    if left_out.all():
        files = " and ".join(str(file) for file in (allow, deny) if file is not None)
        raise ValueError(f"{files}: no item of {served.data.name} is left; expected one at least that may be shown")
    return left_out


def write_lists(
    out: str | Path,
    served: Served,
    users: Int[Tensor, " user"],
    k: int,
    *,
    left_out: Bool[Tensor, " item"] | None = None,
) -> int:
    """Writes the best `k` items of each of `users` who has a training history; returns how many users these are.

    The file has a row per place of a list, in the order of `users`: user, rank (int32, from 1), item and score
    (float32); users and items by the caller's ids if there are any, else by their numbers (int64). Lists are those of
    `rank`; memory does not grow with their number. The file is whole or not there. Raises `ValueError` as `rank` does,
    where no user has a history, and where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f"{out}: writing Parquet needs pyarrow; pip install 'mmkd-book[parquet]'") from None
    data, known = served.data, served.known
    users = users[torch.bincount(data.train[:, 0], minlength=data.num_users)[users] > 0]
    if not len(users):
        raise ValueError(f"{data.name}: none of the users has a training history, so there is no taste to rank by")
    kinds = (pa.int64(), pa.int64()) if known is None else (known.users.type, known.items.type)
    types = {"user": kinds[0], "rank": pa.int32(), "item": kinds[1], "score": pa.float32()}

    def columns(block: Tensor) -> list[np.ndarray]:
        best = rank(served.tables, block, data, k, seen=_seen(block, data), left_out=left_out)
        there = best.items >= 0
        owners, ranks = block[:, None].expand_as(there), torch.arange(1, k + 1, dtype=torch.int32).expand_as(there)
        return [column[there].numpy() for column in (owners, ranks, best.items, best.scores)]

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, pa.schema(types)) as writer:
            for block in users.split(max(1, ROWS // max(1, k))):
                owners, ranks, items, scores = columns(block)
                if known is not None:
                    owners, items = known.users.take(pa.array(owners)), known.items.take(pa.array(items))
                own = dict(zip(types, (owners, ranks, items, scores), strict=True))
                writer.write_table(pa.table(own, schema=pa.schema(types)))

    write_whole(Path(out), write)
    return len(users)


def _seen(users: Int[Tensor, " user"], data: Dataset) -> Int[Tensor, "edge 2"]:
    """The training interactions of some users alone."""
    owners = data.train[:, 0].contiguous()
    _, position = ranges(torch.searchsorted(owners, users), torch.searchsorted(owners, users, right=True))
    return data.train[position]


def _marked(file: str | Path, served: Served) -> Bool[Tensor, " item"]:
    """The items that a file names, True for each."""
    named = _read(file, "item", served)
    unknown = np.flatnonzero(named.numbers < 0)
    if len(unknown):
        said = f"{_first(file, named, unknown)}: no item of {served.data.name}"
        if len(unknown) == len(named.ids):
            raise ValueError(f"{said}, and no other line names one; expected {_ids(served)}")
        warnings.warn(f"{said} ({len(unknown):,} of {len(named.ids):,} are none and change nothing)", stacklevel=3)
    marked = torch.zeros(served.data.num_items, dtype=torch.bool)
    marked[torch.from_numpy(named.numbers[named.numbers >= 0])] = True
    return marked


def _read(file: str | Path, kind: str, served: Served) -> Named:
    """The ids in a file, one per line; empty lines are none."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"{file}: cannot be read ({reason}); expected ids of {kind}s, one per line") from None
    rows = {line: row for line, row in enumerate(text.split("\n"), 1) if row}
    if not rows:
        raise ValueError(f"{file}: empty; expected ids of {kind}s, one per line")
    ids, known, data = list(rows.values()), served.known, served.data
    place, size = (0, data.num_users) if kind == "user" else (1, data.num_items)
    return Named(numbers_of(ids, known and known[place], size), ids, list(rows))


def _first(file: str | Path, named: Named, wrong: Int[np.ndarray, " wrong"]) -> str:
    return f"{file}, line {named.lines[wrong[0]]}: {quoted(named.ids[wrong[0]])}"


def _ids(served: Served) -> str:
    if served.known is None:
        return f"numbers from 0 to {served.data.num_users - 1} (users) or {served.data.num_items - 1} (items)"
    return "ids as its data have them"
