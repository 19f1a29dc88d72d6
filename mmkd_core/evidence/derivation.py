"""Sec. 7.2 in symbols: the list-wise divergence split in two, for sympy to check line by line.

Scores are real symbols, so what is proved here is proved for every list of that length. `losses.list_kd` computes the
same with tensors. It is the algebra of the chapter `derivation` and no question: who asks one need not wait for sympy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy import Expr


@dataclass(frozen=True)
class Shares:
    """One model's opinion of a list of K items, the first of them observed (Eq. 6 and 7; B3 to B5 of the errata).

    `scores` are its K scores y; `p` their softmax; `b` the pair (b+, b-) of the observed item and all others together;
    `q` the K - 1 shares within the others, so that q[0] is the paper's q_2.
    """

    scores: tuple[Expr, ...]
    p: tuple[Expr, ...]
    b: tuple[Expr, ...]
    q: tuple[Expr, ...]


def symbols(size: int, name: str) -> tuple[Expr, ...]:
    """`size` real symbols y_1, y_2, ... with `name` (T or S) as their superscript."""
    return tuple(sp.Symbol(f"y_{k}^{name}", real=True) for k in range(1, size + 1))


def shares(scores: Sequence[Expr | float]) -> Shares:
    """The shares of a list of scores, symbols or numbers. Raises `ValueError` for fewer than two."""
    if len(scores) < 2:
        raise ValueError(f"a list of {len(scores)} scores; expected at least 2, the observed item's first")
    own = tuple(map(sp.sympify, scores))
    powers = [sp.exp(y) for y in own]
    total, others = sp.Add(*powers), sp.Add(*powers[1:])
    p, q = tuple(power / total for power in powers), tuple(power / others for power in powers[1:])
    return Shares(own, p, (powers[0] / total, others / total), q)


def divergence(one: Sequence[Expr], other: Sequence[Expr]) -> Expr:
    """KL(one || other), the sum over k of one_k log(one_k / other_k)."""
    return sp.Add(*(p * sp.log(p / q) for p, q in zip(one, other, strict=True)))


def printed_eq9(teacher: Shares, student: Shares) -> Expr:
    """The first line of Eq. 9 to the letter: its last logarithm stands outside of the sum and has no weight (B7)."""
    (b, rest), (b_s, rest_s) = teacher.b, student.b
    return b * sp.log(b / b_s) + rest * divergence(teacher.q, student.q) + sp.log(rest / rest_s)


def printed_eq10(teacher: Shares, student: Shares, *, minus_over_all: bool) -> Expr:
    """Eq. 10 for one modality, its minus before KL(b) alone, as printed, or before both terms (B9)."""
    first = divergence(teacher.b, student.b)
    second = (teacher.b[0] - 1) * divergence(teacher.q, student.q)
    return -(first + second) if minus_over_all else -first + second


def equal(one: Expr, other: Expr) -> bool:
    """Whether two expressions in real symbols are proved to be the same; False means that no proof was found.

    With positive symbols in place of the exponentials of the scores, and logarithms of products written out, what
    remains of the difference is a sum of logarithms, each with a rational function before it. It is zero if all those
    functions are; where no two arguments of logarithms are powers of each other, as here, only if.
    """
    difference = one - other
    scores = {y for power in difference.atoms(sp.exp) for y in power.free_symbols}
    difference = difference.xreplace({y: sp.log(sp.Dummy(str(y), positive=True)) for y in scores})
    difference = sp.expand_log(difference)
    names = {log: sp.Dummy() for log in difference.atoms(sp.log)}
    linear = difference.xreplace(names)
    free = linear.xreplace(dict.fromkeys(names.values(), sp.Integer(0)))
    parts = [free, *(sp.diff(linear, name) for name in names.values())]
    return all(sp.cancel(sp.together(part)) == 0 for part in parts)


def value(expression: Expr, **scores: Sequence[float]) -> float:
    """The number that an expression has: `value(e, T=teacher_scores, S=student_scores)`."""
    known = {
        symbol: sp.Float(number)
        for name, numbers in scores.items()
        for symbol, number in zip(symbols(len(numbers), name), numbers, strict=True)
    }
    return float(sp.N(expression.xreplace(known)))
