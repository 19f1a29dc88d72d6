"""Our scores beside independent implementations with the same weights: pip install -e .[peers]

Same to 1e-5: BPR-MF (RecBole's and cornac's BPR, cornac's item bias at zero), LightGCN (PyTorch Geometric's, whose
`alpha` is 1 / (layers + 1), and RecBole's), VBPR (cornac's), and NGCF of one layer (RecBole's, its biases at zero).
Two documented differences keep the rest apart. 1. RecBole's NGCF hands a layer's normalised output to the next layer,
where the paper and its authors' code hand on what is not normalised: with more layers each of RecBole's layers is
compared on our input instead. 2. RecBole adds 1e-7 to each degree. cornac's NGCF and LightGCN, which need DGL, are left
out.
"""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from oracles import at_random

from mmkd_core.layers import unit_rows
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.ngcf import NGCF
from mmkd_core.models.vbpr import VBPR

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def peer(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason="peers are an optional group: pip install -e .[peers]")


def agree(model, scores):
    with torch.no_grad():
        ours = model.embed().scores(torch.arange(model.num_users))
    torch.testing.assert_close(ours, torch.as_tensor(scores).detach().float(), atol=1e-5, rtol=1e-5)


@pytest.fixture
def recbole(monkeypatch):
    """Makes one of RecBole's models of our data, with our tables."""
    models = peer("recbole.model.general_recommender")
    # RecBole fills a dictionary of keys by a method that scipy has since taken away
    monkeypatch.setattr(sp.dok_matrix, "_update", lambda matrix, entries: matrix._dict.update(entries), raising=False)

    def make(name, data, ours, **settings):
        users, items = data.train.T.numpy()
        matrix = sp.coo_matrix((np.ones(len(users)), (users, items)), (data.num_users, data.num_items))
        config = {
            "USER_ID_FIELD": "user", "ITEM_ID_FIELD": "item", "NEG_PREFIX": "neg_", "device": "cpu", "reg_weight": 0.0,
            "require_pow": False, "node_dropout": 0.0, "message_dropout": 0.0, "embedding_size": 6, **settings,
        }  # fmt: skip
        dataset = SimpleNamespace(
            num={"user": data.num_users, "item": data.num_items}.__getitem__, inter_matrix=lambda form: matrix
        )
        theirs = getattr(models, name)(config, dataset).eval()
        with torch.no_grad():
            first, second = ours.split(ours.nodes.weight)
            theirs.user_embedding.weight.copy_(first)
            theirs.item_embedding.weight.copy_(second)
        return theirs

    return make


def recbole_scores(model, data):
    return model.full_sort_predict({"user": torch.arange(data.num_users)}).view(data.num_users, data.num_items)


def test_bpr_mf_beside_recbole(recbole, data):
    ours = at_random(BPRMF(data, dim=6))
    agree(ours, recbole_scores(recbole("BPR", data, ours), data))


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_lightgcn_beside_recbole(layers, recbole, data):
    ours = at_random(LightGCN(data, dim=6, layers=layers))
    agree(ours, recbole_scores(recbole("LightGCN", data, ours, n_layers=layers), data))


def with_weights(theirs, ours):
    with torch.no_grad():
        for layer, (w1, w2) in zip(theirs.GNNlayers, ours.weights, strict=True):
            layer.linear.weight.copy_(w1.T)
            layer.interActTransform.weight.copy_(w2.T)
            layer.linear.bias.zero_()
            layer.interActTransform.bias.zero_()
    return theirs


def test_ngcf_of_one_layer_beside_recbole(recbole, data):
    ours = at_random(NGCF(data, dim=6, layers=1))
    agree(ours, recbole_scores(with_weights(recbole("NGCF", data, ours, hidden_size_list=[6]), ours), data))


def test_each_layer_of_ngcf_beside_recbole(recbole, data):
    ours = at_random(NGCF(data, dim=6, layers=3))
    theirs = with_weights(recbole("NGCF", data, ours, hidden_size_list=[6] * 3), ours)
    blocks = ours._blocks()
    for layer, x, following in zip(theirs.GNNlayers, blocks[:-1], blocks[1:], strict=True):
        message = layer(theirs.norm_adj_matrix, theirs.eye_matrix, x)
        torch.testing.assert_close(following, torch.nn.functional.leaky_relu(message, 0.2), atol=1e-5, rtol=1e-5)
    stored = torch.cat(theirs.forward()).split(6, dim=1)  # what RecBole hands on is what it stores
    torch.testing.assert_close(stored[1], unit_rows(blocks[1]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(stored[2], unit_rows(blocks[2]), atol=1e-2)


@pytest.mark.parametrize("layers", [1, 3])
def test_lightgcn_beside_pytorch_geometric(layers, data):
    peers = peer("torch_geometric.nn.models")
    ours = at_random(LightGCN(data, dim=6, layers=layers))
    theirs = peers.LightGCN(data.num_users + data.num_items, 6, layers, alpha=1 / (layers + 1))
    with torch.no_grad():
        theirs.embedding.weight.copy_(ours.nodes.weight)
    there = data.train.T + torch.tensor([[0], [data.num_users]])
    users, items = theirs.get_embedding(torch.cat([there, there.flip(0)], 1)).split([data.num_users, data.num_items])
    agree(ours, users @ items.T)


def cornac_scores(model, data, features=None):
    """The scores of a model of cornac that has been given its weights and does not train."""
    pairs = [(user, item, 1.0) for user, item in data.train.tolist()]
    ids = ({n: n for n in range(data.num_users)}, {n: n for n in range(data.num_items)})
    train = peer("cornac.data").Dataset.build(pairs, global_uid_map=dict(ids[0]), global_iid_map=dict(ids[1]))
    if features is not None:
        train.item_image = SimpleNamespace(features=features)
    model.fit(train)
    return np.stack([model.score(user) for user in range(data.num_users)])


def test_bpr_mf_beside_cornac(data):
    ours = at_random(BPRMF(data, dim=6))
    users, items = (table.detach().numpy().copy() for table in ours.embed())
    weights = {"U": users, "V": items, "Bi": np.zeros(data.num_items, dtype=np.float32)}
    theirs = peer("cornac.models").BPR(k=6, trainable=False, verbose=False, init_params=weights)
    agree(ours, cornac_scores(theirs, data))


def test_vbpr_beside_cornac(data):
    ours = at_random(VBPR(data, dim=6, content_dim=4))
    users, items = (table.weight.detach().numpy() for table in (ours.users, ours.items))
    weights = {
        "Bi": items[:, 6].copy(), "Gu": users[:, :6].copy(), "Gi": items[:, :6].copy(), "Tu": users[:, 6:].copy(),
        "E": ours.projection.weight[:-1].detach().T.numpy().copy(),
        "Bp": ours.projection.weight[-1:].detach().T.numpy().copy(),
    }  # fmt: skip
    theirs = peer("cornac.models").VBPR(k=6, k2=4, trainable=False, verbose=False, init_params=weights)
    agree(ours, cornac_scores(theirs, data, ours.content.numpy()))
