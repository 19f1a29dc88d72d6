"""Training by several processes, each on its part of every batch; the graph and the tables are whole in each.

`torchrun --nproc-per-node 2 -m mmkd_core run ...` starts them. The mean over a batch is the mean of its parts, each
weighted by its share of the rows, and so are the gradients; a term that reads no batch is the same in every part.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmkd_core.data import Batch


class Group(NamedTuple):
    """The processes that train together: which of them this one is, and how many there are."""

    rank: int
    size: int

    def part(self, batch: Batch) -> tuple[float, Batch]:
        """This process's share of the rows of a batch, and those rows.

        Distinct ids and candidates stay those of the whole batch. A tail of fewer rows than there are processes is
        trained on whole by each, which counts for an equal share.
        """
        rows = len(batch.users)
        if rows < self.size:
            return 1 / self.size, batch
        part = slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size)
        drawn = {name: distinct._replace(place=distinct.place[part]) for name, distinct in batch.drawn.items()}
        own = (batch.users[part], batch.pos[part], batch.neg[part])
        return (part.stop - part.start) / rows, Batch(*own, drawn, batch.candidates)

    def sum_gradients(self, model: nn.Module) -> None:
        """Replaces each gradient by its sum over the processes, the same bits in all of them."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        _all_reduce(together)
        for gradient, total in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def sum(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sums of named numbers over the processes."""
        together = torch.stack(list(values.values()))
        _all_reduce(together)
        return dict(zip(values, together, strict=True))


def _all_reduce(values: Tensor) -> None:
    """Replaces `values` by their sum over the processes; raises `ConnectionError` where one of them has ended."""
    try:
        dist.all_reduce(values)
    except RuntimeError as error:
        raise ConnectionError("another process of this training has ended; what it said tells why") from error


def group() -> Group | None:
    """The processes that this one trains with; None where it is alone."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return None
    return Group(dist.get_rank(), dist.get_world_size())


def is_first() -> bool:
    """Whether this process is the one that writes files and speaks."""
    together = group()
    return together is None or together.rank == 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Joins the processes that torchrun started, if it did; yields the device of this one: of several GPUs, its own.

    gloo carries what they tell each other, nccl where they train on GPUs. Raises `ValueError` for more processes than
    GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        index, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if index >= there:
            raise ValueError(
                f"{os.environ['LOCAL_WORLD_SIZE']} processes for {there} GPUs; expected one per GPU at most"
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()
