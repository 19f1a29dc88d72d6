"""On a GPU: what the CPU says, and the same again from the same seed. The oracles of everything else run on the CPU."""

import warnings

import pytest
import torch

from mmkd_core import MODELS, FitConfig, evaluate, fit
from mmkd_core.datasets import load
from mmkd_core.evaluation import hit_places
from mmkd_core.experiment import plan
from mmkd_core.models import VARIANTS, build, defaults_of
from mmkd_core.models.teacher import Teacher
from mmkd_core.runs import restore, trained
from mmkd_core.sparse import Pattern

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

UNTRAINED = [name for name, kind in MODELS.items() if not kind.trained]
ON_CPU_ALONE = "mmkd+released-tables"
NAMES = [name for name in (*MODELS, *VARIANTS) if name != ON_CPU_ALONE]
TRAINED = [name for name in NAMES if name not in UNTRAINED]
SHORT = FitConfig(epochs=3, batch_size=64, lr=0.01, evaluate_every=1)


def made(name, data, device):
    """Equal weights on either device, and nothing drawn while it trains: each device has a generator of its own."""
    torch.manual_seed(0)
    settings = {key: value for key, value in {"dropout": 0.0, "replaced": 1.0}.items() if key in defaults_of(name)}
    teacher = Teacher(data, dropout=0.0) if name.startswith("mmkd") else None
    model = build(name, data, settings, teacher=teacher).to(device)
    model.refresh()
    return model


def on(batch, device):
    shared = None if batch.candidates is None else batch.candidates.to(device)
    return type(batch)(*(part.to(device) for part in batch[:3]), candidates=shared)


@pytest.mark.parametrize("name", NAMES)
def test_final_tables_are_those_of_the_cpu(name, data):
    users = torch.arange(data.num_users)
    with torch.no_grad():
        cpu = made(name, data, "cpu").eval().embed().scores(users)
        gpu = made(name, data, "cuda").eval().embed().scores(users.cuda())
    assert gpu.is_cuda
    torch.testing.assert_close(gpu.cpu(), cpu, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_are_those_of_the_cpu(name, data, make_batch):
    found = []
    for device in ("cpu", "cuda"):
        model = made(name, data, device).train()
        terms = model(on(make_batch(data, model.negatives), device))
        sum(terms.values()).backward()
        gradients = {key: p.grad.cpu() for key, p in model.named_parameters() if p.grad is not None}
        found.append(({key: term.item() for key, term in terms.items()}, gradients))
    (cpu_terms, cpu_gradients), (gpu_terms, gpu_gradients) = found
    assert gpu_terms == pytest.approx(cpu_terms, rel=1e-4)
    assert gpu_gradients.keys() == cpu_gradients.keys()
    for key, gradient in cpu_gradients.items():
        torch.testing.assert_close(
            gpu_gradients[key], gradient, rtol=1e-3, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}"
        )


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_seed_gives_the_same_history_bit_for_bit(name, data):
    histories = []
    for _ in range(2):
        torch.manual_seed(0)
        model = build(name, data, {})
        histories.append(fit(model, data, SHORT, device="cuda"))
        assert not next(model.parameters()).is_cuda  # where it lay before
    assert histories[0] == histories[1]


def test_places_and_metrics_are_those_of_the_cpu(data):
    model = made("lightgcn", data, "cpu").eval()
    with torch.no_grad():
        cpu, gpu = model.embed(), model.cuda().embed()
    assert hit_places(gpu, data, "test", 20).equal(hit_places(cpu, data, "test", 20))
    assert all(x.equal(y) for x, y in zip(*(evaluate(t, data, ks=(20,)).values() for t in (cpu, gpu)), strict=True))


def test_a_sparse_pattern_computes_and_differentiates_as_on_the_cpu():
    torch.manual_seed(0)
    cells = (torch.rand(20, 30) < 0.2).nonzero()
    cells = cells[(cells[:, 0] != 3) & (cells[:, 1] != 4)]  # an empty row and an empty column
    values, x, left = torch.randn(len(cells)), torch.randn(30, 8), torch.randn(20, 8)
    found = []
    for device in ("cpu", "cuda"):
        pattern = Pattern(*cells.T, (20, 30)).to(device)
        leaves = [t.detach().to(device, copy=True).requires_grad_() for t in (values, x, left)]
        weights = pattern.softmax(leaves[0] * pattern.scores(leaves[2], leaves[1]))
        out = pattern.product(weights, leaves[1])
        out.square().sum().backward()
        found.append([out, *(leaf.grad for leaf in leaves)])
    for cpu, gpu in zip(*found, strict=True):
        torch.testing.assert_close(gpu.cpu(), cpu, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lightgcn", "lattice", "mmkd"])
def test_what_a_gpu_trained_serves_on_a_cpu(name, tmp_path):
    small = {"epochs": 2, "batch_size": 64, "evaluate_every": 1}
    extra = {"teacher": plan("teacher", "demo", fit=small)} if name == "mmkd" else {}
    experiment, demo = plan(name, "demo", fit=small, **extra), load("demo")
    model, record = trained(experiment, tmp_path, demo, device="cuda")
    assert record.environment["device"] == torch.cuda.get_device_name()
    assert record.cost["peak_gpu_memory_mib"] > 0
    again = restore(record.file(tmp_path), demo)
    with torch.no_grad():
        means = {key: float(value.mean()) for key, value in evaluate(again.embed(), demo).items()}
    assert means == pytest.approx(record.metrics, abs=2e-3)
    assert next(model.parameters()).is_cuda


def test_the_second_student_on_a_gpu_starts_from_the_same_teacher_as_the_first(tmp_path):
    small = {"epochs": 2, "batch_size": 64, "evaluate_every": 1}
    experiment, demo = plan("mmkd", "demo", fit=small, teacher=plan("teacher", "demo", fit=small)), load("demo")
    histories = []
    for _ in range(2):  # the teacher is trained before the first, and read before the second
        model, record = trained(experiment, tmp_path, demo, device="cuda")
        histories.append(record.history)
        for suffix in (".json", ".safetensors"):
            record.file(tmp_path).with_suffix(suffix).unlink()
        assert next(model.parameters()).is_cuda
    assert histories[0] == histories[1]


def test_two_tables_of_one_storage_are_refused(data):
    with pytest.raises(ValueError, match="--device cpu"):
        fit(build(ON_CPU_ALONE, data, {}), data, SHORT, device="cuda")


class Stop(Exception):
    """What ends a training here."""


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_that_was_stopped_on_a_gpu_ends_as_if_it_had_not_been(name, data, tmp_path):
    def stop(epoch, history):
        raise Stop

    def trained(**arguments):
        torch.manual_seed(0)
        model = build(name, data, {})
        return fit(model, data, SHORT, device="cuda", **arguments), model.state_dict()

    history, state = trained()
    with pytest.raises(Stop):
        trained(checkpoint=tmp_path / "c", on_epoch=stop)
    resumed, again = trained(checkpoint=tmp_path / "c")
    assert resumed == history
    assert all(torch.equal(state[key], again[key]) for key in state)


@pytest.mark.parametrize("name", TRAINED)
def test_captured_steps_train_like_uncaptured_ones(name, data):
    results = []
    for capture in ("auto", "off"):
        torch.manual_seed(0)
        model = build(name, data, {})
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # that a step cannot be captured is said by a warning
            results.append((fit(model, data, SHORT, device="cuda", capture=capture).losses, model.state_dict()))
    (captured, state), (usual, expected) = results
    for epoch, same in zip(captured, usual, strict=True):
        assert epoch == pytest.approx(same, rel=1e-6)
    torch.testing.assert_close(state, expected, rtol=1e-5, atol=1e-6)
