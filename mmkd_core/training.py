"""One training loop for every model: it knows no model, and it never sees the test split."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core import settings
from mmkd_core.data import Batch, Dataset
from mmkd_core.evaluation import SELECTED_AT, Scorer, evaluate
from mmkd_core.models.base import Recommender
from mmkd_core.sampling import Sampler


@dataclass(frozen=True)
class FitConfig:
    """How to train. `patience` counts evaluations without improvement; `weight_decay` is AdamW's decoupled decay.

    `epochs=0` trains nothing: what is then measured is the model as it starts.
    The models regularise through their own `l2` term by default, so `weight_decay` defaults to 0 and nothing is
    regularised twice by accident.
    """

    epochs: int = 1000
    batch_size: int = 2048
    lr: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 10
    evaluate_every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises `ValueError` for what is no value of a setting."""
        values = {name: getattr(self, name) for name in SETTINGS}
        for name, value in settings.checked(values, SETTINGS, TRAINING).items():
            object.__setattr__(self, name, value)  # 1 and 1.0 are the same experiment


TRAINING = "the training"  # what messages call it
SETTINGS = settings.of_dataclass(FitConfig)


@dataclass
class History:
    """What happened: mean loss terms per epoch, the metrics of each evaluation, and the epoch that was kept.

    `losses[e]` maps each named (weighted) term of epoch e + 1 to its mean over the batches. `validation` has one row
    per evaluation, with its `epoch`. `best_epoch` is 0 when the untrained state was never beaten or nothing is trained.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pack_history(history: Mapping[str, Any]) -> dict[str, Any]:
    """A history as a file has it: one row per evaluation, with the loss terms of the epochs that led to it."""
    rows, losses, last = [], history["losses"], 0
    for row in history["validation"]:
        epochs, last = losses[last : row["epoch"]], row["epoch"]
        rows.append(
            {**row, "losses": {term: [epoch[term] for epoch in epochs] for term in epochs[0]} if epochs else {}}
        )
    return {**{name: part for name, part in history.items() if name not in ("losses", "validation")}, "rows": rows}


def unpack_history(history: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_history`."""
    losses, validation = [], []
    for row in history["rows"]:
        terms = row["losses"]
        losses += [dict(zip(terms, epoch, strict=True)) for epoch in zip(*terms.values(), strict=True)]
        validation.append({name: value for name, value in row.items() if name != "losses"})
    others = {name: part for name, part in history.items() if name != "rows"}
    return {"losses": losses, "validation": validation, **others}


# Called as (epoch, history): `fit` knows one model and no experiment; `runs.OnTraining` is told the experiment, too.
OnEpoch = Callable[[int, History], None]


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The named device, or a CUDA GPU if there is one, or the CPU; raises `ValueError` for one that is not there."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{index}" for index in range(gpus))]
    if device is None:
        return torch.device("cuda" if gpus else "cpu")
    if str(device) not in (*there, "cpu:0"):  # torch knows names of many kinds that this machine lacks
        raise ValueError(f"unknown device {settings.quoted(str(device))}; one of {there}, where training can be here")
    return torch.device(device)


def fit(
    model: Recommender,
    data: Dataset,
    config: FitConfig | None = None,
    *,
    pairs: Int[Tensor, "_ 2"] | None = None,
    on_epoch: OnEpoch | None = None,
    device: str | torch.device | None = None,
) -> History:
    """Trains `model` in place and leaves it, in evaluation mode, at the state with the best validation Recall@20.

    It is trained on `device` (a GPU if there is one) and afterwards lies where it lay before. Starts the generators
    anew, so that a model that was restored trains like one just made.

    AdamW on the sum of the model's loss terms; the untrained model is evaluated as epoch 0, then every
    `evaluate_every` epochs and after the last one; it stops after `patience` evaluations without improvement.
    With `pairs`, some of `data.train`, an epoch visits those alone; negatives and candidates stay those of the whole.
    `on_epoch(epoch, history)` is called after each epoch; `runs.run` calls its own with the experiment before them. The
    same seed on the same machine gives the same history, bit for bit. Raises `ValueError` when there is no validation
    interaction to select on and `FloatingPointError` when a loss is no longer finite.
    """
    config = config or FitConfig()
    if len(data.val) == 0:
        raise ValueError(f"{data.name}: no validation interaction, so no epoch can be selected; hold some back as val")
    target, before = choose_device(device), _place_of(model)
    model.to(target)
    history = History()
    select = _Selection(model, data, config.patience)
    with seeded(config.seed, target):
        model.refresh()
        select.consider(0, history)
        if any(parameter.requires_grad for parameter in model.parameters()):
            trainer = Trainer(model, data, config, pairs=pairs)
            for epoch in range(1, config.epochs + 1):
                history.losses.append(trainer.epoch(epoch))
                if epoch % config.evaluate_every == 0 or epoch == config.epochs:
                    select.consider(epoch, history)
                if on_epoch is not None:
                    on_epoch(epoch, history)
                if select.exhausted:
                    break
    select.restore()
    model.to(before)
    return history


def _place_of(model: Recommender) -> torch.device:
    """Where a model lies; the CPU for one without any tensor."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


class Trainer:
    """What trains a model where it lies: AdamW, the sampler of its triples, and the generator that they are drawn from.

    With `pairs`, some of `data.train`, an epoch visits those alone.
    """

    def __init__(
        self, model: Recommender, data: Dataset, config: FitConfig, *, pairs: Int[Tensor, "_ 2"] | None = None
    ) -> None:
        device = _place_of(model)
        self.model, self.batch_size = model, config.batch_size
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        visited = None if pairs is None else pairs.to(device)
        self.sampler = Sampler(data.train.to(device), data.num_items, model.negatives, visited, model.distinct)
        self.generator = torch.Generator(device).manual_seed(config.seed)

    def batches(self) -> Iterator[Batch]:
        """The batches of the next epoch, drawn when the first is asked for.

        Switches the model to training mode and brings it up to date (`refresh`) at once.
        """
        self.model.train()
        self.model.refresh()
        return self.sampler.epoch(self.batch_size, self.generator)

    def epoch(self, number: int = 0) -> dict[str, float]:
        """Trains for one epoch, as `train_epoch` says."""
        return train_epoch(self.model, self.batches(), self.optimizer, number)


def train_epoch(
    model: Recommender, batches: Iterator[Batch], optimizer: torch.optim.Optimizer, epoch: int = 0
) -> dict[str, float]:
    """One pass over `batches`; the mean over them of each loss term. `epoch` is named if a loss is not finite."""
    totals: dict[str, Tensor] = {}  # on the device: no synchronisation inside the loop
    steps = 0
    for batch in batches:
        terms = model(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        for name, term in terms.items():
            totals[name] = totals.get(name, 0) + term.detach()
        steps += 1
    means = {name: float(total) / steps for name, total in totals.items()}
    if not all(torch.isfinite(total) for total in totals.values()):
        raise FloatingPointError(f"epoch {epoch}: loss terms {means}; expected finite numbers. Try a lower lr")
    return means


class _Selection:
    """Keeps the best state by validation Recall@20; of equal ones, by NDCG@20; then the earlier.

    A catalogue of fewer than 20 items is ranked whole: its Recall is always 1, and NDCG decides.
    """

    def __init__(self, model: Recommender, data: Dataset, patience: int) -> None:
        self.model, self.data = model, data
        self.k = min(SELECTED_AT, data.num_items)
        self.patience = self.patience_left = patience
        self.state: dict[str, Tensor] = {}

    @property
    def exhausted(self) -> bool:
        return self.patience_left <= 0

    def _merit(self, means: dict[str, float]) -> tuple[float, float]:
        return means[f"recall@{self.k}"], means[f"ndcg@{self.k}"]

    def _score(self, scorer: Scorer) -> float:
        return float(evaluate(scorer, self.data, "val", (self.k,))[f"recall@{self.k}"].mean())

    @torch.no_grad()
    def consider(self, epoch: int, history: History) -> None:
        self.model.eval()
        metrics = evaluate(self.model.embed(), self.data, "val", (self.k,))
        means = {name: float(values.mean()) for name, values in metrics.items()}
        history.validation.append({"epoch": epoch, **means, **self.model.monitor(self._score)})
        if not self.state or self._merit(means) > self._merit(history.best):
            history.best_epoch, history.best = epoch, means
            self.state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.patience_left = self.patience
        else:
            self.patience_left -= 1

    def restore(self) -> None:
        self.model.load_state_dict(self.state)
        self.model.refresh()
        self.model.eval()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """torch's global generators at `seed` inside (dropout draws from them), as they were outside."""
    with torch.random.fork_rng([device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
