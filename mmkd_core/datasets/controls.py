"""Changes to a data set that ask a question: is it the content that helps, is it the selection, what is new worth?

They are options of `load` for every data set: `load("lfm2k", content="permuted")`.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import torch

from mmkd_core.data import DataError, Dataset
from mmkd_core.settings import quoted

CONTENTS = ("real", "permuted", "noise", "removed")


def controlled(data: Dataset, *, content: str = "real", hold_back: float = 0.0, swap: bool = False) -> Dataset:
    """`data` with its content replaced, a share of its training interactions left out, or its held-out parts swapped.

    `content`: "permuted" gives each item the features of another, of all modalities alike; "noise" draws normal numbers
    of the same shape; "removed" makes all features zero, which is how a missing modality is written. `hold_back` leaves
    out that share of the training interactions, drawn at random. `swap` makes validation of test and test of
    validation, so that training selects on test. Drawing is from a fixed seed: a control is part of the data, not of a
    run. Raises `DataError` for values outside their range.
    """
    if not isinstance(content, str) or content not in CONTENTS:
        raise DataError(f"{data.name}: unknown content {quoted(content)}; one of {list(CONTENTS)}")
    if isinstance(hold_back, bool) or not isinstance(hold_back, Real) or not 0 <= hold_back < 1:
        raise DataError(f"{data.name}: hold_back={quoted(hold_back)}; expected at least 0 and less than 1")
    if not isinstance(swap, bool):
        raise DataError(f"{data.name}: swap={quoted(swap)}; expected True or False")
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
