"""Traces the losses of the named models whole; says, as JSON, whether terms and gradients are the untraced ones."""

import json
import sys
from pathlib import Path

import torch
from made_up_folder import write_folder

from mmkd_core.datasets import load
from mmkd_core.models import build
from mmkd_core.training import FitConfig, Trainer


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
    return "same"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        data = load(str(write_folder(Path(folder) / "small")))
    answers = {}
    for name in sys.argv[1:]:
        try:
            answers[name] = compared(name, data)
        except Exception as error:  # what a tracer may raise is of many kinds
            answers[name] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answers))
