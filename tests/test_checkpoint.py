"""A training that was stopped anywhere goes on from its checkpoint to the same bits; what is wrong with one is said."""

import dataclasses
import json
import os
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmkd_core import MODELS, FitConfig, fit, training
from mmkd_core.checkpoint import read, read_header
from mmkd_core.cost import added
from mmkd_core.models import VARIANTS

CONFIG = FitConfig(epochs=7, batch_size=64, lr=0.01, evaluate_every=2, seed=3)
TRAINED = [name for name, kind in (MODELS | VARIANTS).items() if kind.trained]
SETTINGS = {  # what a model has to keep beside its defaults' state
    "mmkd frozen prompt": ("mmkd", {"prompt_mode": "frozen"}),
    "mmkd without prompt": ("mmkd", {"prompt_mode": "off"}),
    "mmkd narrow": ("mmkd", {"dim": 8}),
    "mmkd gcn": ("mmkd", {"student": "gcn"}),
    "lattice raw": ("lattice", {"raw_weight": 1.0}),
    "ngcf dropout": ("ngcf", {"dropout": 0.3}),
}


class Stop(Exception):
    """What ends a training here."""


def stop_after(last):
    def look(epoch, history):
        if epoch == last:
            raise Stop

    return look


def made(name, data, **settings):
    """A model as a new process makes it: from the same seed, an MMKD with a teacher of its own."""
    torch.manual_seed(0)
    kind, others = SETTINGS.get(name, (name, {}))
    return (MODELS | VARIANTS)[kind](data, **others | settings)


def bits(model):
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def stopped_and_resumed(name, data, path, stops, config=CONFIG, **arguments):
    """Ended after each of these epochs, then run to its end; each time with a new model."""
    for last in stops:
        with pytest.raises(Stop):
            fit(made(name, data), data, config, checkpoint=path, on_epoch=stop_after(last), **arguments)
    model = made(name, data)
    return fit(model, data, config, checkpoint=path, **arguments), model


@pytest.mark.parametrize("name", [*TRAINED, *SETTINGS])
def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(name, data, tmp_path):
    undisturbed = made(name, data)
    history = fit(undisturbed, data, CONFIG)
    resumed, model = stopped_and_resumed(name, data, tmp_path / "c", (1, 5, 6))
    assert resumed == history
    assert bits(model) == bits(undisturbed)
    assert not model.training


def test_it_may_be_stopped_after_every_epoch(data, tmp_path):
    config = dataclasses.replace(CONFIG, evaluate_every=1)
    undisturbed = made("teacher", data)
    history = fit(undisturbed, data, config)
    resumed, model = stopped_and_resumed("teacher", data, tmp_path / "c", range(1, 8), config)
    assert resumed == history
    assert bits(model) == bits(undisturbed)


@pytest.mark.parametrize("stops", [[3], [4], [5], [6], [7], [5, 7]])
def test_patience_is_kept(stops, data, tmp_path):
    config = FitConfig(epochs=40, batch_size=64, lr=0.01, evaluate_every=1, patience=4, seed=1)
    undisturbed = made("lightgcn", data)
    history = fit(undisturbed, data, config)
    assert (history.best_epoch, len(history.losses)) == (4, 8)
    resumed, model = stopped_and_resumed("lightgcn", data, tmp_path / "c", stops, config)
    assert resumed == history
    assert bits(model) == bits(undisturbed)


@pytest.mark.parametrize("patience", [1, 10])
def test_what_had_ended_is_not_trained_again(patience, data, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, patience=patience, lr=1e-6)
    first = made("bpr-mf", data)
    history = fit(first, data, config, checkpoint=tmp_path / "c")
    assert read_header(tmp_path / "c")["epoch"] == len(history.losses)
    monkeypatch.setattr(training.Trainer, "epoch", None)
    again = made("bpr-mf", data)
    assert fit(again, data, config, checkpoint=str(tmp_path / "c")) == history
    assert bits(again) == bits(first)


def test_some_pairs_alone_are_gone_on_with(data, tmp_path):
    pairs = data.train[::2]
    undisturbed = made("bpr-mf", data)
    history = fit(undisturbed, data, CONFIG, pairs=pairs)
    resumed, model = stopped_and_resumed("bpr-mf", data, tmp_path / "c", [3], pairs=pairs)
    assert (resumed, bits(model)) == (history, bits(undisturbed))


def test_the_same_model_may_go_on(data, tmp_path):
    undisturbed, model = made("mmkd", data), made("mmkd", data)
    history = fit(undisturbed, data, CONFIG)
    with pytest.raises(Stop):
        fit(model, data, CONFIG, checkpoint=tmp_path / "c", on_epoch=stop_after(5))
    assert fit(model, data, CONFIG, checkpoint=tmp_path / "c") == history
    assert bits(model) == bits(undisturbed)


def test_a_checkpoint_changes_nothing_outside(data, tmp_path):
    model = made("teacher", data)
    before = torch.get_rng_state()
    with pytest.raises(Stop):
        fit(model, data, CONFIG, checkpoint=tmp_path / "c", on_epoch=stop_after(5))
    assert torch.equal(torch.get_rng_state(), before)
    fit(model, data, CONFIG, checkpoint=tmp_path / "c")
    assert torch.equal(torch.get_rng_state(), before)


def test_each_evaluation_writes_one_and_the_best_state_is_not_written_twice(data, tmp_path):
    seen = []

    def look(epoch, history):
        values, tensors = read(tmp_path / "c")
        parts = {name.partition(".")[0] for name in tensors}
        assert ("best" in parts) == (history.best_epoch != values["epoch"])
        seen.append((epoch, values["epoch"], len(values["history"]["losses"])))

    fit(made("lightgcn", data), data, CONFIG, checkpoint=tmp_path / "c", on_epoch=look)
    assert seen == [(1, 0, 0), (2, 2, 2), (3, 2, 2), (4, 4, 4), (5, 4, 4), (6, 6, 6), (7, 7, 7)]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("name", ["popularity", "itemknn"])
def test_a_model_without_parameters_leaves_none(name, data, tmp_path):
    fit(made(name, data), data, CONFIG, checkpoint=tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_one_that_is_stopped_is_left_at_its_best_state(data):
    model, kept = made("lightgcn", data), {}

    def look(epoch, history):
        if epoch == history.best_epoch:
            kept.update(bits(model))
        if epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, data, CONFIG, on_epoch=look)
    assert not model.training
    assert bits(model) == kept


# --- whose it is ---


@pytest.fixture
def checkpoint(data, tmp_path):
    """Of an MMKD that was stopped at epoch 4 of 7."""
    path = tmp_path / "its.checkpoint"
    with pytest.raises(Stop):
        fit(made("mmkd", data), data, CONFIG, checkpoint=path, on_epoch=stop_after(5))
    return path


def refused(path, data, says, model=None, config=CONFIG, error=ValueError, **arguments):
    """One error that names the file and says what to do; model and file are as they were."""
    model = model or made("mmkd", data)
    before, content = bits(model), path.read_bytes() if path.is_file() else None
    with pytest.raises(error, match=says) as caught:
        fit(model, data, config, checkpoint=path, **arguments)
    assert str(path) in str(caught.value)
    assert bits(model) == before
    assert (path.read_bytes() if path.is_file() else None) == content


def test_that_of_another_training_is_refused(data, make_data, checkpoint):
    other, delete = r"another training, {}; go on with what it had, .* or delete it to begin anew", "delete it to begin"
    for config, says in (
        (dataclasses.replace(CONFIG, lr=0.1), r"training\.lr=0\.01 there, 0\.1 here"),
        (dataclasses.replace(CONFIG, epochs=9), r"training\.epochs=7 there, 9 here"),
    ):
        refused(checkpoint, data, other.format(says), config=config)
    refused(checkpoint, data, other.format("model='MMKD' there, 'LightGCN' here"), model=made("lightgcn", data))
    refused(checkpoint, data, other.format(r"settings\.l2=0\.0001 there, 0\.5 here"), model=made("mmkd", data, l2=0.5))
    torch.manual_seed(0)
    teacher = MODELS["teacher"](data, dropout=0.5)
    says = r"settings\.teacher\.dropout=0\.2 there, 0\.5 here"
    refused(checkpoint, data, other.format(says), model=MODELS["mmkd"](data, teacher=teacher))
    refused(checkpoint, data, r"pairs=None there, '\w{8}' here", pairs=data.train[::2])
    same_size = make_data(seed=1)
    refused(checkpoint, same_size, r"data='\w+' there, '\w+' here.*" + delete, model=made("mmkd", same_size))


def test_that_of_another_kind_of_device_is_refused(data, checkpoint, monkeypatch):
    values, tensors = read(checkpoint)
    values["owner"]["device"] = "cuda"
    monkeypatch.setattr("mmkd_core.checkpoint.read", lambda path: (values, tensors))
    refused(checkpoint, data, "device='cuda' there, 'cpu' here; go on with what it had")


def test_that_of_other_tables_is_refused(data, checkpoint, monkeypatch):
    values, tensors = read(checkpoint)
    tensors["model.student.nodes.weight"] = torch.zeros(3, 3)
    monkeypatch.setattr("mmkd_core.checkpoint.read", lambda path: (values, tensors))
    refused(checkpoint, data, "its tables are not those of this model; delete it to begin anew")


# --- damage ---

DAMAGED = r"damaged, or no checkpoint \(.+\); expected what a training wrote: delete it to begin anew"


@pytest.mark.parametrize("left", [0, 1, 8, 100, 3000, -1])
def test_a_truncated_one_is_refused(left, data, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:left])
    refused(checkpoint, data, DAMAGED)


def test_each_flipped_byte_is_found(data, checkpoint):
    whole = checkpoint.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(0, header, 61), *range(8), *range(header, len(whole), len(whole) // 50)]
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        checkpoint.write_bytes(spoilt)
        try:
            found = read(checkpoint)
        except ValueError:
            continue
        checkpoint.write_bytes(whole)  # a blank at the end of the header, say: the same content
        assert str(found) == str(read(checkpoint)), place


@pytest.mark.parametrize("foreign", ["safetensors", "text", "its own weights with words"])
def test_a_foreign_file_is_refused(foreign, data, checkpoint):
    if foreign == "safetensors":
        save_file({"nodes.weight": torch.zeros(3)}, checkpoint)
    elif foreign == "text":
        checkpoint.write_text('{"epoch": 4}')
    else:
        save_file(load_file(checkpoint), checkpoint, {"header": "{}"})
    refused(checkpoint, data, DAMAGED)


def test_a_folder_in_its_place_is_named(data, tmp_path):
    (tmp_path / "c").mkdir()
    refused(tmp_path / "c", data, "cannot be read|cannot be written|damaged", error=(OSError, ValueError))


# --- where none can be written ---


def limited(size):
    """A disk that is full at this size of a file, for this process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


WROTE = r"cannot be written \(.+\); expected a folder with room and the right to write\. What was there before is whole"


def test_a_full_disk_is_one_error_and_the_last_one_stays(data, tmp_path):
    undisturbed = made("lightgcn", data, dim=1024)
    history = fit(undisturbed, data, CONFIG)
    path = tmp_path / "c"
    with pytest.raises(Stop):
        fit(made("lightgcn", data, dim=1024), data, CONFIG, checkpoint=path, on_epoch=stop_after(2))
    kept = path.read_bytes()
    limited(200_000)
    try:
        with pytest.raises(OSError, match=WROTE) as caught:
            fit(made("lightgcn", data, dim=1024), data, CONFIG, checkpoint=path)
    finally:
        limited(resource.RLIM_INFINITY)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == kept
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
    model = made("lightgcn", data, dim=1024)
    assert fit(model, data, CONFIG, checkpoint=path) == history
    assert bits(model) == bits(undisturbed)


@pytest.mark.skipif(os.name != "posix", reason="a folder's rights")
def test_a_folder_that_may_not_be_written_to_is_said_before_an_epoch_is_trained(data, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("read-only")
    monkeypatch.setattr(training.Trainer, "epoch", None)
    folder.chmod(0o555)
    powerful = os.geteuid() == 0
    rights = {path: mode for path in folder.parents if powerful and not (mode := path.stat().st_mode) & 0o001}
    try:
        for path, mode in rights.items():
            path.chmod(mode | 0o001)  # or nobody could even look for the file
        if powerful:  # whom nothing is forbidden
            os.seteuid(65534)
        with pytest.raises(OSError, match=WROTE.replace(".+", "Permission denied")):
            fit(made("lightgcn", data), data, CONFIG, checkpoint=folder / "c")
    finally:
        if powerful:
            os.seteuid(0)
        for path, mode in rights.items():
            path.chmod(mode)
    assert not list(folder.iterdir())


# --- its cost ---


def test_the_cost_of_sessions_adds_up(data, tmp_path):
    one = {"seconds": 1.5, "cpu_seconds": 1.25, "peak_memory_mib": 100}
    two = {"seconds": 0.5, "cpu_seconds": 0.5, "peak_memory_mib": 80}
    assert added({}, one) == one
    both = {"seconds": 2.0, "cpu_seconds": 1.75, "peak_memory_mib": 100, "sessions": 2}
    assert added(one, two) == both
    assert added(both, two) == both | {"seconds": 2.5, "cpu_seconds": 2.25, "sessions": 3}
    stopped_and_resumed("bpr-mf", data, tmp_path / "c", [4, 6])
    assert read_header(tmp_path / "c")["cost"]["sessions"] == 3
    assert read_header(tmp_path / "none") == {}


def test_what_it_tells_is_json(data, tmp_path):
    fit(made("mmkd", data), data, CONFIG, checkpoint=tmp_path / "c")
    values = read_header(tmp_path / "c")
    assert json.loads(json.dumps(values)) == values
    assert values["owner"]["settings"].keys() == {"", "teacher"}
