"""Changes to a data set that ask a question: is it the content that helps, is it the selection, what is new worth?

They are options of `load` for every data set: `load("lfm2k", content="permuted")`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch

from mmkd_core.data import Dataset
from mmkd_core.datasets.options import check_options, options_of
from mmkd_core.settings import NOT_WHOLE_SHARE


def controlled(
    data: Dataset,
    *,
    content: Literal["real", "permuted", "noise", "removed"] = "real",
    hold_back: Annotated[float, NOT_WHOLE_SHARE] = 0.0,
    swap: bool = False,
) -> Dataset:
    """`data` with its content replaced, a share of its training interactions left out, or its held-out parts swapped.

    `content`: "permuted" gives each item the features of another, of all modalities alike; "noise" draws normal numbers
    of the same shape; "removed" makes all features zero, which is how a missing modality is written. `hold_back` leaves
    out that share of the training interactions, drawn at random. `swap` makes validation of test and test of
    validation, so that training selects on test. Drawing is from a fixed seed: a control is part of the data, not of a
    run. Raises `DataError` for values outside their range.
    """
    options = {"content": content, "hold_back": hold_back, "swap": swap}
    check_options(options, options_of(controlled), data.name)
    generator = torch.Generator().manual_seed(0)
    if content != "real":
        order = torch.randperm(data.num_items, generator=generator)
        change = {
            "permuted": lambda x: x[order],
            "noise": lambda x: torch.randn(x.shape, generator=generator),
            "removed": torch.zeros_like,
        }[content]
        features = {modality: change(x) for modality, x in sorted(data.features.items())}
        data = replace(data, features=features)
    if hold_back:
        kept = torch.rand(len(data.train), generator=generator) >= hold_back
        data = replace(data, train=data.train[kept])
    if swap:
        data = replace(data, val=data.test, test=data.val)
    return data
