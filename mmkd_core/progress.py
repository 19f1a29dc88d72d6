"""Bars that show how far things are, in terminals and notebooks.

None where standard error is redirected, and none with `TQDM_DISABLE=1`, as in a notebook that becomes a page.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm.auto import tqdm

if TYPE_CHECKING:  # a bar of rows needs no torch
    from mmkd_core.experiment import Experiment
    from mmkd_core.history import History
    from mmkd_core.training import OnEpoch

T = TypeVar("T")
EPOCHS = "{desc} {n_fmt}/{total_fmt} |{bar}| {remaining} left{postfix}"  # fits into 80 columns


def bar(title: str, **settings: Any) -> tqdm:
    """A bar of tqdm on standard error, or in the notebook that asks for it."""
    off = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # tqdm heeds it where `disable` is left out
    return tqdm(desc=title, file=sys.stderr, disable=off or None, **settings)


class _OneAfterAnother:
    """A bar for each of several things, one at a time; as a context it ends its last bar."""

    def __init__(self) -> None:
        self.title: str | None = None
        self.bar: tqdm | None = None

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar, because what is printed next, an error's line too, must not start behind it."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None

    def _titled(self, title: str, **settings: Any) -> tqdm:
        """The bar of that title: the one that is there, or after its end another with these settings."""
        if self.bar is None or title != self.title:
            self.__exit__()
            self.title, self.bar = title, bar(title, **settings)
        return self.bar


class Bars(_OneAfterAnother):
    """One bar per training: epoch, loss, validation Recall, its best and when that was, time left at most.

    Such an object is the `on_epoch` of `run`, and `of` gives one of `fit`; as a context it ends its last bar.
    """

    def __call__(self, experiment: Experiment, epoch: int, history: History) -> None:
        self._show(experiment.model, experiment.fit.epochs, epoch, history)

    def of(self, title: str, epochs: int) -> OnEpoch:
        """Shows a `fit` of at most so many epochs: `fit(model, data, config, on_epoch=bars.of("LightGCN", 100))`."""
        return lambda epoch, history: self._show(title, epochs, epoch, history)

    def _show(self, title: str, epochs: int, epoch: int, history: History) -> None:
        # begins at the first epoch that it is told of: nobody knows how long that and those before it took
        told = _postfix(history)
        shown = self._titled(title, total=epochs, initial=epoch, postfix=told, bar_format=EPOCHS)
        shown.set_postfix_str(told, refresh=False)  # it is drawn when its time has come
        shown.update(epoch - shown.n)


def _postfix(history: History) -> str:
    metric = next(name for name in history.best if name.startswith("recall@"))
    loss, recall = sum(history.losses[-1].values()), history.validation[-1][metric]
    return f"loss {loss:.4f}, val {recall:.4f}, best {history.best[metric]:.4f} at {history.best_epoch}"


class Counted(_OneAfterAnother):
    """A bar for each of several things that are counted one after the other; as a context it ends its last bar."""

    def __call__(self, title: str, done: int, total: int) -> None:
        shown = self._titled(title, total=total)
        shown.update(done - shown.n)
