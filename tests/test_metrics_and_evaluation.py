import math

import pytest
import pytrec_eval
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core import MODELS, Dataset, Embeddings, evaluate, rank
from mmkd_core.evaluation import ScoreError, hit_places, metrics_at
from mmkd_core.metrics import ndcg, recall


def tables(data, dim=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Embeddings(*(torch.randn(size, dim, generator=generator) for size in (data.num_users, data.num_items)))


def items_of(edges, user):
    return [item for owner, item in edges.tolist() if owner == user]


def brute_force(scores, data, split, k, mask_validation=False):
    """{user: (recall, ndcg)} by sorting each user's candidates in Python."""
    result = {}
    for user in sorted({user for user, _ in getattr(data, split).tolist()}):
        masked = set(items_of(data.train, user))
        if mask_validation and split == "test":
            masked |= set(items_of(data.val, user))
        positives = items_of(getattr(data, split), user)
        row = scores[user].tolist()
        ranked = sorted((item for item in range(data.num_items) if item not in masked), key=lambda i: -row[i])[:k]
        gains = [1 / math.log2(place + 2) for place, item in enumerate(ranked) if item in positives]
        ideal = [1 / math.log2(place + 2) for place in range(min(k, len(positives)))]
        result[user] = (len(gains) / len(positives), sum(gains) / sum(ideal))
    return result


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("mask_validation", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_evaluation_is_that_of_brute_force(data, split, mask_validation, seed):
    embeddings = tables(data, seed=seed)
    scores = embeddings.users.double() @ embeddings.items.double().T
    ks = (1, 3, 10, 40)
    ours = evaluate(embeddings, data, split, ks, mask_validation=mask_validation)
    assert list(ours) == [f"{metric}@{k}" for k in ks for metric in ("recall", "ndcg")]
    for k in ks:
        expected = brute_force(scores, data, split, k, mask_validation)
        for place, metric in enumerate(("recall", "ndcg")):
            assert ours[f"{metric}@{k}"].tolist() == pytest.approx([v[place] for v in expected.values()], rel=1e-12)


WRONG = [math.nan, math.inf, -math.inf]
CALLS = {
    "evaluate": lambda scorer, data: evaluate(scorer, data, "val", (1,)),
    "hit_places": lambda scorer, data: hit_places(scorer, data, "val", 1),
    "rank": lambda scorer, data: rank(scorer, data.val[:, 0].unique(), data, 1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("side", ["user", "item"])
def test_a_row_that_is_not_finite_is_named_and_not_ranked(side, value, call, data):
    embeddings = tables(data)
    embeddings = embeddings._replace(users=embeddings.users.abs(), items=embeddings.items.abs())
    row = int(data.val[3, 0]) if side == "user" else 11
    getattr(embeddings, side + "s")[row] = value
    with pytest.raises(ScoreError, match=rf"all scores of {side} {row} \(row {row} of .*got {value}; expected finite"):
        call(embeddings, data)


@pytest.mark.parametrize("value", WRONG)
def test_an_item_with_one_wrong_number_is_named(value, data):
    embeddings = tables(data)
    embeddings.items[7, 2] = value
    with pytest.raises(ScoreError, match=r"all scores of item 7 "):
        evaluate(embeddings, data, "val", (1,))


@pytest.mark.parametrize(("sign", "got"), [(1, "inf"), (-1, "-inf")])
def test_finite_tables_whose_product_overflows_are_named(sign, got, data):
    user = int(data.val[0, 0])
    embeddings = tables(data)
    embeddings.users[user], embeddings.items[5] = 1e30, sign * 1e30
    with pytest.raises(ScoreError, match=rf"the score of user {user} and item 5: got {got}; expected finite"):
        evaluate(embeddings, data, "val", (1,))


def test_a_wrong_row_of_a_user_who_is_not_asked_for_is_no_error(data):
    embeddings = tables(data)
    users = data.val[:, 0].unique()
    embeddings.users[next(user for user in range(data.num_users) if user not in users)] = math.nan
    sound = evaluate(tables(data), data, "val", (5,))
    assert all(torch.equal(sound[name], values) for name, values in evaluate(embeddings, data, "val", (5,)).items())


def test_large_scores_whose_sum_overflows_are_ranked(data):
    small, large = tables(data), tables(data)._replace(users=tables(data).users * 1e37)
    assert not large.scores(data.val[:, 0].unique()).abs().sum().isfinite()
    for name, values in evaluate(small, data, "val", (5,)).items():
        assert torch.equal(evaluate(large, data, "val", (5,))[name], values)


def test_a_scorer_without_tables_is_checked_too(data):
    model = MODELS["itemknn"](data)
    model.similarity.values[3] = math.nan
    with pytest.raises(ScoreError, match=r"got nan; expected finite"):
        evaluate(model.embed(), data, "val", (1,))


@pytest.mark.parametrize("k", [1, 7, 40])
def test_places_are_those_of_brute_force(data, k):
    embeddings = tables(data)
    scores = embeddings.users @ embeddings.items.T
    places = hit_places(embeddings, data, "test", k)
    for (user, item), place in zip(data.test.tolist(), places.tolist(), strict=True):
        seen = items_of(data.train, user)
        better = sum(scores[user, other] > scores[user, item] for other in range(40) if other not in seen)
        assert place == (better + 1 if better < k else 0)


def test_places_of_a_longer_list_serve_any_shorter_cut(data):
    places = hit_places(tables(data), data, "test", 40)
    short = metrics_at(places, data.test[:, 0], (5,))
    assert all(torch.equal(short[name], values) for name, values in evaluate(tables(data), data, "test", (5,)).items())


def test_evaluation_is_that_of_trec_eval(data):
    """trec_eval's recall_K and ndcg_cut_K with binary relevance are Recall@K and NDCG@K as the papers define them."""
    embeddings = tables(data)
    scores = embeddings.users @ embeddings.items.T
    users = data.test[:, 0].unique().tolist()
    relevant = {str(user): {str(item): 1 for item in items_of(data.test, user)} for user in users}
    ranked = {
        str(user): {str(i): scores[user, i].item() for i in range(40) if i not in items_of(data.train, user)}
        for user in users
    }
    theirs = pytrec_eval.RelevanceEvaluator(relevant, {"recall.5,20", "ndcg_cut.5,20"}).evaluate(ranked)
    ours = evaluate(embeddings, data, "test", (5, 20))
    for name, measure in (("recall", "recall"), ("ndcg", "ndcg_cut")):
        for k in (5, 20):
            expected = [theirs[str(user)][f"{measure}_{k}"] for user in users]
            assert ours[f"{name}@{k}"].tolist() == pytest.approx(expected, rel=1e-9)


def test_ndcg_does_not_depend_on_the_longest_list(data):
    alone = evaluate(tables(data), data, "test", (5,))["ndcg@5"]
    assert torch.equal(evaluate(tables(data), data, "test", (5, 40))["ndcg@5"], alone)


def test_the_order_of_ks_changes_nothing(data):
    down, up = (evaluate(tables(data), data, "test", ks) for ks in ((10, 3), (3, 10)))
    assert all(torch.equal(down[name], up[name]) for name in up)


def test_ndcg_of_five_positives_hit_at_ranks_3_31_and_46():
    hits = torch.zeros(1, 50, dtype=torch.bool)
    hits[0, [2, 30, 45]] = True
    ideal = sum(1 / math.log2(place + 1) for place in range(1, 6))
    assert ndcg(hits, torch.tensor([5]), 20).item() == pytest.approx(0.5 / ideal)  # 0.170; the released code says 0.235
    assert recall(hits, torch.tensor([5]), 20).item() == 0.2


def test_ndcg_of_more_positives_than_places_can_be_one():
    assert ndcg(torch.ones(1, 3, dtype=torch.bool), torch.tensor([9]), 3).item() == pytest.approx(1)


def test_users_come_in_ascending_order_and_only_those_with_an_item_in_the_split():
    toy = Dataset("toy", 5, 3, *(torch.tensor(rows) for rows in ([[0, 0]], [[1, 1]], [[4, 2], [0, 1], [2, 0]])))
    embeddings = Embeddings(torch.tensor([[1.0], [1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([[3.0], [2.0], [1.0]]))
    # user 0 ranks item 1 first (item 0 is in train); user 2 ranks item 0 last; user 4 ranks item 2 first
    assert evaluate(embeddings, toy, "test", (1,))["recall@1"].tolist() == [1.0, 0.0, 1.0]


def test_results_are_float64_on_the_cpu(data):
    values = evaluate(tables(data), data, "test", (3,))["recall@3"]
    assert (values.dtype, values.device.type) == (torch.float64, "cpu")
    assert values.shape == data.test[:, 0].unique().shape


def test_training_items_never_come_up_even_when_all_scores_are_negative(data):
    embeddings = Embeddings(torch.ones(30, 1), -1 - torch.rand(40, 1))
    lists = rank(embeddings, torch.arange(30), data, 40).items
    for user in range(30):
        assert sorted(lists[user].tolist()) == sorted(
            -1 if item in items_of(data.train, user) else item for item in range(40)
        )


def test_places_without_a_candidate_hold_minus_one_at_the_end():
    none = torch.empty(0, 2, dtype=torch.int64)
    toy = Dataset("toy", 1, 5, torch.tensor([[0, 0], [0, 1], [0, 3]]), none, none)
    ranking = rank(Embeddings(torch.ones(1, 1), torch.arange(5.0)[:, None]), torch.tensor([0]), toy, 4)
    assert ranking.items.tolist() == [[4, 2, -1, -1]]
    assert ranking.scores.tolist() == [[4.0, 2.0, -math.inf, -math.inf]]


def test_a_user_with_fewer_candidates_than_places_can_still_reach_one():
    toy = Dataset("toy", 2, 4, torch.tensor([[0, 0], [0, 1], [1, 0]]), torch.tensor([[1, 1]]), torch.tensor([[0, 2]]))
    values = evaluate(Embeddings(torch.ones(2, 1), torch.arange(4.0)[:, None]), toy, "test", (4,))
    assert values["recall@4"].tolist() == [1.0]
    assert values["ndcg@4"].tolist() == [pytest.approx(1 / math.log2(3))]


def test_what_was_seen_is_left_out_in_place_of_what_was_trained_on(data):
    seen = torch.cat([data.val, data.test])
    lists = rank(tables(data), torch.arange(30), data, 40, seen=seen).items
    for user in range(30):
        left_out = {*items_of(data.val, user), *items_of(data.test, user)}
        assert {*range(40)} - {*lists[user].tolist()} == left_out


def test_users_may_be_ranked_in_any_order_and_more_than_once(data):
    users = torch.tensor([7, 2, 29, 7])
    every = rank(tables(data), torch.arange(30), data, 5).items
    assert torch.equal(rank(tables(data), users, data, 5).items, every[users])


def test_more_users_than_a_block_rank_as_in_small_blocks(monkeypatch, data):
    whole = rank(tables(data), torch.arange(30), data, 5)
    for name in ("BLOCK", "CACHED"):
        monkeypatch.setattr(f"mmkd_core.evaluation.{name}", 7)
    assert torch.equal(rank(tables(data), torch.arange(30), data, 5).items, whole.items)


def test_ties_are_broken_in_the_same_way_every_time(data):
    equal = Embeddings(torch.ones(30, 1), torch.ones(40, 1))
    first, second = (rank(equal, torch.arange(30), data, 10).items for _ in range(2))
    assert torch.equal(first, second)


def test_evaluation_leaves_the_tables_as_they_were(data):
    embeddings = tables(data)
    before = [table.clone() for table in embeddings]
    evaluate(embeddings, data, "test", (5,))
    assert all(torch.equal(table, old) for table, old in zip(embeddings, before, strict=True))


def test_unknown_split(data):
    with pytest.raises(ValueError, match=r"unknown split 'train'; one of \['val', 'test'\]"):
        evaluate(tables(data), data, "train", (5,))


def test_k_larger_than_the_catalogue(data):
    with pytest.raises(ValueError, match="k=41 for a catalogue of 40 items; expected 1 to 40"):
        evaluate(tables(data), data, "test", (5, 41))


@pytest.mark.parametrize("ks", [(0,), (-1,), (0, 5), (5, -1)])
def test_k_below_one(data, ks):
    with pytest.raises(ValueError, match=r"k=(0|-1) .*expected 1 to 40"):
        evaluate(tables(data), data, "test", ks)


def test_no_k_at_all(data):
    with pytest.raises(ValueError, match="ks is empty"):
        evaluate(tables(data), data, "test", ())


def test_an_empty_split(data):
    none = torch.empty(0, 2, dtype=torch.int64)
    toy = Dataset("toy", 30, 40, data.train, none, data.test)
    with pytest.raises(ValueError, match="toy: no interaction in split 'val'"):
        evaluate(tables(data), toy, "val", (5,))


@given(st.lists(st.booleans(), min_size=4, max_size=12), st.integers(0, 8), st.integers(1, 12))
def test_metrics_stay_between_zero_and_one(row, more, k):
    hits = torch.tensor([row])
    positives = hits.sum(1) + more
    if positives.item() == 0:
        return
    for metric in (recall, ndcg):
        assert 0 <= metric(hits, positives, min(k, len(row))).item() <= 1 + 1e-12


@given(st.lists(st.booleans(), min_size=4, max_size=12))
def test_ndcg_is_one_exactly_when_all_hits_lead(row):
    hits = torch.tensor([row])
    if not any(row):
        return
    leading = row == sorted(row, reverse=True)
    assert (ndcg(hits, hits.sum(1), len(row)).item() == pytest.approx(1)) == leading


def test_tables_that_still_have_gradients_are_ranked_without_a_word(data):
    """As `model.embed()` gives them outside `no_grad`; a warning would be an error here."""
    users = torch.randn(data.num_users, 4, requires_grad=True)
    items = torch.randn(data.num_items, 4, requires_grad=True)
    found = rank(Embeddings(users, items), torch.arange(3), data, 5)
    assert found.items.shape == (3, 5)
