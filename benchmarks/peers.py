"""What peers take for the same, in the same process: those that are installed; the others are rows without a number.

Each adapter is a function of the data; it imports its peer, so that what is missing is told by its ImportError.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from benchmarks import ours
from benchmarks.epochs import median_seconds
from benchmarks.kernels import Kernels
from benchmarks.ours import BATCH, BIPARTITE, CPU, DIM, LISTS, TOP, TRIPLES, USERS
from benchmarks.table import Row
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.models.lightgcn import LightGCN

ONE_BY_ONE = "one pair at a time, no batches"
FEW = 5  # steps that stand for all of an epoch


def matrix(data: Dataset) -> sp.csr_matrix:
    """The training interactions as implicit takes them."""
    users, items = data.train.T.numpy()
    return sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), (data.num_users, data.num_items))


class RecBole:
    """A model of RecBole's with Adam and its own sampler; its ids begin at 1, since 0 fills up."""

    def __init__(self, name: str, data: Dataset) -> None:
        from recbole.data.interaction import Interaction
        from recbole.model import general_recommender
        from recbole.sampler import Sampler

        # it fills a dictionary of keys by a method that scipy has since taken away
        sp.dok_matrix._update = lambda entries, more: entries._dict.update(more)  # type: ignore[attr-defined]
        self.interaction, sizes = Interaction, {"user": data.num_users + 1, "item": data.num_items + 1}
        self.edges = data.train + 1
        users, items = self.edges.T.numpy()
        table = sp.coo_matrix((np.ones(len(users)), (users, items)), tuple(sizes.values()))
        config = {
            "USER_ID_FIELD": "user", "ITEM_ID_FIELD": "item", "NEG_PREFIX": "neg_", "device": "cpu", "reg_weight": 1e-4,
            "require_pow": False, "n_layers": 2, "embedding_size": DIM,
        }  # fmt: skip
        dataset = SimpleNamespace(
            num=sizes.__getitem__, inter_matrix=lambda form: table, uid_field="user", iid_field="item",
            user_num=sizes["user"], item_num=sizes["item"], inter_feat=dict(zip(sizes, self.edges.T, strict=True)),
        )  # fmt: skip
        self.model = getattr(general_recommender, name)(config, dataset)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.sampler = Sampler(["train"], [dataset]).set_phase("train")

    def negatives(self, edges: torch.Tensor) -> torch.Tensor:
        """One for each pair, as its data loader draws them: a batch at a time."""
        parts = (self.sampler.sample_by_user_ids(part[:, 0].numpy(), None, 1) for part in edges.split(BATCH))
        return torch.cat(list(parts))

    def step(self, edges: torch.Tensor) -> None:
        batch = {"user": edges[:, 0], "item": edges[:, 1], "neg_item": self.negatives(edges)}
        self.optimizer.zero_grad()
        self.model.calculate_loss(self.interaction(batch)).backward()
        self.optimizer.step()

    def epoch_seconds(self, repeat: int) -> float:
        batches = self.edges[torch.randperm(len(self.edges))].split(BATCH)
        self.step(batches[0])  # warms up
        seconds = [_seconds(partial(self.step, batch)) for batch in islice(cycle(batches), FEW * repeat)]
        return statistics.median(seconds) * len(batches)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _of_iterations(train: Callable[[int], Any], repeat: int) -> float:
    """Seconds of an iteration: what more of them take more."""
    train(1)
    return (_seconds(lambda: train(1 + 2 * repeat)) - _seconds(lambda: train(1))) / (2 * repeat)


def recbole_epoch(name: str, title: str, data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    yield Row("epoch", at, title, "RecBole", RecBole(name, data).epoch_seconds(repeat))


def recbole_kernels(name: str, title: str, data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    peer, edges = RecBole(name, data), data.train[:BATCH] + 1
    peer.step(edges)
    with Kernels() as counted:
        peer.step(edges)
    yield Row("kernels", at, title, "RecBole", counted.counts.total(), "with its sampler")


def recbole_sampling(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    peer = RecBole("BPR", data)
    seconds = median_seconds(lambda: peer.negatives(peer.edges[torch.randperm(len(peer.edges))]), CPU, repeat)
    yield Row("sampling", at, TRIPLES, "RecBole", seconds)


def implicit_epoch(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    def train(count: int) -> None:
        model = BayesianPersonalizedRanking(factors=DIM, iterations=count, num_threads=1, random_state=0)
        model.fit(matrix(data), show_progress=False)

    yield Row("epoch", at, "BPR-MF", "implicit", _of_iterations(train, repeat), ONE_BY_ONE)


def _cornac(data: Dataset, split: torch.Tensor) -> Any:
    from cornac.data import Dataset as Theirs

    ids = ({n: n for n in range(data.num_users)}, {n: n for n in range(data.num_items)})
    rows = [(user, item, 1.0) for user, item in split.tolist()]
    return Theirs.build(rows, global_uid_map=ids[0], global_iid_map=ids[1])


def cornac_epoch(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    from cornac.models import BPR

    known = _cornac(data, data.train)
    train = lambda count: BPR(k=DIM, max_iter=count, num_threads=1, use_bias=False, seed=0).fit(known)  # noqa: E731
    yield Row("epoch", at, "BPR-MF", "cornac", _of_iterations(train, repeat), ONE_BY_ONE)


def cornac_evaluation(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    """With its own loop over users; once, for it takes long."""
    from cornac.eval_methods.base_method import ranking_eval
    from cornac.metrics import NDCG, Recall
    from cornac.models import BPR

    users, items = (table.numpy() for table in ours.tables_of(data))
    weights = {"U": users, "V": items, "Bi": np.zeros(data.num_items, np.float32)}
    known, asked = _cornac(data, data.train), _cornac(data, data.test)
    model = BPR(k=DIM, trainable=False, init_params=weights).fit(known)
    metrics = [kind(k) for k in (20, 50) for kind in (Recall, NDCG)]
    yield Row("evaluation", at, USERS, "cornac", _seconds(lambda: ranking_eval(model, metrics, known, asked)))


def faiss_top(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    import faiss

    faiss.omp_set_num_threads(1)
    tables, users = ours.tables_of(data), ours.ranked_users(data)
    index = faiss.IndexFlatIP(DIM)
    index.add(tables.items.numpy())
    asked = tables.users[users].numpy()
    yield Row(
        "top 20", at, LISTS, "faiss", median_seconds(lambda: index.search(asked, TOP), CPU, repeat), "seen items too"
    )


def implicit_top(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    from implicit.cpu.topk import topk

    tables, users = ours.tables_of(data), ours.ranked_users(data)
    items, asked, seen = tables.items.numpy(), tables.users[users].numpy(), matrix(data)[users.numpy()]
    seconds = median_seconds(lambda: topk(items, asked, TOP, filter_query_items=seen, num_threads=1), CPU, repeat)
    yield Row("top 20", at, LISTS, "implicit", seconds, "without items seen")


def torch_top(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    tables, users = ours.tables_of(data), ours.ranked_users(data)

    def ranked() -> list[Any]:
        return [(tables.users[block] @ tables.items.T).topk(TOP) for block in users.split(256)]

    yield Row("top 20", at, LISTS, "torch, matmul and topk", median_seconds(ranked, CPU, repeat), "seen items too")


def numpy_product(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    tables: Embeddings = ours.tables_of(data)
    users, items = tables.users[ours.ranked_users(data)].numpy(), tables.items.numpy()
    seconds = median_seconds(lambda: [users[n : n + 256] @ items.T for n in range(0, len(users), 256)], CPU, repeat)
    yield Row("top 20", at, LISTS, "numpy, the product alone", seconds, "no lists")


def torch_product(layout: torch.layout, name: str, data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    graph = LightGCN(data, dim=DIM).graph
    own = torch.sparse_csr_tensor(graph.crow, graph.col, graph.values, graph.shape)
    own = own.to_sparse_coo().coalesce() if layout is torch.sparse_coo else own
    x = torch.randn(graph.shape[1], DIM, requires_grad=True)
    yield Row("product", at, BIPARTITE, name, median_seconds(lambda: (own @ x).sum().backward(), CPU, repeat))


def scipy_product(data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    graph = LightGCN(data, dim=DIM).graph
    own = sp.csr_matrix((graph.values.numpy(), graph.col.numpy(), graph.crow.numpy()), graph.shape)
    transposed, x = own.T.tocsr(), np.random.default_rng(0).normal(size=(graph.shape[1], DIM)).astype(np.float32)
    yield Row("product", at, BIPARTITE, "scipy, CSR", median_seconds(lambda: transposed @ (own @ x), CPU, repeat))


MF, GCN = ("BPR", "BPR-MF"), ("LightGCN", "LightGCN, 2 layers")
# (who, of what, adapter) for each part; `who` and `what` are told where the peer is not installed.
PEERS: dict[str, list[tuple[str, str, Callable[[Dataset, str, int], Iterator[Row]]]]] = {
    "epoch": [
        ("RecBole", MF[1], partial(recbole_epoch, *MF)),
        ("RecBole", GCN[1], partial(recbole_epoch, *GCN)),
        ("cornac", MF[1], cornac_epoch),
        ("implicit", MF[1], implicit_epoch),
    ],
    "evaluation": [("cornac", USERS, cornac_evaluation)],
    "top 20": [
        ("faiss", LISTS, faiss_top),
        ("implicit", LISTS, implicit_top),
        ("torch, matmul and topk", LISTS, torch_top),
        ("numpy, the product alone", LISTS, numpy_product),
    ],
    "sampling": [("RecBole", TRIPLES, recbole_sampling)],
    "product": [
        ("torch, COO", BIPARTITE, partial(torch_product, torch.sparse_coo, "torch, COO")),
        ("torch, CSR", BIPARTITE, partial(torch_product, torch.sparse_csr, "torch, CSR")),
        ("scipy, CSR", BIPARTITE, scipy_product),
    ],
    "kernels": [
        ("RecBole", MF[1], partial(recbole_kernels, *MF)),
        ("RecBole", GCN[1], partial(recbole_kernels, *GCN)),
    ],
}


def beside(part: str, data: Dataset, at: str, repeat: int) -> Iterator[Row]:
    """Rows of the peers of a part; one without a number for a peer that is not installed or not able to."""
    for who, what, adapter in PEERS[part]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # theirs
                yield from adapter(data, at, repeat)
        except ImportError:
            yield Row(part, at, what, who, None)
