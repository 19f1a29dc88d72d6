"""The short way to a list, through the maxima of groups, finds what a sort of all scores finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkd_core import MODELS, Dataset, Embeddings, FitConfig, evaluation, fit, rank
from mmkd_core.evaluation import GROUP, NARROW, ScoreError, _scoring, _top

NONE = torch.empty(0, 2, dtype=torch.int64)


def catalogue(num_users, num_items):
    return Dataset("toy", num_users, num_items, torch.tensor([[0, 0]]), NONE, NONE)


@st.composite
def score_tables(draw):
    """Scores of up to 400 items, so that groups of groups occur; of few values, so that many are equal; with holes."""
    rows, items = draw(st.integers(1, 5)), draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 5, 50, None]))  # None: hardly any two are equal
    shape = (rows, items)
    scores = random.standard_normal(shape) if levels is None else random.integers(-levels, levels, shape)
    scores = np.where(random.random(shape) < draw(st.sampled_from([0, 0.1, 0.99, 1])), -np.inf, scores)
    k = draw(st.one_of(st.integers(1, min(items, 5)), st.integers(1, items), st.just(items)))
    return torch.from_numpy(scores).to(draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))), k


@settings(max_examples=400)
@given(score_tables())
def test_the_top_of_a_row_is_that_of_a_full_sort_with_equal_scores_in_the_order_of_topk(drawn):
    scores, k = drawn
    before = scores.clone()
    values, items = _top(scores, k)
    assert np.array_equal(values.double().numpy(), -np.sort(-scores.double().numpy(), axis=1)[:, :k])
    expected = scores.topk(k, dim=1)
    assert torch.equal(values, expected.values)
    assert torch.equal(items, expected.indices)
    assert torch.equal(scores, before)


@pytest.mark.parametrize("k", [1, 2, 20])
@pytest.mark.parametrize("place", ["first", "last", "one group", "neighbours"])
def test_the_best_are_found_wherever_they_lie(place, k):
    """All in one group, each in another one, and among the last, which are in no group."""
    items = 3 * GROUP * GROUP * (k + 1) + GROUP - 1
    groups = items // GROUP
    best = {
        "first": torch.arange(k),
        "last": torch.arange(items - k, items),
        "one group": torch.arange(k) % GROUP * groups + torch.arange(k) // GROUP,
        "neighbours": torch.arange(k) + groups - 1,
    }[place]
    scores = -torch.rand(3, items)
    scores[:, best] = torch.arange(k, 0, -1.0)
    assert torch.equal(_top(scores, k)[1], best.expand(3, -1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 7, 20, 299, 601])
def test_a_ranking_is_a_full_sort_of_what_was_not_seen(k, dtype):
    """601 items, a prime; user 0 has seen them all, user 1 all but two, users 2 and 3 the same few, the others none.

    Scores are whole numbers, of which a user has no two equal ones.
    """
    generator = torch.Generator().manual_seed(k)
    slope = torch.randint(1, 9, (150,), generator=generator) * (1 - 2 * (torch.arange(150) % 2))
    place = torch.randperm(601, generator=generator)
    tables = Embeddings(*(torch.stack([side, side**0], 1).to(dtype) for side in (slope, place)))
    seen = [(0, item) for item in range(601)] + [(1, item) for item in range(601) if item not in (5, 600)]
    seen += [(user, item) for user in (2, 3) for item in range(0, 601, 50)]
    users = torch.arange(149, -1, -1)  # a last block that is not full; in descending order
    found = rank(tables, users, catalogue(150, 601), k, seen=torch.tensor(seen))
    scores = (tables.users[users] @ tables.items.T).double().numpy()
    for user, item in seen:
        scores[149 - user, item] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    left = np.take_along_axis(scores, order, 1)
    assert np.array_equal(found.items.numpy(), np.where(np.isinf(left), -1, order))
    assert np.array_equal(found.scores.double().numpy(), left)


def test_equal_scores_of_items_far_apart_are_listed_as_in_a_small_catalogue():
    """Popularity's kind of table: each row is full of ties, and goes the long way."""
    counts = torch.arange(1000.0).div(7).floor().flip(0)[:, None]
    found = rank(Embeddings(torch.ones(3, 1), counts), torch.arange(3), catalogue(3, 1000), 20, seen=NONE)
    assert torch.equal(found.items, counts.T.expand(3, -1).topk(20, dim=1).indices)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("width", [0, 1, 64, NARROW, NARROW + 1])
def test_scores_are_those_of_the_tables_at_any_width_and_type(width, dtype):
    tables = Embeddings(torch.randn(9, width).to(dtype), torch.randn(35, width).to(dtype))
    users = torch.tensor([8, 0, 3])
    scores = _scoring(tables)[0](users)
    assert scores.dtype == dtype
    torch.testing.assert_close(scores, tables.scores(users))


def test_tables_cut_out_of_others_are_scored_right():
    """Not contiguous, as a part of the columns or a transposed table."""
    wide, tall = torch.randn(9, 20), torch.randn(8, 35)
    tables = Embeddings(wide[:, 3:19:2], tall.T)
    torch.testing.assert_close(_scoring(tables)[0](torch.arange(9)), wide[:, 3:19:2] @ tall)


def test_a_ranking_keeps_no_graph_of_the_tables():
    tables = Embeddings(torch.randn(3, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True))
    assert not rank(tables, torch.arange(3), catalogue(3, 9), 5).scores.requires_grad


def test_training_ranks_the_users_with_validation_items_as_far_as_twenty_and_no_more(data, monkeypatch):
    asked = []

    def noted(tables, users, data, k, **options):
        asked.append((users.tolist(), k))
        return rank(tables, users, data, k, **options)

    monkeypatch.setattr(evaluation, "rank", noted)
    some = Dataset("some", data.num_users, data.num_items, data.train, data.val[data.val[:, 0] < 9], data.test)
    fit(MODELS["bpr-mf"](some, dim=4), some, FitConfig(epochs=4, evaluate_every=2))
    assert asked == [(some.val[:, 0].unique().tolist(), 20)] * 3


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def test_threads_share_the_users_and_change_no_list(data, two_threads):
    generator = torch.Generator().manual_seed(0)
    users = torch.arange(data.num_users).repeat(30)  # several blocks, the last one shorter
    tables = Embeddings(*(torch.randn(size, 8, generator=generator) for size in (data.num_users, data.num_items)))
    by_two = rank(tables, users, data, 5)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    alone = rank(tables, users, data, 5)
    assert torch.equal(by_two.items, alone.items)
    assert torch.equal(by_two.scores, alone.scores)


def test_a_score_that_is_no_number_ends_all_threads_with_the_error_of_the_first_block(data, two_threads):
    users = torch.arange(data.num_users).repeat(30)
    tables = Embeddings(torch.ones(data.num_users, 8), torch.ones(data.num_items, 8))
    tables.users[3] = torch.nan
    with pytest.raises(ScoreError, match=r"user 3 \(row 3"):
        rank(tables, users, data, 5)
    assert torch.get_num_threads() == 2
