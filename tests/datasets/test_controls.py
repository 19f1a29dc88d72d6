"""What the controls change, and that they change nothing else."""

import pytest
import torch

from mmkd_core import DataError, load
from mmkd_core.data import SPLITS
from mmkd_core.datasets import controlled


def same_splits(a, b):
    return all(torch.equal(getattr(a, split), getattr(b, split)) for split in SPLITS)


def test_permuted_content_moves_whole_items_in_all_modalities_alike(data):
    other = controlled(data, content="permuted")
    assert same_splits(data, other)
    source = [int((data.features["text"] == row).all(1).nonzero()) for row in other.features["text"]]
    assert sorted(source) == list(range(data.num_items)) != source
    for name, x in data.features.items():
        assert torch.equal(other.features[name], x[source])


def test_noise_has_the_shape_of_the_content_and_nothing_else_of_it(data):
    other = controlled(data, content="noise")
    assert same_splits(data, other)
    assert {n: x.shape for n, x in other.features.items()} == {n: x.shape for n, x in data.features.items()}
    for name, x in data.features.items():
        rows = torch.corrcoef(torch.stack([x.flatten(), other.features[name].flatten()]))
        assert abs(rows[0, 1]) < 0.2


def test_removed_content_is_a_modality_that_every_item_lacks(data):
    other = controlled(data, content="removed")
    assert same_splits(data, other)
    assert not any(x.any() for x in other.features.values())


def test_holding_back_takes_about_that_share_from_training_alone(checkerboard):
    other = controlled(checkerboard, hold_back=0.2)
    assert len(other.train) == pytest.approx(0.8 * len(checkerboard.train), rel=0.1)
    assert {tuple(row) for row in other.train.tolist()} < {tuple(row) for row in checkerboard.train.tolist()}
    assert torch.equal(other.val, checkerboard.val)
    assert torch.equal(other.test, checkerboard.test)


def test_cold_items_are_in_the_test_with_all_their_interactions_and_nowhere_else(checkerboard):
    other = controlled(checkerboard, cold=0.2)
    pairs, before = (
        {split: {tuple(row) for row in getattr(one, split).tolist()} for split in SPLITS}
        for one in (other, checkerboard)
    )
    held = {item for _, item in pairs["test"]}
    assert 0 < len(held) <= round(0.2 * checkerboard.num_items)
    assert pairs["test"] == {pair for split in SPLITS for pair in before[split] if pair[1] in held}
    for split in ("train", "val"):
        assert pairs[split] == {pair for pair in before[split] if pair[1] not in held}
    assert all(torch.equal(other.features[name], x) for name, x in checkerboard.features.items())


def test_swapping_twice_is_nothing(data):
    other = controlled(data, swap=True)
    assert torch.equal(other.val, data.test)
    assert torch.equal(other.test, data.val)
    assert controlled(other, swap=True).fingerprint == data.fingerprint


@pytest.mark.parametrize("options", [{"content": "permuted"}, {"content": "noise"}, {"hold_back": 0.1}, {"cold": 0.1}])
def test_a_control_is_drawn_alike_every_time_and_is_other_data(data, options):
    first, second = (controlled(data, **options) for _ in range(2))
    assert first.fingerprint == second.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": "real "}, r"unknown content 'real '; one of \['real', 'permuted', 'noise', 'removed'\]"),
        ({"hold_back": 1.0}, r"hold_back=1\.0 of random; expected a number of at least 0 and less than 1"),
        ({"cold": 1.0}, r"cold=1\.0 of random; expected a number of at least 0 and less than 1"),
        ({"hold_back": -0.1}, r"hold_back=-0\.1 of random; expected a number of at least 0"),
    ],
)
def test_a_value_out_of_range_is_named(data, options, message):
    with pytest.raises(DataError, match=message):
        controlled(data, **options)


def test_controls_are_options_of_load_beside_those_of_the_data_set():
    plain, other = load("demo", noise=0.3), load("demo", noise=0.3, content="removed")
    assert same_splits(plain, other)
    assert not any(x.any() for x in other.features.values())
