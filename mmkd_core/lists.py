"""Lists for many users, as a Parquet file that is written block by block, or as a folder of them."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmkd_core.datasets.ids import numbers_of
from mmkd_core.evaluation import Ranking, check_cut_off, rank, seen_by
from mmkd_core.files import read_json, write_json, write_whole
from mmkd_core.progress import Counted
from mmkd_core.served import Served
from mmkd_core.settings import quoted

ROWS = 2**16  # of the file that are in memory at once: a block of users has about as many places in its lists
PART = 2**20  # rows of a file of many, about
REQUEST = "_request.json"
Ranked = Callable[[Int[Tensor, " user"], Int[Tensor, "edge 2"]], Ranking]  # users, their training interactions


class Parts(NamedTuple):
    """Of how many users a folder has or will have lists, in how many files; those there now, and before the call."""

    users: int
    files: int
    there: int
    before: int


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
    ranked: Ranked | None = None,
) -> int:
    """Writes the best `k` items of each of `users` who has a training history; returns how many users these are.

    The file has a row per place of a list, in the order of `users`: user, rank (int32, from 1), item and score
    (float32); users and items by the caller's ids if there are any, else by their numbers (int64). Lists are those of
    `rank`, or of `ranked`, which gives them for some users and their training interactions; memory does not grow with
    their number. The file is whole or not there. Raises `ValueError` as `rank` does, where no user has a history, and
    where pyarrow is not installed.
    """
    users = with_history(users, served)
    with Counted() as counted:
        _write(Path(out), served, users, k, ranked or _exact(served, k, left_out), counted)
    return len(users)


def write_parts(
    folder: str | Path,
    served: Served,
    users: Int[Tensor, " user"],
    k: int,
    *,
    left_out: Bool[Tensor, " item"] | None = None,
    ranked: Ranked | None = None,
    recall: float | None = None,
    share: tuple[int, int] = (1, 1),
) -> Parts:
    """`write_lists` as files of about a million rows, each whole or not there; those that are there are not made again.

    `share` (i, n) makes the i-th of every n files alone, so that n machines fill one folder. What was asked, `recall`
    as well, which says what `ranked` was tuned to, stands in the folder's `_request.json`, which readers of Parquet
    pass over. Raises `ValueError` as `write_lists` does, for a folder of other lists, and for one of other files.
    """
    check_cut_off(k, served.data)
    folder, users = Path(folder), with_history(users, served)
    blocks = users.split(max(1, PART // max(1, k)))
    _ask(folder, {
        "source": served.source, "top": k, "users": _sum_of(users), "recall": recall, "parts": len(blocks),
        "left out": None if left_out is None else _sum_of(left_out),
    })  # fmt: skip
    files = [folder / f"part-{number:05}.parquet" for number in range(len(blocks))]
    there = sum(file.exists() for file in files)
    with Counted() as counted:
        for number in range(share[0] - 1, len(blocks), share[1]):
            if not files[number].exists():
                _write(files[number], served, blocks[number], k, ranked or _exact(served, k, left_out), counted)
    return Parts(len(users), len(files), sum(file.exists() for file in files), there)


def _ask(folder: Path, request: dict[str, Any]) -> None:
    """Notes in the folder what is asked, or raises `ValueError` where something else was."""
    file = folder / REQUEST
    if not file.exists():
        if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise ValueError(f"{folder}: has files, and no {REQUEST}; expected a new folder, or one of these lists")
        write_json(file, request)
    there = read_json(file, dict, "request", "mmkd recommend --out FOLDER/")
    if differs := [name for name, value in request.items() if there.get(name) != value]:
        raise ValueError(
            f"{folder}: its lists were asked otherwise ({', '.join(differs)} differ); expected the same request, which "
            "goes on with them, or another folder"
        )


def _sum_of(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def _exact(served: Served, k: int, left_out: Bool[Tensor, " item"] | None) -> Ranked:
    return lambda users, seen: rank(served.tables, users, served.data, k, seen=seen, left_out=left_out)


def with_history(users: Int[Tensor, " user"], served: Served) -> Int[Tensor, " kept"]:
    """Those of `users` who have a training history, in their order; raises `ValueError` where none has."""
    data = served.data
    users = users[torch.bincount(data.train[:, 0], minlength=data.num_users)[users] > 0]
    if not len(users):
        raise ValueError(f"{data.name}: none of the users has a training history, so there is no taste to rank by")
    return users


def _write(out: Path, served: Served, users: Int[Tensor, " user"], k: int, ranked: Ranked, counted: Counted) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f"{out}: writing Parquet needs pyarrow; pip install 'mmkd-book[parquet]'") from None
    known = served.known
    kinds = (pa.int64(), pa.int64()) if known is None else (known.users.type, known.items.type)
    types = {"user": kinds[0], "rank": pa.int32(), "item": kinds[1], "score": pa.float32()}

    def columns(block: Tensor) -> list[np.ndarray]:
        best = ranked(block, seen_by(block, served.data))
        there = best.items >= 0
        owners, ranks = block[:, None].expand_as(there), torch.arange(1, k + 1, dtype=torch.int32).expand_as(there)
        return [column[there].numpy() for column in (owners, ranks, best.items, best.scores)]

    def write(temporary: Path) -> None:
        done = 0
        with pq.ParquetWriter(temporary, pa.schema(types)) as writer:
            for block in users.split(max(1, ROWS // max(1, k))):
                owners, ranks, items, scores = columns(block)
                if known is not None:
                    owners, items = known.users.take(pa.array(owners)), known.items.take(pa.array(items))
                own = dict(zip(types, (owners, ranks, items, scores), strict=True))
                writer.write_table(pa.table(own, schema=pa.schema(types)))
                counted(out.name, done := done + len(block), len(users))

    write_whole(out, write)


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
