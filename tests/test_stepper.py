"""Which steps are captured, what a captured one is given, and what happens where none can be."""

import contextlib
import warnings

import pytest
import torch

from mmkd_core import FitConfig, fit, plan
from mmkd_core.models import MODELS, VARIANTS, build
from mmkd_core.steps import WARM_UP, cloned, tensors_of
from mmkd_core.training import Trainer

TRAINED = [name for name, kind in (MODELS | VARIANTS).items() if kind.trained]


class Played:
    """Stands for `Graphs`: a step that reads its batch from one place in memory, as a CUDA graph does."""

    def __init__(self, refuses=False):
        self.refuses, self.captures, self.replays = refuses, 0, 0

    def stream(self):
        return contextlib.nullcontext()

    def captured(self, step, batch):
        self.captures += 1
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        static = cloned(batch)

        def replay(batch):
            self.replays += 1
            for to, x in zip(tensors_of(static), tensors_of(batch), strict=True):
                to.copy_(x)
            return step(static)

        return replay


def trained(name, data, graphs=None, **arguments):
    torch.manual_seed(0)
    model = build(name, data, {})
    trainer = Trainer(model, data, FitConfig(batch_size=36, lr=0.01, **arguments))
    if graphs is not None:
        trainer.stepper.capture, trainer.stepper.graphs = True, graphs
    return [trainer.epoch(number) for number in (1, 2)], model.state_dict()


def assert_same(first, second):
    assert first[0] == second[0]
    assert all(torch.equal(x, second[1][name]) for name, x in first[1].items())


@pytest.mark.parametrize("name", TRAINED)
def test_captured_steps_train_like_uncaptured_ones(name, data):
    graphs = Played()
    assert_same(trained(name, data, graphs), trained(name, data))
    batches = len(data.train) // 36
    assert len(data.train) % 36  # a tail, which runs by itself
    assert graphs.captures == 2  # anew in each epoch, since `refresh` may move what the step reads
    assert graphs.replays == batches - WARM_UP + batches - 1


def test_what_cannot_be_captured_is_said_once_and_trained_all_the_same(data):
    graphs = Played(refuses=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = trained("lightgcn", data, graphs)
    assert [str(warning.message) for warning in caught] == [
        "LightGCN: its step cannot be captured as a CUDA graph (operation not permitted when stream is capturing); "
        "its kernels are launched one by one, which takes longer"
    ]
    assert graphs.captures == 1
    assert_same(result, trained("lightgcn", data))


def test_nothing_is_captured_on_a_cpu(data):
    torch.manual_seed(0)
    for capture in ("auto", "off"):
        trainer = Trainer(build("bpr-mf", data, {}), data, FitConfig(batch_size=36), capture=capture)
        trainer.epoch()
        assert trainer.stepper.graphs is None


@pytest.mark.parametrize("name", TRAINED)
def test_a_clone_has_every_tensor_of_a_batch(name, data):
    batch = next(Trainer(build(name, data, {}), data, FitConfig(batch_size=36)).batches())
    copy = cloned(batch)
    assert copy.drawn.keys() == batch.drawn.keys()
    for x, same in zip(tensors_of(copy), tensors_of(batch), strict=True):
        assert torch.equal(x, same)
        assert x.data_ptr() != same.data_ptr() or not x.numel()
    assert len(tensors_of(batch)) == 3 + 3 * len(batch.drawn) + (batch.candidates is not None)


@pytest.mark.parametrize("name", ["teacher", "mmkd", "mmgcn", "bm3"])
def test_half_precision_reaches_the_dense_products_and_leaves_weights_and_losses_float32(name, data):
    (losses, state), (usual, _) = trained(name, data, precision="bf16"), trained(name, data)
    assert losses != usual
    for epoch, same in zip(losses, usual, strict=True):
        assert epoch == pytest.approx(same, rel=0.05, abs=1e-3)
    assert {x.dtype for x in state.values() if x.is_floating_point()} == {torch.float32}


@pytest.mark.usefixtures("unchecked")
def test_precision_is_a_setting_that_leaves_keys_of_float32_as_they_are():
    usual, named, half = (
        plan("lightgcn", "demo", fit=fit) for fit in ({}, {"precision": "float32"}, {"precision": "bf16"})
    )
    assert usual.key("data") == named.key("data") != half.key("data")
    with pytest.raises(ValueError, match="unknown precision 'fp8'; one of"):
        FitConfig(precision="fp8")


def test_fit_hands_capture_and_compile_on(data, monkeypatch):
    asked = {}

    def compiled(model, **arguments):
        asked.update(arguments)
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    history = fit(build("bpr-mf", data, {}), data, FitConfig(epochs=1, batch_size=36), compile=True, capture="off")
    assert asked == {"fullgraph": True, "dynamic": False}
    assert len(history.losses) == 1
