"""Traces and exports the losses of the named models; says, as JSON, whether they and their gradients stay the same."""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from made_up_folder import write_folder

from mmkd_core.datasets import load
from mmkd_core.kernels import linear
from mmkd_core.models import build
from mmkd_core.training import FitConfig, Trainer, fit


def compared(name, data):
    torch.manual_seed(0)
    model = build(name, data, {})
    batches = list(Trainer(model, data, FitConfig(batch_size=64)).batches())
    model.loss(batches[0])  # LATTICE mines its items in the first step of an epoch
    torch._dynamo.reset()
    results = []
    for loss in (torch.compile(model.loss, fullgraph=True, backend="aot_eager"), model.loss):
        torch.manual_seed(1)
        model.zero_grad(set_to_none=True)
        terms = loss(batches[1])
        torch.stack(list(terms.values())).sum().backward()
        results.append((terms, {key: p.grad for key, p in model.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(*results)
    exported = torch.export.export(Inside(model), (batches[1],), strict=False).module()
    outputs = []
    for loss in (exported, model.loss):
        torch.manual_seed(1)
        outputs.append(loss(batches[1]))
    torch.testing.assert_close(*outputs)
    return "same"


class Inside(torch.nn.Module):
    """A model as part of another: what is exported at the root must have no part called `graph`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model(batch)


def fitted(name, data, **arguments):
    torch.manual_seed(0)
    model = build(name, data, {})
    return fit(model, data, FitConfig(epochs=2, batch_size=64, lr=0.01), **arguments).losses


def compiled_fit(data):
    """Whether `fit(compile=True)` gives the same losses; the tracer's own backend stands for a compiler's minute."""
    whole = torch.compile
    torch.compile = partial(whole, backend="aot_eager")
    for name in ("lightgcn", "lattice"):  # LATTICE's first step of an epoch is another than the rest
        for epoch, same in zip(fitted(name, data, compile=True), fitted(name, data), strict=True):
            for term, loss in same.items():
                assert abs(epoch[term] - loss) <= 1e-5 * abs(loss), (name, term, epoch[term], loss)
    return "same"


if __name__ == "__main__":
    import tempfile

    linear.LARGE = 1  # the data are small; what is traced is what large products do

    with tempfile.TemporaryDirectory() as folder:
        data = load(str(write_folder(Path(folder) / "small")))
    answers = {}
    for name in sys.argv[1:]:
        try:
            answers[name] = compiled_fit(data) if name == "fit" else compared(name, data)
        except Exception as error:  # what a tracer may raise is of many kinds
            answers[name] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answers))
