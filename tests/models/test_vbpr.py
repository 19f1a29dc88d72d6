"""VBPR against its equation: s(u, i) = b_i + gamma_u . gamma_i + theta_u . (E f_i) + beta . f_i."""

import math

import pytest
import torch
from oracles import at_random

from mmkd_core.cost import parameters
from mmkd_core.data import DataError
from mmkd_core.layers import standardise
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.vbpr import VBPR


def random_start(data, **settings):
    """A model none of whose weights is zero."""
    return at_random(VBPR(data, dim=6, content_dim=4, **settings).eval())


def scores_of(model):
    with torch.no_grad():
        return model.embed().scores(torch.arange(model.num_users))


def slow_scores(model, data):
    """The equation, one user and one item at a time, in double precision."""
    matrices = [standardise(x) for _, x in sorted(data.features.items())]
    width = sum(x.shape[1] for x in matrices)
    *rows, beta = model.projection.weight.double()
    scores = torch.zeros(data.num_users, data.num_items, dtype=torch.float64)
    for u, user in enumerate(model.users.weight.double()):
        gamma_u, theta_u = user[:6], user[6:]
        for i, item in enumerate(model.items.weight.double()):
            f = torch.cat([x[i] for x in matrices]).double() / math.sqrt(width)
            content = sum(theta * (row @ f) for theta, row in zip(theta_u, rows, strict=True))
            scores[u, i] = item[6] + gamma_u @ item[:6] + content + beta @ f
    return scores.detach()


def test_scores_follow_the_equation(make_data):
    data = make_data(7, 9, missing=(2,))
    model = random_start(data)
    torch.testing.assert_close(scores_of(model), slow_scores(model, data).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("negatives", [1, 3])
def test_loss_terms_follow_the_equation(negatives, make_data, make_batch):
    data = make_data(7, 9)
    model = random_start(data, l2=0.3, content_l2=0.7)
    batch = make_batch(data, negatives, size=5)
    scores, bpr, l2 = slow_scores(model, data), 0.0, 0.0
    for user, pos, negs in zip(batch.users, batch.pos, batch.neg, strict=True):
        for neg in negs:
            bpr += math.log1p(math.exp(scores[user, neg] - scores[user, pos])) / (5 * negatives)
        rows = [model.users.weight[user], model.items.weight[pos], model.items.weight[negs[0]]]
        l2 += 0.5 * sum(row.square().sum().item() for row in rows) / 5
    terms = {name: term.item() for name, term in model.loss(batch).items()}
    content = 0.5 * model.projection.weight.square().sum().item()
    assert terms == pytest.approx({"bpr": bpr, "l2": 0.3 * l2, "content_l2": 0.7 * content}, rel=1e-4)


def test_the_loss_sees_the_scores_that_serve(data, make_batch):
    model, batch = random_start(data, l2=0.0), make_batch(data)
    scores = scores_of(model)
    margin = scores[batch.users, batch.pos] - scores[batch.users, batch.neg[:, 0]]
    torch.testing.assert_close(model.loss(batch)["bpr"], torch.nn.functional.softplus(-margin).mean())


def test_zero_content_weights_leave_bpr_mf(data, make_batch):
    model, plain, batch = random_start(data, l2=0.0), BPRMF(data, dim=6, l2=0.0), make_batch(data)
    with torch.no_grad():
        model.projection.weight.zero_()
        model.items.weight[:, -1] = 0  # the item bias, which our BPR-MF has not
        plain.nodes.weight.copy_(torch.cat([model.users.weight[:, :6], model.items.weight[:, :6]]))
    torch.testing.assert_close(scores_of(model), scores_of(plain))
    torch.testing.assert_close(model.loss(batch), plain.loss(batch))


def test_an_item_without_content_scores_as_matrix_factorisation_with_a_bias(make_data):
    data = make_data(modalities=1, missing=(3, 11))
    model = random_start(data)
    users, items = model.users.weight.detach(), model.items.weight.detach()
    factorisation = users[:, :6] @ items[:, :6].T + items[:, 6]
    same = torch.isclose(scores_of(model), factorisation, atol=1e-5).all(0)
    assert same.nonzero().flatten().tolist() == [3, 11]


def test_features_times_c_and_content_weights_by_c_change_nothing(data):
    model = random_start(data)
    before = scores_of(model)
    with torch.no_grad():
        model.content.mul_(4)
        assert not torch.allclose(scores_of(model), before)
        model.projection.weight.div_(4)
    torch.testing.assert_close(scores_of(model), before)


def test_the_bias_column_meets_a_one_of_every_user(data):
    users, items = random_start(data).embed()
    assert users.shape[1] == items.shape[1] == 6 + 4 + 1
    assert (users[:, -1] == 1).all()


def test_missing_modalities_give_finite_losses_and_gradients(make_data, make_batch):
    data = make_data(modalities=1, missing=range(40))  # no item has any
    model = VBPR(data, content_l2=0.1)
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert scores_of(model).isfinite().all()


@pytest.mark.parametrize("modalities", [1, 4])
def test_any_number_of_modalities(modalities, make_data):
    data = make_data(modalities=modalities)
    assert VBPR(data).content.shape[1] == sum(x.shape[1] for x in data.features.values())
    assert scores_of(VBPR(data)).shape == (data.num_users, data.num_items)


def test_the_order_of_the_modalities_does_not_matter(data, make_data):
    other = make_data()
    other.features.update(dict(reversed([(name, other.features.pop(name)) for name in list(other.features)])))
    assert list(other.features) != list(data.features)
    assert torch.equal(VBPR(other).content, VBPR(data).content)


def test_no_modality_is_an_error(make_data):
    with pytest.raises(DataError, match="no modality; this model needs item features"):
        VBPR(make_data(modalities=0))


def formula(users, items, widths, dim, content_dim):
    """gamma_u, gamma_i, b_i, theta_u, E and beta; the features are constants."""
    width = sum(widths)
    return users * dim + items * dim + items + users * content_dim + content_dim * width + width


@pytest.mark.parametrize(("users", "items", "dim", "content_dim"), [(20, 30, 4, 3), (35, 50, 7, 9)])
def test_parameter_counts_follow_the_formula(users, items, dim, content_dim, make_data):
    data = make_data(users, items)
    model = VBPR(data, dim=dim, content_dim=content_dim)
    counts = parameters(model, model.embed())
    widths = [x.shape[1] for x in data.features.values()]
    assert counts["trained"] == formula(users, items, widths, dim, content_dim)
    assert counts["constants"] == items * sum(widths)
    assert counts["served"] == (users + items) * (dim + content_dim + 1)


def test_the_formula_at_the_papers_netflix():
    assert formula(43_739, 17_239, (512,), 64, 64) == 6_752_407  # the published count is of pictures alone
