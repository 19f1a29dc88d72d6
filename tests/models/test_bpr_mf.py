"""BPR-MF: s(u, i) = e_u . e_i, and what follows from it."""

import math

import pytest
import torch

from mmkd_core.models.base import IdModel
from mmkd_core.models.bpr_mf import BPRMF


def random_start(data, **settings):
    model = BPRMF(data, dim=6, **settings)
    torch.nn.init.normal_(model.nodes.weight, std=0.5)
    return model


@pytest.mark.parametrize("negatives", [1, 3])
def test_loss_terms_follow_the_equation(negatives, data, make_batch):
    model, batch = random_start(data, l2=0.3), make_batch(data, negatives, size=5)
    users, items = (table.detach().double() for table in model.embed())
    bpr = l2 = 0.0
    for user, pos, negs in zip(batch.users, batch.pos, batch.neg, strict=True):
        for neg in negs:
            bpr += math.log1p(math.exp(users[user] @ (items[neg] - items[pos]))) / (5 * negatives)
        rows = (users[user], items[pos], items[negs[0]])
        l2 += 0.5 * sum(row.square().sum().item() for row in rows) / 5
    terms = {name: term.item() for name, term in model.loss(batch).items()}
    assert terms == pytest.approx({"bpr": bpr, "l2": 0.3 * l2}, rel=1e-5)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_terms_and_gradient_are_those_of_the_general_loss(l2, data, make_batch):
    model, batch = random_start(data, l2=l2), make_batch(data, 2)
    own, general = model.loss(batch), IdModel.loss(model, batch)
    assert list(own) == list(general)
    torch.testing.assert_close(own, general)
    (gradient,), (expected,) = (
        torch.autograd.grad(sum(terms.values()), model.nodes.weight) for terms in (own, general)
    )
    torch.testing.assert_close(gradient, expected)


def test_a_joint_rotation_of_both_tables_changes_no_score(data):
    model = random_start(data)
    before = model.embed().scores(torch.arange(data.num_users))
    rotation = torch.linalg.qr(torch.randn(6, 6)).Q
    with torch.no_grad():
        model.nodes.weight.copy_(model.nodes.weight @ rotation)
    after = model.embed().scores(torch.arange(data.num_users))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_rows_outside_the_batch_get_no_gradient(data, make_batch):
    model, batch = random_start(data, l2=0.3), make_batch(data)
    sum(model.loss(batch).values()).backward()
    touched = torch.cat([batch.users, data.num_users + batch.lists.flatten()]).unique()
    assert model.nodes.weight.grad.any(1).nonzero().flatten().tolist() == touched.tolist()


def test_equal_item_rows_give_the_logarithm_of_two(data, make_batch):
    model = random_start(data)
    with torch.no_grad():
        model.nodes.weight[data.num_users :] = model.nodes.weight[-1]
    assert model.loss(make_batch(data, 3))["bpr"].item() == pytest.approx(math.log(2))
