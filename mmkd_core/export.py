"""From a record to a folder that serves without this package and without torch.

`tables.npz` and `tables.safetensors` hold the same four arrays: `users` and `items`, the tables; `seen_indptr` and
`seen_items`, what each user had in training and is shown no more (CSR). `ids.parquet` has the caller's ids if there are
any, `recommend.onnx` the way from a user's row to a list, `card.json` where all of it comes from and the sum of each
file. README has the few lines of NumPy that serve it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmkd_core.cold import rows_by_content
from mmkd_core.cost import environment
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.datasets import DATASETS
from mmkd_core.experiment import Record
from mmkd_core.exported import CURRENT, VERSIONS, Export, in_precision, read_card, read_export, write_files
from mmkd_core.files import CARD, write_folder
from mmkd_core.kernels import starts
from mmkd_core.onnx_graph import check_onnx
from mmkd_core.served import of_record
from mmkd_core.settings import quoted

__all__ = ["Export", "export", "read_export"]


def export(
    record_file: str | Path,
    out: str | Path,
    *,
    dataset: str | None = None,
    float16: bool = False,
    onnx: int | None = None,
    content: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Writes what the trained model of a record serves into the new folder `out`; returns its card.

    The tables are (num_users, dim) and (num_items, dim), float32 or, with `float16`, half of that: user u's score of
    item i is their rows' inner product. `seen_indptr` (num_users + 1, int64) and `seen_items` (int32, ascending for
    each user) are the training interactions. `onnx` is how many items `recommend.onnx` lists, if there is to be one.
    With `content` the items that nobody chose in training get the rows of `rows_by_content` in place of the model's.
    `dataset` is where the record's data lie now. With `force` an export at `out` is replaced, refreshed versions of it
    as well, if there is nothing else in its folder.

    The folder is whole or not there. Raises `ValueError` as `restore` does; for `out` that is there already; for
    ItemKNN, which is no pair of tables; for a table that is not finite, in float16 where a number is above 65504; for
    lists that are longer than the catalogue; where a package is missing.
    """
    out = Path(out).resolve()
    if out.exists():
        _check_replaced(out, force)
    record, served = Record.read(record_file), of_record(record_file, dataset)
    if onnx is not None:
        check_onnx(onnx, served.data.num_items)
    if not isinstance(served.tables, Embeddings):
        raise ValueError(
            f"{record_file}: {record.experiment.model} is no pair of tables; expected a model whose scores are inner "
            "products: export another one, or have this one's lists written by `mmkd recommend RECORD --all`"
        )
    tables = _by_content(served.tables, served.data) if content else served.tables
    arrays = _arrays(tables, served.data, np.dtype(np.float16 if float16 else np.float32), record_file)
    card: dict[str, Any] = {}

    def fill(folder: Path) -> None:
        card.update(write_files(folder, arrays, served.known, onnx, _card(record, served.data)))

    write_folder(out, fill)
    return card


def _by_content(tables: Embeddings, data: Dataset) -> Embeddings:
    """The tables with rows from content for items without a training interaction; raises `ValueError` without any."""
    if not data.features:
        raise ValueError(f"{data.name}: has no features; expected some for --content, from which rows are learned")
    counts = torch.bincount(data.train[:, 1], minlength=data.num_items).numpy()
    features = {modality: x.numpy() for modality, x in data.features.items()}
    return tables._replace(items=torch.from_numpy(rows_by_content(tables.items.numpy(), counts, features)))


def _check_replaced(out: Path, force: bool) -> None:
    """Raises `ValueError` unless `out` is what an earlier export wrote, and no more, and may be replaced."""
    if not force:
        raise ValueError(f"{out}: is there already; expected no such path: choose another, or replace it with --force")
    try:
        known = {CARD, CURRENT, VERSIONS, *read_card(out)["files"]}
    except ValueError as error:
        raise ValueError(f"{out}: is no export, so --force does not replace it: {error}") from None
    if others := sorted(path.name for path in out.iterdir() if path.name not in known):
        raise ValueError(f"{out}: holds {quoted(others)} beside an export, so --force does not replace it; move these")


def _arrays(tables: Embeddings, data: Dataset, dtype: np.dtype, source: str | Path) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, table in tables._asdict().items():
        array, wrong = in_precision(table.numpy(), dtype)
        if wrong is not None:
            raise ValueError(
                f"{source}: row {wrong} of the {name}' table holds NaN, infinity or more than {dtype} can; expected "
                f"finite numbers of at most {np.finfo(dtype).max}"
            )
        arrays[name] = array
    owners, seen = data.train.T
    arrays["seen_indptr"] = starts(owners.contiguous(), data.num_users).numpy()
    return arrays | {"seen_items": seen.to(torch.int32).contiguous().numpy()}


def _card(record: Record, data: Dataset) -> dict[str, Any]:
    entry = DATASETS.get(record.experiment.dataset)
    terms = {"terms": entry.terms, "source": entry.source} if entry else {}
    return {
        "data": {"name": data.name} | record.data | terms,
        "experiment": record.experiment.as_dict(),
        "metrics": record.metrics,
        "validation": record.validation,
        "trained": record.environment,
        "exported": environment(torch.device("cpu")),
    }
