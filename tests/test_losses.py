"""Each loss against a loop written from its equation in the paper, errata resolved, in double precision."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.losses import bpr, l2, list_kd, pair_kd, sampled_softmax, scaled_cosine_error, softmax_kd


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def softmax(row):
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient(loss, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


numbers = st.floats(-30, 30)
lists_of = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.tuples(*[st.tuples(numbers, numbers)] * k), min_size=1, max_size=4)
)


# --- BPR, Eq. 13 ---


def test_bpr_is_the_mean_of_minus_log_sigmoid():
    pos, neg = normal(5), normal(5, seed=1)
    expected = sum(-math.log(sigmoid(p - n)) for p, n in zip(pos.tolist(), neg.tolist(), strict=True)) / 5
    assert bpr(pos, neg).item() == pytest.approx(expected, rel=1e-12)


def test_bpr_compares_each_negative_of_a_row_with_the_rows_positive():
    pos, neg = normal(4), normal(4, 3, seed=1)
    terms = [-math.log(sigmoid(p - n)) for p, row in zip(pos.tolist(), neg.tolist(), strict=True) for n in row]
    assert bpr(pos, neg).item() == pytest.approx(sum(terms) / 12, rel=1e-12)


def test_bpr_of_equal_scores_is_log_two():
    assert bpr(torch.zeros(3), torch.zeros(3, 2)).item() == pytest.approx(math.log(2))


def test_bpr_is_finite_at_huge_margins():
    pos = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = bpr(pos, -pos.detach())
    loss.backward()
    assert loss.item() == 1e4
    assert pos.grad.tolist() == [-0.5, 0.0]


@pytest.mark.usefixtures("unchecked")
def test_bpr_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"bpr: got pos \(3,\), neg \(4, 2\); expected one row a positive"):
        bpr(torch.zeros(3), torch.zeros(4, 2))


def test_l2_is_half_the_squared_norm_over_the_batch():
    users, items = normal(3, 2), normal(3, 2, seed=1)
    squares = [x * x for table in (users, items) for row in table.tolist() for x in row]
    assert l2(users, items).item() == pytest.approx(sum(squares) / 2 / 3, rel=1e-12)


# --- PairKD, Eq. 5 with errata B1 ---


@pytest.mark.parametrize("temperature", [1.0, 0.5, 4.0])
def test_pair_kd_is_the_mean_bernoulli_kl_times_temperature_squared(temperature):
    teacher, student = normal(6), normal(6, seed=1)
    terms = []
    for t, s in zip(teacher.tolist(), student.tolist(), strict=True):
        p, q = sigmoid(t / temperature), sigmoid(s / temperature)
        terms.append(kl([p, 1 - p], [q, 1 - q]))
    expected = temperature**2 * sum(terms) / 6
    assert pair_kd(teacher, student, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_pair_kd_is_torchs_kl_of_two_classes():
    teacher, student = normal(6), normal(6, seed=1)
    two = [torch.stack([x / 2, -x / 2], 1).log_softmax(1) for x in (student, teacher)]
    expected = F.kl_div(*two, reduction="batchmean", log_target=True)
    torch.testing.assert_close(pair_kd(teacher, student), expected, rtol=1e-12, atol=0)


def test_gradient_of_pair_kd_is_the_difference_of_the_sigmoids():
    teacher, student = normal(6), normal(6, seed=1)
    expected = [
        (sigmoid(s) - sigmoid(t)) / 6 for t, s in zip(teacher.tolist(), student.tolist(), strict=True)
    ]  # / 6: the mean
    assert gradient(lambda s: pair_kd(teacher, s), student).tolist() == pytest.approx(expected, rel=1e-9)


def test_gradient_of_pair_kd_is_nearly_linear_in_the_margins_at_a_high_temperature():
    teacher, student = normal(6), normal(6, seed=1)  # tau^2 keeps the scale: sigma(x) ~ 1/2 + x/4
    ours = gradient(lambda s: pair_kd(teacher, s, 1000.0), student)
    torch.testing.assert_close(ours, (student - teacher) / 4 / 6, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pair_kd_is_exactly_zero_at_equal_margins(dtype):
    margins = torch.tensor([-1e4, -30.0, 0.0, 0.1, 30.0, 1e4], dtype=dtype)
    assert pair_kd(margins, margins).item() == 0
    assert not gradient(lambda s: pair_kd(margins, s), margins).abs().gt(1e-7).any()


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), st.floats(0.25, 8))
def test_pair_kd_is_never_negative(margins, temperature):
    teacher, student = torch.tensor(margins, dtype=torch.float64).T
    assert pair_kd(teacher, student, temperature).item() >= -1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pair_kd_and_both_gradients_are_finite_at_huge_margins(dtype):
    teacher = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    student = torch.tensor([1e4, -1e4, -1e4, 1e4], dtype=dtype, requires_grad=True)
    loss = pair_kd(teacher, student)
    loss.backward()
    assert loss.item() == 5e3  # 1e4 in two of the four rows
    assert student.grad.tolist() == [0, 0, -0.25, 0.25]
    assert teacher.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_pair_kd_names_wrong_arguments():
    with pytest.raises(ValueError, match=r"pair_kd: got \(3,\), \(4,\); expected equal shapes"):
        pair_kd(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match="pair_kd: got temperature=0; expected temperature > 0"):
        pair_kd(torch.zeros(3), torch.zeros(3), 0)


# --- ListKD, Eq. 6-10 with errata B3-B10 ---


def slow_list_kd(teacher, student, alpha, beta, temperature):
    total = 0.0
    for t_row, s_row in zip(teacher.tolist(), student.tolist(), strict=True):
        y_t, y_s = (softmax([x / temperature for x in row]) for row in (t_row, s_row))
        b_t, b_s = ([y[0], sum(y[1:])] for y in (y_t, y_s))  # Eq. 6
        q_t, q_s = ([x / sum(y[1:]) for x in y[1:]] for y in (y_t, y_s))  # Eq. 7
        total += alpha * kl(b_t, b_s) + beta * (1 - b_t[0]) * kl(q_t, q_s)
    return temperature**2 * total / len(teacher)


@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1, 1, 1), (1, 4, 1), (0.5, 2, 3), (0, 1, 0.7), (1, 0, 1)])
def test_list_kd_is_the_weighted_sum_of_its_two_parts(alpha, beta, temperature):
    teacher, student = normal(5, 7), normal(5, 7, seed=1)
    ours = list_kd(teacher, student, float(alpha), float(beta), float(temperature)).item()
    assert ours == pytest.approx(slow_list_kd(teacher, student, alpha, beta, temperature), rel=1e-12)


@given(lists_of)
def test_list_kd_at_alpha_and_beta_one_is_the_plain_kl(rows):
    teacher, student = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    plain = F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="batchmean", log_target=True)
    torch.testing.assert_close(list_kd(teacher, student), plain, rtol=1e-12, atol=1e-12)


def test_list_kd_with_a_temperature_is_the_plain_kl_of_the_softened_lists():
    teacher, student = normal(5, 7), normal(5, 7, seed=1)
    softened = [(x / 3).log_softmax(1) for x in (student, teacher)]
    plain = 9 * F.kl_div(*softened, reduction="batchmean", log_target=True)
    torch.testing.assert_close(list_kd(teacher, student, temperature=3.0), plain, rtol=1e-12, atol=0)


def test_gradient_of_list_kd_at_alpha_and_beta_one_is_the_difference_of_the_softmaxes():
    teacher, student = normal(5, 7), normal(5, 7, seed=1)
    ours = gradient(lambda s: list_kd(teacher, s), student)
    torch.testing.assert_close(ours, (student.softmax(1) - teacher.softmax(1)) / 5, rtol=1e-9, atol=1e-12)


def test_list_kd_of_two_columns_has_no_second_part():
    teacher, student = normal(5, 2), normal(5, 2, seed=1)
    assert list_kd(teacher, student, alpha=0.0, beta=7.0).item() == 0
    margins = [x[:, 0] - x[:, 1] for x in (teacher, student)]
    torch.testing.assert_close(list_kd(teacher, student), pair_kd(*margins), rtol=1e-12, atol=0)


def test_list_kd_does_not_change_when_a_row_is_shifted():
    teacher, student = normal(5, 7), normal(5, 7, seed=1)
    shifted = list_kd(teacher + normal(5, 1, seed=2), student - normal(5, 1, seed=3), 0.5, 4.0)
    torch.testing.assert_close(shifted, list_kd(teacher, student, 0.5, 4.0), rtol=1e-12, atol=0)


def test_list_kd_does_not_depend_on_the_order_of_the_negatives_but_on_which_is_the_positive():
    teacher, student = normal(5, 4), normal(5, 4, seed=1)
    value = list_kd(teacher, student, 0.5, 4.0)
    for order, same in (([0, 3, 1, 2], True), ([1, 0, 2, 3], False)):
        permuted = list_kd(teacher[:, order], student[:, order], 0.5, 4.0)
        assert torch.isclose(permuted, value, rtol=1e-12) == same


@given(lists_of, st.floats(0, 5), st.floats(0, 5), st.floats(0.25, 8))
def test_list_kd_is_never_negative(rows, alpha, beta, temperature):
    teacher, student = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    assert list_kd(teacher, student, alpha, beta, temperature).item() >= -1e-12
    assert list_kd(teacher, teacher, alpha, beta, temperature).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("teacher_row", [[1e4, 0, 0], [-1e4, 0, 0], [0, 1e4, -1e4], [1e4, 1e4, -1e4]])
@pytest.mark.parametrize("student_row", [[1e4, 0, 0], [-1e4, 0, 0], [0, -1e4, 1e4]])
def test_list_kd_and_both_gradients_are_finite_at_huge_logits(dtype, teacher_row, student_row):
    teacher = torch.tensor([teacher_row], dtype=dtype, requires_grad=True)
    student = torch.tensor([student_row], dtype=dtype, requires_grad=True)
    loss = list_kd(teacher, student, 1.0, 4.0)
    loss.backward()
    assert loss.isfinite()
    assert loss >= 0
    assert teacher.grad.isfinite().all()
    assert student.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_list_kd_names_wrong_arguments():
    with pytest.raises(ValueError, match=r"list_kd: got \(3, 4\), \(3, 5\); expected equal shapes"):
        list_kd(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"list_kd: got shape \(3, 1\); expected \(batch, list\) with at least 2"):
        list_kd(torch.zeros(3, 1), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"list_kd: got shape \(3,\)"):
        list_kd(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="list_kd: got temperature=-1; expected temperature > 0"):
        list_kd(torch.zeros(3, 2), torch.zeros(3, 2), temperature=-1)


# --- EmbKD, Eq. 11 ---


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0, 3.0])
def test_scaled_cosine_error_is_the_mean_power_of_one_minus_cosine(gamma):
    teacher, student = normal(5, 4), normal(5, 4, seed=1)
    terms = []
    for f, e in zip(teacher.tolist(), student.tolist(), strict=True):
        cosine = sum(a * b for a, b in zip(f, e, strict=True)) / math.hypot(*f) / math.hypot(*e)
        terms.append((1 - cosine) ** gamma)
    assert scaled_cosine_error(teacher, student, gamma).item() == pytest.approx(sum(terms) / 5, rel=1e-12)


def test_scaled_cosine_error_is_torchs_cosine_to_the_power():
    teacher, student = normal(5, 3, 4), normal(5, 3, 4, seed=1)
    expected = (1 - F.cosine_similarity(teacher, student, dim=-1)).square().mean()
    torch.testing.assert_close(scaled_cosine_error(teacher, student), expected, rtol=1e-12, atol=0)


def test_scaled_cosine_error_of_parallel_rows_is_zero_and_of_opposite_rows_two_to_the_gamma():
    x = normal(5, 4)
    assert scaled_cosine_error(x, 3 * x).item() == pytest.approx(0, abs=1e-12)
    assert scaled_cosine_error(x, -3 * x, 3.0).item() == pytest.approx(8, rel=1e-12)


@given(st.integers(0, 50), st.floats(1, 4), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_scaled_cosine_error_is_in_its_range_and_free_of_the_rows_lengths(seed, gamma, first, second):
    teacher, student = normal(3, 4, seed=seed), normal(3, 4, seed=seed + 100)
    value = scaled_cosine_error(teacher, student, gamma)
    assert 0 <= value.item() <= 2**gamma
    torch.testing.assert_close(scaled_cosine_error(first * teacher, second * student, gamma), value)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.5])
def test_a_fractional_gamma_has_no_nan_where_the_rows_are_parallel(gamma):
    teacher = normal(200, 7).float()  # rounding puts some cosines above one
    student = (3 * teacher).requires_grad_()
    loss = scaled_cosine_error(teacher, student, gamma)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
def test_rows_of_zeros_have_cosine_zero_and_finite_gradients(gamma):
    teacher, student = torch.zeros(3, 4), torch.zeros(3, 4)
    teacher[1], student[2] = 1.0, 1.0
    teacher.requires_grad_()
    student.requires_grad_()
    loss = scaled_cosine_error(teacher, student, gamma)
    loss.backward()
    assert loss.item() == 1
    assert teacher.grad.isfinite().all()
    assert student.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_scaled_cosine_error_names_wrong_arguments():
    with pytest.raises(ValueError, match=r"scaled_cosine_error: got \(3, 4\), \(3, 5\); expected equal shapes"):
        scaled_cosine_error(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"scaled_cosine_error: got gamma=0\.5; expected gamma >= 1"):
        scaled_cosine_error(torch.zeros(3, 4), torch.zeros(3, 4), 0.5)


# --- softmax over shared candidates ---


def slow_softmax(users, pos, candidates, same, temperature):
    """The equation of sampled softmax, row by row."""
    total = 0.0
    for user, own, row in zip(users, pos, same.tolist(), strict=True):
        positive = math.exp(float(user @ own) / temperature)
        others = [
            math.exp(float(user @ c) / temperature) for c, is_own in zip(candidates, row, strict=True) if not is_own
        ]
        total -= math.log(positive / (positive + sum(others)))
    return total / len(users)


SAME = torch.tensor([[False, True, False], [False, False, False], [True, True, True], [False, False, True]])


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_sampled_softmax_is_the_mean_of_its_equation(temperature):
    rows = normal(4, 5), normal(4, 5, seed=1), normal(3, 5, seed=2)
    expected = slow_softmax(*rows, SAME, temperature)
    assert sampled_softmax(*rows, SAME, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_sampled_softmax_has_the_gradients_of_its_equation():
    rows = [x.requires_grad_() for x in (normal(4, 5), normal(4, 5, seed=1), normal(3, 5, seed=2))]
    assert torch.autograd.gradcheck(lambda *x: sampled_softmax(*x, SAME, 0.5), rows)


def test_a_row_whose_candidates_are_all_the_positive_adds_nothing():
    users, pos, candidates = normal(1, 5), normal(1, 5, seed=1), normal(3, 5, seed=2)
    assert sampled_softmax(users, pos, candidates, SAME[2:3]).item() == 0


def test_sampled_softmax_of_large_scores_is_finite():
    users = torch.full((2, 4), 1e4, requires_grad=True)
    loss = sampled_softmax(users, -users.detach(), users.detach(), torch.zeros(2, 2, dtype=torch.bool), 0.1)
    loss.backward()
    assert loss.isfinite()
    assert users.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_softmax_kd_is_the_mean_kl_divergence_of_both_softmaxes(temperature):
    teacher, student = normal(4, 6), normal(4, 6, seed=1)
    pairs = zip((teacher / temperature).tolist(), (student / temperature).tolist(), strict=True)
    expected = sum(kl(softmax(t), softmax(s)) for t, s in pairs) / 4
    assert softmax_kd(teacher, student, temperature).item() == pytest.approx(expected, rel=1e-9)
    whole = list_kd(teacher, student, 1.0, 1.0, temperature) / temperature**2
    torch.testing.assert_close(softmax_kd(teacher, student, temperature), whole)


def test_softmax_kd_has_the_gradient_of_its_equation_and_none_for_the_teacher():
    teacher, student = normal(3, 5).requires_grad_(), normal(3, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: softmax_kd(teacher.detach(), x, 0.7), [student])
    softmax_kd(teacher, student).backward()
    assert teacher.grad is None


def test_softmax_kd_is_zero_where_scores_differ_by_a_constant():
    teacher = normal(3, 5)
    assert softmax_kd(teacher, teacher + 2.0).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_softmax_losses_name_wrong_arguments():
    with pytest.raises(ValueError, match=r"softmax_kd: got \(2, 3\), \(2, 4\); expected equal shapes"):
        softmax_kd(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"softmax_kd: got temperature=0; expected temperature > 0"):
        softmax_kd(torch.zeros(2, 3), torch.zeros(2, 3), 0)
    with pytest.raises(ValueError, match=r"sampled_softmax: got temperature=-1; expected temperature > 0"):
        sampled_softmax(*(torch.zeros(2, 3) for _ in range(3)), torch.zeros(2, 2, dtype=torch.bool), -1)
