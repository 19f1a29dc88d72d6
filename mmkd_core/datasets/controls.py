"""Changes to a data set that ask a question: is it the content that helps, is it the selection, what is new worth?

They are options of `load` for every data set: `load("lfm2k", content="permuted")`. What an option may be is checked
here: its annotation says the kind of value, and inside `Annotated` which numbers.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, get_type_hints

import torch

from mmkd_core import settings
from mmkd_core.data import SPLITS, DataError, Dataset


def options_of(function: Callable[..., Any]) -> dict[str, settings.Setting]:
    """The keyword-only parameters of a loader or a control, as settings."""
    hints = get_type_hints(function, include_extras=True)
    ranges = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {
        name: setting._replace(range=ranges[name])
        for name, setting in settings.of_function(function, ranged=False).items()
    }


def check_options(options: Any, allowed: dict[str, settings.Setting], name: str) -> dict[str, Any]:
    """`options` of the data set `name`, each of its kind and in its range; raises `DataError` for any other."""
    try:
        return settings.checked(options, allowed, name, "option")
    except ValueError as error:
        raise DataError(str(error)) from None


def controlled(
    data: Dataset,
    *,
    content: Literal["real", "permuted", "noise", "removed"] = "real",
    hold_back: Annotated[float, settings.NOT_WHOLE_SHARE] = 0.0,
    swap: bool = False,
    cold: Annotated[float, settings.NOT_WHOLE_SHARE] = 0.0,
) -> Dataset:
    """`data` with its content replaced, some training interactions or items left out, or its held-out parts swapped.

    `content`: "permuted" gives each item the features of another, of all modalities alike; "noise" draws normal numbers
    of the same shape; "removed" makes all features zero, which is how a missing modality is written. `hold_back` leaves
    out that share of the training interactions, drawn at random. `swap` makes validation of test and test of
    validation, so that training selects on test. `cold` takes that share of the items, drawn at random, out of training
    and validation, and the test is all interactions with them: what is known of these items is their content. Drawing
    is from a fixed seed: a control is part of the data, not of a run. Raises `DataError` for values out of range.
    """
    options = {"content": content, "hold_back": hold_back, "swap": swap, "cold": cold}
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
    return _without_items(data, cold, generator) if cold else data


def _without_items(data: Dataset, share: float, generator: torch.Generator) -> Dataset:
    held = torch.zeros(data.num_items, dtype=torch.bool)
    held[torch.randperm(data.num_items, generator=generator)[: round(share * data.num_items)]] = True
    train, val, test = (getattr(data, split) for split in SPLITS)
    every = torch.cat([train, val, test])
    return replace(data, train=train[~held[train[:, 1]]], val=val[~held[val[:, 1]]], test=every[held[every[:, 1]]])
