"""`import_folder`: a folder of splits that others made becomes a data folder with their ids, whole or not at all."""

from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mmkd_core.data import SPLITS, Dataset
from mmkd_core.datasets import recbole
from mmkd_core.datasets.assemble import Content, Pairs, assemble
from mmkd_core.datasets.controls import check_options, options_of
from mmkd_core.datasets.features import unread
from mmkd_core.datasets.files import readable
from mmkd_core.datasets.importing.card import Card
from mmkd_core.datasets.importing.features import Features, aligned
from mmkd_core.datasets.importing.interactions import Interactions
from mmkd_core.datasets.importing.logs import import_pyarrow
from mmkd_core.datasets.importing.writing import check_out, data_files, fill
from mmkd_core.datasets.layouts import detect, load_folder
from mmkd_core.datasets.splitting import RULES, TRAIN
from mmkd_core.files import CARD, sha256_of, write_folder

AS_THEY_ARE = "as the files have it"


def import_folder(
    folder: Path | str,
    out: Path | str,
    *,
    item: str = "item_id",
    min_rating: float | None = None,
    overlap: Literal["error", "drop"] = "error",
    features: Path | str | None = None,
    layout: Literal["mmrec", "parquet"] = "mmrec",
    force: bool = False,
) -> Card:
    """A folder of ready splits, in any layout that `load` knows, becomes the folder `out`; returns its card.

    What `load` reads is what is written: its interactions, split and features, and what it holds out for validation
    where the files have none. Tokens of RecBole's files may be any texts here: they get numbers in the order in which
    train, validation and test name them. ids.parquet keeps what the files call each user and item, and card.json says
    what was made of what. `features`, of which `item` names the column of ids, take the place of those in `folder`;
    `min_rating` and `overlap` are those of `load`, `layout` and `force` those of `import_log`.

    Raises `DataError` as `load` and `import_log` do; `OSError` where `out` cannot be written.
    """
    known = options_of(import_folder)
    options = check_options({name: value for name, value in locals().items() if name in known}, known, "the import")
    folder, out = Path(folder).expanduser(), Path(out).expanduser().resolve()
    own = None if features is None else Path(features).expanduser()
    import_pyarrow(folder)
    check_out(out, force, [folder, *([own] if own else [])])
    with readable(str(folder)):
        data, ids = _read(folder, min_rating, overlap)
    content = aligned(own, item, ids["item"]) if own else _features_of(data)
    edges = np.concatenate([getattr(data, split).numpy() for split in SPLITS])
    labels = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(getattr(data, split)) for split in SPLITS])
    x = Interactions(edges[:, 0].astype(np.int32), edges[:, 1].astype(np.int32), None, ids)
    sources = [Path(data.sources[split]) for split in SPLITS]
    files = data_files(out.name, x, labels, content, layout)
    card = Card(
        log={"file": folder.resolve().name, "files": {path.name: sha256_of(path) for path in sources}},
        options=options | {"features": own and own.name, "split": AS_THEY_ARE},
        version=import_module("mmkd_core").__version__,  # a file above this one in the rows of imports
        rows=len(edges),
        left_out={},
        steps=[x.counts("reading")],
        split={"rule": _rule(data)} | {split: len(getattr(data, split)) for split in SPLITS},
        times=[],
        cold_items=data.num_items - len(np.unique(x.items[labels == TRAIN])),
        features=content.told,
        not_read=[*data.notes, *content.not_read],
        files=[*files, CARD],
    )
    write_folder(out, lambda temporary: fill(temporary, files, card))
    return card


def _rule(data: Dataset) -> str:
    held_out = data.sources["val"] == data.sources["train"] != data.sources["test"]
    return AS_THEY_ARE + (f", validation held out of train: {RULES['random']}" if held_out else "")


def _read(folder: Path, min_rating: float | None, overlap: Any) -> tuple[Dataset, dict[str, Any]]:
    """The data of a folder, and as Arrow arrays of texts what its files call its users and items."""
    import pyarrow as pa

    name = folder.resolve().name
    if detect(folder) != ["recbole"]:
        data = load_folder(folder, name, min_rating=min_rating, overlap=overlap)
        numbers = (("user", data.user_ids, data.num_users), ("item", data.item_ids, data.num_items))
        return data, {what: _texts(own, size) for what, own, size in numbers}
    tokens, notes = recbole.read_tokens(folder, min_rating)
    known: dict[str, dict[str, int]] = {
        what: {token: number for number, token in enumerate(dict.fromkeys(chain.from_iterable(columns)))}
        for what, columns in (
            ("user", [own.users for own in tokens.values()]),
            ("item", [own.items for own in tokens.values()]),
        )
    }
    splits = {split: _coded(own, known) for split, own in tokens.items()}
    notes += unread(
        folder, splits, "--features FOLDER", False
    )  # whose rows have ids; who would know the others' order?
    shape = (len(known["user"]), len(known["item"]))
    data = assemble(name, Content(splits, {}, {}, notes, shape=shape), overlap=overlap)
    return data, {what: pa.array([*own], pa.string()) for what, own in known.items()}


def _coded(own: recbole.Tokens, known: dict[str, dict[str, int]]) -> Pairs:
    users, items = (
        np.array([known[what][token] for token in tokens], dtype=np.int64)
        for what, tokens in (("user", own.users), ("item", own.items))
    )
    return Pairs(users, items, own.file, own.places)


def _texts(own: Tensor | None, size: int) -> Any:
    import pyarrow as pa

    return pa.array(np.arange(size) if own is None else own.numpy()).cast(pa.string())


def _features_of(data: Dataset) -> Features:
    told = {
        modality: {"file": Path(data.sources[modality]).name, "width": x.shape[1], "none": int((x == 0).all(1).sum()),
                   "unknown": 0}
        for modality, x in data.features.items()
    }  # fmt: skip
    return Features({modality: x.numpy() for modality, x in data.features.items()}, told)
