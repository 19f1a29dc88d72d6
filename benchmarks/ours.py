"""What this library takes, on one thread of a CPU: rows of every part of the comparison."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.epochs import epoch_seconds, median_seconds, rows
from benchmarks.kernels import Kernels
from benchmarks.table import OURS, Row
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.evaluation import evaluate, rank
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.sampling import Sampler
from mmkd_core.training import FitConfig, Trainer, train_epoch

CPU = torch.device("cpu")
DIM, BATCH = 64, 2048
TOP, RANKED = 20, 8192
BIPARTITE, TRIPLES, USERS = "users and items, both ways, d = 64", "negatives of an epoch", "test users"
LISTS = "inner products, d = 64"


def tables_of(data: Dataset) -> Embeddings:
    """Normal numbers, the same for everybody who ranks."""
    generator = torch.Generator().manual_seed(0)
    return Embeddings(*(torch.randn(size, DIM, generator=generator) for size in (data.num_users, data.num_items)))


def ranked_users(data: Dataset) -> torch.Tensor:
    """The users whose best items are asked for."""
    return torch.arange(min(RANKED, data.num_users))


def epochs(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    """Every model, at d = 64 and otherwise default settings; the teacher of MMKD is untrained."""
    for line in rows():
        yield Row("epoch", at, line.title, OURS, epoch_seconds(line.build(data), data, CPU, repeat))


def evaluation(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    tables = tables_of(data)
    seconds = median_seconds(lambda: evaluate(tables, data), CPU, repeat)
    yield Row("evaluation", at, USERS, OURS, seconds, f"{len(data.test[:, 0].unique()):,} users")


def top(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    tables, users = tables_of(data), ranked_users(data)
    seconds = median_seconds(lambda: rank(tables, users, data, TOP), CPU, repeat)
    yield Row("top 20", at, LISTS, OURS, seconds, "without items seen")


def sampling(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    sampler, generator = Sampler(data.train, data.num_items), torch.Generator().manual_seed(0)
    seconds = median_seconds(lambda: list(sampler.epoch(BATCH, generator)), CPU, repeat)
    yield Row("sampling", at, TRIPLES, OURS, seconds, f"{len(data.train):,} triples")


def product(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    graph = LightGCN(data, dim=DIM).graph
    x = torch.randn(graph.shape[1], DIM, requires_grad=True)
    seconds = median_seconds(lambda: graph(x).sum().backward(), CPU, repeat)
    yield Row("product", at, BIPARTITE, OURS, seconds, f"{len(graph.col):,} entries")


def kernels(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    """Forward, backward and optimiser of a model's second step; what only looks at memory otherwise is no kernel."""
    del repeat  # a count
    for line in rows():
        model = line.build(data)
        trainer = Trainer(model, data, FitConfig())
        batches = list(trainer.batches())[:2]
        train_epoch(trainer.stepper, iter(batches[:1]))
        trainer.optimizer.zero_grad(set_to_none=True)
        with Kernels() as counted:
            torch.stack(list(model(batches[-1]).values())).sum().backward()
            trainer.optimizer.step()
        yield Row("kernels", at, line.title, OURS, counted.counts.total())


PARTS: dict[str, Callable[[Dataset, str, int], Iterator[Row]]] = {
    "epoch": epochs,
    "evaluation": evaluation,
    "top 20": top,
    "sampling": sampling,
    "product": product,
    "kernels": kernels,
}
