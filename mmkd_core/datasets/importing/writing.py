"""What an import writes: the files of a data folder, and what has to be so at the place where they go."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int8

from mmkd_core.data import DataError
from mmkd_core.datasets.ids import Ids, write_ids
from mmkd_core.datasets.importing.card import Card
from mmkd_core.datasets.importing.features import Features
from mmkd_core.datasets.importing.interactions import Interactions
from mmkd_core.datasets.mmrec import COLUMNS
from mmkd_core.files import CARD, IDS
from mmkd_core.settings import quoted

ROWS = 2**20  # that are written at once


def check_out(out: Path, force: bool, sources: list[Path]) -> None:
    """Raises `DataError` where something stands that an import may not replace."""
    if inside := [source.name for source in sources if out in (source.resolve(), *source.resolve().parents)]:
        raise DataError(f"{out}: {inside[0]} is it, or lies in it; expected a folder for what is made alone")
    if not out.name or (out.exists() and not out.is_dir()):
        raise DataError(f"{out}: is no folder that can be made; expected the name of a new one")
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there and not (CARD in there and force):
        hint = "force=True (`--force`) replaces it" if CARD in there else "choose another"
        raise DataError(f"{out}: is not empty; expected a new folder, or an empty one; {hint}")
    if there and (others := sorted(there - {*Card.read(out).files})):
        raise DataError(
            f"{out}: holds {quoted(others)}, which no import wrote; move that away, or choose another folder"
        )


def data_files(
    name: str, x: Interactions, labels: Int8[np.ndarray, " edge"], content: Features, layout: str
) -> dict[str, Callable[[Path], Any]]:
    """The files of a data folder called `name`, and what writes each to a path."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    table = pa.table(dict(zip(COLUMNS, (x.users, x.items, labels), strict=True)))

    def write_text(path: Path) -> None:
        with path.open("wb") as file:
            file.write("\t".join(COLUMNS).encode() + b"\n")
            csv.write_csv(table, file, csv.WriteOptions(include_header=False, delimiter="\t"))

    stem = name.strip(".")  # a hidden file is no data
    suffix, write = {
        "mmrec": (".inter", write_text),
        "parquet": (".parquet", lambda path: pq.write_table(table, path, row_group_size=ROWS)),
    }[layout]
    return {
        f"{stem}{suffix}" if f"{stem}{suffix}" != IDS else f"log{suffix}": write,
        **{f"{modality}_feat.npy": _array(features) for modality, features in content.tables.items()},
        IDS: lambda path: write_ids(path, Ids(x.ids["user"], x.ids["item"])),
    }


def _array(array: np.ndarray) -> Callable[[Path], Any]:
    return lambda path: np.save(path, array)


def fill(folder: Path, files: Mapping[str, Callable[[Path], Any]], card: Card) -> None:
    """Writes `files` and the card into an empty folder."""
    for name, write in files.items():
        write(folder / name)
    card.write(folder)
