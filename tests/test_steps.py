"""A training step is one graph: every model is traced whole, and how many kernels its step takes is held."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._library.custom_ops import OPDEFS
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from benchmarks.kernels import Kernels
from mmkd_core.kernels import linear, rows
from mmkd_core.models import MODELS, VARIANTS, build
from mmkd_core.steps import tensors_of
from mmkd_core.training import FitConfig, Trainer

TRAINED = [name for name, kind in (MODELS | VARIANTS).items() if kind.trained]

# Kernels of a step with two modalities: forward, backward and optimiser; what only looks at memory in another way or
# allocates it is none. A step may not take more. The library's own operators are opened and what is inside them counts,
# as they work on a GPU, where launches are what a step costs. An operator of torch counts as one, whatever it launches.
KERNELS = {
    "bpr-mf": 45,
    "lightgcn": 60,
    "ngcf": 130,
    "vbpr": 80,
    "mmgcn": 200,
    "grcn": 260,
    "lattice": 80,
    "clcrec": 130,
    "slmrec": 200,
    "bm3": 90,
    "teacher": 100,
    "mmkd": 220,
    "mmkd, prompt frozen": 150,
    "softmax-teacher": 110,
    "softmax-factors": 95,
    "mmkd-lists": 40,
    "vbpr+softmax": 95,
}


def begun(name, data):
    """A model, its trainer and the batches of an epoch, one step of which is done."""
    torch.manual_seed(0)
    name, _, mode = name.partition(", prompt ")
    model = build(name, data, {"prompt_mode": mode} if mode else {})
    trainer = Trainer(model, data, FitConfig(batch_size=64))
    batches = list(trainer.batches())
    step(model, trainer, batches[0])
    return model, trainer, batches


def step(model, trainer, batch):
    trainer.optimizer.zero_grad(set_to_none=True)
    torch.stack(list(model(batch).values())).sum().backward()
    trainer.optimizer.step()


@pytest.mark.parametrize("name", KERNELS)
def test_a_step_takes_no_more_kernels_than_its_budget(name, data, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: False)
    model, trainer, batches = begun(name, data)
    with Kernels() as kernels:
        step(model, trainer, batches[1])
    assert kernels.counts.total() <= KERNELS[name], kernels.counts.most_common()


class Foretold(TorchDispatchMode):
    """Compares what each operator of the library gives with what it tells a tracer that it will give."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        if func.namespace == "mmkd":
            self.seen.add(func._schema.name)
            fakes = FakeTensorMode()
            arguments = tree_map_only(torch.Tensor, lambda x: fakes.from_tensor(x.detach()), args)
            with fakes:
                told = func(*arguments)
            pairs = zip(tree_leaves(given), tree_leaves(told), strict=True)
            for x, fake in pairs:
                assert (x.shape, x.dtype, x.stride()) == (fake.shape, fake.dtype, fake.stride()), func
        return given


def test_each_operator_of_the_library_gives_what_it_tells_a_tracer(data, monkeypatch):
    monkeypatch.setattr(linear, "LARGE", 1)
    monkeypatch.setattr(linear, "ONEDNN", True)  # on processors without AVX-512 as well
    starts = [begun(name, data) for name in ("lightgcn", "ngcf", "mmgcn", "grcn", "clcrec", "teacher", "mmkd")]
    with Foretold() as mode:
        for model, trainer, batches in starts:
            step(model, trainer, batches[1])
    assert mode.seen == {name for name in OPDEFS if name.startswith("mmkd::")}


@pytest.fixture(scope="module")
def traced():
    """What tests/traced.py says of each model, from a process whose functions are not wrapped to check their types."""
    script = Path(__file__).with_name("traced.py")
    done = subprocess.run([sys.executable, script, *TRAINED, "fit"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", TRAINED)
def test_a_loss_is_traced_whole_with_the_same_gradients(name, traced):
    assert traced[name] == "same"


def test_a_compiled_training_has_the_losses_of_one_that_is_not(traced):
    assert traced["fit"] == "same"


@pytest.mark.parametrize("name", TRAINED)
def test_all_whole_batches_of_an_epoch_have_one_shape(name, data):
    """So that one graph serves them all; only the tail of an epoch is shorter."""
    *whole, tail = begun(name, data)[2]
    shapes = [[x.shape for x in tensors_of(batch)] for batch in whole]
    assert len(whole) >= 2
    assert all(shape == shapes[0] for shape in shapes)
    assert len(tail.users) <= len(whole[0].users)


@pytest.mark.parametrize("name", [name for name in TRAINED if MODELS.get(name) and MODELS[name].distinct])
def test_ids_that_fill_up_change_no_term(name, data):
    """What was drawn at a fixed size gives the terms of what the batch itself holds."""
    model, _, batches = begun(name, data)
    model.eval()
    padded = batches[-1]
    assert not all(drawn.real.all() for drawn in padded.drawn.values())
    with torch.no_grad():
        terms = {}
        for batch in (padded, padded._replace(drawn={})):
            torch.manual_seed(0)
            model.replaced = 1.0  # CLCRec: which items are replaced is not left to chance
            terms[len(batch.drawn)] = model.loss(batch)
    first, second = terms.values()
    torch.testing.assert_close(first, second)
