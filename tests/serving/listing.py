"""Lists to be killed while they are written. Who preloads this has imported everything that they need."""

import pyarrow.parquet  # noqa: F401
import torch

from mmkd_core import lists
from mmkd_core.__main__ import main


def work(record, out):
    """`mmkd recommend --out FOLDER/` in two files."""
    lists.PART = 100
    torch.set_num_threads(1)
    assert main(["recommend", str(record), "--all", "--out", f"{out}/"]) == 0
