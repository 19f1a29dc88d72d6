"""Teacher, prompt and student: Eq. 1-4, Eq. 12, and what must not move in the student's stage."""

from copy import deepcopy
from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core import MODELS, DataError, FitConfig, evaluate, fit
from mmkd_core.layers import Reduction, standardise, unit_features, unit_rows
from mmkd_core.models import build
from mmkd_core.models.teacher import Prompt, Teacher

SHORT = FitConfig(epochs=3, batch_size=64, lr=0.01, evaluate_every=1)
WITHOUT_KD = {"pair": 0.0, "list": 0.0, "embed": 0.0}


def make(name, data, seed=0, **settings):
    torch.manual_seed(seed)
    return MODELS[name](data, **settings).eval()


def teacher_of(data, dim=8, seed=7, **settings):
    return make("teacher", data, seed, dim=dim, **settings)


def mmkd(data, dim=8, teacher=None, **settings):
    return make("mmkd", data, teacher=teacher if teacher is not None else teacher_of(data), dim=dim, **settings)


def snapshot(model):
    return {name: x.clone() for name, x in model.state_dict().items()}


def changed(before, model):
    return {name for name, x in model.state_dict().items() if not torch.equal(x, before[name])}


# --- reduction, Eq. 4 ---


def test_standardised_columns_have_mean_zero_and_variance_one():
    x = standardise(3 + 5 * torch.randn(40, 4))
    torch.testing.assert_close(x.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.square().mean(0), torch.ones(4))


def test_standardising_counts_only_the_items_that_have_the_modality_and_keeps_the_others_zero():
    x = 3 + torch.randn(40, 4)
    x[[5, 17]] = 0
    present = [row for row in range(40) if row not in (5, 17)]
    torch.testing.assert_close(standardise(x)[present], standardise(x[present]))
    assert not standardise(x)[[5, 17]].any()


def test_a_constant_column_becomes_zero():
    assert not standardise(torch.full((9, 2), 0.1)).any()


TABLES = st.integers(0, 2**32 - 1).map(lambda seed: torch.randn(40, 4, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("transform", [standardise, unit_features])
@given(x=TABLES, offset=st.sampled_from([0.0, 3.0]), power=st.integers(-100, 100))
def test_features_in_another_unit_are_the_same_features(transform, x, offset, power):
    x = x + offset
    x[[5, 17]] = 0  # no modality
    x[:, 2] = x[:, 2].any() * (x[:, 0] != 0)  # constant where it is there
    assert torch.equal(transform(torch.ldexp(x, torch.tensor(power))), transform(x))  # a power of two rounds nothing


@pytest.mark.parametrize("transform", [standardise, unit_features])
@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-8, 1e9, 1e30])
def test_the_scale_of_features_plays_no_part(transform, scale):
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(transform(scale * x), transform(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [1e-30, 0.1, 1.0, 1e30])
def test_a_column_that_is_constant_up_to_rounding_becomes_zeros(value):
    column = torch.full((9, 1), value)
    beside = torch.nextafter(column, torch.tensor(torch.inf))
    assert not standardise(torch.where(torch.arange(9)[:, None] % 2 == 0, column, beside)).any()
    assert standardise(torch.where(torch.arange(9)[:, None] % 2 == 0, column, 1.00001 * column)).abs().min() > 0.5


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_what_a_dead_unit_of_a_network_leaves_is_no_feature(scale):
    x = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    x[:, :2] *= torch.tensor([1e-15, 1e-8])
    assert (standardise(scale * x) != 0).any(0).tolist() == [False] * 2 + [True] * 28


def test_columns_in_units_of_their_own_are_all_kept():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    units = torch.tensor([1e-12, 1.0, 1e9, 1e12])
    torch.testing.assert_close(standardise(units * x), standardise(x), rtol=1e-5, atol=1e-6)


def test_unit_rows_and_their_gradient_at_a_row_of_zeros():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit_rows(x).sum().backward()
    torch.testing.assert_close(unit_rows(x), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("modalities", [1, 2, 4])
def test_reduction_is_equation_4_computed_naively(modalities, make_data):
    data = make_data(modalities=modalities)
    reduction = Reduction(data, 6, dropout=0.0)
    torch.nn.init.normal_(reduction.bias)
    prompt, rate = torch.randn(data.num_items, 6), 0.7
    kernel = prompt @ prompt.T  # item by item: what the library never builds
    parts = []
    for place, modality in enumerate(sorted(data.features)):
        x = standardise(data.features[modality])
        bias = reduction.bias.view(modalities, 6)[place]
        parts.append((x + rate * kernel @ x / data.num_items) @ reduction.weights[place] + bias)
    torch.testing.assert_close(reduction(prompt, rate), torch.cat(parts, 1), atol=1e-5, rtol=1e-4)


def test_dropout_acts_in_training_alone(data):
    reduction = Reduction(data, 6, dropout=0.5)
    assert (reduction(None, 1.0) == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(reduction.eval()(None, 1.0), reduction(None, 1.0))


# --- prompt, Eq. 3 ---


def test_the_prompt_is_a_linear_layer_over_the_mean_of_the_modalities_principal_components(make_data):
    data = make_data(modalities=2)
    prompt = Prompt(data, 4)
    directions = []
    for x in data.features.values():
        left, _, _ = torch.linalg.svd(standardise(x).double(), full_matrices=False)
        directions.append(left[:, :4] * (len(x) - 1) ** 0.5)  # of unit variance
    first, second = directions
    for column, ours in enumerate(prompt.semantics.double().T):
        signs = [(a * first[:, column] + b * second[:, column]) / 2 for a, b in product((1, -1), repeat=2)]
        assert any(torch.allclose(ours, mean, atol=1e-5) for mean in signs)  # a direction's sign is arbitrary
    assert torch.equal(prompt(), F.linear(prompt.semantics, prompt.linear.weight, prompt.linear.bias))


def test_a_modality_narrower_than_the_prompt_fills_its_first_columns(make_data):
    semantics = Prompt(make_data(modalities=1), 10).semantics  # seven columns of text
    torch.testing.assert_close(semantics.var(0), torch.tensor([1.0] * 7 + [0.0] * 3))


def test_directions_without_variance_are_zero_and_the_same_for_items_in_any_order(make_data):
    data = make_data(modalities=1)
    doubled = torch.cat([data.features["text"][:, :2]] * 3, 1)
    data.features["text"] = doubled
    semantics = Prompt(data, 5).semantics
    torch.testing.assert_close(semantics.var(0), torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_modality_that_says_nothing_gives_a_finite_prompt(value, make_data):
    data = make_data(modalities=2)
    data.features["text"] = torch.full_like(data.features["text"], value)
    assert Prompt(data, 4)().isfinite().all()


# --- teacher, Eq. 1 ---


def naive_teacher(model, data, prompt_rate, prompt):
    """E^T and F from the equations, with dense matrices and in double precision."""
    users, items = data.num_users, data.num_items
    a = torch.zeros(users, items).double()
    a[data.train[:, 0], data.train[:, 1]] = 1
    user_degree, item_degree = (a.sum(axis).clamp_min(1e-30) for axis in (1, 0))
    weighted = a / user_degree.sqrt()[:, None] / item_degree.sqrt()
    operator = torch.zeros(users + items, users + items).double()
    operator[:users, users:], operator[users:, :users] = weighted, weighted.T
    layers = [model.nodes.weight.detach().double()]
    for _ in range(model.layers):
        layers.append(operator @ layers[-1])
    fused = sum(layers) / len(layers)
    content = []
    for place, modality in enumerate(sorted(data.features)):
        x = standardise(data.features[modality]).double()
        if prompt is not None:
            x = x + prompt_rate * prompt @ (prompt.T @ x) / items
        width = model.nodes.weight.shape[1]
        bias = model.reduction.bias.detach().double().view(-1, width)[place]
        f = x @ model.reduction.weights[place].detach().double() + bias
        f_user = (a @ f) / user_degree[:, None]
        f_item = (a.T @ f_user) / item_degree[:, None]
        content.append((f_user, f_item))
        fused = fused + model.content_weight * F.normalize(torch.cat([f_user, f_item]), dim=1)
    return fused, content


@pytest.mark.parametrize("modalities", [1, 3, 4])
@pytest.mark.parametrize("prompt_rate", [0.0, 0.7])
def test_teacher_is_its_equations_computed_naively(modalities, prompt_rate, make_data):
    data = make_data(modalities=modalities, missing=(3, 5))
    model = teacher_of(data, prompt_rate=prompt_rate, content_weight=0.3)
    torch.nn.init.normal_(model.reduction.bias)
    prompt = None if model.prompt is None else model.prompt().detach().double()
    fused, content = naive_teacher(model, data, prompt_rate, prompt)
    torch.testing.assert_close(torch.cat(model.embed()).double(), fused, atol=1e-5, rtol=1e-4)
    know = model.know()
    expected = [torch.cat(side, 1) for side in zip(*content, strict=True)]
    for ours, side in zip((know.user_content, know.item_content), expected, strict=True):
        torch.testing.assert_close(ours.double(), side, atol=1e-5, rtol=1e-4)


def test_scores_of_a_batch_are_those_of_the_tables(data, make_batch):
    model, batch = teacher_of(data), make_batch(data, 3)
    lists = torch.cat([batch.pos[:, None], batch.neg], 1)
    know = model.know()
    whole = know.embeddings().scores(batch.users).gather(1, lists)
    torch.testing.assert_close(know.logits(batch), whole, atol=1e-5, rtol=1e-4)
    for place in range(3):
        part = slice(8 * place, 8 * place + 8)
        scores = know.user_content[batch.users, part] @ know.item_content[:, part].T
        torch.testing.assert_close(
            know.content_logits(batch)[..., place], scores.gather(1, lists), atol=1e-5, rtol=1e-4
        )
        assert torch.equal(know.content_of_items()[:, place], know.item_content[:, part])


def test_teacher_loss_is_bpr_of_the_fused_tables_and_l2_of_the_layer_0_rows(data, make_batch):
    model, batch = teacher_of(data, l2=0.5, modality_bpr=0.25), make_batch(data)
    users, items = model.embed()
    margin = (users[batch.users] * (items[batch.pos] - items[batch.neg[:, 0]])).sum(1)
    table = model.nodes.weight
    rows = [table[batch.users], table[30 + batch.pos], table[30 + batch.neg[:, 0]]]
    terms = model.loss(batch)
    assert set(terms) == {"bpr", "l2", "modality_bpr"}
    torch.testing.assert_close(terms["bpr"], F.softplus(-margin).mean())
    torch.testing.assert_close(terms["l2"], 0.5 * sum(row.square().sum() for row in rows) / 2 / 16)
    by_modality = model.know().content_logits(batch)
    bpr = F.softplus(by_modality[:, 1] - by_modality[:, 0]).mean(0)
    torch.testing.assert_close(terms["modality_bpr"], 0.25 * bpr.mean())


def test_at_rate_zero_the_teacher_does_not_depend_on_the_prompt(data, make_batch):
    model = teacher_of(data)
    without = model.know(with_prompt=False).embeddings()
    assert not torch.equal(model.embed().items, without.items)
    model.prompt_rate = 0.0
    assert torch.equal(model.embed().users, without.users)
    sum(model.loss(make_batch(data)).values()).backward()
    assert not any(p.grad.any() for p in model.prompt.parameters())


def weighed(know):
    """A number in which every cell of the content counts in a way of its own."""
    tables = know.user_content, know.item_content
    return sum((x * torch.linspace(-1, 1, x.numel()).view(x.shape)).sum() for x in tables)


@pytest.mark.parametrize("name", ["teacher", "teacher+xavier"])
@pytest.mark.parametrize("modalities", [1, 2])
def test_a_frozen_teacher_knows_what_it_knew_with_the_same_gradient_of_the_prompt(name, modalities, make_data):
    """Also where a user or an item has no edge; and after the prompt has moved."""
    data = make_data(modalities=modalities)
    train = data.train[(data.train[:, 0] != 1) & (data.train[:, 1] != 2)]
    teacher = build(name, replace(data, train=train), {"dim": 8, "prompt_rate": 3.0}).eval()
    torch.nn.init.normal_(teacher.reduction.bias)
    with torch.no_grad():
        frozen = deepcopy(teacher)
        frozen.freeze()
        frozen.prompt.requires_grad_(True)
        for model in (teacher, frozen):
            model.prompt.linear.weight.add_(0.3)
    assert (frozen.content is None) == (name == "teacher+xavier")
    for how in ({}, {"rows": torch.tensor([3, 1, 3])}, {"with_prompt": False}):
        expected, found = teacher.know(**how), frozen.know(**how)
        torch.testing.assert_close(found, expected)
        if how != {"with_prompt": False}:
            gradients = [
                torch.autograd.grad(weighed(know), list(model.prompt.parameters()))
                for model, know in ((teacher, expected), (frozen, found))
            ]
            torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_a_teacher_planned_without_a_prompt_has_none(data):
    assert teacher_of(data, prompt_rate=0.0).prompt is None


def test_a_teacher_needs_features(make_data):
    for name in ("teacher", "mmkd"):
        with pytest.raises(DataError, match="no modality; this model needs item features"):
            make(name, make_data(modalities=0))


# --- the student's stage ---


def test_the_teacher_given_is_the_teacher_kept_and_the_prompts_parameters_say_prompt(data):
    teacher = teacher_of(data)
    model = mmkd(data, teacher=teacher)
    assert model.teacher is teacher
    prompt = {id(p) for p in teacher.prompt.parameters()}
    named = {name for name, p in model.named_parameters() if id(p) in prompt}
    assert named == {name for name, _ in model.named_parameters() if "prompt" in name} != set()


@pytest.mark.parametrize("settings", [{}, {"student": "gcn"}, {"init": "random", "layers": 2}])
@pytest.mark.parametrize("prompt_mode", ["kd", "frozen", "off"])
def test_in_training_the_prompt_moves_in_mode_kd_alone_and_the_rest_of_the_teacher_never(prompt_mode, settings, data):
    model = mmkd(data, prompt_mode=prompt_mode, **settings)
    before, moved = snapshot(model), set()
    fit(model, data, SHORT, on_epoch=lambda epoch, history: moved.update(changed(before, model)))
    prompt = {"teacher.prompt.linear.weight", "teacher.prompt.linear.bias"} if prompt_mode == "kd" else set()
    assert {name for name in moved if name.startswith("teacher.")} == prompt
    assert {name for name in changed(before, model) if name.startswith("teacher.")} <= prompt


@pytest.mark.parametrize("prompt_mode", ["kd", "frozen", "off"])
def test_one_step_moves_the_prompt_in_mode_kd_alone_and_never_the_teacher(prompt_mode, data, make_batch):
    model = mmkd(data, prompt_mode=prompt_mode).train()
    before = snapshot(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.1)
    sum(model(make_batch(data, model.negatives)).values()).backward()
    optimizer.step()
    prompt = {"teacher.prompt.linear.weight", "teacher.prompt.linear.bias"} if prompt_mode == "kd" else set()
    assert changed(before, model) == {"student.nodes.weight"} | prompt


def test_the_teacher_stays_in_evaluation_mode(data, make_batch):
    model = mmkd(data, teacher=teacher_of(data, dropout=0.9)).train()
    assert model.training
    assert not any(module.training for module in model.teacher.modules())
    batch = make_batch(data, 10)
    first, second = model.loss(batch), model.loss(batch)
    assert all(torch.equal(first[name], second[name]) for name in first)
    fit(model, data, FitConfig(epochs=1, batch_size=64))
    assert not model.teacher.reduction.training


@pytest.mark.parametrize("term", ["pair", "list", "embed"])
def test_each_distillation_term_reaches_the_prompt_and_the_student(term, data, make_batch):
    model = mmkd(data, init="random", **WITHOUT_KD | {term: 1.0})
    terms = model.loss(make_batch(data, 10))
    assert set(terms) == {"bpr", "l2", f"{term}_kd"}
    terms[f"{term}_kd"].backward()
    assert all(p.grad.any() for p in model.teacher.prompt.parameters())
    assert model.student.nodes.weight.grad.any()


def test_the_recommendation_loss_does_not_reach_the_prompt(data, make_batch):
    model = mmkd(data)
    model.loss(make_batch(data, 10))["bpr"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.teacher.prompt.parameters())


def test_without_distillation_the_prompt_is_not_trained(data):
    model = mmkd(data, **WITHOUT_KD)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["student.nodes.weight"]


@pytest.mark.parametrize("frozen", ["frozen", "off"])
def test_a_frozen_teacher_gives_the_losses_of_a_live_one_before_it_moves(frozen, data, make_batch):
    teacher = teacher_of(data, prompt_rate=0.0) if frozen == "off" else teacher_of(data)
    live, still = mmkd(data, teacher=teacher), mmkd(data, prompt_mode=frozen, teacher=teacher)
    batch = make_batch(data, 10)
    for name, term in live.loss(batch).items():
        torch.testing.assert_close(still.loss(batch)[name], term)


def test_prompt_mode_off_is_the_same_teacher_with_its_prompt_taken_away(data, make_batch):
    with_prompt, without = teacher_of(data), teacher_of(data)
    without.prompt = None
    off, bare = mmkd(data, teacher=with_prompt, prompt_mode="off"), mmkd(data, teacher=without, prompt_mode="off")
    assert torch.equal(off.embed().items, bare.embed().items)
    batch = make_batch(data, 10)
    assert {name: term.item() for name, term in off.loss(batch).items()} == {
        name: term.item() for name, term in bare.loss(batch).items()
    }


def slow_terms(model, data, batch, settings):
    """The terms of Eq. 12 with torch's own KL and cosine, from whole tables."""
    know, (users, items) = model.teacher.know(), model.embed()
    lists = torch.cat([batch.pos[:, None], batch.neg], 1)
    student = (users @ items.T)[batch.users].gather(1, lists)
    teacher = know.embeddings().scores(batch.users).gather(1, lists)
    two = [F.logsigmoid(torch.stack([m, -m], 1)) for m in (x[:, 0] - x[:, 1] for x in (student, teacher))]
    list_terms, embed_terms = [], []
    for place in range(len(data.features)):
        f_user, f_item = (c.unflatten(1, (-1, 8))[:, place] for c in (know.user_content, know.item_content))
        content = (f_user @ f_item.T)[batch.users].gather(1, lists)
        list_terms.append(F.kl_div(student.log_softmax(1), content.log_softmax(1), None, None, "batchmean", True))
        embed_terms.append((1 - F.cosine_similarity(f_item, items, dim=1)).pow(settings["gamma"]).mean())
    return {
        "bpr": F.softplus(student[:, 1] - student[:, 0]).mean(),
        "pair_kd": settings["pair"] * F.kl_div(*two, None, None, "batchmean", True),
        "list_kd": settings["list"] * sum(list_terms) / len(list_terms),
        "embed_kd": settings["embed"] * sum(embed_terms) / len(embed_terms),
    }


@pytest.mark.parametrize("modalities", [1, 2, 4])
@pytest.mark.parametrize("student", ["lightgcn", "gcn"])
def test_the_loss_is_equation_12(modalities, student, make_data, make_batch):
    data = make_data(modalities=modalities, missing=(3, 5))
    settings = {"pair": 0.5, "list": 2.0, "embed": 3.0, "alpha": 1.0, "beta": 1.0, "gamma": 1.5}
    model = mmkd(data, student=student, init="random", l2=0.0, **settings)
    batch = make_batch(data, 10)
    terms, expected = model.loss(batch), slow_terms(model, data, batch, settings)
    assert list(terms) == list(expected)
    for name in expected:
        torch.testing.assert_close(terms[name], expected[name], atol=1e-6, rtol=1e-4)


def test_alpha_beta_and_temperature_reach_the_list_term(data, make_batch):
    batch = make_batch(data, 10)
    values = {
        mmkd(data, list=1.0, **changes).loss(batch)["list_kd"].item()
        for changes in ({}, {"alpha": 2.0}, {"beta": 1.0}, {"temperature": 2.0})
    }
    assert len(values) == 4


@pytest.mark.parametrize("layers", [0, 2])
def test_without_distillation_and_from_a_random_start_it_is_its_student_alone(layers, data):
    model = mmkd(data, init="random", layers=layers, negatives=1, **WITHOUT_KD)
    alone = make("lightgcn", data, dim=8, layers=layers) if layers else make("bpr-mf", data, dim=8)
    alone.load_state_dict({"nodes.weight": model.student.nodes.weight})
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.embed(), alone.embed(), strict=True))
    ours, theirs = fit(model, data, SHORT), fit(alone, data, SHORT)
    for mine, other in zip(ours.losses, theirs.losses, strict=True):
        assert mine["bpr"] == other["bpr"]
        assert mine["l2"] == pytest.approx(other["l2"], rel=1e-6)  # BPR-MF sums the squares in another order
    assert ours.validation == theirs.validation
    assert torch.equal(model.embed().users, alone.embed().users)


def test_many_negatives_leave_the_bpr_term_to_the_first(data, make_batch):
    batch = make_batch(data, 10)
    model = mmkd(data, init="random", **WITHOUT_KD)
    first = model.loss(batch._replace(neg=batch.neg[:, :1]))
    assert {name: term.item() for name, term in model.loss(batch).items()} == {
        name: term.item() for name, term in first.items()
    }


def test_started_at_the_teacher_and_without_layers_the_student_is_the_teacher(data):
    model = mmkd(data, layers=0)
    for ours, theirs in zip(model.embed(), model.teacher.embed(), strict=True):
        assert torch.equal(ours, theirs)
    values = [evaluate(tables, data, "test", (5,)) for tables in (model.embed(), model.teacher.embed())]
    assert torch.equal(values[0]["recall@5"], values[1]["recall@5"])


def test_the_students_table_is_its_own_storage(data):
    model = mmkd(data, layers=0)
    with torch.no_grad():
        model.student.nodes.weight.zero_()
    assert model.teacher.nodes.weight.any()


@pytest.mark.parametrize("student", ["lightgcn", "gcn"])
@pytest.mark.parametrize("dim", [3, 13])
def test_a_student_narrower_or_wider_than_its_teacher_trains(student, dim, data):
    model = mmkd(data, dim=dim, student=student)
    assert model.embed().users.shape == (30, dim)
    before = snapshot(model)
    fit(model, data, SHORT)
    assert model.embed().items.shape == (40, dim)
    assert model.map.weight.shape == (8, dim)
    assert not {name for name in changed(before, model) if name.startswith("teacher.") and "prompt" not in name}


def test_a_narrower_start_keeps_as_much_of_the_scores_as_any_of_its_width_could(data):
    teacher = teacher_of(data)
    users, items = (x.detach().double() for x in teacher.embed())
    model = mmkd(data, dim=3, layers=0, teacher=teacher)
    table = torch.cat([users, items])
    ours = torch.cat(model.embed()).detach().double()
    best = torch.linalg.svdvals(table)[3:].square().sum().sqrt()  # Eckart-Young, over the table
    residual = table - ours @ torch.linalg.lstsq(ours, table).solution
    assert residual.norm().item() == pytest.approx(best.item(), rel=1e-4)


def test_a_wider_start_holds_the_teachers_scores_in_its_first_columns(data):
    model = mmkd(data, dim=13, layers=0)
    users, items = (x[:, :8] for x in model.embed())
    torch.testing.assert_close(
        users @ items.T, model.teacher.embed().users @ model.teacher.embed().items.T, atol=1e-5, rtol=1e-4
    )


def test_the_gcn_student_started_at_the_teacher_smooths_the_teachers_tables(data):
    model = mmkd(data, student="gcn", layers=1)
    graph = model.student.graph
    torch.testing.assert_close(torch.cat(model.embed()), graph @ torch.cat(model.teacher.embed()))


def test_a_narrower_gcn_student_starts_from_the_principal_directions_and_not_from_the_first_columns(data):
    teacher = teacher_of(data)
    with torch.no_grad():
        for rows in (teacher.nodes.weight, *teacher.reduction.weights):
            rows.mul_(torch.linspace(0.1, 1, 8))  # the last columns matter most
    narrow, table = mmkd(data, dim=3, student="gcn", teacher=teacher), torch.cat(teacher.embed()).detach()
    best = mmkd(data, dim=3, layers=0, teacher=teacher)
    torch.testing.assert_close(table @ narrow.student.weights[0], torch.cat(best.embed()))
    assert torch.equal(narrow.student.weights[1], torch.eye(3))
    smoothed = make("mmkd", data, dim=3, student="gcn", layers=1, teacher=teacher)
    whole = smoothed.student.graph @ table

    def error(rows):
        scores, found = whole[:30] @ whole[30:].T, rows[:30] @ rows[30:].T
        return float((found - scores).norm() / scores.norm())

    assert error(torch.cat(smoothed.embed()).detach()) < 0.5 * error(whole[:, :3])


def test_a_gcn_student_as_wide_as_its_teacher_starts_at_the_identity(data):
    assert all(torch.equal(weight, torch.eye(8)) for weight in mmkd(data, student="gcn").student.weights)


def test_a_weight_of_zero_drops_its_term_and_what_only_it_needs(data, make_batch):
    assert "embed_kd" not in mmkd(data, embed=0.0).loss(make_batch(data, 10))
    assert mmkd(data, dim=3, embed=0.0).map is None


def test_the_history_watches_the_teacher_while_its_prompt_moves(data):
    live, still = (fit(mmkd(data, prompt_mode=mode), data, SHORT) for mode in ("kd", "frozen"))
    assert live.validation[0]["target_change"] == 0
    assert live.validation[-1]["target_change"] > 0
    assert 0 <= live.validation[-1]["teacher_recall"] <= 1
    assert "teacher_recall" not in still.validation[0]


def test_two_students_of_one_teacher_start_alike_when_the_prompt_is_frozen(data):
    teacher = teacher_of(data)
    first = mmkd(data, teacher=teacher, prompt_mode="frozen")
    start = snapshot(first)
    fit(first, data, SHORT)
    second = mmkd(data, teacher=teacher, prompt_mode="frozen")
    assert changed(start, second) == set()


def test_items_without_a_modality_train_without_nan(make_data):
    data = make_data(missing=range(0, 40, 2))
    for name in ("teacher", "mmkd"):
        model = make(name, data, dim=8) if name == "teacher" else mmkd(data)
        history = fit(model, data, SHORT)
        assert len(history.losses) == 3
        assert torch.cat(model.embed()).isfinite().all()


def test_a_teacher_of_its_own_is_made_where_none_is_given(data):
    assert isinstance(make("mmkd", data).teacher, Teacher)
