"""One training loop for every model: it knows no model, and it never sees the test split."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core import settings
from mmkd_core.checkpoint import Checkpoint, owner_of
from mmkd_core.data import Batch, Dataset
from mmkd_core.evaluation import SELECTED_AT, Scorer, evaluate, means
from mmkd_core.history import History
from mmkd_core.models.base import Recommender
from mmkd_core.parallel import group, is_first
from mmkd_core.sampling import Sampler
from mmkd_core.settings import Neutral
from mmkd_core.steps import Capture, Stepper, place_of


@dataclass(frozen=True)
class FitConfig:
    """How to train. `patience` counts evaluations without improvement; `weight_decay` is AdamW's decoupled decay.

    `epochs=0` trains nothing: what is then measured is the model as it starts.
    `precision="bf16"` computes the products of dense tables in bfloat16; weights, graphs and losses stay float32.
    The models regularise through their own `l2` term by default, so `weight_decay` defaults to 0 and nothing is
    regularised twice by accident.
    """

    epochs: int = 1000
    batch_size: int = 2048
    lr: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 10
    evaluate_every: int = 5
    precision: Annotated[Literal["float32", "bf16"], Neutral("float32")] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises `ValueError` for what is no value of a setting."""
        values = {name: getattr(self, name) for name in SETTINGS}
        for name, value in settings.checked(values, SETTINGS, TRAINING).items():
            object.__setattr__(self, name, value)  # 1 and 1.0 are the same experiment


TRAINING = "the training"  # what messages call it
SETTINGS = settings.of_dataclass(FitConfig)


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
    checkpoint: str | Path | None = None,
    capture: Capture = "auto",
    compile: bool = False,
) -> History:
    """Trains `model` in place and leaves it, in evaluation mode, at the state with the best validation Recall@20.

    It is trained on `device` (a GPU if there is one) and afterwards lies where it lay before, at the best state so far
    also where an exception, such as that of Ctrl-C, ends the training. Starts the generators anew, so that a model that
    was restored trains like one just made.

    AdamW on the sum of the model's loss terms; the untrained model is evaluated as epoch 0, then every
    `evaluate_every` epochs and after the last one; it stops after `patience` evaluations without improvement.
    With `pairs`, some of `data.train`, an epoch visits those alone; negatives and candidates stay those of the whole.
    `on_epoch(epoch, history)` is called after each epoch; `runs.run` calls its own with the experiment before them. The
    same seed on the same machine gives the same history, bit for bit. Raises `ValueError` when there is no validation
    interaction to select on and `FloatingPointError` when a loss is no longer finite.

    With `checkpoint` all state is written to that file at every evaluation, whole or not at all. Where the file is
    there, training goes on from it and ends, bit for bit, as if it had never stopped; what was done since that
    evaluation is done again. The file stays. It belongs to this model with its settings, trained like this on these
    data and this kind of device: `ValueError` is raised for another's or a damaged one, `OSError` where none can be
    written.

    On a GPU the step is captured as a CUDA graph, unless `capture="off"` says otherwise; `compile=True` has torch's
    compiler fuse it, on any device: see `Stepper`. In a process group (`parallel.joined`) each process trains on its
    part of a batch, all end with the same model, and the first writes the checkpoint.
    """
    config = config or FitConfig()
    if len(data.val) == 0:
        raise ValueError(f"{data.name}: no validation interaction, so no epoch can be selected; hold some back as val")
    target, before = choose_device(device), place_of(model)
    select = _Selection(model, data, config.patience)
    try:
        model.to(target)
        with seeded(config.seed, target):
            model.refresh()
            if not any(parameter.requires_grad for parameter in model.parameters()):
                select.start()
                return select.history
            trainer = Trainer(model, data, config, pairs=pairs, capture=capture, compile=compile)
            if checkpoint is not None:
                owner = owner_of(model, data, asdict(config), pairs)
                select.checkpoint = Checkpoint(Path(checkpoint), owner, model, trainer.optimizer, trainer.generator)
            for epoch in range(select.start() + 1, config.epochs + 1):
                if select.exhausted:
                    break
                select.history.losses.append(trainer.epoch(epoch))
                if epoch % config.evaluate_every == 0 or epoch == config.epochs:
                    select.consider(epoch)
                if on_epoch is not None:
                    on_epoch(epoch, select.history)
        return select.history
    finally:
        select.restore()
        model.to(before)


class Trainer:
    """What trains a model where it lies: AdamW, the sampler of its triples, and the generator that they are drawn from.

    With `pairs`, some of `data.train`, an epoch visits those alone. `capture` and `compile` are as in `fit`.
    """

    def __init__(
        self,
        model: Recommender,
        data: Dataset,
        config: FitConfig,
        *,
        pairs: Int[Tensor, "_ 2"] | None = None,
        capture: Capture = "off",
        compile: bool = False,
    ) -> None:
        device = place_of(model)
        self.model, self.batch_size = model, config.batch_size
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        how = {"weight_decay": config.weight_decay, "fused": True, "capturable": device.type == "cuda"}
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, **how)
        self.stepper = Stepper(
            model, self.optimizer, capture=capture, compile=compile, precision=config.precision, group=group()
        )
        visited = None if pairs is None else pairs.to(device)
        self.sampler = Sampler(
            data.train.to(device), data.num_items, model.negatives, visited, model.distinct, model.candidates
        )
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
        return train_epoch(self.stepper, self.batches(), number)


def train_epoch(stepper: Stepper, batches: Iterator[Batch], epoch: int = 0) -> dict[str, float]:
    """One pass over `batches`; the mean over them of each loss term. `epoch` is named if a loss is not finite."""
    totals: dict[str, Tensor] = {}  # on the device: no synchronisation inside the loop
    steps = 0
    with stepper.epoch():
        for batch in batches:
            for name, term in stepper(batch).items():
                totals[name] = totals.get(name, 0) + term
            steps += 1
    if stepper.group is not None:
        totals = stepper.group.sum(totals)
    means = {name: float(total) / steps for name, total in totals.items()}
    if not all(isfinite(mean) for mean in means.values()):
        raise FloatingPointError(f"epoch {epoch}: loss terms {means}; expected finite numbers. Try a lower lr")
    return means


class _Selection:
    """Keeps the best state by validation Recall@20; of equal ones, by NDCG@20; then the earlier.

    A catalogue of fewer than 20 items is ranked whole: its Recall is always 1, and NDCG decides. What was considered is
    in its `history`, and in its `checkpoint` if it has one.
    """

    checkpoint: Checkpoint | None = None

    def __init__(self, model: Recommender, data: Dataset, patience: int) -> None:
        self.model, self.data, self.history = model, data, History()
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

    def start(self) -> int:
        """The epoch after which training goes on: the checkpoint's; or 0, when the untrained model was considered."""
        if self.checkpoint is not None and (resumed := self.checkpoint.resume()) is not None:
            self.history, self.state = History(**resumed.history), resumed.best
            self.patience_left = resumed.patience_left
            return resumed.epoch
        self.consider(0)
        return 0

    @torch.no_grad()
    def consider(self, epoch: int) -> None:
        history = self.history
        self.model.eval()
        metrics = evaluate(self.model.embed(), self.data, "val", (self.k,))
        found = means(metrics)
        history.validation.append({"epoch": epoch, **found, **self.model.monitor(self._score)})
        if not self.state or self._merit(found) > self._merit(history.best):
            history.best_epoch, history.best = epoch, found
            self.state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.patience_left = self.patience
        else:
            self.patience_left -= 1
        if self.checkpoint is not None and is_first():
            self.checkpoint.write(epoch, vars(history), self.state, self.patience_left)

    def restore(self) -> None:
        if self.state:  # not where the first evaluation failed
            self.model.load_state_dict(self.state)
            self.model.refresh()
        self.model.eval()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """torch's global generators at `seed` inside (dropout draws from them), as they were outside."""
    with torch.random.fork_rng([device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
