"""Overfitting as a gap (claim I1): how much better a model ranks the pairs it was trained on than those held out.

For each user with both training and validation pairs, some items outside both are drawn once. Every pair of the user,
trained on or held out, is compared with these same items by the model's scores:

    bpr = -log sigmoid(s(u, i) - s(u, j))      auc = share of the j with s(u, i) > s(u, j), ties counting half

mean over the items, then over the user's pairs, then over the users. So users, negatives and weights are the same on
both sides, and the gap is what having trained on a pair makes. An untrained model has one too if training pairs are
edges of its graph. BPR depends on how large a model lets its scores grow, AUC does not. The test split plays no part.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Int
from matplotlib.figure import Figure
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evaluation import BLOCK, Scorer
from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import BUDGETS, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import BLUE, VERMILION, entitle, grid, parts, say
from mmkd_core.evidence.tables import Column, Frames, by_system, cell, column, flat
from mmkd_core.evidence.verdicts import every_seed
from mmkd_core.experiment import Experiment
from mmkd_core.history import History
from mmkd_core.kernels import ranges
from mmkd_core.runs import model_of, trained_teachers
from mmkd_core.sampling import Sampler
from mmkd_core.training import choose_device, fit, seeded

# Long enough for most systems here to pass their best epoch. Of TikTok, whose epochs cost thrice as much, two seeds.
LONG = {"epochs": 200, "evaluate_every": 5}
LONG_SEEDS = {"tiktok": SEEDS[:2]}
DIGITS = 6
NO_CONTENT = "teacher, no content"
SYSTEMS: dict[str, Variant] = {
    "LightGCN": Variant("lightgcn"),
    NO_CONTENT: Variant("lightgcn"),  # the rest of it is LightGCN, with the settings of the teacher
    "VBPR": Variant("vbpr"),
    "teacher": Variant("teacher"),
    "teacher, no dropout": Variant("teacher", hparams={"dropout": 0.0}),
    "teacher, w/o-Prompt": Variant("teacher", hparams={"prompt_rate": 0.0}),
    "student": Variant(),
    "student, random start": Variant(hparams={"init": "random"}),
}
PAIRS: dict[str, list[str]] = paper.told("questions/overfitting")["pairs"]
QUANTITIES = {"auc": "AUC", "bpr": "BPR loss"}
LOOKS: dict[str, dict[str, Any]] = {
    "train": {"label": "training pairs", "color": VERMILION, "linestyle": "--"},
    "val": {"label": "validation pairs", "color": BLUE, "linestyle": "-"},
}
ACROSS = 4
PATIENCE = 5  # evaluations without improvement that stop a training of the book on LFM-2K


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Does what reduces features overfit, and what it takes against it (I1)? Long trainings that nothing stops."""
    asked, planned = Asked(datasets, seeds, budget, earlier=True), []
    for dataset in asked.datasets_or(("tiktok", "lfm2k")):
        other = asked.planned(dataset, 0, Variant("teacher"))
        hparams = {name: other.hparams[name] for name in ("dim", "layers", "l2")}
        bare = Variant("lightgcn", hparams, {"lr": other.fit.lr, "batch_size": other.fit.batch_size})
        long = {**LONG, **BUDGETS[budget].fit}
        variants = SYSTEMS | {NO_CONTENT: bare}
        rows = [({"system": name}, replace(v, fit={**v.fit, **long})) for name, v in variants.items()]
        planned += asked.cases(rows, [dataset], asked.seeds_or(LONG_SEEDS.get(dataset, SEEDS)))
    return [Case(labels, Measurement.of(overfitting, system=job)) for labels, job in planned]


def overfitting(store: Path, *, system: Experiment, negatives: int = 100) -> dict[str, Any]:
    """The `curves` of a training that nothing stops early, and its `gap` at the start, at the best epoch, at the end.

    `system` is an experiment whose patience is ignored; the teacher of MMKD is trained as ever. A row of
    `curves` is an evaluation: `epoch`, `bpr` and `auc` of "train" and "val" pairs, and validation metrics. A gap is val
    minus train of BPR, train minus val of AUC: more is worse. `recall@20` is that on validation, `fall` from the best
    epoch to the end; `cold` the share of validation pairs whose item no one trained on.
    """
    data = load(system.dataset, **system.options)
    probe = draw_probe(data, negatives)
    curves, best_epoch = watch(system, store, data, probe)
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
    interactions = torch.cat([data.train, data.val])
    whose = interactions[:, 0]
    both = interactions[torch.isin(whose, data.train[:, 0]) & torch.isin(whose, data.val[:, 0])]
    both = both[both[:, 0].argsort(stable=True)]
    one_each = both[torch.cat([both.new_ones(1), both[:, 0].diff()]) != 0]
    sampler = Sampler(interactions, data.num_items, negatives, one_each)
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
    teachers = trained_teachers(experiment, store, data)
    config = replace(experiment.fit, patience=experiment.fit.epochs + 2)  # more than there are evaluations
    device = choose_device()
    answers: dict[int, dict[str, float]] = {}
    with seeded(experiment.seed, device):
        model = model_of(experiment, data, **teachers).to(device).eval()

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
    gaps = {"bpr": row["val_bpr"] - row["train_bpr"], "auc": row["train_auc"] - row["val_auc"]}
    return {name: round(value, DIGITS) for name, value in gaps.items()}


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Of each data set the gaps of all systems, and what the paper says of them, in pairs."""
    rows, made = flat(store.taken(cases)), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        best, fall = column(own, "recall@20.best"), column(own, "recall@20.fall")
        columns = {"best epoch": Column(column(own, "best_epoch"), 0), "Recall@20 (validation)": Column(best, 4)}
        columns |= {f"AUC gap, {when}": Column(column(own, f"gap.{when}.auc"), 4) for when in ("start", "best", "end")}
        columns |= {f"BPR gap, {when}": Column(column(own, f"gap.{when}.bpr"), 4) for when in ("best", "end")}
        made[f"{dataset}: gaps"] = by_system(own, columns | {"fall, %": Column(100 * fall / best, 1)})
        made[f"{dataset}: in pairs"] = in_pairs(own)
    return made


def in_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Each of `PAIRS` on one data set: differences of the same seed, and in how many seeds the gap is as said."""
    lines = {}
    for says, (larger, smaller) in PAIRS.items():
        one, other = (rows[rows["system"] == system].set_index("seed") for system in (larger, smaller))
        line: dict[str, str] = {"which": f"{larger} minus {smaller}"}
        for head, name in (("AUC gap, best", "gap.best.auc"), ("AUC gap, end", "gap.end.auc")):
            differences = (column(one, name) - column(other, name)).dropna()
            line[head] = cell(differences, 5, "+")
            as_said = f"{int((differences > 0).sum())} of {len(differences)}" if len(differences) else NOT_RUN
            line[f"as said, {head.split()[-1]}"] = as_said
        line["Recall@20 (validation)"] = cell(column(one, "recall@20.best") - column(other, "recall@20.best"), sign="+")
        lines[says] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("the paper says")


def curves(cases: Sequence[Case], store: Store, dataset: str) -> dict[str, pd.DataFrame | None]:
    """By system, the evaluations of one data set as means over seeds, indexed by epoch; None where not measured."""
    means: dict[str, pd.DataFrame | None] = {}
    for system, seeds in store.tree(cases, "dataset", "system", "seed").get(dataset, {}).items():
        runs = [pd.DataFrame(values["curves"]) for values in seeds.values() if values]
        means[system] = pd.concat(runs).groupby("epoch").mean() if runs else None
    return means


def draw_gaps(curves: Mapping[str, pd.DataFrame | None], quantity: str = "auc") -> Figure:
    """One panel per system: `quantity` ("auc" or "bpr") of training and of validation pairs by epoch, the gap shaded.

    `curves` are those of `curves`; a star marks the epoch of the best mean validation Recall@20.
    Raises `ValueError` for another quantity.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"unknown quantity {quantity!r}; one of {list(QUANTITIES)}")
    lines = -(-len(curves) // ACROSS)
    figure, (part,) = parts([""], 1.9 * lines + 0.4)
    axes = [ax for row in grid(part, lines, ACROSS, sharey=True) for ax in row]
    for ax, (system, rows) in zip(axes, curves.items(), strict=False):
        entitle(ax, textwrap.fill(system, 17), xlabel="epoch")
        ax.title.set_fontsize(9)
        if rows is None:
            say(ax, NOT_RUN)
            continue
        values = {split: rows[f"{split}_{quantity}"] for split in LOOKS}
        ax.fill_between(rows.index, values["train"], values["val"], color="0.9")
        for split, look in LOOKS.items():
            ax.plot(rows.index, values[split], **look)
        best = int(rows["recall@20"].argmax())
        star = {"color": BLUE, "markersize": 11, "label": "best validation Recall@20"}
        ax.plot(rows.index[best], values["val"].iloc[best], "*", **star)
    for ax in axes[len(curves) :]:
        ax.set_axis_off()
    for row in range(lines):
        axes[row * ACROSS].set_ylabel(QUANTITIES[quantity])
    drawn = next((ax for ax in axes if ax.lines), None)
    if drawn is not None:
        part.legend(*drawn.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _gap_at_end(values: Mapping[str, Any]) -> float:
    return values["gap"]["end"]["auc"]


def _still_rising(values: Mapping[str, Any]) -> bool:
    """Whether training ended before validation had failed to improve as often as stops a training of the book's."""
    after = sum(row["epoch"] > values["best_epoch"] for row in values["curves"])
    return after < PATIENCE


RULES = {
    "reduction overfits": every_seed(cases, "teacher", [NO_CONTENT], _gap_at_end, what="gap", capped=_still_rising),
    "student overfits less": every_seed(
        cases, "student", ["teacher"], _gap_at_end, what="gap", lower=True, capped=_still_rising
    ),
}
QUESTION = Question(
    cases, table="overfitting", measure=overfitting, frames=frames, notes=notes("gaps", "earlier"), claims=claims(RULES)
)
