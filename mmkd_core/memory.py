"""Refuses settings whose tables cannot fit into this machine's memory, before they are allocated."""

import os
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmkd_core.data import Dataset
from mmkd_core.settings import quoted

# Where Linux keeps the limit of a container, in the form of either version of control groups.
CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
ADDRESSES = 2**47
TRAINED = 16  # bytes of a trained number: itself, its gradient, AdamW's two moments
DEPTHS = ("layers", "item_layers", "routing")


@lru_cache
def of_machine() -> int:
    """The bytes of memory that this process may use at most: the machine's, or those of its control group.

    Where a system does not say how much it has, Windows for one, the most that an address reaches.
    """
    if not hasattr(os, "sysconf"):
        return ADDRESSES
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    said = [file.read_text(encoding="ascii").strip() for file in CGROUPS if file.exists()]
    return min(limits + [int(limit) for limit in said if limit.isdecimal()])


def check_sizes(settings: Mapping[str, Any], data: Dataset, of: str, *, squares: int = 0) -> None:
    """Raises `ValueError` for a setting that alone takes more memory than there is, or for a depth without a meaning.

    The sizes are the least that training takes, so nothing that could be trained is refused: one row per node, and
    `squares` matrices of `dim` times `dim`. More layers than nodes have no meaning: no shortest path is as long, so all
    that can reach a node has reached it.
    """
    nodes = data.num_users + data.num_items
    columns = sum(x.shape[1] for x in data.features.values())
    least: dict[str, Callable[[int], int]] = {
        "dim": lambda width: (nodes + squares * width) * width * TRAINED,
        "latent": lambda width: columns * width * TRAINED,
        "content_dim": lambda width: data.num_users * width * TRAINED,
        "negatives": lambda count: len(data.train) * count * 16,  # an epoch's, with their users, are drawn at once
    }
    for name, value in settings.items():
        if name in least:
            check_fits(name, value, least[name], of)
        elif name in DEPTHS and value is not None and value > nodes:
            raise ValueError(
                f"{name}={quoted(value)} of {of}; expected at most {nodes:,}, the users and items of {data.name}: "
                "no path between two of them is longer"
            )


def check_fits(name: str, value: int, size: Callable[[int], int], of: str) -> None:
    """Raises `ValueError` when `size(value)` bytes are more than there are; it says the largest value that fits."""
    there = of_machine()
    if size(value) > there:
        largest = bisect_left(range(value), True, key=lambda smaller: size(smaller) > there) - 1
        raise ValueError(
            f"{name}={quoted(value)} of {of} would take {spelt(size(value))} of memory or more; there are "
            f"{spelt(there)}, and the largest {name} that they could hold is {largest:,}"
        )


def spelt(size: int) -> str:
    """A number of bytes as people say it."""
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    place = min((len(str(size)) - 1) // 3, len(units) - 1)
    return f"{size / 1000**place:,.1f} {units[place]}" if place else f"{size} bytes"
