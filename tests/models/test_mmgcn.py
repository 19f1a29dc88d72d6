import pytest
import torch
from oracles import at_random, neighbours_of, unit

from mmkd_core.cost import parameters
from mmkd_core.layers import standardise
from mmkd_core.models.mmgcn import MMGCN


def leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def random_model(data, seed=0, **settings):
    """Biases at random too: at their start of zero a test of them would say nothing."""
    torch.manual_seed(seed)
    return at_random(MMGCN(data, **settings).eval())


def plain(model, data):
    """E node by node, from the paper's equations."""
    near, ids = neighbours_of(data), model.nodes.weight
    tables = []
    for index, (modality, branch) in enumerate(zip(sorted(data.features), model.branches, strict=True)):
        latent = branch.project.out_features
        preferences = model.preferences.weight[:, index * latent : (index + 1) * latent]
        items = [branch.project.weight @ row + branch.project.bias for row in standardise(data.features[modality])]
        x = [unit(row) for row in [*preferences, *items]]
        for layer in branch.layers:
            after = []
            for node, row in enumerate(x):
                messages = [layer.aggregate.weight @ x[other] for other in near[node]]
                h = leaky(sum(messages, torch.zeros_like(row)) / max(len(messages), 1))
                own = leaky(layer.own.weight @ row + layer.own.bias) + ids[node]
                after.append(leaky(layer.combine.weight @ torch.cat([h, own]) + layer.combine.bias))
            x = after
        tables.append(torch.stack(x))
    return sum(tables)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("modalities", [1, 4])
def test_the_tables_are_those_of_the_papers_equations(layers, modalities, make_data):
    data = make_data(11, 13, modalities=modalities)
    model = random_model(data, dim=4, latent=3, layers=layers)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(model.embed()), plain(model, data))


def test_the_loss_is_that_of_the_papers_equations(data, make_batch):
    model = random_model(data, dim=4, latent=3, l2=0.3)
    batch = make_batch(data, negatives=2)
    with torch.no_grad():
        terms, (users, items) = model(batch), model.embed()
    bpr = l2 = 0.0
    for user, pos, neg in zip(*(x.tolist() for x in batch[:3]), strict=True):
        for other in neg:
            margin = users[user] @ (items[pos] - items[other])
            bpr += float((1 + torch.exp(-margin)).log()) / 2
        ids = model.nodes.weight.detach()[[user, data.num_users + pos, data.num_users + neg[0]]]
        preference = model.preferences.weight.detach()[user]
        l2 += 0.5 * float(ids.square().sum() + preference.square().sum())
    assert float(terms["bpr"]) == pytest.approx(bpr / 16, rel=1e-4)
    assert float(terms["l2"]) == pytest.approx(0.3 * l2 / 16, rel=1e-4)


def test_preferences_and_ids_are_parameters_that_the_loss_moves(data, make_batch):
    model = MMGCN(data, l2=0.0).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sum(model(make_batch(data)).values()).backward()
    optimizer.step()
    for name in ("nodes.weight", "preferences.weight"):
        assert name in model.state_dict()
        assert not torch.equal(model.get_parameter(name), before[name])


def test_a_single_modality_is_its_branch(make_data):
    data = make_data(modalities=1)
    model = random_model(data, dim=4, latent=3)
    (x,), branch = model.features, model.branches[0]
    alone = branch(model.preferences.weight, x, model.nodes.weight, model.graph, None)
    assert torch.equal(torch.cat(model.embed()), alone)


def test_several_modalities_are_the_sum_of_their_branches(data):
    model = random_model(data, dim=4, latent=3)
    preferences = model.preferences.weight.chunk(3, dim=1)
    parts = [
        branch(p, x, model.nodes.weight, model.graph, None)
        for branch, p, x in zip(model.branches, preferences, model.features, strict=True)
    ]
    torch.testing.assert_close(torch.cat(model.embed()), parts[0] + parts[1] + parts[2])


def test_renaming_users_renames_their_rows(data):
    """Exchange two users who have interactions: their rows change places and nothing else moves."""
    model = random_model(data, dim=4, latent=3)
    order = torch.arange(data.num_users)
    order[[0, 1]] = order[[1, 0]]
    train = torch.stack([order[data.train[:, 0]], data.train[:, 1]], 1)
    renamed = type(data)("renamed", data.num_users, data.num_items, train, data.val[:0], data.test[:0], data.features)
    other = random_model(renamed, seed=1, dim=4, latent=3)
    state = dict(model.state_dict())
    state["preferences.weight"] = state["preferences.weight"][order]
    state["nodes.weight"] = state["nodes.weight"][torch.cat([order, torch.arange(len(order), len(model.nodes.weight))])]
    other.load_state_dict(state)
    torch.testing.assert_close(other.embed().users[order], model.embed().users)
    torch.testing.assert_close(other.embed().items, model.embed().items)
    assert not torch.allclose(model.embed().users[0], model.embed().users[1])


def test_rows_asked_for_are_those_of_the_whole_table(data):
    model = random_model(data, dim=4, latent=3)
    rows = torch.tensor([3, 69, 3, 31])
    torch.testing.assert_close(model.represent(rows), model.represent()[rows])


def test_the_tables_served_are_those_of_the_current_weights(data, make_batch):
    model = random_model(data)
    model(make_batch(data))
    with torch.no_grad():
        before = model.embed().users
        model.nodes.weight.mul_(2)
        assert not torch.allclose(model.embed().users, before)


def test_items_without_a_modality_have_finite_loss_and_gradients(make_data, make_batch):
    data = make_data(missing=(0, 1, 39))
    model = MMGCN(data).train()
    loss = sum(model(make_batch(data)).values())
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_no_layer_is_refused(data):
    with pytest.raises(ValueError, match="layers=0 of mmgcn; expected at least 1"):
        MMGCN(data, layers=0)


def layer_size(width, dim):
    """W_1; W_2, b_2; W_3, b_3."""
    return width * width + (width * dim + dim) + ((width + dim) * dim + dim)


def formula(users, items, widths, dim, latents, layers):
    """`latents` holds a modality's width after its projection, None where it enters at its raw width."""
    count = (users + items) * dim
    for width, latent in zip(widths, latents, strict=True):
        first = latent or width
        count += users * first + (width * latent + latent if latent else 0)
        count += layer_size(first, dim) + (layers - 1) * layer_size(dim, dim)
    return count


@pytest.mark.parametrize(("users", "items", "dim", "latent", "layers"), [(20, 30, 4, 6, 2), (35, 50, 7, 3, 3)])
def test_the_number_of_parameters_follows_the_formula(users, items, dim, latent, layers, make_data):
    data = make_data(users, items)
    model = MMGCN(data, dim=dim, latent=latent, layers=layers)
    widths = [x.shape[1] for x in data.features.values()]
    expected = formula(users, items, widths, dim, [latent] * 3, layers)
    assert parameters(model, model.embed())["trained"] == expected


def test_the_formula_at_the_papers_netflix():
    """The public code projects the first modality to 256 and takes the other as it is; neither p nor e is counted."""
    users, items = 43_739, 17_239
    tables = (users + items) * 64 + users * (256 + 768)
    assert formula(users, items, (512, 768), 64, (256, None), 3) - tables == 992_256
