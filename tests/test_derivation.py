"""Sec. 7.2, proved for lists of any scores: the divergence splits in two, and what is printed of it does not."""

from math import log

import pytest
import sympy as sp
import torch

from mmkd_core import losses
from mmkd_core.evidence import derivation
from mmkd_core.evidence.derivation import divergence, equal, printed_eq9, printed_eq10, shares, symbols, value


@pytest.fixture(params=[3, 4])
def pair(request):
    """A teacher's and a student's list of general scores."""
    return shares(symbols(request.param, "T")), shares(symbols(request.param, "S"))


def parts(teacher, student):
    """KL(b), and (1 - b+) KL(q) with the teacher's b+."""
    return divergence(teacher.b, student.b), (1 - teacher.b[0]) * divergence(teacher.q, student.q)


def test_shares_are_the_papers(pair):
    teacher, _ = pair
    for whole in (teacher.p, teacher.b, teacher.q):
        assert equal(sp.Add(*whole), sp.Integer(1))
    assert equal(teacher.b[0], teacher.p[0])
    assert all(equal(q, p / teacher.b[1]) for q, p in zip(teacher.q, teacher.p[1:], strict=True))  # q_k = p_k / b-


def test_the_divergence_splits_without_a_rest(pair):
    teacher, student = pair
    assert equal(divergence(teacher.p, student.p), sp.Add(*parts(teacher, student)))


def test_other_weights_than_one_make_another_loss(pair):
    of_b, of_q = parts(*pair)
    alpha, beta = sp.symbols("alpha beta", real=True)
    weighted, whole = alpha * of_b + beta * of_q, divergence(pair[0].p, pair[1].p)
    assert not equal(weighted, whole)
    assert equal(weighted.subs({alpha: 1, beta: 1}), whole)
    assert not equal(weighted.subs({alpha: 1, beta: 2}), whole)


def test_the_gradient_is_a_difference_of_shares_with_the_weights_before_it(pair):
    """alpha (b+^S - b+^T) for the observed item; for another, alpha q^S (b-^S - b-^T) + beta (1 - b+^T) (q^S - q^T)."""
    teacher, student = pair
    of_b, of_q = parts(*pair)
    alpha, beta = sp.symbols("alpha beta", real=True)
    loss = alpha * of_b + beta * of_q
    assert equal(sp.diff(loss, student.scores[0]), alpha * (student.b[0] - teacher.b[0]))
    for y, q_t, q_s in zip(student.scores[1:], teacher.q, student.q, strict=True):
        expected = alpha * q_s * (student.b[1] - teacher.b[1]) + beta * (1 - teacher.b[0]) * (q_s - q_t)
        assert equal(sp.diff(loss, y), expected)
        assert not equal(sp.diff(loss, y), expected * 2)


def test_of_two_items_only_the_first_question_is_left():
    teacher, student = shares(symbols(2, "T")), shares(symbols(2, "S"))
    of_b, of_q = parts(teacher, student)
    assert of_q == 0
    assert equal(divergence(teacher.p, student.p), of_b)


def test_eq_9_as_printed_is_off_by_a_logarithm_that_lacks_its_weight(pair):
    teacher, student = pair
    excess = printed_eq9(*pair) - divergence(teacher.p, student.p)
    assert not equal(excess, sp.Integer(0))
    assert equal(excess, teacher.b[0] * sp.log(teacher.b[1] / student.b[1]))


def test_eq_10_as_printed_is_minus_the_divergence(pair):
    teacher, student = pair
    assert equal(printed_eq10(*pair, minus_over_all=False), -divergence(teacher.p, student.p))


def test_eq_10_with_the_minus_over_all_of_it_rewards_a_difference_in_b(pair):
    of_b, of_q = parts(*pair)
    assert equal(printed_eq10(*pair, minus_over_all=True), of_q - of_b)


def test_a_list_worked_by_hand():
    """Shares (1/2, 1/4, 1/4) and (1/4, 1/4, 1/2): b = (1/2, 1/2) and (1/4, 3/4), q = (1/2, 1/2) and (1/3, 2/3)."""
    teacher, student = shares([sp.log(2), sp.S.Zero, sp.S.Zero]), shares([sp.S.Zero, sp.S.Zero, sp.log(2)])
    assert student.q == (sp.Rational(1, 3), sp.Rational(2, 3))
    of_b, of_q = parts(teacher, student)
    assert value(of_b) == pytest.approx(log(4 / 3) / 2, abs=1e-15)
    assert value(of_q) == pytest.approx(log(9 / 8) / 4, abs=1e-15)
    assert value(divergence(teacher.p, student.p)) == pytest.approx(log(2) / 4, abs=1e-15)
    assert value(printed_eq9(teacher, student)) == pytest.approx(log(2) / 4 + log(2 / 3) / 2, abs=1e-15)  # below zero
    readings = [value(printed_eq10(teacher, student, minus_over_all=over_all)) for over_all in (False, True)]
    assert readings == pytest.approx([-log(2) / 4, log(81 / 128) / 4], abs=1e-15)


@pytest.mark.parametrize("size", [3, 4, 7])
@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1.0, 1.0, 1.0), (1.0, 4.0, 1.0), (0.5, 8.0, 2.0)])
def test_the_loss_is_what_is_derived(size, alpha, beta, temperature):
    scores = 3 * torch.randn(2, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    of_b, of_q = parts(*(shares(row) for row in (scores / temperature).tolist()))
    expected = temperature**2 * (alpha * value(of_b) + beta * value(of_q))
    found = losses.list_kd(scores[:1], scores[1:], alpha, beta, temperature)
    assert abs(float(found) - expected) < 1e-12


def test_symbols_and_their_numbers_give_the_same_value():
    numbers = {"T": [2.0, 1.2, 0.3], "S": [0.4, 0.1, 1.1]}
    general = divergence(*(shares(symbols(3, name)).p for name in numbers))
    assert value(general, **numbers) == pytest.approx(value(divergence(*(shares(n).p for n in numbers.values()))))


def test_a_list_needs_two():
    with pytest.raises(ValueError, match=r"a list of 1 scores; expected at least 2"):
        derivation.shares([0.0])
