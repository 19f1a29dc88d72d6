"""`import_log`: a raw log becomes a data folder, whole or not at all."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Int8

from mmkd_core.data import SPLITS, DataError
from mmkd_core.datasets import splitting
from mmkd_core.datasets.controls import check_options, options_of
from mmkd_core.datasets.importing.card import Card
from mmkd_core.datasets.importing.features import Features, aligned
from mmkd_core.datasets.importing.interactions import Interactions, columns_of, read
from mmkd_core.datasets.importing.logs import import_pyarrow
from mmkd_core.datasets.importing.values import time_of, written
from mmkd_core.datasets.importing.writing import check_out, data_files, fill
from mmkd_core.files import CARD, sha256_of, write_folder
from mmkd_core.settings import NOT_NEGATIVE, NOT_WHOLE_SHARE, quoted


def import_log(
    log: Path | str,
    out: Path | str,
    *,
    user: str,
    item: str,
    time: str | None = None,
    rating: str | None = None,
    min_rating: float | None = None,
    columns: str | None = None,
    separator: str | None = None,
    k_core: Annotated[int, NOT_NEGATIVE] = 5,
    split: Literal["random", "latest", "date"] = "random",
    val: Annotated[float, NOT_WHOLE_SHARE] = 0.1,
    test: Annotated[float, NOT_WHOLE_SHARE] = 0.1,
    val_from: str | None = None,
    test_from: str | None = None,
    seed: Annotated[int, NOT_NEGATIVE] = 0,
    features: Path | str | None = None,
    layout: Literal["mmrec", "parquet"] = "mmrec",
    force: bool = False,
    on_rows: Callable[[int], Any] = lambda rows: None,
) -> Card:
    """A raw log of who chose what becomes the folder `out`, which `load` and every command read; returns its card.

    `log` is a table in CSV or TSV with a header (.tsv or RecBole's .inter: no quotes), Parquet or JSON lines, told by
    its suffix; `user`, `item`, `time` and `rating` are names of its columns. Of a text without a header `columns` names
    all in their order, "user,item,rating,time"; `separator`, "tab", one character or "::", is what stands between the
    fields of a text, whatever its suffix (in quotes they may be where it is "," or ";"). In turn, and counted in the
    card:

    1. A row without a user, an item, a rating or a time, or with one that cannot be read, is left out. Ids are texts or
       whole numbers. A time is ISO 8601 (UTC where it has no zone), or a number of seconds, milli-, micro- or
       nanoseconds since 1970, told by its size.
    2. A rating below `min_rating` is no choice. `rating` and `min_rating` are given together or not at all.
    3. Of a user's rows with one item the earliest is kept, of equal times or without times the first.
    4. Users and items with fewer than `k_core` interactions are left out until none has fewer; 0 keeps all.
    5. `split` "random": of each user's interactions the shares `val` and `test`, drawn with `seed`. "latest": the last
       by time go to test, those before to validation. In both a share is rounded down and at least one, and all of a
       user with fewer than three stay in train. "date": whatever is from the time `test_from` on goes to test, from
       `val_from` on to validation; users without a training interaction are then left out. Items may have none: they
       are cold, and counted.

    `features` is a folder as `aligned` reads it. In `out` lie the interactions in MMRec's layout (or in Parquet's,
    which is read in blocks: for tens of millions of rows), `<modality>_feat.npy`, ids.parquet (columns kind, "user" or
    "item", number, and id as the log has it, a text) and card.json. It is whole or not there. `force` replaces a folder
    that an import wrote and nobody added to. `on_rows` is called with the number of rows of each block.

    Raises `DataError` for options, columns and files that cannot be, and where nothing is left; `OSError` where `out`
    cannot be written.
    """
    known = options_of(import_log)
    options = check_options({name: value for name, value in locals().items() if name in known}, known, "the import")
    import_pyarrow(Path(log))
    columns_of(options)
    limits = _checked(options)
    log, out = Path(log).expanduser(), Path(out).expanduser().resolve()
    folder = None if features is None else Path(features).expanduser()
    check_out(out, force, [log, *([folder] if folder else [])])
    x, tally = read(log, options, on_rows)
    steps = [x.counts("reading")]
    x, labels = _split(_cleaned(x, k_core, log, steps), options, limits, log, steps)
    content = aligned(folder, item, x.ids["item"]) if folder else Features()
    files = data_files(out.name, x, labels, content, layout)
    card = Card(
        log={"file": log.name, "bytes": log.stat().st_size, "sha256": sha256_of(log)},
        options=options | {"features": folder and folder.name},
        version=import_module("mmkd_core").__version__,  # a file above this one in the rows of imports
        rows=tally.rows,
        left_out=tally.faults,
        steps=steps,
        split={"rule": splitting.RULES[split]} | {part: int((labels == n).sum()) for n, part in enumerate(SPLITS)},
        times=[] if x.times is None else [written(int(x.times.min())), written(int(x.times.max()))],
        cold_items=len(x.ids["item"]) - len(np.unique(x.items[labels == splitting.TRAIN])),
        features=content.told,
        not_read=content.not_read,
        files=[*files, CARD],
    )
    write_folder(out, lambda temporary: fill(temporary, files, card))
    return card


def _checked(options: Mapping[str, Any]) -> list[int]:
    """The times of a split by date, [] for another; raises `DataError` for options that do not go together."""
    if options["val"] + options["test"] >= 1:
        raise DataError(f"got val={options['val']} and test={options['test']}; expected less than 1 in all")
    split, dates = options["split"], {name: options[name] for name in ("val_from", "test_from")}
    if split != "random" and options["time"] is None:
        raise DataError(f"got split={split!r} without a column of times; expected time=COLUMN (`--time COLUMN`)")
    if split != "date":
        if any(date is not None for date in dates.values()):
            raise DataError(
                f"got {quoted(dates)} and split={split!r}; expected split='date' (`--split date`) with them"
            )
        return []
    limits = [time_of(date) for date in dates.values() if date is not None]
    known = [limit for limit in limits if limit is not None]
    if len(known) < 2 or known[0] >= known[1]:
        raise DataError(f"got {quoted(dates)}; expected two times such as 2024-01-31, that of test the later")
    return known


def _cleaned(x: Interactions, k_core: int, log: Path, steps: list[dict[str, Any]]) -> Interactions:
    """Each pair once, and of those the k-core; the counts of both are added to `steps`."""
    x = x.earliest()
    steps.append(x.counts("duplicates"))
    if k_core > 1:
        x = x.only(splitting.core(x.users, x.items, k_core))
    if not len(x.users):
        raise DataError(
            f"{log}: no interaction is left of {steps[-1]['interactions']:,}, since users or items have fewer than "
            f"{k_core}, again and again; expected a smaller k_core (`--k-core 2`; 0 keeps all)"
        )
    x = x.compact()
    steps.append(x.counts(f"{k_core}-core"))
    return x


def _split(
    x: Interactions, options: Mapping[str, Any], limits: list[int], log: Path, steps: list[dict[str, Any]]
) -> tuple[Interactions, Int8[np.ndarray, " edge"]]:
    """Interactions and their labels; the users without training interactions are gone."""
    val, test = options["val"], options["test"]
    if x.times is None or options["split"] == "random":
        rank = np.random.default_rng(options["seed"]).random(len(x.users))
        return x, splitting.by_user(x.users, rank, val, test)
    if options["split"] == "latest":
        return x, splitting.by_user(x.users, x.times, val, test)
    labels = splitting.by_date(x.times, limits[0], limits[1])
    kept = splitting.trained(x.users, labels)
    if not kept.any():
        raise DataError(
            f"{log}: no interaction is left for training before {written(limits[0])}; expected val_from "
            f"(`--val-from`) between {written(int(x.times.min()))} and {written(int(x.times.max()))}"
        )
    x = x.only(kept).compact()
    steps.append(x.counts("users without training"))
    return x, labels[kept]
