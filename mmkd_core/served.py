"""What lists are made from, be it a record or an export: tables, what each user has seen, the caller's ids."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.datasets import DATASETS
from mmkd_core.datasets.ids import Ids, numbers_of, read_ids, renumbered_ids
from mmkd_core.datasets.places import folder_of
from mmkd_core.evaluation import Scorer
from mmkd_core.experiment import Record
from mmkd_core.exported import current, read_export
from mmkd_core.files import CARD, IDS, sha256_of
from mmkd_core.runs import data_of, restore
from mmkd_core.settings import WHOLE, quoted


class Served(NamedTuple):
    """Tables and the data that they rank: of an export, these hold the training interactions alone.

    `ids` are those of the file `ids.parquet`, None where there is none; `source` is the sha256 of the record's file or
    of the export's card.
    """

    tables: Scorer
    data: Dataset
    ids: Ids | None
    source: str

    @property
    def known(self) -> Ids | None:
        """By what users and items are called in files: `ids`, else the numbers that they had before they got others."""
        return self.ids or renumbered_ids(self.data)

    def user(self, text: str) -> int:
        """The user that an id or, where no id is a number itself, a number stands for; any number without `ids`."""
        if self.ids is not None:
            (number,) = numbers_of([text], self.ids.users, self.data.num_users).tolist()
            if number >= 0:
                return number
            if not WHOLE.fullmatch(text) or _any_whole(self.ids):
                raise ValueError(f"user {quoted(text)} of {self.data.name}: no such id in {IDS}; expected one of it")
        if not WHOLE.fullmatch(text):
            raise ValueError(
                f"argument --user: {quoted(text)} is not a whole number; expected one in digits, such as 7"
            )
        return int(text)


def served(source: str | Path, dataset: str | None = None) -> Served:
    """What a record, or the folder of an export, serves; `dataset` is where a record's data lie now.

    Raises `ValueError` as `restore` and `read_export` do, and for a `dataset` beside an export, which needs none.
    """
    if not (Path(source) / CARD).is_file():
        return of_record(source, dataset)
    if dataset is not None:
        raise ValueError(f"--data {dataset}: {source} is an export, which needs no data; leave it out")
    return of_export(source)


def of_record(record_file: str | Path, dataset: str | None = None) -> Served:
    """The tables of a record's trained model. Raises `ValueError` as `restore` does."""
    data = data_of(record_file, dataset)
    model = restore(record_file, data)
    with torch.no_grad():
        tables = model.embed()
    if isinstance(tables, Embeddings):  # parts of a parameter keep its gradient, also here
        tables = Embeddings(*(table.detach() for table in tables))
    ids = ids_of(dataset or Record.read(record_file).experiment.dataset, data)
    return Served(tables, data, ids, sha256_of(Path(record_file)))


def ids_of(place: str, data: Dataset) -> Ids | None:
    """The ids in the file `ids.parquet` of a folder of `data`; None where there is none, and for a named data set."""
    file = None if place in DATASETS else folder_of(place) / IDS
    return read_ids(file, data) if file and file.exists() else None


def of_export(folder: str | Path) -> Served:
    """The tables of an export, in float32. Raises `ValueError` as `read_export` does."""
    folder = current(folder)  # once: the next version may come any moment
    users, items, indptr, seen, card = read_export(folder)
    owners = np.repeat(np.arange(len(users)), np.diff(indptr))
    none = torch.empty(0, 2, dtype=torch.int64)
    train = torch.from_numpy(np.stack([owners, seen.astype(np.int64)], axis=1))
    data = Dataset(card["data"]["name"], len(users), len(items), train, none, none)
    tables = Embeddings(*(torch.from_numpy(table.astype(np.float32)) for table in (users, items)))
    file = folder / IDS
    return Served(tables, data, read_ids(file, data) if IDS in card["files"] else None, sha256_of(folder / CARD))


def _any_whole(ids: Ids) -> bool:
    """Whether an id of a user is a number, so that a number may not be taken for a row of the table."""
    return any(WHOLE.fullmatch(str(one)) for one in ids.users.to_pylist())
