"""Overfitting as a gap (claim I1): how much better a model ranks the pairs it was trained on than those held out.

For each user with both training and validation pairs, some items outside both are drawn once. Every pair of the user,
trained on or held out, is compared with these same items by the model's scores:

    bpr = -log sigmoid(s(u, i) - s(u, j))      auc = share of the j with s(u, i) > s(u, j), ties counting half

mean over the items, then over the user's pairs, then over the users. So users, negatives and weights are the same on
both sides, and the gap is what having trained on a pair makes. An untrained model has one too if training pairs are
edges of its graph. BPR depends on how large a model lets its scores grow, AUC does not. The test split plays no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evaluation import BLOCK, Scorer
from mmkd_core.experiment import Experiment, model_of, teacher_of
from mmkd_core.sampling import Sampler
from mmkd_core.sparse import ranges
from mmkd_core.training import History, choose_device, fit, seeded

DIGITS = 6


def overfitting(store: Path, *, system: Mapping[str, Any], negatives: int = 100) -> dict[str, Any]:
    """The `curves` of a training that nothing stops early, and its `gap` at the start, at the best epoch, at the end.

    `system` is an experiment as a dict, whose patience is ignored; the teacher of MMKD is trained as ever. A row of
    `curves` is an evaluation: `epoch`, `bpr` and `auc` of "train" and "val" pairs, and validation metrics. A gap is val
    minus train of BPR, train minus val of AUC: more is worse. `recall@20` is that on validation, `fall` from the best
    epoch to the end; `cold` the share of validation pairs whose item no one trained on.
    """
    experiment = Experiment.from_dict(system)
    data = load(experiment.dataset, **experiment.options)
    probe = draw_probe(data, negatives)
    curves, best_epoch = watch(experiment, store, data, probe)
    start, end = curves[0], curves[-1]
    best = next(row for row in curves if row["epoch"] == best_epoch)
    return {
        "users": len(probe.users),
        "cold": float((~torch.isin(data.val[:, 1], data.train[:, 1])).float().mean()),
        "best_epoch": best_epoch,
        "gap": {"start": gap(start), "best": gap(best), "end": gap(end)},
        "recall@20": {
            "best": best["recall@20"], "end": end["recall@20"],
            "fall": round(best["recall@20"] - end["recall@20"], DIGITS),
        },
        "curves": curves,
    }  # fmt: skip


class Probe(NamedTuple):
    """What a model is asked: of each user, items to compare with, and the pairs of both kinds.

    `pairs["train"]` and `pairs["val"]` are rows of (place of the user in `users`, item), sorted by the place.
    """

    users: Int[Tensor, " user"]
    neg: Int[Tensor, "user negatives"]
    pairs: dict[str, Int[Tensor, "_ 2"]]


def draw_probe(data: Dataset, negatives: int, seed: int = 0) -> Probe:
    """The users with training and validation pairs, and `negatives` items of each, outside both, drawn from `seed`."""
    known = torch.cat([data.train, data.val])
    both = known[torch.isin(known[:, 0], data.train[:, 0]) & torch.isin(known[:, 0], data.val[:, 0])]
    both = both[both[:, 0].argsort(stable=True)]
    one_each = both[torch.cat([both.new_ones(1), both[:, 0].diff()]) != 0]
    sampler = Sampler(known, data.num_items, negatives, one_each)
    (batch,) = sampler.epoch(len(one_each), torch.Generator().manual_seed(seed))
    users, order = batch.users.sort()
    pairs = {}
    for split in ("train", "val"):
        edges = getattr(data, split)
        edges = edges[torch.isin(edges[:, 0], users)]
        pairs[split] = torch.stack([torch.searchsorted(users, edges[:, 0].contiguous()), edges[:, 1]], 1)
    return Probe(users, batch.neg[order], pairs)


@torch.no_grad()
def ask(scorer: Scorer, probe: Probe) -> dict[str, float]:
    """`train_bpr`, `val_bpr`, `train_auc` and `val_auc` of what `scorer` says about the pairs of `probe`."""
    device = scorer.device
    sums = {split: torch.zeros(3, len(probe.users), dtype=torch.float64) for split in probe.pairs}  # bpr, auc, pairs
    for places in torch.arange(len(probe.users)).split(BLOCK):
        scores = scorer.scores(probe.users[places].to(device))
        neg = scores.gather(1, probe.neg[places].to(device))
        for split, pairs in probe.pairs.items():
            owners = pairs[:, 0].contiguous()
            row, position = ranges(torch.searchsorted(owners, places), torch.searchsorted(owners, places, right=True))
            margin = scores[row.to(device), pairs[position, 1].to(device)][:, None] - neg[row.to(device)]
            right = (margin > 0).double() + 0.5 * (margin == 0).double()
            values = torch.stack([F.softplus(-margin.double()).mean(1), right.mean(1), right.new_ones(len(margin))])
            sums[split].index_add_(1, places[row], values.cpu())
    means = {split: (total[:2] / total[2]).mean(1).tolist() for split, total in sums.items()}
    return {
        f"{split}_{name}": means[split][place] for place, name in enumerate(("bpr", "auc")) for split in probe.pairs
    }


def watch(experiment: Experiment, store: Path, data: Dataset, probe: Probe) -> tuple[list[dict[str, float]], int]:
    """Trains to the last epoch, and asks at each evaluation, the first included; the rows, and the best epoch."""
    teacher = teacher_of(experiment, store, data)
    config = replace(experiment.fit, patience=experiment.fit.epochs + 2)  # more than there are evaluations
    device = choose_device()
    answers: dict[int, dict[str, float]] = {}
    with seeded(experiment.seed, device):
        model = model_of(experiment, data, teacher).to(device).eval()

        @torch.no_grad()
        def look(epoch: int, history: History) -> None:
            if epoch == 0 or history.validation[-1]["epoch"] == epoch:
                answers[epoch] = ask(model.embed(), probe)

        look(0, History())
        history = fit(model, data, config, on_epoch=look, device=device)
    rows = [answers[int(row["epoch"])] | row for row in history.validation]
    return [{name: round(value, DIGITS) for name, value in row.items()} for row in rows], history.best_epoch


def gap(row: Mapping[str, float]) -> dict[str, float]:
    """How much worse held-out pairs are ranked than those trained on: 0 where there is no difference."""
    found = {"bpr": row["val_bpr"] - row["train_bpr"], "auc": row["train_auc"] - row["val_auc"]}
    return {name: round(value, DIGITS) for name, value in found.items()}
