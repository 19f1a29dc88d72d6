"""The checks of the workshop: what is right passes, and of what is wrong the message names the thing."""

import re
from functools import wraps

import pytest
import torch
import torch.nn.functional as F

from mmkd_core import MODELS, load
from mmkd_core.evidence import workshop
from mmkd_core.evidence.workshop import DiffersError, check

SOLUTIONS = {name: part.reference for name, part in workshop.PARTS.items()}


def named(name, function):
    @wraps(function)
    def mine(*arguments):
        return function(*arguments)

    mine.__name__ = name
    return mine


def pair_kd(teacher, student, temperature=1.0):
    """Of two scores, one of which is zero: a softmax over both is the two outcomes."""
    p, q = (torch.stack([x, 0 * x], dim=1).div(temperature).log_softmax(1) for x in (teacher, student))
    return temperature**2 * F.kl_div(q, p, log_target=True, reduction="batchmean")


def naive_bpr(positive, negative):
    return -torch.sigmoid(positive - negative).log().mean()


def naive_pair_kd(teacher, student, temperature=1.0):
    p, q = torch.sigmoid(teacher / temperature), torch.sigmoid(student / temperature)
    kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    return temperature**2 * kl.mean()


def naive_list_kd(teacher, student, alpha=1.0, beta=4.0, temperature=1.0):
    p, q = (x.div(temperature).softmax(1) for x in (teacher, student))
    first = p[:, 0] * (p[:, 0] / q[:, 0]).log() + (1 - p[:, 0]) * ((1 - p[:, 0]) / (1 - q[:, 0])).log()
    a, b = (x[:, 1:] / (1 - x[:, :1]) for x in (p, q))
    return temperature**2 * (alpha * first + beta * (1 - p[:, 0]) * (a * (a / b).log()).sum(1)).mean()


def naive_joint(margins, terms, weights, rows, l2):
    distilled = sum(weights[name] * term for name, term in terms.items())
    return -torch.sigmoid(margins).log().mean() + distilled + l2 * rows.square().sum() / (2 * len(margins))


def by_hand(adjacency, x, layers):
    """LightGCN with dense matrices, its own way."""
    a = adjacency.to_dense()
    root = a.sum(1).clamp(min=1).pow(-0.5).diag()
    powers = [torch.linalg.matrix_power(root @ a @ root, layer) for layer in range(layers + 1)]
    return torch.stack(powers).mean(0) @ x


@pytest.mark.parametrize("mine", [pair_kd, named("lightgcn", by_hand)], ids=lambda f: f.__name__)
def test_what_is_right_passes_however_it_is_written(mine):
    assert check(mine).startswith(f"✓ {mine.__name__}: values and gradients are the library's, in ")


@pytest.mark.parametrize("name", SOLUTIONS)
def test_each_part_passes_with_what_it_is_compared_with(name):
    assert check(named(name, SOLUTIONS[name])).startswith(f"✓ {name}")


@pytest.mark.parametrize("name", SOLUTIONS)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda right: None, "returned nothing"),
        (lambda right: 1.0, "returned a float; expected a tensor of the shape"),
        (lambda right: -right, "It is -1 times what is expected"),
        (lambda right: 3 * right, "It is 3 times what is expected"),
        (lambda right: right[None], "got the shape (1"),
        (lambda right: right + 0.5, "got "),
        (lambda right: right * torch.nan, "Not all of it is finite"),
        (lambda right: right.detach(), "no gradient comes through"),
        (lambda right: right.detach() + 0 * right, "the gradient by "),
        (lambda right: right.nothing, " with AttributeError"),
    ],
)
def test_what_is_wrong_is_named(name, wrong, says):
    with pytest.raises(DiffersError, match=rf"^{name}, case \d of \d.*{re.escape(says)}"):
        check(named(name, lambda *arguments: wrong(SOLUTIONS[name](*arguments))))


SLIPS = {
    "bpr": lambda positive, negative: SOLUTIONS["bpr"](negative, positive),
    "lightgcn": lambda a, x, layers: by_hand(a, x, layers + 1),
    "prompt": lambda scores, weight, bias: F.linear(torch.stack(scores).mean(0), weight, bias),
    "reduction": lambda x, w, b, p, rate: x @ w + rate * p @ (p.T @ (x @ w)) + b,  # without 1 / items
    "pair_kd": lambda t, s, tau: SOLUTIONS["pair_kd"](s, t, tau),  # the other way round
    "list_kd": lambda t, s, alpha, beta, tau: SOLUTIONS["list_kd"](t, s, 1.0, 1.0, tau),
    "embed_kd": lambda t, s, gamma: (1 - F.cosine_similarity(t, s)).mean() ** gamma,
    "joint": lambda margins, terms, weights, rows, l2: SOLUTIONS["joint"](margins, terms, weights, rows, 2 * l2),
}


TOLD = {
    "bpr": "the result with positive and negative exchanged",
    "lightgcn": "the result with a layer more",
    "reduction": r"the result without 1/\|I\|",
    "pair_kd": "the result with teacher and student exchanged",
    "joint": "the result with twice the L2",
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_that_trains_all_the_same_is_found(name):
    with pytest.raises(DiffersError, match=TOLD.get(name, "expected")):
        check(named(name, SLIPS[name]))


@pytest.mark.parametrize(
    ("name", "slip", "says"),
    [
        ("bpr", lambda positive, negative: F.softplus(negative - positive).sum(), "the loss is the mean"),
        ("prompt", lambda scores, w, b: SOLUTIONS["prompt"](scores, w.T, b), "the transpose of `weight`"),
        ("pair_kd", lambda t, s, tau: SOLUTIONS["pair_kd"](t, s, tau) / tau**2, "without its factor temperature²"),
        ("pair_kd", lambda t, s, tau: SOLUTIONS["pair_kd"](t.detach(), s, tau), "Nothing of it is there"),
        ("list_kd", lambda t, s, *own: SOLUTIONS["list_kd"](s, t, *own), "teacher and student exchanged"),
    ],
)
def test_a_common_slip_is_named(name, slip, says):
    with pytest.raises(DiffersError, match=says):
        check(named(name, slip))


def test_the_numbers_of_a_case_are_told():
    with pytest.raises(DiffersError, match=r"^pair_kd, case 2 of 3 \(temperature=2.5\): got "):
        check(named("pair_kd", lambda t, s, tau: SOLUTIONS["pair_kd"](t, s, 1.0)))


@pytest.mark.parametrize(
    ("name", "naive"),
    [("bpr", naive_bpr), ("pair_kd", naive_pair_kd), ("list_kd", naive_list_kd), ("joint", naive_joint)],
)
def test_a_logarithm_of_a_rounded_probability_is_found_in_the_last_case(name, naive):
    number = len(workshop.PARTS[name].cases())
    with pytest.raises(DiffersError, match=rf"^{name}, case {number} of {number}.*a logarithm of 0"):
        check(named(name, naive))


def test_an_error_tells_the_line_and_no_table():
    def prompt(scores, weight, bias):
        raise NotImplementedError("clamp of a sparse tensor\n" + 100 * "a backend\n")

    line = prompt.__code__.co_firstlineno + 1
    with pytest.raises(DiffersError, match=rf"stopped in line {line} with NotImplementedError: clamp of .* tensor$"):
        check(prompt)


def test_another_name_is_no_part():
    with pytest.raises(ValueError, match=r"other is no part of the workshop; expected one of .*'embed_kd'"):
        check(named("other", pair_kd))


def test_a_notebook_shows_the_message_alone():
    assert DiffersError("this")._render_traceback_() == ["✗ this"]


def test_the_prompt_is_the_library_s_of_whole_data():
    """The reference of the prompt scales its components as the library does when it makes them."""
    from sklearn.decomposition import PCA

    from mmkd_core.layers import standardise

    data = load("demo")
    theirs = MODELS["teacher"](data, dim=8).prompt
    scores = [
        torch.from_numpy(PCA(8, random_state=0).fit_transform(standardise(x).double().numpy()))
        for _, x in sorted(data.features.items())
    ]
    weight, bias = theirs.linear.weight.double(), theirs.linear.bias.double()
    torch.testing.assert_close(SOLUTIONS["prompt"](scores, weight, bias).float(), theirs(), rtol=1e-4, atol=1e-5)
