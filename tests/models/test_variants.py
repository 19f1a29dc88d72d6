"""Each variant changes the one thing that its name says."""

import pytest
import torch
import torch.nn.functional as F

from mmkd_core import Dataset, Experiment, FitConfig, plan, run
from mmkd_core.chosen import file_of
from mmkd_core.models import MODELS, VARIANTS, base_of, build, defaults_of
from mmkd_core.models.variants import VARIANTS_OF_MMKD, misordered
from mmkd_core.runs import restore

STUDENTS = [name for name in VARIANTS if base_of(name) == "mmkd"]
SHORT = FitConfig(epochs=2, batch_size=64, lr=0.01, evaluate_every=1)


def pair(name, data, teacher="teacher", **settings):
    """MMKD and a variant of it, built alike."""
    models = []
    for kind in (base_of(name), name):
        torch.manual_seed(0)
        taught = build(teacher, data, {"dim": 8}).eval()
        models.append(build(kind, data, {"dim": 8, "layers": 1, "alpha": 2.0} | settings, teacher=taught))
    return models


def test_a_baseline_with_softmax_has_settings_more_and_a_file_of_its_own():
    name, loss = "vbpr+softmax", {"cosine", "temperature", "candidates", "prior"}
    assert defaults_of(name).keys() == defaults_of(base_of(name)).keys() - {"l2"} | loss
    assert issubclass(VARIANTS[name], MODELS[base_of(name)])
    assert file_of(name) == f"{name}.toml"


@pytest.mark.parametrize("name", VARIANTS_OF_MMKD)
def test_a_variant_has_the_settings_of_what_it_varies(name):
    assert defaults_of(name) == defaults_of(base_of(name))
    assert issubclass(VARIANTS[name], MODELS[base_of(name)])
    varied, base = plan(name, "tiktok"), plan(base_of(name), "tiktok")
    assert (varied.hparams, varied.fit, varied.teacher) == (base.hparams, base.fit, base.teacher)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_of_a_variant_gets_a_gradient(name, data, make_batch):
    model = pair(name, data)[1] if name in STUDENTS else build(name, data, {"dim": 8})
    sum(model.loss(make_batch(data, model.negatives, candidates=model.candidates)).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_run_recorded_and_restored(name, make_data, tmp_path):
    toy = make_data(num_users=20, num_items=60, modalities=2)
    teacher = Experiment("toy", "teacher", hparams={"dim": 4}, fit=SHORT) if name in STUDENTS else None
    record = run(Experiment("toy", name, hparams={"dim": 4}, fit=SHORT, teacher=teacher), tmp_path, data=toy)
    model = restore(record.file(tmp_path), toy)
    assert type(model) is VARIANTS[name]


@pytest.mark.parametrize(
    ("name", "changed"),
    [("mmkd+mse", "embed_kd"), ("mmkd+released-pair", "pair_kd"), ("mmkd+released-list", "list_kd")],
)
def test_another_loss_changes_that_term_alone(name, changed, data, make_batch):
    batch = make_batch(data, 10)
    ours, theirs = (model.loss(batch) for model in pair(name, data))
    assert list(ours) == list(theirs)
    assert {term for term in ours if not torch.equal(ours[term], theirs[term])} == {changed}


def test_mse_is_the_mean_over_items_modalities_and_channels(data, make_batch):
    model = pair("mmkd+mse", data, embed=1.0)[1]
    with torch.no_grad():
        term = model.loss(make_batch(data, 10))["embed_kd"]
        content, items = model.knowledge().content_of_items(), model.embed().items
        expected = sum(
            (items[i, c] - content[i, m, c]) ** 2 for i in range(len(items)) for m in range(3) for c in range(8)
        ) / (len(items) * 3 * 8)
    assert float(term) == pytest.approx(float(expected), rel=1e-5)


def margins(model, batch):
    with torch.no_grad():
        know, student = model.knowledge().embeddings(), model.embed()
        return [
            (t.users[batch.users] * (t.items[batch.pos] - t.items[batch.neg[:, 0]])).sum(1) for t in (know, student)
        ]


def test_the_released_pair_loss_pushes_against_bpr(data, make_batch):
    """Its gradient is minus that of BPR, each triple weighted by the teacher's loss (reference A4)."""
    model, batch = pair("mmkd+released-pair", data, pair=1.0, prompt_mode="frozen")[1], make_batch(data, 10)
    model.loss(batch)["pair_kd"].backward()
    found = model.student.nodes.weight.grad.clone()
    model.zero_grad()
    teacher, _ = margins(model, batch)
    student = model.embed()
    margin = (student.users[batch.users] * (student.items[batch.pos] - student.items[batch.neg[:, 0]])).sum(1)
    (-F.softplus(-teacher) * F.softplus(-margin)).mean().backward()
    torch.testing.assert_close(found, model.student.nodes.weight.grad, rtol=1e-4, atol=1e-7)


def test_the_released_losses_are_not_zero_where_student_and_teacher_agree(data, make_batch):
    """A student that starts at E^T without propagation has the teacher's margins."""
    batch = make_batch(data, 10)
    ours, theirs = (
        float(model.loss(batch)["pair_kd"].detach()) for model in pair("mmkd+released-pair", data, pair=1.0, layers=0)
    )
    assert ours == pytest.approx(0, abs=1e-6)
    assert theirs < -0.3  # at equal margins of 0 it is log 2 (log log 2 - log 2) = -0.73


def test_the_released_list_loss_is_its_formula(data, make_batch):
    model, batch = pair("mmkd+released-list", data, list=1.0)[1], make_batch(data, 10)
    with torch.no_grad():
        term = float(model.loss(batch)["list_kd"])
        know, student = model.knowledge(), model.embed()
        logits = torch.einsum("bd,bkd->bk", student.users[batch.users], student.items[batch.lists])
        s = -(logits.softmax(1) + 1e-8).log()
        terms = []
        for teacher in know.content_logits(batch).unbind(2):
            t = -(teacher.softmax(1) + 1e-8).log()
            terms.append((t * (t.log() - s)).mean())
    assert term == pytest.approx(float(torch.stack(terms).mean()), rel=1e-5)


def test_in_the_released_graph_a_user_reads_users_and_not_items():
    """Five users, three items, user 0 has items 0 and 2: its row reads nodes 0 and 2 of the stack (reference A0)."""
    none = torch.empty(0, 2, dtype=torch.int64)
    toy = Dataset("toy", 5, 3, torch.tensor([[0, 0], [0, 2], [1, 1], [4, 2]]), none, none)
    dense = misordered(toy).dense_rows(torch.arange(8))
    assert dense[0].nonzero().flatten().tolist() == [0, 2]
    assert dense[5 + 2].nonzero().flatten().tolist() == [3, 7]  # item 2 has users 0 and 4: nodes 3 + 0 and 3 + 4


def test_the_released_tables_start_at_twice_the_teacher_and_step_twice(data, make_batch):
    ours, theirs = pair("mmkd+released-tables", data)
    torch.testing.assert_close(theirs.embed().items, 2 * ours.embed().items)
    assert theirs.student.twin.data_ptr() == theirs.student.nodes.weight.data_ptr()
    moved = []
    for model in (ours, theirs):
        before = model.student.nodes.weight.detach().clone()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0)
        model.loss(make_batch(data, 10))["bpr"].backward()
        optimizer.step()
        moved.append((model.student.nodes.weight - before).abs().max().item())
    assert moved == pytest.approx([0.1, 0.2], rel=1e-3)


def test_the_tables_are_one_again_after_a_move(data):
    model = pair("mmkd+released-tables", data)[1]
    model.student.twin.data = model.student.twin.data.clone()
    model.refresh()
    assert model.student.twin.data_ptr() == model.student.nodes.weight.data_ptr()


def test_the_plain_prompt_is_a_trained_table_and_knows_no_content(data):
    model = build("teacher+xavier", data, {"dim": 8})
    assert model.prompt.table.weight.shape == (data.num_items, 8)
    assert not list(model.prompt.buffers())
    bound = (6 / (data.num_items + 8)) ** 0.5
    assert model.prompt.table.weight.abs().max() <= bound


def test_a_student_can_learn_from_a_varied_teacher():
    experiment = plan("mmkd", "demo", teacher=plan("teacher+xavier", "demo", hparams={"layers": 1}))
    assert experiment.teacher is not None
    assert (experiment.teacher.model, experiment.teacher.hparams["layers"]) == ("teacher+xavier", 1)
