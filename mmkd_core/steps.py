"""One training step: terms, gradient and update, launched kernel by kernel or, on a GPU, replayed as one CUDA graph.

A step of these models is a hundred kernels of a few microseconds each. A GPU waits for their launches, not they for the
GPU; a graph is launched once.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

from mmkd_core.data import Batch, Distinct
from mmkd_core.models.base import Recommender
from mmkd_core.parallel import Group

Terms = dict[str, Tensor]
Capture = Literal["auto", "off"]
WARM_UP = 3  # steps before the first capture: libraries choose their kernels, and AdamW's moments come to be


class Stepper:
    """Carries out the steps of one training: a call trains on a batch and gives its loss terms, without a gradient.

    With `capture="auto"` the step is captured on a GPU, in every epoch anew, since what `refresh` makes may lie
    elsewhere or have another size: the first step of an epoch, in which LATTICE mines, and a shorter last one run by
    themselves. Where a step cannot be captured, a warning says why, once, and all steps run by themselves.
    `compile=True` lets torch's compiler fuse the terms and their gradient; `precision="bf16"` computes products of
    dense tables in bfloat16. In a `group` of processes each trains on its part of a batch, and gradients are summed;
    raises `ValueError` for a model whose loss is `joint`.
    """

    def __init__(
        self,
        model: Recommender,
        optimizer: torch.optim.Optimizer,
        *,
        capture: Capture = "auto",
        compile: bool = False,
        precision: str = "float32",
        group: Group | None = None,
    ) -> None:
        if group is not None and model.joint:
            raise ValueError(
                f"{type(model).__name__} in {group.size} processes: its loss compares the rows of a batch with each "
                "other, so it is no sum over parts of the batch; expected one process"
            )
        self.model, self.optimizer, self.group, self.precision = model, optimizer, group, precision
        self.device = device = place_of(model)
        self.terms: Callable[[Batch], Terms] = model
        if compile:
            self.terms = torch.compile(model, fullgraph=True, dynamic=False)
        self.capture = capture == "auto" and device.type == "cuda" and group is None
        self.graphs: Graphs | None = None
        self.whole: list[torch.Size] = []  # the shapes of the first batch of an epoch
        self.taken = 0  # steps by themselves, of all epochs
        self.replay: Callable[[Batch], Terms] | None = None

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        """Around the steps of an epoch: what was captured before no longer holds."""
        self.replay, self.whole = None, []
        if not self.capture:
            yield
            return
        self.graphs = self.graphs or Graphs(self.device)
        with self.graphs.stream():
            yield

    def __call__(self, batch: Batch) -> Terms:
        shapes = [x.shape for x in tensors_of(batch)]
        if not self.whole:
            self.whole = shapes
        elif self.capture and self.graphs is not None and shapes == self.whole and self.taken >= WARM_UP:
            return self._replayed(batch, self.graphs)
        self.taken += 1
        return self.step(batch, compiled=shapes == self.whole)

    def step(self, batch: Batch, *, compiled: bool = True) -> Terms:
        """A step kernel by kernel; one of a shape that will not come again is not worth compiling."""
        terms_of = self.terms if compiled else self.model
        share, part = (None, batch) if self.group is None else self.group.part(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            terms = terms_of(part)
        if share is not None:
            terms = {name: share * term for name, term in terms.items()}
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        if self.group is not None:
            self.group.sum_gradients(self.model)
        self.optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def _replayed(self, batch: Batch, graphs: Graphs) -> Terms:
        if self.replay is None:
            try:
                self.replay = graphs.captured(self.step, batch)
            except RuntimeError as error:
                self.capture = False
                warnings.warn(
                    f"{type(self.model).__name__}: its step cannot be captured as a CUDA graph "
                    f"({str(error).splitlines()[0]}); its kernels are launched one by one, which takes longer",
                    stacklevel=2,
                )
                return self.step(batch)
        return self.replay(batch)


class Graphs:
    """Captures functions of a batch as CUDA graphs, one at a time, on a stream and in a pool of memory of their own."""

    def __init__(self, device: torch.device) -> None:
        self.side = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """What is launched inside runs on the stream, after all before and before all after it."""
        outside = torch.cuda.current_stream(self.side.device)
        self.side.wait_stream(outside)
        try:
            with torch.cuda.stream(self.side):
                yield
        finally:
            outside.wait_stream(self.side)

    def captured(self, step: Callable[[Batch], Terms], batch: Batch) -> Callable[[Batch], Terms]:
        """`step`, for batches of the shapes of this one; raises `RuntimeError` for what CUDA cannot capture.

        What a call gives is overwritten by the next.
        """
        static = cloned(batch)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(pool=self.pool)  # `torch.cuda.graph` would empty the cache of memory in every epoch
        try:
            results = step(static)
        finally:
            graph.capture_end()

        def replay(batch: Batch) -> Terms:
            for to, x in zip(tensors_of(static), tensors_of(batch), strict=True):
                to.copy_(x)
            graph.replay()
            return results

        return replay


def place_of(model: Recommender) -> torch.device:
    """Where a model lies; the CPU for one without any tensor."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def tensors_of(batch: Batch) -> list[Tensor]:
    """All tensors of a batch, in one order."""
    drawn = (x for parts in batch.drawn.values() for x in parts)
    shared = () if batch.candidates is None else (batch.candidates,)
    return [batch.users, batch.pos, batch.neg, *drawn, *shared]


def cloned(batch: Batch) -> Batch:
    """A batch of the same content in memory of its own."""
    drawn: dict[str, Any] = {name: Distinct(*(x.clone() for x in parts)) for name, parts in batch.drawn.items()}
    candidates = None if batch.candidates is None else batch.candidates.clone()
    return Batch(batch.users.clone(), batch.pos.clone(), batch.neg.clone(), drawn, candidates)
