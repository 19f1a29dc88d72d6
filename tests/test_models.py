"""What holds for every model of `MODELS`."""

import re
from dataclasses import fields, is_dataclass
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from mmkd_core import MODELS, DataError, FitConfig, evaluate, fit, rank, recommend
from mmkd_core.cost import parameters
from mmkd_core.models import TEACHERS, build, defaults_of
from mmkd_core.models.teacher import Teacher

UNTRAINED = [name for name, kind in MODELS.items() if not kind.trained]
TRAINED = [name for name in MODELS if name not in UNTRAINED]
TOLERANT = ("softmax-teacher", "softmax-factors", "ensemble", "mmkd-lists")  # of content, they take what there is
REFERENCES = Path(__file__).parents[1] / "book" / "references.bib"
NARROW = {"mmkd-lists": {"dim": 8}}  # as wide as there are items it starts at its teacher, and nothing is left to learn
SHORT = FitConfig(epochs=2, batch_size=64, lr=0.01, evaluate_every=1)


def make(name, data, seed=0, **settings):
    torch.manual_seed(seed)
    return MODELS[name](data, **settings).eval()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_a_title_of_its_own_and_a_citation_in_the_bibliography(name):
    assert [kind.title for kind in MODELS.values()].count(MODELS[name].title) == 1
    assert f"{{{MODELS[name].citation},\n" in REFERENCES.read_text()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_reads_content_needs_some_and_the_others_do_without(name, make_data):
    bare = make_data(modalities=0)
    if MODELS[name].reads_content and name not in TOLERANT:
        with pytest.raises(DataError, match="random: no modality; this model needs item features"):
            make(name, bare)
    else:
        assert scores_of(make(name, bare), bare).isfinite().all()


def scores_of(model, data):
    model.refresh()
    with torch.no_grad():
        return model.embed().scores(torch.arange(data.num_users))


@pytest.mark.parametrize("name", UNTRAINED)
def test_models_that_are_not_trained_have_no_parameter(name, data):
    assert not list(make(name, data).parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_that_requires_a_gradient_gets_one_from_one_loss(name, data, make_batch):
    model = make(name, data, **NARROW.get(name, {})).train()
    terms = model(make_batch(data, model.negatives, candidates=model.candidates))
    sum(terms.values()).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", TRAINED)
def test_loss_terms_are_finite_scalars_by_name(name, data, make_batch):
    model = make(name, data, **NARROW.get(name, {}))
    terms = model(make_batch(data, model.negatives, candidates=model.candidates))
    assert next(iter(terms.values())) > 0  # the first is what ranks
    assert all(term.shape == () and term.isfinite() for term in terms.values())


def tensors_in(value):
    """Tensors held in a value that `.to()` and `state_dict()` would not see."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, nn.Module):
        return []  # walked on its own
    if isinstance(value, dict):
        value = value.values()
    elif is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in fields(value)]
    elif not isinstance(value, list | tuple | set):
        return []
    return [tensor for part in value for tensor in tensors_in(part)]


def bare_tensors(model):
    registered = ("_parameters", "_buffers", "_modules")
    return [
        f"{path}.{attribute}"
        for path, module in model.named_modules()
        for attribute, value in vars(module).items()
        if attribute not in registered and tensors_in(value)
    ]


@pytest.mark.parametrize("name", MODELS)
def test_no_tensor_hides_outside_parameters_and_buffers(name, data):
    model = make(name, data)
    fit(model, data, SHORT)  # caches included
    model.embed()
    assert bare_tensors(model) == []


@pytest.mark.parametrize("hide", [lambda x: x, lambda x: [x], lambda x: {"a": (1, x)}])
def test_the_search_for_hidden_tensors_finds_one(hide, data):
    model = make("lightgcn", data)
    model.graph.hidden = hide(torch.zeros(1))
    assert bare_tensors(model) == ["graph.hidden"]


def taught(name, data, config):
    """A trained model: one that learns from any teachers from trained ones, MMKD from an untrained teacher."""
    usual = MODELS[name].teachers if MODELS[name].any_teacher else ()
    teachers = {place: taught(kind, data, config) for place, kind in zip(TEACHERS, usual, strict=False)}
    model = make(name, data, **teachers)
    fit(model, data, config)
    return model


@pytest.mark.parametrize("name", [name for name in MODELS if name != "popularity"])  # one list for all users
def test_solves_a_checkerboard(name, checkerboard):
    model = taught(name, checkerboard, FitConfig(epochs=12, batch_size=128, lr=0.05, evaluate_every=4))
    with torch.no_grad():
        values = evaluate(model.embed(), checkerboard, "test", (4,), mask_validation=True)
    # 34 candidates, of which exactly the 4 test items are of the user's colour; chance is 0.12
    assert values["recall@4"].mean() > 0.9


@pytest.mark.parametrize("name", MODELS)
def test_recommending_is_ranking_the_tables_that_serve(name, data):
    model, users = make(name, data), [7, 2, 29, 7]
    with torch.no_grad():
        expected = rank(model.embed(), torch.tensor(users), data, 5)
    model.train()  # dropout would change the tables
    for given in (users, tuple(users), torch.tensor(users), torch.tensor(users, dtype=torch.int32)):
        ranking = recommend(model, given, data, 5)
        assert torch.equal(ranking.items, expected.items)
        assert torch.equal(ranking.scores, expected.scores)
        assert not ranking.scores.requires_grad
        assert model.training


def test_recommending_to_nobody_gives_no_list(data):
    assert recommend(make("lightgcn", data), [], data, 5).items.shape == (0, 5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([0, 30], "user 30 of random; expected 0 to 29"),
        ([-1], "user -1 of random; expected 0 to 29"),
        ([0.5], r"users=\[0.5\]; expected a sequence of whole numbers"),
        ([True], r"users=\[True\]; expected a sequence of whole numbers"),
        (3, r"users=3; expected a sequence of whole numbers"),
        ([[3]], r"users=\[\[3\]\]; expected a sequence of whole numbers"),
    ],
)
def test_who_is_no_user_gets_no_recommendation(users, message, data):
    with pytest.raises(ValueError, match=message):
        recommend(make("lightgcn", data), users, data, 5)


def test_popularity_ranks_by_the_number_of_training_interactions(data):
    counts = torch.bincount(data.train[:, 1], minlength=data.num_items).float()
    assert torch.equal(scores_of(make("popularity", data), data), counts.expand(data.num_users, -1))


def test_itemknn_sums_the_similarities_of_the_nearest_items(data):
    matrix = torch.zeros(data.num_users, data.num_items, dtype=torch.float64)
    matrix[data.train[:, 0], data.train[:, 1]] = 1
    degree = matrix.sum(0)
    similarity = torch.zeros(data.num_items, data.num_items, dtype=torch.float64)
    for i, j in product(range(data.num_items), repeat=2):
        if i != j:
            similarity[i, j] = (matrix[:, i] @ matrix[:, j]) / ((degree[i] * degree[j]) ** 0.5 + 5)
    model = make("itemknn", data, neighbours=data.num_items, shrink=5.0)
    torch.testing.assert_close(scores_of(model, data), (matrix @ similarity.T).float())


def test_itemknn_keeps_at_most_the_neighbours_asked_for(data):
    similarity = make("itemknn", data, neighbours=3).similarity.dense_rows(torch.arange(data.num_items))
    whole = make("itemknn", data, neighbours=data.num_items).similarity.dense_rows(torch.arange(data.num_items))
    assert ((similarity > 0).sum(1) <= 3).all()
    torch.testing.assert_close(similarity.sum(1), whole.topk(3).values.sum(1))


def test_itemknn_serves_the_entries_of_its_sparse_matrices(data):
    model = make("itemknn", data, neighbours=3)
    entries = sum(int((graph.dense_rows(torch.arange(len(graph.crow) - 1)) > 0).sum()) for graph in model.embed())
    assert parameters(model, model.embed())["served"] == entries > 0


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_seed_gives_the_same_history_and_tables_bit_for_bit(name, data):
    results = []
    for _ in range(2):
        model = make(name, data, seed=3)
        history = fit(model, data, SHORT)
        results.append((history.as_dict(), scores_of(model, data)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_gives_another_history(name, data):
    first, second = (
        fit(make(name, data), data, FitConfig(epochs=1, batch_size=64, seed=seed)).losses for seed in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_carries_the_whole_model(name, data):
    model = make(name, data, seed=1)
    fit(model, data, SHORT)
    other = make(name, data, seed=2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(scores_of(other, data), scores_of(model, data))


@pytest.mark.parametrize("settings", [{}, {"student": "gcn"}, {"init": "random", "dim": 5}])
def test_a_state_dict_carries_every_kind_of_student_and_its_teacher(settings, data):
    model = make("mmkd", data, seed=1, **settings)
    fit(model, data, SHORT)
    other = make("mmkd", data, seed=2, **settings)
    other.load_state_dict(model.state_dict())
    assert torch.equal(scores_of(other, data), scores_of(model, data))
    assert torch.equal(scores_of(other.teacher, data), scores_of(model.teacher, data))


def permuted(data, users, items):
    """The same data with user u renamed to users[u] and item i to items[i]."""

    def edges(split):
        rows = getattr(data, split)
        return torch.stack([users[rows[:, 0]], items[rows[:, 1]]], 1)

    features = {modality: x[items.argsort()] for modality, x in data.features.items()}
    return type(data)("permuted", data.num_users, data.num_items, edges("train"), edges("val"), edges("test"), features)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in MODELS if name != "itemknn"),
        ("itemknn", {"neighbours": 34}),  # all, since equal similarities are told apart by the item's id
        ("mmkd", {"student": "gcn"}),
        ("mmkd", {"init": "random", "layers": 2}),
    ],
)
def test_renaming_users_and_items_renames_the_scores(name, settings, make_data):
    data = make_data(num_users=23, num_items=34)
    users, items = torch.randperm(23), torch.randperm(34)
    order = {23: users.argsort(), 34: items.argsort(), 57: torch.cat([users, 23 + items]).argsort()}
    renamed = permuted(data, users, items)
    model, other = make(name, data, seed=1, **settings), make(name, renamed, seed=2, **settings)
    state = {key: x[order[len(x)]] if x.dim() and len(x) in order else x for key, x in model.state_dict().items()}
    other.load_state_dict(state)
    torch.testing.assert_close(scores_of(other, renamed)[users][:, items], scores_of(model, data), atol=1e-5, rtol=1e-4)


# --- settings ---


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_built_with_its_own_defaults(name, data):
    torch.manual_seed(0)
    built = build(name, data, defaults_of(name)).eval()
    assert torch.equal(scores_of(built, data), scores_of(make(name, data), data))


def test_the_names_that_callers_rely_on():
    baselines = "bpr-mf ngcf lightgcn vbpr mmgcn grcn lattice clcrec slmrec bm3"
    ours = "softmax-teacher softmax-factors ensemble mmkd-lists"
    assert list(MODELS) == ["popularity", "itemknn", *baselines.split(), "teacher", "mmkd", *ours.split()]
    assert "teacher" not in defaults_of("mmkd")
    assert {"student", "init", "prompt_mode", "pair", "list", "embed"} <= set(defaults_of("mmkd"))
    assert (defaults_of("mmkd")["prompt_mode"], defaults_of("mmkd")["init"]) == ("kd", "teacher")


def test_unknown_model(data):
    for call in (defaults_of, lambda name: build(name, data, {})):
        with pytest.raises(ValueError, match=r"unknown model 'lighgcn'; one of \['bm3', 'bpr-mf', 'clcrec'"):
            call("lighgcn")


def test_unknown_setting(data):
    with pytest.raises(ValueError, match=r"unknown setting 'lyers' of lightgcn; one of \['dim', 'l2', 'layers'\]"):
        build("lightgcn", data, {"lyers": 2})


@pytest.mark.parametrize(
    ("name", "setting", "value", "expected"),
    [
        ("lightgcn", "dim", 0, "dim=0 of lightgcn; expected a whole number of at least 1"),
        ("lightgcn", "dim", "64", "dim='64' of lightgcn; expected a whole number of at least 1, for example 64"),
        ("lightgcn", "layers", -1, "layers=-1 of lightgcn; expected a whole number of at least 0"),
        ("lightgcn", "layers", 1.5, "layers=1.5 of lightgcn; expected a whole number"),
        ("lightgcn", "l2", -0.1, "l2=-0.1 of lightgcn; expected a number of at least 0"),
        ("lightgcn", "l2", float("nan"), "l2=nan of lightgcn; expected a number of at least 0"),
        ("teacher", "dropout", 1.0, "dropout=1.0 of teacher; expected a number of at least 0 and less than 1"),
        ("mmkd", "negatives", 0, "negatives=0 of mmkd; expected a whole number of at least 1"),
        ("mmkd", "layers", "two", "layers='two' of mmkd; expected"),
        ("mmkd", "layers", 1.5, "layers=1.5 of mmkd; expected"),
        ("mmkd", "student", "mlp", "unknown student 'mlp'; one of ['lightgcn', 'gcn']"),
        ("mmkd", "init", "zero", "unknown init 'zero'; one of ['teacher', 'random']"),
        ("mmkd", "prompt_mode", "on", "unknown prompt_mode 'on'; one of ['kd', 'frozen', 'off']"),
    ],
)
def test_a_value_out_of_range_says_what_is_allowed(name, setting, value, expected, data):
    with pytest.raises(ValueError, match=re.escape(expected)):
        build(name, data, {setting: value})


# --- sizes ---

NETFLIX = {"users": 43_739, "items": 17_239, "widths": (512, 768), "dim": 32}
FORMULAS = {
    "bpr-mf": lambda users, items, widths, dim: (users + items) * dim,
    "lightgcn": lambda users, items, widths, dim: (users + items) * dim,
    "teacher": lambda users, items, widths, dim: (
        (users + items) * dim + sum(width * dim + dim for width in widths) + dim * dim + dim
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_parameter_counts_follow_the_formula(name, users, items, dim, make_data):
    data = make_data(users, items)
    model = make(name, data, dim=dim)
    widths = [x.shape[1] for x in data.features.values()]
    expected = FORMULAS[name](users, items, widths, dim)
    assert parameters(model, model.embed())["trained"] == expected


@pytest.mark.parametrize(("student", "expected"), [("lightgcn", lambda n, d: n * d), ("gcn", lambda n, d: 2 * d * d)])
@pytest.mark.parametrize("shape", [(20, 30, 4), (35, 50, 7)])
def test_student_sizes_follow_the_formula(student, expected, shape, make_data):
    users, items, dim = shape
    data = make_data(users, items)
    model = make("mmkd", data, teacher=make("teacher", data, dim=dim), student=student, dim=dim)
    prompt = dim * dim + dim
    counts = parameters(model, model.embed())
    assert counts["trained"] == expected(users + items, dim) + prompt
    assert sum(p.numel() for p in model.student.parameters()) == expected(users + items, dim)
    assert counts["frozen"] == FORMULAS["teacher"](users, items, (7, 12, 5), dim) - prompt
    assert counts["served"] == (users + items) * dim


def test_the_formulas_at_the_papers_netflix():
    assert FORMULAS["lightgcn"](**NETFLIX) == 1_951_296
    assert FORMULAS["bpr-mf"](**(NETFLIX | {"dim": 64})) == 3_902_592
    prompt = 32 * 32 + 32
    assert FORMULAS["teacher"](**NETFLIX) == 1_994_432 - prompt  # the released code has a second prompt layer


def test_the_teacher_says_so_where_there_are_no_features(make_data):
    with pytest.raises(ValueError, match="random: no modality; this model needs item features"):
        Teacher(make_data(modalities=0))
