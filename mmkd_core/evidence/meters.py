"""Meters: operations of products, and the peaks of memory of a process of its own."""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mmkd_core import kernels  # noqa: F401, registers torch.ops.mmkd

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
aten, ours = torch.ops.aten, torch.ops.mmkd


def _of_sums(table: Sequence[int], indices: Sequence[int], *_: object, **__: object) -> int:
    """Weighted sums of rows: a multiplication and an addition for each number of each row that is looked up."""
    return 2 * indices[0] * table[1]


SPARSE: dict[Any, Callable[..., int]] = {
    # the last of the rows of the gradient
    **dict.fromkeys((aten._embedding_bag, aten._embedding_bag_forward_only, aten._embedding_bag_backward), _of_sums),
    # of the weights, the gradient given first: an inner product for each row that is looked up
    aten._embedding_bag_per_sample_weights_backward: lambda grad, *others, **__: _of_sums(*others),
    # the library's own operators, each counted as the sums of rows that it consists of
    ours.product: lambda x, crow, col, *_, **__: _of_sums(x, col),
    # chosen rows of a product count as the whole of it, which is what a GPU computes
    **dict.fromkeys((ours.product_at, ours.product_at_backward), lambda x, rows, crow, col, *_, **__: _of_sums(x, col)),
    ours.layers_at: lambda x, rows, layers, crow, col, *_, **__: layers * _of_sums(x, col),
    ours.layers_at_backward: lambda grad, rows, crow, col, *_, **__: (grad[0] - 1) * _of_sums(grad[1:], col),
    ours.pattern_product_at_backward: lambda grad, values, x, *_, **__: 2 * _of_sums(x, values),
    **dict.fromkeys(
        (ours.pattern_product, ours.pattern_product_at, ours.pattern_transposed),
        lambda values, x, *_, **__: _of_sums(x, values),
    ),
    ours.pattern_scores: lambda left, right, crow, row, *_, **__: _of_sums(right, row),
    ours.listed_users: lambda grad, x, y, rows, lists, **_: 2 * lists[0] * lists[1] * y[1] + _of_sums(x, rows),
    ours.listed_items: lambda grad, x, y, rows, lists, **_: 2 * lists[0] * lists[1] * y[1],
}
DENSE: dict[Any, Any] = dict.fromkeys((ours.affine, ours.dense), lambda a, b, *_, **__: 2 * a[0] * b[0] * b[1])


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Fills the yielded dict at the end: operations of "sparse" and of "dense" products inside."""
    counts: dict[str, int] = {}
    with FlopCounterMode(display=False, custom_mapping=SPARSE | DENSE) as counter:
        yield counts
    by_operator = counter.get_flop_counts().get("Global", {})
    counts["sparse"] = sum(count for operator, count in by_operator.items() if operator in SPARSE)
    counts["dense"] = sum(by_operator.values()) - counts["sparse"]


def alone(call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `call` gives in a fresh process; what it raises comes through."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def peak_memory(device: torch.device) -> dict[str, int]:
    """The highest resident MiB, and on a GPU the highest allocated, since the last call.

    Since the process began where the system cannot forget a peak. A child's `ru_maxrss` begins with its parent's.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        peaks = {"resident": int(line.split()[1]) // 1024}
        CLEAR.write_text("5")  # man 5 proc_pid_clear_refs: resets the peak to what is resident now
    else:
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
        peaks = {"resident": round(kilobytes / 1024)}
    if device.type == "cuda":
        peaks["gpu"] = torch.cuda.max_memory_allocated(device) // 1024**2
        torch.cuda.reset_peak_memory_stats(device)
    return peaks
