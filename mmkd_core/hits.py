"""The hits of a record: the ranks at which its test items came out."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmkd_core.evaluation import KS, metrics_at
from mmkd_core.files import write_whole


def save_hits(record_file: Path, users: Int[Tensor, " edge"], places: Int[Tensor, " edge"]) -> None:
    """Writes the `.npz` of a record's name beside it: of each test interaction its user and its place in their list.

    `places` is what `hit_places` gives with the largest of `KS`. A few kilobytes: most places are 0, and users, who are
    in ascending order, are kept as differences.
    """
    steps = np.diff(users.numpy(), prepend=0).astype(np.int32)
    arrays = {"user_steps": steps, "places": places.numpy().astype(np.uint8)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, NumPy would append .npz to it
            np.savez_compressed(file, **arrays)

    write_whole(record_file.with_suffix(".npz"), write)


def read_hits(file: str | Path) -> dict[str, Float[Tensor, " user"]] | None:
    """Recall and NDCG of each test user, in ascending user id, from the `.npz` of a record, by the path of either.

    None when there is none: a record can do without. Raises `ValueError` naming a file that cannot be read.
    """
    path = Path(file).with_suffix(".npz")
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            users, places = arrays["user_steps"].cumsum(dtype=np.int64), arrays["places"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not the hits of a record ({error}); expected the file that its run wrote") from None
    return metrics_at(torch.from_numpy(places), torch.from_numpy(users), KS)
