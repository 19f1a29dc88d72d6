from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.data import Batch
from mmkd_core.sampling import Sampler


def epoch(sampler, batch_size=4, seed=0):
    return list(sampler.epoch(batch_size, torch.Generator().manual_seed(seed)))


def triples(batches):
    return [(u, p, tuple(n)) for b in batches for u, p, n in zip(*(part.tolist() for part in b[:3]), strict=True)]


@st.composite
def interactions(draw):
    num_items = draw(st.integers(2, 6))
    pairs = draw(st.sets(st.tuples(st.integers(0, 5), st.integers(0, num_items - 1)), min_size=1))
    degree = Counter(user for user, _ in pairs)
    return num_items, sorted(pairs), {user for user, count in degree.items() if count == num_items}


@given(interactions(), st.integers(1, 5), st.integers(1, 7), st.integers(0, 3))
def test_each_pair_once_an_epoch_with_negatives_outside_the_users_train_set(drawn, negatives, batch_size, seed):
    num_items, pairs, full = drawn
    expected = sorted(pair for pair in pairs if pair[0] not in full)
    if not expected:
        with pytest.raises(ValueError, match="no negative item"):
            Sampler(torch.tensor(pairs), num_items, negatives)
        return
    batches = epoch(Sampler(torch.tensor(pairs), num_items, negatives), batch_size, seed)
    drawn_triples = triples(batches)
    assert sorted((user, pos) for user, pos, _ in drawn_triples) == expected
    for user, _, neg in drawn_triples:
        assert len(neg) == negatives
        assert all(0 <= item < num_items and (user, item) not in pairs for item in neg)
    assert all(len(batch.users) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1].users) <= batch_size


def test_the_same_generator_state_gives_the_same_epoch_and_the_next_one_differs(data):
    sampler = Sampler(data.train, data.num_items, 3)
    generator = torch.Generator().manual_seed(5)
    first, second = (triples(sampler.epoch(16, generator)) for _ in range(2))
    assert first == triples(epoch(sampler, 16, seed=5))
    assert first != second


def test_sampling_leaves_the_global_generator_alone(data):
    before = torch.get_rng_state()
    epoch(Sampler(data.train, data.num_items), 64)
    assert torch.equal(torch.get_rng_state(), before)


def test_with_pairs_an_epoch_visits_those_alone_and_negatives_are_outside_all_of_train():
    train = torch.tensor([[0, item] for item in range(30)] + [[1, 3], [1, 4]])
    pairs = torch.tensor([[0, 7], [1, 4]])
    drawn = triples(epoch(Sampler(train, 32, 50, pairs)))
    assert sorted((user, pos) for user, pos, _ in drawn) == [(0, 7), (1, 4)]
    assert {item for user, _, neg in drawn for item in neg if user == 0} == {30, 31}
    assert not {item for user, _, neg in drawn for item in neg if user == 1} & {3, 4}


def test_no_pair_to_visit_raises():
    with pytest.raises(ValueError, match="0 pairs to visit; expected one at least"):
        Sampler(torch.tensor([[0, 0]]), 2, 1, torch.zeros(0, 2, dtype=torch.int64))


def test_a_user_who_has_every_item_is_left_out():
    train = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 1]])
    assert {user for user, _, _ in triples(epoch(Sampler(train, 3)))} == {1}


def test_users_who_all_have_every_item_raise():
    with pytest.raises(ValueError, match="every user has every item"):
        Sampler(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), 2)


def test_a_user_with_all_items_but_one_always_gets_that_one():
    train = torch.tensor([[0, item] for item in range(400) if item != 137])
    batches = epoch(Sampler(train, 400, 5), 64)
    assert torch.cat([batch.neg for batch in batches]).unique().tolist() == [137]


def test_negatives_are_uniform_over_the_items_the_user_does_not_have():
    train = torch.tensor([[0, 0], [0, 1]])
    sampler = Sampler(train, 6, 2000)
    counts = torch.bincount(torch.cat([batch.neg.flatten() for batch in epoch(sampler)]), minlength=6)
    assert counts[:2].tolist() == [0, 0]
    assert ((counts[2:] - 1000).abs() < 150).all()  # 5 standard deviations


def test_batches_hold_int64_ids(data):
    (batch, *_) = epoch(Sampler(data.train, data.num_items, 2))
    assert isinstance(batch, Batch)
    assert [part.dtype for part in batch[:3]] == [torch.int64] * 3
    assert batch.neg.shape == (4, 2)


# --- candidates ---


def test_candidates_are_distinct_items_of_one_number_and_differ_from_batch_to_batch(data):
    drawn = [batch.candidates for batch in epoch(Sampler(data.train, data.num_items, 1, candidates=7), 16)]
    assert all(len(items.unique()) == 7 and items.dtype == torch.int64 for items in drawn)
    assert all(int(items.min()) >= 0 and int(items.max()) < data.num_items for items in drawn)
    assert len({tuple(items.tolist()) for items in drawn}) == len(drawn)


def test_where_there_are_fewer_items_all_are_candidates():
    train = torch.tensor([[0, 0], [1, 1]])
    (batch,) = epoch(Sampler(train, 5, 1, candidates=100))
    assert batch.candidates.sort().values.tolist() == [0, 1, 2, 3, 4]


def test_candidates_are_uniform_over_all_items_whoever_likes_them():
    train = torch.tensor([[user, 0] for user in range(4000)] + [[0, 9]])
    drawn = torch.cat([batch.candidates for batch in epoch(Sampler(train, 10, 1, candidates=3), 4)])
    counts = torch.bincount(drawn, minlength=10)
    assert ((counts - len(drawn) / 10).abs() < 5 * (len(drawn) * 0.09) ** 0.5).all()


def test_who_asks_for_no_candidates_draws_what_was_drawn_before(data):
    """The generator is not touched for them: pinned numbers of an epoch without."""
    plain = Sampler(data.train, data.num_items, 2)
    generator, other = (torch.Generator().manual_seed(5) for _ in range(2))
    batches = list(plain.epoch(16, generator))
    assert all(batch.candidates is None for batch in batches)
    order = torch.randperm(len(plain.edges), generator=other)
    assert torch.equal(torch.cat([batch.users for batch in batches]), plain.edges[order, 0])
    first = torch.randint(data.num_items, (2 * len(order),), generator=other)
    with_some = Sampler(data.train, data.num_items, 2, candidates=5)
    assert triples(epoch(with_some, 16, seed=5))[:16] == triples(batches)[:16]
    neg = torch.cat([batch.neg for batch in batches]).flatten()
    owners = torch.cat([batch.users for batch in batches]).repeat_interleave(2)
    right = ~plain._is_positive(owners, first)
    assert torch.equal(neg[right], first[right])


def test_a_model_may_do_without_negatives(data):
    batches = epoch(Sampler(data.train, data.num_items, 0, candidates=3), 16)
    assert {batch.neg.shape[1] for batch in batches} == {0}
    assert sum(len(batch.users) for batch in batches) == len(data.train)
