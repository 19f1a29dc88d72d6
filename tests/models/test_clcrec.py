"""CLCRec against its equations, and what its paper promises."""

import math

import pytest
import torch
import torch.nn.functional as F
from oracles import at_random

from mmkd_core.cost import parameters
from mmkd_core.data import Batch
from mmkd_core.models.clcrec import CLCRec


def random_start(data, **settings):
    """A model none of whose weights is zero."""
    return at_random(CLCRec(data, **{"dim": 6, "latent": 5, "temperature": 0.7, "contrast": 0.4, "l2": 0.0} | settings))


def slow_content(model, data):
    """g of all items in double precision."""
    rows = [
        torch.cat([F.normalize(x[i].double(), dim=0) for _, x in sorted(data.features.items())])
        for i in range(len(model.content))
    ]
    first, _, second = model.encoder
    hidden = torch.stack(rows) @ first.weight.detach().double().T + first.bias.detach().double()
    return torch.where(hidden > 0, hidden, 0.01 * hidden) @ second.weight.detach().double().T + second.bias.detach()


def slow_infonce(scores, temperature):
    exp = [math.exp(score / temperature) for score in scores]
    return -math.log(exp[0] / sum(exp))


def cosine(x, y):
    return float(x @ y / (x.norm() * y.norm()))


def tables(model):
    return model.split(model.nodes.weight.detach().double())


def test_scores_use_the_id_of_warm_items_and_the_content_of_cold_ones(make_data):
    data = make_data(7, 9, missing=(2,))
    model = random_start(data)
    users, items = tables(model)
    content, warm = slow_content(model, data), set(data.train[:, 1].tolist())
    assert 0 < len(warm) < 9
    rows = torch.stack([items[i] if i in warm else content[i] for i in range(9)])
    torch.testing.assert_close(model.embed().scores(torch.arange(7)), (users @ rows.T).float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("replaced", [0.0, 1.0])
def test_both_terms_follow_the_equations(replaced, make_data, make_batch):
    data = make_data(7, 9, missing=(2,))
    model, batch = random_start(data, replaced=replaced), make_batch(data, size=12)
    (users, items), content = tables(model), slow_content(model, data)
    mixed = content if replaced else items
    train, pool = set(map(tuple, data.train.tolist())), sorted(set(batch.neg.flatten().tolist()))
    user_item, contrast = [], []
    for user, item in zip(batch.users.tolist(), batch.pos.tolist(), strict=True):
        negatives = [j for j in pool if (user, j) not in train]
        user_item.append(slow_infonce([float(users[user] @ mixed[j]) for j in [item, *negatives]], 0.7))
        negatives = [j for j in pool if j != item]
        contrast.append(slow_infonce([cosine(items[item], content[j]) for j in [item, *negatives]], 0.7))
    terms = model.loss(batch)
    assert terms["user_item"].item() == pytest.approx(0.6 * sum(user_item) / 12, rel=1e-4)
    assert terms["contrast"].item() == pytest.approx(0.4 * sum(contrast) / 12, rel=1e-4)


def test_equal_scores_give_the_logarithm_of_the_number_of_candidates(data):
    model = random_start(data, contrast=0.0)
    torch.nn.init.zeros_(model.nodes.weight)
    user = int(data.train[0, 0])
    seen = set(data.train[data.train[:, 0] == user, 1].tolist())
    negatives = [i for i in range(data.num_items) if i not in seen][:9]
    batch = Batch(torch.full((9,), user), data.train[0, 1].expand(9), torch.tensor(negatives)[:, None])
    assert model.loss(batch)["user_item"].item() == pytest.approx(math.log(1 + 9))


def test_contrast_alone_gives_the_users_no_gradient(data, make_batch):
    model = random_start(data, contrast=1.0)
    sum(model.loss(make_batch(data)).values()).backward()
    users, items = model.split(model.nodes.weight.grad)
    assert not users.any()
    assert items.any()


def test_without_contrast_and_replacement_the_encoder_gets_no_gradient(data, make_batch):
    model = random_start(data, contrast=0.0, replaced=0.0)
    sum(model.loss(make_batch(data)).values()).backward()
    assert not any(p.grad is not None and p.grad.any() for p in model.encoder.parameters())
    assert model.nodes.weight.grad.any()


def test_the_score_of_a_cold_item_does_not_depend_on_its_id_row(data):
    model = random_start(data)
    users, cold = torch.arange(data.num_users), model.cold
    warm = int(data.train[0, 1])
    before = model.embed().scores(users)
    with torch.no_grad():
        model.nodes.weight[data.num_users :] += 1
    after = model.embed().scores(users)
    assert len(cold)
    assert torch.equal(after[:, cold], before[:, cold])
    assert not torch.allclose(after[:, warm], before[:, warm])


@pytest.mark.parametrize("replaced", [0.0, 0.3, 0.5, 1.0])
def test_exactly_the_stated_share_is_replaced(replaced, data):
    model = random_start(data, replaced=replaced)
    real = torch.arange(1300) < 1000
    first, second = model._choose(real), model._choose(real)
    assert first.sum() == second.sum() == round(replaced * 1000)
    assert not (first | second)[1000:].any()
    assert torch.equal(first, second) == (replaced in (0.0, 1.0))


def test_items_of_the_user_are_no_negatives_and_others_are(data):
    model = random_start(data, contrast=0.0)
    pairs = data.train[data.train[:, 0] == data.train[0, 0]]
    assert model.loss(Batch(*pairs.T, pairs[:, 1:].flip(0)))["user_item"] == 0
    other = torch.full_like(pairs[:, 1:], data.num_items - 1)
    assert model.loss(Batch(*pairs.T, other))["user_item"] > 0


def test_a_small_temperature_does_not_overflow(data, make_batch):
    model = random_start(data, temperature=1e-3)
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("modalities", [1, 4])
def test_items_without_any_content_have_finite_loss_and_gradients(modalities, make_data, make_batch):
    data = make_data(modalities=modalities, missing=tuple(range(20)))
    model = CLCRec(data, dim=6)
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def trained(users, items, widths, dim, latent=256):
    return (users + items) * dim + sum(widths) * latent + latent + latent * dim + dim


@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_parameter_counts_follow_the_formula(users, items, dim, make_data):
    data = make_data(users, items)
    model = CLCRec(data, dim=dim)
    assert parameters(model, model.embed())["trained"] == trained(users, items, (7, 12, 5), dim)


def test_the_formula_at_the_papers_netflix():
    linear, weights, bias = 64 * 64 + 64, 64 * 64, 64  # declared in the public code, used nowhere
    assert trained(43_739, 17_239, (512, 768), 64) + 2 * linear + 2 * weights + bias == 4_263_552
