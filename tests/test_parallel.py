"""Two processes train what one trains: part by part here, and as torchrun starts them."""

import copy
import json
import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from made_up_folder import write_folder

from mmkd_core import FitConfig
from mmkd_core.models import MODELS, VARIANTS, build, defaults_of
from mmkd_core.parallel import Group, group, is_first, joined
from mmkd_core.training import Trainer, train_epoch

TRAINED = [name for name, kind in (MODELS | VARIANTS).items() if kind.trained]
JOINT = [name for name in TRAINED if MODELS.get(name) and MODELS[name].joint]


def begun(name, data):
    """A model without dropout, and the batches of an epoch."""
    torch.manual_seed(0)
    model = build(name, data, {"dropout": 0.0} if "dropout" in defaults_of(name) else {}).eval()
    model.refresh()
    return model, list(Trainer(model, data, FitConfig(batch_size=64)).batches())


def gradients(model, share, batch):
    model.zero_grad(set_to_none=True)
    terms = {name: share * term for name, term in model.eval()(batch).items()}
    torch.stack(list(terms.values())).sum().backward()
    return terms, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def added(first, second):
    return {name: first[name] + second[name] for name in first}


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in JOINT])
@pytest.mark.parametrize("rows", [64, 37, 1])
def test_terms_and_gradients_of_the_parts_add_up_to_those_of_the_batch(name, rows, data):
    model, batches = begun(name, data)
    model(batches[0])  # LATTICE mines its items in the first step of an epoch
    batch = batches[1]
    if rows < 64:  # a tail
        batch = type(batch)(*(part[:rows] for part in batch[:3]), candidates=batch.candidates)
    whole = gradients(model, 1, batch)
    parts = [Group(rank, 2).part(batch) for rank in range(2)]
    assert sum(share for share, _ in parts) == pytest.approx(1)
    assert [len(part.users) for _, part in parts] == ([rows // 2, rows - rows // 2] if rows > 1 else [1, 1])
    first, second = (gradients(model, *part) for part in parts)
    for one, other, together in zip(first, second, whole, strict=True):
        torch.testing.assert_close(added(one, other), together, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", JOINT)
def test_a_loss_that_compares_the_rows_of_a_batch_is_refused(name, data, monkeypatch):
    monkeypatch.setattr("mmkd_core.training.group", lambda: Group(0, 2))
    with pytest.raises(ValueError, match="2 processes: its loss compares the rows"):
        Trainer(build(name, data, {}), data, FitConfig())


@pytest.mark.parametrize("name", JOINT)
def test_such_a_loss_is_no_sum_over_parts(name, data):
    """Else it would be refused for nothing."""
    model, batches = begun(name, data)
    model.replaced = 1.0
    batch = batches[1]._replace(drawn={})
    whole, _ = gradients(model, 1, batch)
    (first, _), (second, _) = (gradients(copy.deepcopy(model), *Group(rank, 2).part(batch)) for rank in range(2))
    together = added(first, second)
    assert any(abs(together[term] - whole[term]) > 1e-3 * abs(whole[term]) for term in whole)


@pytest.fixture
def two_alike(monkeypatch):
    """This process and another one that has the same numbers: what they sum is doubled."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "all_reduce", lambda values: values.mul_(2))


def test_gradients_and_terms_are_summed_in_one_piece_each(two_alike):
    together = group()
    assert together == Group(1, 2)
    assert not is_first()
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    model.weight.grad = torch.arange(6.0).view(2, 3)
    together.sum_gradients(model)
    assert torch.equal(model.weight.grad, 2 * torch.arange(6.0).view(2, 3))
    assert model.bias.grad is None
    assert together.sum({"bpr": torch.tensor(1.5), "l2": torch.tensor(0.5)}) == {"bpr": 3.0, "l2": 1.0}


def test_a_trainer_of_two_takes_its_part_of_a_batch_and_the_sums_of_terms(two_alike, data):
    """The other has the same rows here, so a step is that of these rows twice, each with its share of the batch."""
    torch.manual_seed(0)
    model = build("lightgcn", data, {})
    trainer = Trainer(model, data, FitConfig(batch_size=64))
    batches = list(trainer.batches())
    share, part = Group(1, 2).part(batches[0])
    expected = 2 * share * float(model(part)["bpr"].detach())
    losses = train_epoch(trainer.stepper, iter(batches[:1]))
    assert losses["bpr"] == pytest.approx(expected)


def test_one_process_is_no_group_and_the_first():
    assert group() is None
    assert is_first()
    with joined(torch.device("cpu")) as device:
        assert device == torch.device("cpu")


def test_another_process_that_has_ended_is_an_error_of_a_connection(two_alike, monkeypatch):
    def refuses(values):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(dist, "all_reduce", refuses)
    with pytest.raises(ConnectionError, match="another process of this training has ended"):
        group().sum({"bpr": torch.tensor(1.0)})


def test_processes_are_joined_and_parted_again(monkeypatch):
    called = []
    monkeypatch.setattr(dist, "init_process_group", called.append)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: called.append("end"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ZeroDivisionError), joined(torch.device("cpu")):
        raise ZeroDivisionError
    assert called == ["gloo", "end"]


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="3 processes for 1 GPUs; expected one per GPU"), joined(torch.device("cuda")):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


def command(*arguments, processes=None):
    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *torchrun, "-m", "mmkd_core", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip


def test_torchrun_trains_what_one_process_trains(folder, tmp_path):
    quick = {"epochs": 4, "evaluate_every": 2, "batch_size": 63, "lr": 0.01}
    arguments = ["run", "mmkd", "--data", folder, "--set", "teacher.dropout=0"]
    for name, value in quick.items():
        arguments += ["--set", f"fit.{name}={value}", "--set", f"teacher.fit.{name}={value}"]
    alone = command(*arguments, "--store", tmp_path / "alone")
    two = command(*arguments, "--store", tmp_path / "two", processes=2)
    assert (alone.returncode, two.returncode) == (0, 0), two.stderr
    assert len(two.stdout.splitlines()) == len(alone.stdout.splitlines())  # the first speaks, and it alone
    files = [sorted(path.relative_to(tmp_path / store) for path in (tmp_path / store).rglob("*.*"))
             for store in ("alone", "two")]  # fmt: skip
    assert files[0] == files[1]
    for file in files[0]:
        if file.suffix == ".json":
            one, other = (json.loads((tmp_path / store / file).read_text()) for store in ("alone", "two"))
            assert other["history"]["best_epoch"] == one["history"]["best_epoch"]
            for row, same in zip(other["history"]["rows"], one["history"]["rows"], strict=True):
                for term, losses in row["losses"].items():
                    assert losses == pytest.approx(same["losses"][term], rel=1e-6, abs=1e-8)
            assert other["metrics"] == pytest.approx(one["metrics"], abs=1e-3)


def test_a_process_that_dies_ends_the_others_with_its_error(folder, tmp_path):
    """The second process alone finds no room for its part; the first hears of it."""
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, sys\n"
        "from mmkd_core import training\n"
        "from mmkd_core.__main__ import main\n"
        "whole = training.train_epoch\n"
        "def dies(stepper, batches, epoch=0):\n"
        "    if epoch == 2 and os.environ['RANK'] == '1':\n"
        "        raise ValueError('no room for this part')\n"
        "    return whole(stepper, batches, epoch)\n"
        "training.train_epoch = dies\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = ["run", "bpr-mf", "--data", folder, "--store", tmp_path / "runs", "--set", "fit.epochs=50"]
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", script, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode != 0
    assert "mmkd: no room for this part" in ended.stderr
    assert not list((tmp_path / "runs").rglob("*.json"))
