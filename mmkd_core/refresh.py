"""New choices, users and items in an export: folded in without teacher, features or torch, and kept as a version."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from mmkd_core.datasets.ids import Ids, ids_for, numbers_of
from mmkd_core.datasets.importing.interactions import Interactions, Tally, columns_of, read
from mmkd_core.datasets.importing.logs import import_pyarrow
from mmkd_core.exported import Export, in_precision, read_files, write_files
from mmkd_core.files import IDS, sha256_of
from mmkd_core.fold_in import Choices, grown, starts
from mmkd_core.settings import WHOLE, checked, of_function, quoted
from mmkd_core.versions import HISTORY, add_version, alone, newest, numbered, serving


class Known(NamedTuple):
    """All that an export knows once a log was read: ids, choices by user, and what the card tells of the log."""

    ids: Ids
    indptr: Int64[np.ndarray, " user_and_1"]
    chosen: Int64[np.ndarray, " edge"]
    told: dict[str, Any]


def refresh(
    export: Path | str,
    log: Path | str,
    *,
    user: str,
    item: str,
    rating: str | None = None,
    min_rating: float | None = None,
    columns: str | None = None,
    separator: str | None = None,
    on_rows: Callable[[int], Any] = lambda rows: None,
) -> dict[str, Any]:
    """Folds the choices in `log` into the export in a folder, and lets that serve; returns what its card tells of it.

    `log` is read as `import_log` reads it, by the export's ids. Those that it does not know are new users and items,
    numbered after the others in the order in which the log names them. The rows are `grown` from the trained ones by
    all choices known, so in how many portions these came does not matter. What each user has seen grows. Precision, ids
    and recommend.onnx are as the export has them.

    `card["refreshed"]` has an entry for each log, which is returned: version, the one that it is made `of`, date, file,
    rows, those left out and why, pairs that stood twice or were known, how many choices, users and items are new. Where
    none is, the version that serves goes on, and its number is returned. Raises `ValueError` for a folder that is no
    export; a log that cannot be read, or names nobody and nothing known; options that do not go together; numbers
    beyond the export's precision; where another refresh is at work. `OSError` where it cannot be written.
    """
    folder, log = Path(export).expanduser(), Path(log).expanduser()
    trained = read_files(folder)
    given = {"user": user, "item": item, "rating": rating, "min_rating": min_rating}
    given |= {"columns": columns, "separator": separator}
    options = checked(given, of_function(refresh, ranged=False), "the refresh", "option")
    columns_of(options)
    import_pyarrow(log)
    with alone(folder):
        of = serving(folder)
        latest = read_files(numbered(folder, of)) if of else trained
        k = (latest.card.get("onnx") or {}).get("k")
        if k is not None:
            from mmkd_core.onnx_graph import check_onnx

            check_onnx(k, len(latest.items))
        found, tally = read(log, options, on_rows)
        known = _known(latest, _ids(numbered(folder, of), latest), found, log)
        told = _told(log, tally, known, newest(folder) + 1, of)
        if not told["choices"]["new"]:
            return told | {"version": of}
        card = {**latest.card, HISTORY: [*latest.card.get(HISTORY, []), told]}
        arrays = _arrays(trained, known)
        named = known.ids if IDS in latest.card["files"] or told["users"] or told["items"] else None
        add_version(folder, told["version"], lambda temporary: write_files(temporary, arrays, named, k, card))
    return told


def _ids(folder: Path, export: Export) -> Ids:
    """By what an export calls its users and items: their numbers where it has no ids."""
    users, items = np.arange(len(export.users)), np.arange(len(export.items))
    if IDS in export.card["files"]:
        return ids_for(folder / IDS, users, items)
    import pyarrow as pa

    return Ids(pa.array(users), pa.array(items))


def _known(latest: Export, ids: Ids, found: Interactions, log: Path) -> Known:
    """What is known once `found`, the rows of `log`, is added to what an export knows."""
    numbers, texts = [], []
    for what, own in zip(("user", "item"), ids, strict=True):
        named = found.ids[what].to_pylist()
        codes = numbers_of(named, own, len(own))
        texts.append([named[place] for place in np.flatnonzero(codes < 0)])
        codes[codes < 0] = len(own) + np.arange(len(texts[-1]))
        numbers.append(codes)
    if len(texts[0]) == len(numbers[0]) and len(texts[1]) == len(numbers[1]):
        raise ValueError(
            f"{log}: none of its users, {quoted(texts[0][:3])} and so on, and of its items, {quoted(texts[1][:3])} and "
            f"so on, is known; expected the export's ids, such as {quoted(str(ids.users[0]))} and "
            f"{quoted(str(ids.items[0]))}"
        )
    ids = Ids(*(_longer(own, new) for own, new in zip(ids, texts, strict=True)))
    pairs = np.unique(numbers[0][found.users] * len(ids.items) + numbers[1][found.items])
    owners = np.repeat(np.arange(len(latest.users)), np.diff(latest.seen_indptr))
    known = owners * len(ids.items) + latest.seen_items
    every = np.union1d(known, pairs)
    counts = {
        "rows": len(found.users),
        "repeated": len(found.users) - len(pairs),
        "known": len(pairs) + len(known) - len(every),
        "new": len(every) - len(known),
    }
    users, items = np.divmod(every, len(ids.items))
    told = {"choices": counts, "users": len(texts[0]), "items": len(texts[1])}
    return Known(ids, starts(users, len(ids.users)), items, told)


def _longer(ids: Any, texts: list[str]) -> Any:
    """`ids` and the new ones after them, as whole numbers if all of them are."""
    import pyarrow as pa

    if pa.types.is_integer(ids.type) and all(WHOLE.fullmatch(text) and int(text) < 2**63 for text in texts):
        return pa.concat_arrays([ids.cast(pa.int64()), pa.array([int(text) for text in texts], pa.int64())])
    return pa.concat_arrays([ids.cast(pa.string()), pa.array(texts, pa.string())])


def _told(log: Path, tally: Tally, known: Known, version: int, of: int) -> dict[str, Any]:
    """The entry of a log in the card."""
    return {
        "version": version,
        "of": of,
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "log": {"file": log.name, "bytes": log.stat().st_size, "sha256": sha256_of(log)},
        "mmkd_core": import_module("mmkd_core").__version__,  # a file above this one in the rows of imports
        "rows": tally.rows,
        "left_out": tally.faults,
        **known.told,
    }


def _arrays(trained: Export, known: Known) -> dict[str, np.ndarray]:
    """The arrays of the new version, in the precision of the trained one."""
    dtype = trained.users.dtype
    before = Choices(trained.seen_indptr, trained.seen_items, len(trained.items))
    tables = grown(trained.users, trained.items, before, Choices(known.indptr, known.chosen, len(known.ids.items)))
    arrays = {}
    for name, table in zip(("users", "items"), tables, strict=True):
        arrays[name], wrong = in_precision(table, dtype)
        if wrong is not None:
            raise ValueError(f"row {wrong} of the {name}' table would hold more than {dtype} can; expected float32")
    return arrays | {"seen_indptr": known.indptr, "seen_items": known.chosen.astype(np.int32)}
