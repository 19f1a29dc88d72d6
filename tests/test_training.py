import dataclasses

import pytest
import torch

from mmkd_core import MODELS, Dataset, Embeddings, FitConfig, evaluate, fit
from mmkd_core.models.base import Recommender
from mmkd_core.training import Trainer, choose_device

SHORT = FitConfig(epochs=4, batch_size=64, lr=0.01, evaluate_every=1)


def make(name, data, seed=0, **settings):
    torch.manual_seed(seed)
    return MODELS[name](data, **settings)


def validation_recall(model, data):
    with torch.no_grad():
        return evaluate(model.embed(), data, "val", (20,))["recall@20"].mean().item()


class Scripted(Recommender):
    """A model whose validation Recall@20 after epoch e is known: scores follow a script of how many hits rank first."""

    def __init__(self, data, script):
        super().__init__(data)
        self.script, self.epochs = script, 0
        self.register_buffer("hits", torch.tensor(script[0]))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def embed(self):
        # one user; validation items 0..3 lead if they are among the first `hits`, else they come last
        order = torch.arange(self.num_items)
        scores = torch.where(order < self.hits, 2.0, torch.where(order < 4, 0.0, 1.0))
        return Embeddings(torch.ones(1, 1), scores[:, None])

    def loss(self, batch):
        self.epochs += 1
        self.hits.fill_(self.script[self.epochs])
        return {"zero": self.weight.square().sum()}


@pytest.fixture(scope="module")
def one_user():
    """Val items 0..3 of 60, one training pair, so one batch an epoch."""
    val = torch.tensor([[0, item] for item in range(4)])
    return Dataset("one user", 1, 60, torch.tensor([[0, 59]]), val, torch.tensor([[0, 30]]))


def run_script(one_user, script, **config):
    model = Scripted(one_user, script)
    return model, fit(model, one_user, FitConfig(**{"epochs": len(script) - 1, "evaluate_every": 1} | config))


def test_the_state_of_the_best_epoch_is_restored(one_user):
    model, history = run_script(one_user, [1, 2, 4, 3])
    assert [row["recall@20"] for row in history.validation] == [0.25, 0.5, 1.0, 0.75]
    assert (history.best_epoch, history.best["recall@20"]) == (2, 1.0)
    assert model.hits == 4
    assert not model.training


def test_of_equal_epochs_the_first_is_kept(one_user):
    assert run_script(one_user, [1, 2, 2, 1, 2])[1].best_epoch == 1


def test_the_untrained_state_is_kept_where_training_never_beats_it(one_user):
    model, history = run_script(one_user, [3, 1, 3, 2])
    assert (history.best_epoch, model.hits) == (0, 3)


def test_patience_counts_evaluations_without_improvement(one_user):
    _, history = run_script(one_user, [1, 2, 1, 1, 3, 1, 1, 1, 4], patience=3)
    assert [row["epoch"] for row in history.validation] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert history.best_epoch == 4


def test_patience_counts_evaluations_and_not_epochs(one_user):
    _, history = run_script(one_user, [2] + [1] * 20, patience=2, evaluate_every=3)
    assert [row["epoch"] for row in history.validation] == [0, 3, 6]
    assert len(history.losses) == 6


def test_the_last_epoch_is_evaluated_whatever_the_rhythm(one_user):
    _, history = run_script(one_user, [1, 1, 1, 1, 1, 2], evaluate_every=3)
    assert [row["epoch"] for row in history.validation] == [0, 3, 5]
    assert history.best_epoch == 5


def test_on_epoch_is_called_after_every_epoch_with_the_history_so_far(one_user):
    calls = []
    model = Scripted(one_user, [1, 2, 3])
    fit(
        model,
        one_user,
        FitConfig(epochs=2, evaluate_every=1),
        on_epoch=lambda epoch, history: calls.append((epoch, len(history.losses), history.best_epoch)),
    )
    assert calls == [(1, 1, 1), (2, 2, 2)]


@pytest.mark.parametrize("name", ["lightgcn", "teacher", "mmkd"])
def test_what_was_trained_scores_as_the_best_row_of_its_history(name, data):
    model = make(name, data)
    history = fit(model, data, SHORT)
    assert validation_recall(model, data) == history.best["recall@20"]
    assert history.best["recall@20"] == max(row["recall@20"] for row in history.validation)


@pytest.mark.parametrize("name", ["lightgcn", "teacher", "mmkd"])
def test_the_test_split_does_not_influence_training(name, data):
    junk = torch.tensor([[user, data.num_items - 1] for user in range(20)])
    other = dataclasses.replace(data, test=junk)
    results = []
    for split in (data, other):
        model = make(name, split)
        results.append((fit(model, split, SHORT).as_dict(), model.state_dict()))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(results[0][1][key], results[1][1][key]) for key in results[0][1])


def test_the_validation_split_selects_and_nothing_more(data):
    other = dataclasses.replace(data, val=data.test, test=data.val)
    losses = [fit(make("lightgcn", split), split, SHORT).losses for split in (data, other)]
    assert losses[0] == losses[1]


def test_the_global_generator_is_as_it_was(data):
    model = make("teacher", data)  # with dropout
    before = torch.get_rng_state()
    first = fit(model, data, SHORT).losses
    assert torch.equal(torch.get_rng_state(), before)
    model = make("teacher", data)
    torch.rand(17)
    assert fit(model, data, SHORT).losses == first


def test_training_lowers_the_loss_and_weight_decay_shrinks_the_table(data):
    config = FitConfig(epochs=20, batch_size=64, lr=0.02, evaluate_every=20)
    norms = []
    for decay in (0.0, 5.0):
        model = make("bpr-mf", data, l2=0.0)
        last = {}
        config = dataclasses.replace(config, weight_decay=decay)
        history = fit(model, data, config, on_epoch=lambda _, __, m=model, kept=last: kept.update(m.state_dict()))
        norms.append(last["nodes.weight"].norm().item())
        if not decay:
            assert history.losses[-1]["bpr"] < 0.5 * history.losses[0]["bpr"]
    assert norms[1] < 0.5 * norms[0]


def test_losses_are_means_over_the_batches_under_the_terms_names(data):
    history = fit(make("mmkd", data), data, SHORT)
    assert all(set(row) == {"bpr", "l2", "pair_kd", "list_kd", "embed_kd"} for row in history.losses)
    assert 0 < history.losses[0]["bpr"] < 1


@pytest.mark.parametrize("pairs", [None, 20])
def test_a_trainer_takes_the_steps_of_a_whole_training(pairs, data):
    some, config = data.train[:pairs] if pairs else None, FitConfig(epochs=3, batch_size=16, lr=0.05, seed=2)
    losses = []
    for by_hand in (True, False):
        torch.manual_seed(0)
        model = MODELS["bpr-mf"](data)
        if by_hand:
            trainer = Trainer(model, data, config, pairs=some)
            losses.append([trainer.epoch(number) for number in range(1, 4)])
        else:
            losses.append(fit(model, data, config, pairs=some).losses)
    assert losses[0] == losses[1]


def test_the_batches_of_a_trainer_are_of_a_model_in_training_and_up_to_date(data, monkeypatch):
    model, refreshed = MODELS["bpr-mf"](data).eval(), []
    monkeypatch.setattr(model, "refresh", lambda: refreshed.append(model.training))
    batches = Trainer(model, data, FitConfig(batch_size=16)).batches()
    assert refreshed == [True]
    assert next(batches).users.shape == (16,)


def test_a_history_as_dict_is_plain_numbers(data):
    history = fit(make("lightgcn", data), data, SHORT).as_dict()
    assert set(history) == {"losses", "validation", "best_epoch", "best"}
    assert all(type(x) in (int, float) for row in history["validation"] + history["losses"] for x in row.values())


def test_without_validation_nothing_can_be_selected(data):
    other = dataclasses.replace(data, val=torch.empty(0, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="random: no validation interaction, so no epoch can be selected"):
        fit(make("lightgcn", other), other, SHORT)


def test_a_loss_that_is_not_finite_raises_with_epoch_and_terms(data):
    with pytest.raises(FloatingPointError, match=r"epoch 1: loss terms \{'bpr': nan.*expected finite numbers"):
        fit(make("lightgcn", data), data, dataclasses.replace(SHORT, lr=1e38))


def test_a_model_that_starts_with_numbers_that_are_not_finite_is_not_trained(data):
    model = make("lightgcn", data)
    with torch.no_grad():
        model.nodes.weight[0] = torch.inf
    with pytest.raises(
        FloatingPointError, match=r"got (nan|-?inf); expected finite numbers\. If the model was trained"
    ):
        fit(model, data, SHORT)


def test_the_generator_is_restored_after_a_failure_too(data):
    model = make("lightgcn", data)
    with torch.no_grad():
        model.nodes.weight[0] = torch.nan
    before = torch.get_rng_state()
    with pytest.raises(FloatingPointError):
        fit(model, data, SHORT)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["popularity", "itemknn"])
def test_a_model_without_parameters_is_evaluated_once(name, data):
    model = make(name, data)
    history = fit(model, data, SHORT)
    assert (history.losses, history.best_epoch, len(history.validation)) == ([], 0, 1)
    assert history.best["recall@20"] == validation_recall(model, data)


def test_a_catalogue_smaller_than_the_cut_off_trains(make_data):
    data = make_data(num_users=12, num_items=15)
    assert "recall@15" in fit(make("lightgcn", data), data, SHORT).best


def test_of_equal_recall_the_higher_ndcg_is_kept(make_data):
    data = make_data(num_users=12, num_items=15)  # all items are ranked, so Recall is 1 from the start
    history = fit(make("lightgcn", data), data, FitConfig(epochs=8, evaluate_every=1, lr=0.05))
    rows = {row["epoch"]: row for row in history.validation}
    assert {row["recall@15"] for row in history.validation} == {1.0}
    assert rows[history.best_epoch]["ndcg@15"] == max(row["ndcg@15"] for row in history.validation)
    assert history.best_epoch > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": -1}, "epochs=-1 of the training; expected a whole number of at least 0"),
        ({"epochs": False}, "epochs=False of the training; expected a whole number of at least 0, for example 1000"),
        ({"patience": 0}, "patience=0 of the training; expected a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs=1.5 of the training; expected a whole number"),
        ({"batch_size": -1}, "batch_size=-1 of the training; expected a whole number"),
        ({"evaluate_every": "5"}, "evaluate_every='5' of the training; expected a whole number"),
        ({"lr": 0.0}, "lr=0.0 of the training; expected a number more than 0"),
        ({"lr": float("nan")}, "lr=nan of the training; expected a number more than 0 and at most 3.4e"),
        ({"lr": 1e300}, r"lr=1e\+300 of the training; expected a number more than 0 and at most 3.4e"),
        ({"lr": "fast"}, "lr='fast' of the training; expected a number more than 0, for example 0.001"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 of the training; expected a number of at least 0"),
        ({"weight_decay": 10**400}, "weight_decay=1000.* of the training; expected a number of at least 0 and at most"),
        ({"seed": -1}, "seed=-1 of the training; expected a whole number of at least 0"),
        ({"seed": 2**70}, r"seed=1180591620717411303424 of .* of at least 0 and at most 2\^63 - 1"),
        ({"weight_decay": "much"}, "weight_decay='much'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_configuration_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**changes)


def test_a_device_may_be_named():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="unknown device 'gpu'; one of"):
        choose_device("gpu")
