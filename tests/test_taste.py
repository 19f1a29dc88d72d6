"""The lift: what a slow loop says, 1 for content that says nothing, and an interval that holds what it should."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core import load
from mmkd_core.layers import standardise
from mmkd_core.taste import Lift, lift, nearest


def slow(data, modality, neighbours):
    """The lift by loops over items."""
    x = data.features[modality]
    users = [{*data.train[data.train[:, 1] == item, 0].tolist()} for item in range(data.num_items)]
    own = [item for item in range(data.num_items) if users[item] and x[item].any()]
    z = standardise(x[own]).double()
    cosine = torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=2)
    shared = np.array([[len(users[a] & users[b]) / (len(users[a]) * len(users[b])) ** 0.5 for b in own] for a in own])
    near, other = [], []
    for place in range(len(own)):
        rest = [b for b in range(len(own)) if b != place]
        near += [shared[place, b] for b in sorted(rest, key=lambda b: -cosine[place, b])[:neighbours]]
        other += [shared[place, b] for b in rest]
    return np.mean(near) / np.mean(other)


@pytest.mark.parametrize("neighbours", [1, 4, 100])
def test_it_is_what_a_slow_loop_says(neighbours, make_data):
    data = make_data(missing=(0, 7, 8))
    found = lift(data, neighbours)
    assert sorted(found) == sorted(data.features)
    for modality, own in found.items():
        assert own.value == pytest.approx(slow(data, modality, neighbours), rel=1e-5)
        assert own.low <= own.value <= own.high
    if neighbours == 100:  # all others are neighbours
        assert found["text"].value == pytest.approx(1)
    assert (found["image"].items, found["text"].items) == (39, 36)  # the last item has no training interaction


def test_content_of_taste_has_one_above_1_and_in_another_order_1(checkerboard):
    data = load("demo")
    for own in lift(data).values():
        assert own.low > 1.3
    for own in lift(load("demo", content="permuted")).values():
        assert own.low <= 1 <= own.high
    assert lift(checkerboard)["image"].value > 1.8  # half of the items have the same users, the others none


def test_the_interval_of_noise_holds_1(make_data):
    data = make_data(num_users=60, num_items=150)
    held = []
    for seed in range(60):
        noise = torch.randn(150, 8, generator=torch.Generator().manual_seed(seed))
        own = lift(replace(data, features={"noise": noise}))["noise"]
        held.append(own.low <= 1 <= own.high)
    assert np.mean(held) >= 0.9


def test_of_many_items_some_are_asked_and_all_are_neighbours():
    data = load("demo")
    all_, some = lift(data)["image"], lift(data, most=300)["image"]
    assert (all_.items, some.items) == (900, 300)
    assert some.value == pytest.approx(all_.value, rel=0.15)
    assert some.high - some.low > all_.high - all_.low
    assert lift(data, most=300) == lift(data, most=300) != lift(data, most=300, seed=1)


def test_validation_and_test_are_not_looked_at(data):
    assert lift(data) == lift(replace(data, val=data.test, test=data.val))


@given(st.permutations(range(40)))
def test_another_numbering_of_the_items_changes_nothing(data, order):
    place = torch.tensor(order)
    train = torch.stack([data.train[:, 0], place.argsort()[data.train[:, 1]]], dim=1)
    moved = {name: x[place] for name, x in data.features.items()}
    changed = replace(data, train=train, val=data.val[:0], test=data.test[:0], features=moved)
    for name, own in lift(changed).items():
        assert own.value == pytest.approx(lift(data)[name].value, rel=1e-5)


def test_too_little_to_say_anything(make_data):
    data = make_data()
    none = replace(data, features={"text": torch.zeros(40, 3)})
    assert lift(none) == {}
    assert lift(replace(data, features={})) == {}
    alone = replace(
        data, train=torch.tensor([[user, user] for user in range(20)]), val=data.val[:0], test=data.test[:0]
    )
    assert str(lift(alone)["text"]) == "unknown, since no two items share a user"
    assert str(Lift(1.2345, 1.1, 1.3, 9)) == "1.23 (1.10 to 1.30)"
    with pytest.raises(ValueError, match="got neighbours=0 and most=5000; expected at least 1 of each"):
        lift(data, 0)


def test_the_nearest_are_others_and_items_without_content_come_last():
    x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.0, 0.0]])
    assert nearest(x, torch.tensor([0]), 9).tolist() == [[1, 2, 3]]
    assert sorted(nearest(x, torch.tensor([2]), 2)[0].tolist()) == [0, 1]
    assert nearest(x, torch.tensor([], dtype=torch.int64), 2).numel() == 0
