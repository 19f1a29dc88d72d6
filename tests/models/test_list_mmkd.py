"""Two teachers as one, and the student of long lists: against plain matrices of scores, in double precision."""

import math

import pytest
import torch

from mmkd_core import FitConfig, evaluate, fit
from mmkd_core.data import Embeddings
from mmkd_core.models import build
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.ensemble import SHARES, Ensemble, best_share, standardised, tables_of, weighted
from mmkd_core.models.list_mmkd import ListMMKD, of_rank
from mmkd_core.models.simple import ItemKNN
from mmkd_core.sampling import Sampler


def random_tables(data, dim=6, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    sizes = (data.num_users, data.num_items)
    return Embeddings(*(scale * torch.randn(size, dim, generator=generator) for size in sizes))


def scores(tables):
    return tables.users.double() @ tables.items.double().T


def teacher_of(tables, data):
    """A model that serves given tables."""
    model = BPRMF(data, dim=tables.users.shape[1])
    with torch.no_grad():
        model.nodes.weight.copy_(torch.cat([*tables]))
    return model


def spread(matrix):
    return float(matrix.std(1, correction=0).mean())


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_standardised_scores_are_those_over_the_mean_deviation_of_a_users(scale, data):
    tables = random_tables(data, scale=scale)
    tables = tables._replace(items=tables.items + 0.5)  # a mean that is not zero
    expected = scores(tables) / spread(scores(tables))
    torch.testing.assert_close(scores(standardised(tables)), expected, atol=1e-4, rtol=1e-4)


def test_scores_that_are_all_equal_stay_as_they_are(data):
    tables = Embeddings(torch.zeros(data.num_users, 3), torch.zeros(data.num_items, 3))
    assert not scores(standardised(tables)).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_ensemble_serves_the_weighted_sum_of_both_standardised(share, data):
    first, second = random_tables(data), random_tables(data, dim=4, seed=1, scale=5.0)
    model = Ensemble(data, teacher=teacher_of(first, data), second=teacher_of(second, data), share=share)
    parts = [scores(tables) / spread(scores(tables)) for tables in (first, second)]
    torch.testing.assert_close(scores(model.embed()), (1 - share) * parts[0] + share * parts[1], atol=1e-4, rtol=1e-4)
    assert model.embed().users.shape == (data.num_users, 10)


def test_the_share_is_that_of_the_best_validation_recall(data):
    first, second = (standardised(random_tables(data, seed=seed)) for seed in (0, 1))
    found = [evaluate(weighted(first, second, share), data, "val", (20,)) for share in SHARES]
    merits = [(float(x["recall@20"].mean()), float(x["ndcg@20"].mean())) for x in found]
    assert best_share(first, second, data) == SHARES[merits.index(max(merits))]
    model = Ensemble(data, teacher=teacher_of(first, data), second=teacher_of(second, data))
    assert model.monitor(lambda tables: 0.0)["share"] == pytest.approx(best_share(first, second, data))


def test_a_useless_second_teacher_has_no_share(data):
    good = Embeddings(torch.zeros(data.num_users, data.num_items), torch.eye(data.num_items))
    good.users[data.val[:, 0], data.val[:, 1]] = 1
    noise = Embeddings(*(-table for table in good))
    noise = noise._replace(items=good.items)
    assert best_share(standardised(good), standardised(noise), data) in (0.0, 1 / 3)
    assert best_share(standardised(noise), standardised(good), data) in (1.0, 2 / 3)


def test_a_teacher_that_is_no_pair_of_tables_is_refused(data):
    for kind in (Ensemble, ListMMKD):
        with pytest.raises(ValueError, match="ItemKNN serves Neighbourhood; expected a teacher with two tables"):
            kind(data, teacher=ItemKNN(data))


@pytest.mark.parametrize("dim", [1, 3, 6, 9])
def test_the_start_is_the_best_approximation_of_its_rank(dim, data):
    tables = random_tables(data)
    found = of_rank(tables, dim)
    left, values, right = torch.linalg.svd(scores(tables))
    best = left[:, :dim] * values[:dim] @ right[:dim] if dim < len(values) else scores(tables)
    assert found.users.shape == (data.num_users, dim)
    torch.testing.assert_close(scores(found), best, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.users.norm(dim=0), found.items.norm(dim=0), atol=1e-4, rtol=1e-4)


def test_the_start_of_a_table_with_fewer_rows_than_columns(make_data):
    data = make_data(num_users=12, num_items=9)
    tables = random_tables(data, dim=20)
    torch.testing.assert_close(scores(of_rank(tables, 16)), scores(tables), atol=1e-4, rtol=1e-4)


def test_the_loss_is_the_kl_divergence_over_the_candidates(data):
    model = ListMMKD(data, teacher=teacher_of(random_tables(data), data), dim=3, temperature=0.4, candidates=9, l2=0.5)
    sampler = Sampler(data.train, data.num_items, model.negatives, candidates=9)
    batch = next(sampler.epoch(16, torch.Generator().manual_seed(1)))
    known, learned = (scores(tables).detach() / 0.4 for tables in (model.taught, model.embed()))
    assert spread(known) == pytest.approx(1 / 0.4, rel=1e-4)
    total = 0.0
    for user in batch.users.tolist():
        p, q = (x[user, batch.candidates].softmax(0).tolist() for x in (known, learned))
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    terms = model.loss(batch)
    assert terms["softmax_kd"].item() == pytest.approx(total / 16, rel=1e-4)
    squares = model.nodes.weight.detach().square().sum(1)
    expected = squares[batch.users].mean() + squares[data.num_users + batch.candidates].mean()
    assert terms["l2"].item() == pytest.approx(0.5 * 0.5 * float(expected), rel=1e-4)


def test_a_teacher_is_neither_kept_nor_changed_and_its_recall_is_watched(data):
    teacher = teacher_of(random_tables(data), data)
    before = {name: x.clone() for name, x in teacher.state_dict().items()}
    model = ListMMKD(data, teacher=teacher, dim=3)
    history = fit(model, data, FitConfig(epochs=3, batch_size=64, lr=0.05, evaluate_every=1))
    assert all(torch.equal(x, before[name]) for name, x in teacher.state_dict().items())
    assert not any("teacher." in name for name, _ in model.named_parameters())
    assert torch.equal(model.taught.items, tables_of(teacher).items)
    k = min(20, data.num_items)
    recall = float(evaluate(tables_of(teacher), data, "val", (k,))[f"recall@{k}"].mean())
    assert [row["teacher_recall"] for row in history.validation] == pytest.approx([recall] * 4)


def test_what_is_learned_comes_nearer_to_the_teachers_lists(data):
    model = ListMMKD(data, teacher=teacher_of(random_tables(data), data), dim=3)
    losses = [epoch["softmax_kd"] for epoch in
              fit(model, data, FitConfig(epochs=8, batch_size=64, lr=0.02, evaluate_every=8)).losses]  # fmt: skip
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["bpr-mf", "vbpr", "popularity", "ngcf", "mmkd", "ensemble"])
def test_every_pair_of_tables_may_teach(name, data):
    model = ListMMKD(data, teacher=build(name, data, {}), dim=4)
    assert model.embed().users.shape == (data.num_users, 4)
